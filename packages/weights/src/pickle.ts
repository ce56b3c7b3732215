// The part of pickle that torch.save writes for tensors, as data: nothing is called, imported or executed. Anything else
// is refused. What pickle can't express here has no meaning here either: dicts are maps, so no key is special.
import { describe, refuse } from '@batchnorm/core-api';

/** A class or function by its name, which is all that is known of it. */
export class PickleGlobal {
  readonly name: string;

  constructor(module: string, name: string) {
    this.name = `${module}.${name}`;
  }
}

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleGlobal
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | object;

/** What stands for the calls and references of a pickle. Both refuse what they do not know. */
export interface PickleMeaning {
  /** The value of a call of `callee`. */
  call(callee: string, args: readonly PickleValue[]): PickleValue;
  /** The value behind a persistent id. */
  load(id: PickleValue): PickleValue;
}

/** In bytes: that of a model of a million tensors is smaller. */
const longestPickle = 2 ** 27;

/** What to do about a file that has more than tensors. */
export const savedStateDict = 'tensors in dicts and lists: save model.state_dict()';

const mark = Symbol('mark');
type Slot = PickleValue | typeof mark;

/**
 * The value of a pickle of protocol 2 to 5. Errors: `INVALID_FILE` for what is none, `UNSUPPORTED` for an opcode that
 * torch.save does not need for tensors; those of `meaning`.
 */
export function readPickle(bytes: Uint8Array, meaning: PickleMeaning): PickleValue {
  if (bytes.length > longestPickle)
    refuse('LIMIT_EXCEEDED', `a pickle of ${bytes.length} bytes`, `at most ${longestPickle}`);
  return new PickleReader(bytes, meaning).read();
}

class PickleReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #meaning: PickleMeaning;
  readonly #stack: Slot[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #at = 0;

  constructor(bytes: Uint8Array, meaning: PickleMeaning) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#meaning = meaning;
  }

  read(): PickleValue {
    for (;;) {
      const opcode = this.#byte();
      if (opcode === 0x2e /* STOP */) return this.#pop();
      this.#do(opcode);
    }
  }

  #do(opcode: number): void {
    const key = String.fromCharCode(opcode);
    const pushed = PickleReader.#pushing.get(key);
    const acts = PickleReader.#acting.get(key);
    if (pushed) this.#stack.push(pushed(this));
    else if (acts) acts(this);
    else
      refuse('UNSUPPORTED', `opcode 0x${opcode.toString(16)} at byte ${this.#at - 1} of a pickle`, 'tensors in dicts');
  }

  /** The opcodes that push a value. */
  static readonly #pushing: ReadonlyMap<string, (reader: PickleReader) => Slot> = new Map<
    string,
    (reader: PickleReader) => Slot
  >([
    ['(', () => mark],
    // NONE, NEWTRUE, NEWFALSE
    ['N', () => null],
    ['\x88', () => true],
    ['\x89', () => false],
    // BININT1, BININT2, BININT, LONG1, BINFLOAT
    ['K', (reader) => reader.#byte()],
    ['M', (reader) => reader.#view.getUint16(reader.#take(2), true)],
    ['J', (reader) => reader.#view.getInt32(reader.#take(4), true)],
    ['\x8a', (reader) => reader.#long(reader.#byte())],
    ['G', (reader) => reader.#view.getFloat64(reader.#take(8))],
    // BINUNICODE, SHORT_BINUNICODE
    ['X', (reader) => reader.#text(reader.#uint32())],
    ['\x8c', (reader) => reader.#text(reader.#byte())],
    // EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT
    [')', () => []],
    [']', () => []],
    ['}', () => new Map()],
    // TUPLE, TUPLE1, TUPLE2, TUPLE3
    ['t', (reader) => reader.#sinceMark()],
    ['\x85', (reader) => reader.#popMany(1)],
    ['\x86', (reader) => reader.#popMany(2)],
    ['\x87', (reader) => reader.#popMany(3)],
    // BINGET, LONG_BINGET
    ['h', (reader) => reader.#remembered(reader.#byte())],
    ['j', (reader) => reader.#remembered(reader.#uint32())],
    // GLOBAL, STACK_GLOBAL, REDUCE, BINPERSID
    ['c', (reader) => new PickleGlobal(reader.#line(), reader.#line())],
    ['\x93', (reader) => reader.#global()],
    ['R', (reader) => reader.#call()],
    ['Q', (reader) => reader.#meaning.load(reader.#pop())],
  ]);

  /** The others. */
  static readonly #acting: ReadonlyMap<string, (reader: PickleReader) => void> = new Map<
    string,
    (reader: PickleReader) => void
  >([
    // PROTO, FRAME, POP
    ['\x80', (reader) => reader.#take(1)],
    ['\x95', (reader) => reader.#take(8)],
    ['0', (reader) => reader.#pop()],
    // APPEND, APPENDS, SETITEM, SETITEMS
    ['a', (reader) => reader.#append([reader.#pop()])],
    ['e', (reader) => reader.#append(reader.#sinceMark())],
    ['s', (reader) => reader.#setItems(reader.#popMany(2))],
    ['u', (reader) => reader.#setItems(reader.#sinceMark())],
    // BINPUT, LONG_BINPUT, MEMOIZE
    ['q', (reader) => reader.#memo.set(reader.#byte(), reader.#top())],
    ['r', (reader) => reader.#memo.set(reader.#uint32(), reader.#top())],
    ['\x94', (reader) => reader.#memo.set(reader.#memo.size, reader.#top())],
    // NEWOBJ, NEWOBJ_EX
    ['\x81', (reader) => reader.#refuseObject(2)],
    ['\x92', (reader) => reader.#refuseObject(3)],
    // BUILD
    ['b', (reader) => reader.#build()],
  ]);

  #global(): PickleGlobal {
    const [module, name] = this.#popMany(2);
    if (typeof module !== 'string' || typeof name !== 'string') refusePickle('a global without a name');
    return new PickleGlobal(module, name);
  }

  #call(): PickleValue {
    const [callee, args] = this.#popMany(2);
    if (!(callee instanceof PickleGlobal) || !Array.isArray(args)) refusePickle('a call of what is no function');
    return this.#meaning.call(callee.name, args);
  }

  /** Of a class, of which it names the one that the pickle has: a model instead of its numbers, most often. */
  #refuseObject(operands: number): never {
    const [type] = this.#popMany(operands);
    const name = type instanceof PickleGlobal ? type.name : type;
    refuse('UNSUPPORTED', `a pickle with an object of ${describe(name)}`, savedStateDict);
  }

  /** Of an OrderedDict, such as the `_metadata` of a state dict: its items do not depend on its attributes. */
  #build(): void {
    this.#pop();
    if (!(this.#top() instanceof Map)) refuse('UNSUPPORTED', 'a pickle that sets attributes', 'tensors in dicts');
  }

  #append(values: readonly PickleValue[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) refusePickle('an item of what is no list');
    for (const value of values) list.push(value);
  }

  #setItems(items: readonly PickleValue[]): void {
    const dict = this.#top();
    if (!(dict instanceof Map) || items.length % 2 !== 0) refusePickle('an item of what is no dict');
    for (let k = 0; k < items.length; k += 2) dict.set(items[k]!, items[k + 1]!);
  }

  #remembered(key: number): PickleValue {
    const value = this.#memo.get(key);
    if (value === undefined) refusePickle(`no memo ${key}`);
    return value;
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === mark) refusePickle('too little on its stack');
    return value;
  }

  #popMany(count: number): PickleValue[] {
    const values = Array.from({ length: count }, () => this.#pop());
    return values.reverse();
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined || value === mark) refusePickle('too little on its stack');
    return value;
  }

  #sinceMark(): PickleValue[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at < 0) refusePickle('no mark');
    const values = this.#stack.splice(at + 1) as PickleValue[];
    this.#stack.pop();
    return values;
  }

  /** Little-endian, in two's complement. */
  #long(length: number): number | bigint {
    const start = this.#take(length);
    let value = 0n;
    for (let k = length - 1; k >= 0; k--) value = (value << 8n) | BigInt(this.#bytes[start + k]!);
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  #text(length: number): string {
    const start = this.#take(length);
    return new TextDecoder().decode(this.#bytes.subarray(start, start + length));
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) refusePickle('a name without an end');
    const text = this.#text(end - this.#at);
    this.#at++;
    return text;
  }

  #uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #byte(): number {
    return this.#bytes[this.#take(1)]!;
  }

  /** Where the next `length` bytes begin. */
  #take(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.length) refusePickle(`its end after ${this.#bytes.length} bytes`);
    this.#at += length;
    return start;
  }
}

/** Most values that a pickle may hold, those counted several times that are in it several times. */
const mostValues = 2 ** 20;

/** In characters: keys are shared in a pickle, paths of them are not. */
const longestPath = 10_000;

/**
 * Calls `visit` with every value in `root` that is no list and no dict, and its path, such as 'state_dict.bn1.weight'.
 * Errors: `INVALID_FILE` for a value that contains itself, or small ones that stand for more values than memory holds;
 * `LIMIT_EXCEEDED` for a path of more than 10,000 characters.
 */
export function visitLeaves(root: PickleValue, visit: (path: string, value: PickleValue) => void): void {
  const within = new Set<PickleValue>();
  let values = 0;
  const walk = (path: string, value: PickleValue) => {
    if (++values > mostValues) refusePickle(`more than ${mostValues} values`);
    if (!(value instanceof Map || Array.isArray(value))) return visit(path, value);
    // The depth is limited, too: a pickle may nest as deep as it has bytes.
    if (within.has(value) || within.size > 100) refusePickle('a value within itself, or 100 deep');
    within.add(value);
    for (const [key, item] of value.entries()) {
      const name = typeof key === 'string' || typeof key === 'number' ? `${key}` : describe(key);
      const length = path.length + 1 + name.length;
      if (length > longestPath)
        refuse('LIMIT_EXCEEDED', `a name of ${length} characters in a pickle`, `at most ${longestPath}`);
      walk(path === '' ? name : `${path}.${name}`, item);
    }
    within.delete(value);
  };
  walk('', root);
}

export function refusePickle(received: string): never {
  refuse('INVALID_FILE', `a pickle with ${received}`, 'what torch.save writes');
}
