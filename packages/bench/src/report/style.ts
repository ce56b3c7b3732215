// The style sheet of the report, for light and dark, wide and narrow; the look is that of the conformance report.
export const style = `
:root {
  color-scheme: light dark;
  --text: light-dark(#1b1f24, #e4e7eb);
  --quiet: light-dark(#57606a, #9aa4b0);
  --page: light-dark(#ffffff, #14171b);
  --line: light-dark(#d4d9df, #353c45);
  --backend: light-dark(#2f6fd0, #7db0ff);
  --layer: light-dark(#7b9fd8, #4f74a8);
  --straightforward: light-dark(#a57c1b, #d9b25c);
  --peer: light-dark(#8a8f98, #7c848f);
  --plot-background: var(--page);
}
* { box-sizing: border-box; }
body {
  max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem;
  color: var(--text); background: var(--page); font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { margin: 0 0 .5rem; font-size: 1.6rem; }
h2 { margin: 2.5rem 0 .25rem; font-size: 1.2rem; }
h3 { margin: 1rem 0 .25rem; font-size: 1rem; }
figcaption { font-size: .9375rem; font-weight: 600; }
p { margin: .5rem 0; max-width: 48rem; }
.quiet { color: var(--quiet); font-size: .875rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 1.25rem 1.5rem; margin: 1rem 0; }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; color: var(--text); overflow: visible; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .5rem 0; padding: 0; list-style: none; font-size: .875rem; }
.key li::before { content: ''; display: inline-block; width: .7rem; height: .7rem; margin-right: .35rem; border-radius: .15rem; background: var(--colour); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; }
summary { padding: .6rem .8rem; cursor: pointer; }
details .charts { padding: 0 .8rem; }
details[open] > summary { border-bottom: 1px solid var(--line); }
summary:focus-visible { outline: .15rem solid currentColor; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-top: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { border-top: 0; color: var(--quiet); }
th.name, td.name { text-align: left; }
`;
