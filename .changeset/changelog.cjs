// How `changeset version` writes changelogs: the notes as they are; of dependencies one line.

/** A note as an item of a list. */
async function getReleaseLine({ summary }) {
  const [first, ...rest] = summary.trim().split('\n');
  return [`- ${first}`, ...rest.map((line) => (line === '' ? '' : `  ${line}`))].join('\n');
}

async function getDependencyReleaseLine(_changesets, updated) {
  if (updated.length === 0) return '';
  return `- With ${updated.map(({ name, newVersion }) => `${name} ${newVersion}`).join(', ')}`;
}

module.exports = { getReleaseLine, getDependencyReleaseLine };
