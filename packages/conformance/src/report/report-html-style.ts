// What the HTML report looks like beyond what all pages have, wide and narrow.
export const style = `
body { max-width: 80rem; }
h2 { margin: 2rem 0 .75rem; font-size: 1.2rem; }
.quiet, .execution { color: var(--quiet); font-size: .875rem; font-weight: normal; }
.note { color: var(--skipped); }
.badge { white-space: nowrap; font-weight: 600; font-size: .9375rem; margin-right: .35rem; }
.badge.passed { color: var(--passed); }
.badge.failed { color: var(--failed); }
.badge.refused { color: var(--refused); }
.badge.skipped { color: var(--skipped); }
.badge.hole, .alarm, .matrix td.hole { color: #fff; background: #c1121f; }
.badge.hole, .alarm { padding: .1rem .4rem; border-radius: .2rem; }
.alarm { font-weight: 600; }
.codes { font-size: .75rem; font-weight: normal; white-space: normal; }
.cell .badge { display: block; margin: 0; }
.cell .codes { display: block; padding-left: 1rem; }
th, td { text-align: left; vertical-align: top; }

.overview { table-layout: fixed; border-collapse: separate; border-spacing: .25rem; margin: 1rem -.25rem; width: calc(100% + .5rem); }
.overview thead th { padding: 0 .6rem; color: var(--quiet); font-size: .875rem; font-weight: 600; }
.overview tbody th { padding: .5rem .6rem; font-weight: normal; }
.overview thead th:first-child { width: 22%; }
.cell { padding: .5rem .6rem; border-radius: .3rem; border-left: .25rem solid var(--line); background: var(--none-back); }
.cell.passed { border-color: var(--passed); background: var(--passed-back); }
.cell.failed { border: .125rem solid var(--failed); border-left-width: .25rem; background: var(--failed-back); }
.cell.refused { border-color: var(--refused); background: var(--refused-back); }
.cell.skipped { border-color: var(--skipped); border-left-style: dashed; background: var(--skipped-back); }
.cell .group { display: none; }
.accuracy { display: block; margin-top: .15rem; font-size: .875rem; }

.scroll { margin: .8rem; }
.matrix { font-size: .8125rem; }
.matrix th, .matrix td { padding: .2rem .25rem; border: 1px solid var(--line); }
.matrix td { text-align: center; white-space: nowrap; color: var(--passed); }
.matrix thead th { text-align: center; color: var(--quiet); overflow-wrap: normal; }
.matrix thead tr:last-child th { min-width: 3.5rem; font-size: .6875rem; }
.matrix tbody th { font-weight: normal; white-space: nowrap; }
.matrix tbody th[scope=rowgroup] { min-width: 11rem; white-space: normal; }
.matrix td.failed { color: var(--failed); background: var(--failed-back); font-weight: 600; }
.matrix td.refused { color: var(--refused); background: var(--refused-back); }
.matrix td.skipped { color: var(--skipped); background: var(--skipped-back); }
.matrix td.hole { font-weight: 700; }
.matrix sup { font-size: .6875rem; line-height: 1; margin-left: .1rem; }
.remarks { margin: .8rem; padding-left: 1.5rem; font-size: .875rem; }

dl { display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; margin: .8rem; }
dt { color: var(--quiet); font-size: .8125rem; }
dd { margin: 0; }
.cases { width: calc(100% - 1.6rem); margin: 1rem .8rem; font-size: .875rem; }
.cases caption { text-align: left; font-size: 1rem; font-weight: 600; padding-bottom: .3rem; }
.cases caption .counts { margin-left: .5rem; }
.cases th, .cases td { padding: .25rem .5rem; border-top: 1px solid var(--line); }
.cases thead th { border-top: 0; color: var(--quiet); }
.cases tbody th { font-weight: normal; padding-left: 1.75rem; text-indent: -1.25rem; }
.cases tbody th .messages { text-indent: 0; }
.cases tr.failed th, .cases tr.failed td { background: var(--failed-back); }
.cases tr.refused th, .cases tr.refused td { background: var(--refused-back); }
.cases tr.skipped th, .cases tr.skipped td { background: var(--skipped-back); }
.sign { display: inline-block; width: 1.25rem; text-indent: 0; font-weight: 600; }
.passed .sign { color: var(--passed); }
.failed .sign { color: var(--failed); }
.refused .sign { color: var(--refused); }
.skipped .sign { color: var(--skipped); }
.cases td { white-space: nowrap; }
.cases td, .cases thead th { width: 1%; }
.cases th:first-child { width: auto; }
.cases .ratio { min-width: 9rem; }
.cases .number { min-width: 5rem; }
.bar { display: block; height: .3rem; margin-top: .1rem; border-radius: .15rem; background: var(--line); }
.bar i { display: block; height: 100%; border-radius: inherit; background: var(--passed); }
.failed .bar i { background: var(--failed); }
.messages { margin: .3rem 0; padding-left: 1rem; font: .8125rem/1.4 ui-monospace, monospace; white-space: pre-wrap; }
pre.messages { margin: .8rem; padding: 0; }

@media (max-width: 44rem) {
  .overview, .overview tbody { display: block; }
  .overview { width: auto; margin: 1rem 0; }
  .overview thead { display: none; }
  .overview tr { display: grid; grid-template-columns: 1fr 1fr; gap: .3rem; margin-bottom: 1.1rem; }
  .overview tbody th { grid-column: 1 / -1; padding: 0; }
  .overview td[colspan] { grid-column: 1 / -1; }
  .cell .group { display: block; color: var(--quiet); font-size: .8125rem; }
  .cases { width: 100%; margin: 1rem 0; font-size: .8125rem; }
  .cases th, .cases td { padding: .25rem .3rem; }
  .cases caption { padding-left: .5rem; }
  .cases tbody th { padding-left: 1.6rem; }
  .cases tbody th .quiet { display: block; text-indent: 0; font-size: .75rem; }
  .messages { padding-left: .2rem; list-style: none; }
  .cases .ratio { min-width: 4rem; }
  .cases .number { min-width: 0; }
  .cases thead th { white-space: nowrap; }
}
`;
