// Where each field of a job is, in bytes from its begin: the host writes a job to linear memory (src/job.ts), and every
// thread reads it there (assembly/job.ts). Both compilers read this file. All fields are int32, but for epsilon and M,
// which are float64.

/** Bytes of an element of an activation: 2 of float16, 4 of float32, 8 of float64. */
export const elementBytes = 0;
export const outer = 4;
export const channels = 8;
export const inner = 12;
/** Entries of a table: whole cache lines, so that a pass may read and write a vector beyond the last channel. */
export const pitch = 16;
/** Channels that go through all passes of an operation before the next ones do. */
export const panel = 20;
/** Outer indices of a section; each section has sums of its own. */
export const section = 24;
export const sections = 28;
/** The address of x. */
export const x = 32;
/** The address of dy. */
export const dy = 36;
/** The address that y or dx is written to. */
export const out = 40;
/** The address of the tables that a forward keeps. */
export const saved = 44;
/** The address of the tables of sums. */
export const sums = 48;
/** The address that dgamma is written to. */
export const dgamma = 52;
/** The address that dbeta is written to. */
export const dbeta = 56;
/** Rows of one of the streams that float32 sums read side by side. */
export const streamRows = 60;
export const epsilon = 64;
/** How many values of a channel the moments are of, or were of that the forward of a backward normalised by. */
export const M = 72;
/** The address of the flags of channels that are too wide for the gradient. */
export const wideGradient = 80;
/** The address of the residual that is added to y, or 0. */
export const residual = 84;
/** The address that dresidual is written to, or 0. */
export const dresidual = 88;
/** The address of the gate of ReLU (assembly/gate.ts), or 0. */
export const gate = 92;
/** The address of the mask (mask-field.ts), or 0 where every position counts. */
export const mask = 96;

/** Bytes of a job. */
export const jobBytes = 128;
