import HtmlWebpackPlugin from 'html-webpack-plugin';

export default {
  entry: './src/main.js',
  output: { clean: true },
  plugins: [new HtmlWebpackPlugin({ template: './src/index.html' })],
  // The WebAssembly backend has 424 kB before compression. It is a file of its own, loaded on demand.
  performance: { maxAssetSize: 512 * 1024 },
};
