// Runs a program on a backend, through layers, and beside it on models of these layers. Every value is compared within
// its bound, everything else to the bit: what a call returned stays as it was, and so does what lies around the
// caller's arrays.
import {
  type AllocatedTensor,
  type Backend,
  BatchNorm,
  type DeviceTensor,
  type Dtype,
  dtypeOf,
  type ErrorCode,
  extentOf,
  type FloatArray,
  type ForwardPass,
  type Gradients,
  type LoadableState,
  product,
  type Tensor,
} from '@batchnorm/core-api';
import { compare, sameBits } from '../compare.js';
import type { MemoryKind } from '../conformance-case.js';
import { codeOf, errorCode } from '../expect-refusal.js';
import { maskOf } from '../masks.js';
import { type Activation, type ActivationMemory, activationMemory, type Vector } from '../memory/activation-memory.js';
import { type Expectation, type Forwarded, LayerModel } from './layer-model.js';
import type { LayerSpec, Program, Source, Step, Target } from './program.js';
import { draw, parametersOf, randomOf } from './values.js';

type StepThat<Does extends Step['does']> = Extract<Step, { readonly does: Does }>;

/**
 * A call that was made, and the promise that its result has been judged. In an object, because returning a promise
 * would await it.
 */
interface Call {
  readonly judged: Promise<unknown>;
}

/**
 * Runs a program. One line for each thing that is wrong; empty if nothing is. Disposes what it makes, not the backend.
 */
export async function runProgram(backend: Backend, program: Program): Promise<string[]> {
  return (await judgeProgram(backend, program)).found;
}

/** What is wrong with a program. */
export interface ProgramFindings {
  /** A line each. */
  readonly found: string[];
  /** Of the first error that nothing had asked for. */
  readonly code: ErrorCode | null;
}

/** `runProgram`, with the code of what went wrong. */
export async function judgeProgram(backend: Backend, program: Program): Promise<ProgramFindings> {
  const run = new ProgramRun(backend, program.layers);
  try {
    for (const [index, step] of program.steps.entries()) await run.step(`steps[${index}] ${step.does}`, step);
    await run.end();
  } finally {
    await run.dispose();
  }
  return run;
}

/** What a buffer for results may hold before. */
const junkValues = [Number.NaN, 0, 7];

/** A pass that is alive. */
interface Pass {
  readonly handle: ForwardPass;
  /** Undefined for a forward in place, which has no backward. */
  readonly forwarded: Forwarded | undefined;
  readonly x: Activation;
}

/** A layer, its model, and the calls that nobody has awaited. */
class Subject {
  readonly spec: LayerSpec;
  readonly #backend: Backend;
  layer: BatchNorm;
  model: LayerModel;
  /** The x of the forward that the next backward differentiates. */
  latestX: Activation | undefined;
  passes: Pass[] = [];
  readonly #pending: Promise<unknown>[] = [];

  constructor(spec: LayerSpec, backend: Backend) {
    this.spec = spec;
    this.#backend = backend;
    this.layer = this.#newLayer();
    this.model = new LayerModel(spec.options, backend);
  }

  get dtype(): Dtype {
    return this.model.options.dtype;
  }

  /** Whether no call is running. */
  get isIdle(): boolean {
    return this.#pending.length === 0;
  }

  /** Whether a backward may ask for this x. */
  needs(x: Activation): boolean {
    return this.latestX === x || this.passes.some((pass) => pass.x === x);
  }

  renew(): void {
    this.latestX = undefined;
    this.passes = [];
    this.layer = this.#newLayer();
    this.model = new LayerModel(this.spec.options, this.#backend);
  }

  add({ judged }: Call): void {
    this.#pending.push(judged);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#pending.splice(0));
  }

  #newLayer(): BatchNorm {
    return new BatchNorm({ ...this.spec.options, backend: this.#backend });
  }
}

/** An array that must not change, and a copy of it. */
interface Kept {
  readonly what: string;
  readonly memory: ActivationMemory;
  readonly copy: FloatArray;
}

class ProgramRun implements ProgramFindings {
  readonly found: string[] = [];
  code: ErrorCode | null = null;
  readonly #subjects: readonly Subject[];
  readonly #memories: Readonly<Record<MemoryKind, ActivationMemory>>;
  readonly #kept = new Map<Activation | Vector, Kept>();
  /** Results that may become `out` of a later call, by memory, dtype and shape. */
  readonly #used = new Map<string, Activation[]>();
  readonly #inputs: Activation[] = [];
  readonly #isSynchronous: boolean;
  /** What each forward gave: behind 'relu' it shows what passed. */
  readonly #ys = new WeakMap<Forwarded, Promise<FloatArray | undefined>>();
  #given = 0;
  #results = 0;

  constructor(backend: Backend, layers: readonly LayerSpec[]) {
    this.#subjects = layers.map((spec) => new Subject(spec, backend));
    this.#isSynchronous = backend.capabilities.synchronous === true;
    const memory = (kind: MemoryKind) => activationMemory(kind, backend);
    this.#memories = { host: memory('host'), allocated: memory('allocated'), device: memory('device') };
  }

  async step(what: string, step: Step): Promise<void> {
    const subject = this.#subjects[step.layer % this.#subjects.length]!;
    subject.add(await this.#make(what, subject, step));
    if (step.awaited) await subject.settled();
  }

  /** Awaits all calls, and compares what must not have changed with its copies. */
  async end(): Promise<void> {
    for (const [index, subject] of this.#subjects.entries()) {
      await subject.settled();
      await this.#state(`layers[${index}].state() at the end`, subject).judged;
      await this.#dispose(`layers[${index}].dispose() at the end`, subject).judged;
    }
    for (const [result, { what, memory, copy }] of this.#kept) {
      const now = await memory.read(result).catch((error: unknown) => codeOf(error));
      if (typeof now === 'string') this.#wrong(what, `could not be read at the end: ${now}`);
      else if (!sameBits(now, copy)) this.#wrong(what, 'is not at the end what it was');
    }
    for (const { kind, damage } of Object.values(this.#memories)) {
      if (damage > 0)
        this.#wrong('at the end', `received ${damage} bytes written beside the arrays (${kind}), expected 0`);
    }
  }

  async dispose(): Promise<void> {
    for (const subject of this.#subjects) {
      await subject.settled().catch(() => undefined);
      await subject.layer.dispose().catch(() => undefined);
    }
    for (const memory of Object.values(this.#memories)) memory.dispose();
  }

  async #make(what: string, subject: Subject, step: Step): Promise<Call> {
    switch (step.does) {
      case 'forward':
        return this.#forward(what, subject, step);
      case 'backward':
        return this.#backward(what, subject, step);
      case 'fail':
        return this.#fail(`${what} ${step.how}`, subject, step);
      case 'release':
        return this.#release(what, subject, step);
      case 'state':
        return this.#state(what, subject);
      case 'resetRunningStatistics': {
        subject.model.resetRunningStatistics();
        const answer = subject.layer.resetRunningStatistics();
        return { judged: this.#judged(what, () => answer) };
      }
      case 'setMomentum':
        subject.model.momentum = step.momentum;
        subject.layer.momentum = step.momentum;
        return { judged: Promise.resolve() };
      case 'loadState':
        return this.#loadState(what, subject, step);
      case 'setParameters':
        return this.#setParameters(subject, step);
      case 'dispose': {
        const call = this.#dispose(what, subject);
        subject.renew();
        return call;
      }
    }
  }

  async #forward(what: string, subject: Subject, step: StepThat<'forward'>): Promise<Call> {
    const { layer, model, spec, dtype, passes } = subject;
    const memory = this.#memories[step.memory];
    const shape = spec.shapes[step.shape % spec.shapes.length]!;
    const values = draw(step.x, extentOf(shape, model.options.axis), dtype);
    const { axis } = model.options;
    const drawn = step.residual === 'x' ? values : step.residual && draw(step.residual, extentOf(shape, axis), dtype);
    const mask = step.mask && maskOf(step.mask.kind, randomOf(step.mask.seed), shape, axis);
    const { training, track } = step;
    const forwarded = model.pass(values, shape, { training, track, memory: step.memory, mask, residual: drawn });
    const isRefused = typeof forwarded === 'string';
    const expected = isRefused ? forwarded : model.y(forwarded);
    const isLatest = step.as === 'latest' && !isRefused;
    const x = await this.#input(step.from, memory, values, shape, isLatest ? subject : undefined);
    const beside = this.#beside(memory, step.x.seed);
    const residual = step.residual === 'x' ? x : drawn && (await beside.put(drawn, shape));
    if (residual && drawn && residual !== x) this.#keep(`residual of ${what}`, memory, residual, drawn);
    // Training never writes over x, and nothing over a residual.
    const target = step.y === 'input' && (step.training || residual === x) ? 'given' : step.y;
    const out = await this.#target(target, beside, x, dtype, shape);
    const inPlace = out === x && !isRefused;
    if (!inPlace) {
      this.#keep(`x of ${what}`, memory, x, values);
      this.#inputs.push(x);
    }
    if (isLatest) {
      model.latest = inPlace ? undefined : forwarded;
      subject.latestX = inPlace ? undefined : x;
    }
    // Typed for either kind of memory; both are the same kind here.
    const given = { ...(out && { out: out as Tensor }), ...(residual && { residual: residual as Tensor }) };
    const options = { training, track, ...given, ...(mask && { mask }) };
    const isAtOnce = step.atOnce && step.as === 'latest' && this.#isSynchronous;
    if (isAtOnce) await subject.settled();
    const answer = isAtOnce
      ? started(() => layer.sync.forward(x as Tensor, options))
      : step.as === 'latest'
        ? layer.forward(x as Tensor, options)
        : layer.forwardPass(x as Tensor, options);
    const judge = async () => {
      const result = await this.#answer<Tensor | ForwardPass>(what, answer, expected);
      if (result === undefined || typeof expected === 'string' || isRefused) return undefined;
      const y = 'backward' in result ? result.y : result;
      if ('backward' in result) passes.push({ handle: result, forwarded: inPlace ? undefined : forwarded, x });
      if (out !== undefined && y !== out) this.#wrong(what, 'y is not the out that was given');
      const elements = await this.#judge(`y of ${what}`, memory, y, expected, dtype, shape);
      this.#letGo(memory, y, out === undefined, dtype);
      return elements;
    };
    const judged = this.#judged(what, judge);
    if (!isRefused) this.#ys.set(forwarded, judged);
    return { judged };
  }

  async #backward(what: string, subject: Subject, step: StepThat<'backward'>): Promise<Call> {
    if (step.of !== 'latest') await subject.settled();
    const { layer, model, spec, dtype, passes } = subject;
    const pass = step.of === 'latest' ? undefined : passes[step.of % passes.length];
    const forwarded = pass ? pass.forwarded : model.latest;
    const { memory: kind, shape } = forwarded ?? { memory: 'host', shape: spec.shapes[0]! };
    const memory = this.#beside(this.#memories[kind], step.dy.seed);
    const values = draw(step.dy, extentOf(shape, model.options.axis), dtype);
    const dy = await this.#input(step.from, memory, values, shape);
    const dx = await this.#target(step.dx, memory, dy, dtype, shape);
    const dgamma = step.dgamma === 'given' ? memory.vector(model.gamma.length) : undefined;
    const dbeta = step.dbeta === 'given' ? memory.vector(model.beta.length) : undefined;
    const dresidual = forwarded?.residual && (await this.#target(step.dresidual ?? 'new', memory, dy, dtype, shape));
    const given = Object.entries({ dx, dresidual, dgamma, dbeta }).filter(([, result]) => result !== undefined);
    const out = Object.fromEntries(given) as Partial<Gradients>;
    if (dx !== dy || !forwarded) {
      this.#keep(`dy of ${what}`, memory, dy, values);
      this.#inputs.push(dy);
    }
    const isAtOnce = step.atOnce && step.of === 'latest' && this.#isSynchronous;
    if (isAtOnce) await subject.settled();
    const answer = isAtOnce
      ? started(() => layer.sync.backward(dy as Tensor, { out }))
      : (pass?.handle ?? layer).backward(dy as Tensor, { out });
    const judge = async () => {
      const gradients = await this.#answer(what, answer, forwarded ? undefined : 'FORWARD_REQUIRED');
      if (gradients === undefined || !forwarded) return;
      const expected = model.backward(values, await this.#ys.get(forwarded), forwarded);
      if (gradients.dresidual && !expected.dresidual) this.#wrong(what, 'received a dresidual, expected none');
      for (const name of ['dx', 'dresidual', 'dgamma', 'dbeta'] as const) {
        const [result, wanted] = [gradients[name], expected[name]];
        if (!wanted) continue;
        if (result === undefined) {
          this.#wrong(what, `received no ${name}, expected one`);
          continue;
        }
        if (out[name] !== undefined && result !== out[name]) this.#wrong(what, `${name} is not the out that was given`);
        const isVector = name === 'dgamma' || name === 'dbeta';
        const ofVector = ['float64', [wanted.values.length]] as const;
        const [ofDtype, ofShape] = isVector ? ofVector : ([dtype, shape] as const);
        await this.#judge(`${name} of ${what}`, memory, result, wanted, ofDtype, ofShape);
      }
      for (const name of ['dx', 'dresidual'] as const) {
        const result = gradients[name];
        if (result) this.#letGo(memory, result, out[name] === undefined, dtype);
      }
    };
    return { judged: this.#judged(what, judge) };
  }

  /** Disposes a pass; its results must stay. */
  async #release(what: string, subject: Subject, { pass: index }: StepThat<'release'>): Promise<Call> {
    await subject.settled();
    const [pass] = subject.passes.splice(index % Math.max(1, subject.passes.length), 1);
    if (pass === undefined) return { judged: Promise.resolve() };
    const answer = pass.handle.dispose();
    const judge = async () => {
      await answer;
      await this.#answer(`backward() after ${what}`, pass.handle.backward(pass.handle.y), 'DISPOSED');
    };
    return { judged: this.#judged(what, judge) };
  }

  /**
   * An input of the caller's: a new array, or one that was an input before and that only a backward of `latest` may
   * still need.
   */
  async #input(
    source: Source,
    { kind }: ActivationMemory,
    values: FloatArray,
    shape: readonly number[],
    latest?: Subject,
  ): Promise<Activation> {
    const isLatest = (input: Activation) => latest?.latestX === input && !latest.passes.some(({ x }) => x === input);
    const isFree = (input: Activation) =>
      'data' in input &&
      dtypeOf(input.data) === dtypeOf(values) &&
      sameBits(input.shape, shape) &&
      this.#subjects.every(
        (subject) => subject.isIdle && (!subject.needs(input) || (subject === latest && isLatest(input))),
      );
    const index = source === 'rewritten' && kind !== 'device' ? this.#inputs.findIndex(isFree) : -1;
    if (index < 0) return this.#memories[kind].put(values, shape);
    const [old] = this.#inputs.splice(index, 1) as [Tensor];
    this.#kept.delete(old);
    old.data.set(values);
    return old;
  }

  #state(what: string, { layer, model }: Subject): Call {
    const expected = model.settle() ?? {
      ...model.statistics(),
      gamma: model.gamma.slice(),
      beta: model.beta.slice(),
      batchesTracked: model.batchesTracked,
    };
    const answer = layer.state();
    const judge = async () => {
      const state = await this.#answer(what, answer, expected);
      if (state === undefined || typeof expected === 'string') return;
      for (const name of ['gamma', 'beta'] as const) {
        if (!sameBits(state[name], expected[name]))
          this.#wrong(what, `${name}: received [${state[name]}], expected [${expected[name]}] to the bit`);
      }
      for (const name of ['runningMean', 'runningVariance'] as const) {
        const data = Float64Array.from(state[name]);
        this.#compare(`${name} of ${what}`, { data, shape: [data.length] }, expected[name], 'float64', [
          expected[name].values.length,
        ]);
      }
      if (state.batchesTracked !== expected.batchesTracked) {
        this.#wrong(what, `batchesTracked: received ${state.batchesTracked}, expected ${expected.batchesTracked}`);
      }
    };
    return { judged: this.#judged(what, judge) };
  }

  #loadState(what: string, { layer, model }: Subject, { seed, changes }: StepThat<'loadState'>): Call {
    const random = randomOf(seed);
    const { numFeatures: C, trackRunningStatistics } = model.options;
    const statistics = trackRunningStatistics ? C : 0;
    const state: LoadableState = {
      formatVersion: 1,
      numFeatures: C,
      gamma: [...parametersOf(random, model.gamma.length)],
      beta: [...parametersOf(random, model.beta.length)],
      runningMean:
        changes === 'all' ? [...parametersOf(random, statistics)] : [...model.running.mean].slice(0, statistics),
      runningVariance: Array.from({ length: statistics }, () => (random() < 0.2 ? 0 : random() + 0.01)),
      batchesTracked: Math.floor(100 * random()),
    };
    model.loadState(state);
    const answer = layer.loadState(state);
    return { judged: this.#judged(what, () => answer) };
  }

  /** Parameters are the user's to change when no call is running. */
  async #setParameters(subject: Subject, { seed, changes, by }: StepThat<'setParameters'>): Promise<Call> {
    await subject.settled();
    const { layer, model } = subject;
    const random = randomOf(seed);
    const channel = Math.floor(random() * model.options.numFeatures);
    const constants = { 'to ones': [1], 'to ones and zeros': [1, 0], 'to zeros': [0, 0], all: [], 'one channel': [] };
    const changed = (values: Float64Array, constant: number | undefined) => {
      if (changes === 'one channel') return values.map((value, c) => (c === channel ? value + 1 : value));
      return constant === undefined ? parametersOf(random, values.length) : values.map(() => constant);
    };
    model.gamma = changed(model.gamma, constants[changes][0]);
    model.beta = changed(model.beta, constants[changes][1]);
    if (by === 'writing') {
      layer.gamma.set(model.gamma);
      layer.beta.set(model.beta);
    } else {
      layer.gamma = model.gamma;
      layer.beta = model.beta;
    }
    return { judged: Promise.resolve() };
  }

  #dispose(what: string, { layer, model }: Subject): Call {
    const expected = model.settle();
    const answer = layer.dispose();
    const judge = async () => {
      await this.#answer(what, answer, expected);
      await this.#answer(`settle() after ${what}`, layer.settle(), 'DISPOSED');
    };
    return { judged: this.#judged(what, judge) };
  }

  /** A call that must be refused, and change nothing: the model never hears of it. */
  async #fail(what: string, { layer, model, spec, dtype }: Subject, step: StepThat<'fail'>): Promise<Call> {
    const { axis } = model.options;
    const memory = this.#memories[step.memory];
    const shape = spec.shapes[0]!;
    const resized = (at: number, change: (size: number) => number) => shape.with(at, change(shape.at(at)!));
    const put = (of: readonly number[], as: Dtype = dtype) =>
      memory.put(draw({ seed: 1, kind: 'usual' }, extentOf(of, axis), as), of);
    const attempt = async (): Promise<[expected: ErrorCode, answer: Promise<unknown>]> => {
      switch (step.how) {
        case 'wrong channels':
          return ['SHAPE_MISMATCH', layer.forward((await put(resized(axis, (size) => size + 1))) as Tensor)];
        case 'dy of another shape': {
          const like = model.latest ?? { shape, memory: 'host' };
          const wider = like.shape.map((size, d) => (d === (axis + shape.length) % shape.length ? size : size + 1));
          const dy = await this.#memories[like.memory].put(
            draw({ seed: 1, kind: 'usual' }, extentOf(wider, axis), dtype),
            wider,
          );
          return [model.latest ? 'SHAPE_MISMATCH' : 'FORWARD_REQUIRED', layer.backward(dy as Tensor)];
        }
        case 'wrong dtype': {
          const other = dtype === 'float32' ? new Float64Array(product(shape)) : new Float32Array(product(shape));
          return ['DTYPE_MISMATCH', layer.forward({ data: other, shape })];
        }
        case 'wrong mask': {
          const mask = { data: new Uint8Array(product(shape)).fill(1), shape };
          return ['SHAPE_MISMATCH', layer.forward((await put(shape)) as Tensor, { mask })];
        }
        case 'wrong residual': {
          const residual = (await put(resized(axis, (size) => size + 1))) as Tensor;
          return ['SHAPE_MISMATCH', layer.forward((await put(shape)) as Tensor, { residual })];
        }
        case 'no values': {
          const empty = shape.map((size, d) => (d === (axis + shape.length) % shape.length ? size : 0));
          const data = dtype === 'float64' ? new Float64Array(0) : new Float32Array(0);
          return ['EMPTY_BATCH', layer.forward({ data, shape: empty })];
        }
        case 'bad state':
          return ['INVALID_STATE', layer.loadState({ ...({} as LoadableState), formatVersion: 1, numFeatures: -1 })];
      }
    };
    const [expected, answer] = await attempt();
    return { judged: this.#judged(what, () => this.#answer(what, answer, expected)) };
  }

  /** The result of a call; undefined if it failed, as expected or not. */
  async #answer<T>(what: string, answer: Promise<T>, expected: unknown): Promise<T | undefined> {
    const wanted = typeof expected === 'string' ? expected : 'no error';
    try {
      const result = await answer;
      if (wanted !== 'no error') this.#wrong(what, `received no error, expected ${wanted}`);
      return result;
    } catch (error) {
      if (codeOf(error) !== wanted) this.#failed(what, error, wanted);
      return undefined;
    }
  }

  async #judge(
    what: string,
    memory: ActivationMemory,
    result: Activation | Vector,
    expected: Expectation,
    dtype: Dtype,
    shape: readonly number[],
  ): Promise<FloatArray> {
    const data = await memory.read(result);
    const received = 'shape' in result ? result.shape : [data.length];
    this.#compare(what, { data, shape: received }, expected, dtype, shape);
    this.#keep(what, memory, result, data);
    return data;
  }

  #compare(what: string, received: Tensor, expected: Expectation, dtype: Dtype, shape: readonly number[]): void {
    const { values, tolerance, magnitude } = expected;
    const { passed, message } = compare(received, { shape, dtype, data: values, tolerance, magnitude });
    if (!passed) this.#wrong(what, message);
  }

  /** Remembers a copy: the array must not change until it is given as an output. */
  #keep(what: string, memory: ActivationMemory, result: Activation | Vector, copy: FloatArray): void {
    this.#kept.set(result, { what, memory, copy });
  }

  /** A result that nobody needs any more: some new ones are disposed, others may become `out` of a later call. */
  #letGo(memory: ActivationMemory, result: Activation, isNew: boolean, dtype: Dtype): void {
    if (isNew && 'dispose' in result && this.#results++ % 3 === 2) {
      this.#kept.delete(result);
      (result as DeviceTensor | AllocatedTensor).dispose();
    } else this.#reusable(memory, result, dtype);
  }

  /** Where other operands of an x in this memory are: beside one that a backend allocated also in ordinary arrays. */
  #beside(memory: ActivationMemory, seed: number): ActivationMemory {
    return memory.kind === 'allocated' && seed % 2 === 1 ? this.#memories.host : memory;
  }

  #reusable({ kind }: ActivationMemory, result: Activation, dtype: Dtype): void {
    const key = `${kind} ${dtype} ${result.shape}`;
    this.#used.set(key, [...(this.#used.get(key) ?? []), result]);
  }

  async #target(
    target: Target,
    memory: ActivationMemory,
    input: Activation,
    dtype: Dtype,
    shape: readonly number[],
  ): Promise<Activation | undefined> {
    if (target === 'new') return undefined;
    if (target === 'input') return input;
    const used = target === 'used' ? this.#used.get(`${memory.kind} ${dtype} ${shape}`)?.pop() : undefined;
    if (used === undefined) {
      const junk = dtype === 'float64' ? new Float64Array(product(shape)) : new Float32Array(product(shape));
      return memory.put(junk.fill(junkValues[this.#given++ % junkValues.length]!), shape);
    }
    this.#kept.delete(used);
    return used;
  }

  async #judged<T>(what: string, judge: () => Promise<T>): Promise<T | undefined> {
    try {
      return await judge();
    } catch (error) {
      this.#failed(what, error, 'no error');
      return undefined;
    }
  }

  #failed(what: string, error: unknown, wanted: string): void {
    this.code ??= errorCode(error);
    this.#wrong(what, `received ${codeOf(error)}, expected ${wanted}`);
  }

  #wrong(what: string, message: string): void {
    this.found.push(`${what}: ${message}`);
  }
}

/** What a call that returns at once gave, as if somebody awaited it. */
function started<T>(call: () => T): Promise<T> {
  return new Promise((resolve) => resolve(call()));
}
