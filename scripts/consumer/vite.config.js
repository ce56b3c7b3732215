// The umbrella in a page. The manifest says which chunks there are, and which of them are loaded on demand.
export default { build: { outDir: 'page', manifest: true, target: 'es2022', minify: false } };
