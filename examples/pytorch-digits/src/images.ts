// What a convolutional network is made of, beside batch norms, in float64: each makes images of images.

/** Row-major. */
export interface Images {
  readonly data: Float64Array;
  readonly shape: readonly [N: number, C: number, H: number, W: number];
}

/** As PyTorch lays it out: [outputs, inputs, 3, 3], or [outputs, inputs] of a linear layer. */
export interface Parameters {
  readonly weight: { readonly data: Float32Array; readonly shape: readonly number[] };
  /** [outputs]; absent: zeros. */
  readonly bias?: { readonly data: Float32Array; readonly shape: readonly number[] };
}

/** y[n, o, i, j] = b[o] + Σ w[o, c, k, l] · x[n, c, i + k − 1, j + l − 1], with zeros around x. */
export function convolve({ data: x, shape: [N, C, H, W] }: Images, { weight, bias }: Parameters): Images {
  const w = weight.data;
  const O = weight.shape[0]!;
  const y = new Float64Array(N * O * H * W);
  let at = 0;
  for (let n = 0; n < N; n++) {
    for (let o = 0; o < O; o++) {
      for (let i = 0; i < H; i++) {
        for (let j = 0; j < W; j++) {
          let sum = 0;
          for (let c = 0; c < C; c++) {
            for (let k = Math.max(0, 1 - i); k < Math.min(3, H + 1 - i); k++) {
              for (let l = Math.max(0, 1 - j); l < Math.min(3, W + 1 - j); l++) {
                sum += w[((o * C + c) * 3 + k) * 3 + l]! * x[((n * C + c) * H + i + k - 1) * W + j + l - 1]!;
              }
            }
          }
          y[at++] = sum + (bias?.data[o] ?? 0);
        }
      }
    }
  }
  return { data: y, shape: [N, O, H, W] };
}

/** max(x, 0), in place. */
export function rectify(x: Images): Images {
  x.data.forEach((value, i, y) => {
    y[i] = Math.max(value, 0);
  });
  return x;
}

/** The largest of each 2×2 pixels. */
export function pool({ data: x, shape: [N, C, H, W] }: Images): Images {
  const shape = [N, C, H / 2, W / 2] as const;
  const y = Float64Array.from({ length: x.length / 4 }, (_, at) => {
    const [row, j] = [Math.floor(at / shape[3]), at % shape[3]];
    const corner = 2 * row * W + 2 * j;
    return Math.max(x[corner]!, x[corner + 1]!, x[corner + W]!, x[corner + W + 1]!);
  });
  return { data: y, shape };
}

/** y[n, o] = b[o] + Σ w[o, c] · x[n, c], as images of one pixel. */
export function linear({ data: x, shape: [N, C] }: Images, { weight, bias }: Parameters): Images {
  const O = weight.shape[0]!;
  const y = Float64Array.from({ length: N * O }, (_, at) => {
    const [n, o] = [Math.floor(at / O), at % O];
    let sum = 0;
    for (let c = 0; c < C; c++) sum += weight.data[o * C + c]! * x[n * C + c]!;
    return sum + (bias?.data[o] ?? 0);
  });
  return { data: y, shape: [N, O, 1, 1] };
}
