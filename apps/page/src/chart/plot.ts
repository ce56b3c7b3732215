// What is used of Observable Plot, loaded when the first chart is drawn.
export { barX, binX, dot, lineY, plot, rectY, ruleX, ruleY, text } from '@observablehq/plot';
