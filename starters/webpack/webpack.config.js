import HtmlWebpackPlugin from 'html-webpack-plugin';

export default {
  entry: './src/main.js',
  output: { clean: true },
  plugins: [new HtmlWebpackPlugin({ template: './src/index.html' })],
  resolve: {
    // An optional backend. Once it is installed, remove this line.
    alias: { '@batchnorm/backend-gpujs': false },
  },
  // The WebAssembly backend has 424 kB before compression. It is a file of its own, loaded on demand.
  performance: { maxAssetSize: 512 * 1024 },
};
