// What all pages look like: text, headings, what opens, what is wider than the screen.
export const pageStyle = `
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 4rem;
  color: var(--text); background: var(--page); font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { margin: 0 0 .5rem; font-size: 1.6rem; }
p { margin: .5rem 0; }
.quiet { color: var(--quiet); font-size: .875rem; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; }
summary { padding: .6rem .8rem; cursor: pointer; }
details[open] > summary { border-bottom: 1px solid var(--line); }
summary:focus-visible { outline: .15rem solid currentColor; }
`;
