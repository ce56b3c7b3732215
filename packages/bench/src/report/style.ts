// What the report looks like beyond what all pages have.
export const style = `
:root {
  --backend: light-dark(#2f6fd0, #7db0ff);
  --layer: light-dark(#7b9fd8, #4f74a8);
  --straightforward: light-dark(#a57c1b, #d9b25c);
  --peer: light-dark(#8a8f98, #7c848f);
  --plot-background: var(--page);
}
body { max-width: 62rem; }
h2 { margin: 2.5rem 0 .25rem; font-size: 1.2rem; }
h3 { margin: 1rem 0 .25rem; font-size: 1rem; }
figcaption { font-size: .9375rem; font-weight: 600; }
p { max-width: 48rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 1.25rem 1.5rem; margin: 1rem 0; }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; color: var(--text); overflow: visible; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .5rem 0; padding: 0; list-style: none; font-size: .875rem; }
.key li::before { content: ''; display: inline-block; width: .7rem; height: .7rem; margin-right: .35rem; border-radius: .15rem; background: var(--colour); }
details .charts { padding: 0 .8rem; }
table { font-size: .875rem; }
th, td { padding: .25rem .6rem; border-top: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { border-top: 0; color: var(--quiet); }
th.name, td.name { text-align: left; }
`;
