// jsfive brings no types: what is used of it.
declare module 'jsfive' {
  type Library = import('./hdf5.js').Hdf5Library;
  export const File: Library['File'];
  export const Group: Library['Group'];
  export const Dataset: Library['Dataset'];
}
