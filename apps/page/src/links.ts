// Where the page's links lead.

export const repository = 'https://github.com/batchnorm/batchnorm';

const file = (path: string) => `${repository}/blob/main/${path}`;

export const links = {
  documentation: file('packages/batchnorm/README.md'),
  numerics: file('docs/numerics.md'),
  performance: file('docs/performance.md'),
} as const;
