import type { Place } from './source.ts';

/** The syntax tree of the data language. Sizes, offsets and counts are bytes or plain numbers. */
export type Node =
  | BytesNode
  | FillNode
  | SeekNode
  | FileNode
  | ScriptNode
  | GroupNode
  | RepeatNode
  | SliceNode
  | AssignNode
  | NameNode;

interface Placed {
  readonly place: Place;
}

/** Numbers, words, strings and base64, once read. */
export interface BytesNode extends Placed {
  readonly kind: 'bytes';
  readonly bytes: Buffer;
}

/** Neighbouring constants as one, at the place of the first. There must be one at least. */
export function joinConstants(constants: readonly BytesNode[]): BytesNode {
  const [first] = constants;
  if (constants.length === 1) return first!;
  return { ...first!, bytes: Buffer.concat(constants.map(({ bytes }) => bytes)) };
}

/** One byte, `count` times; comes from the optimiser. */
export interface FillNode extends Placed {
  readonly kind: 'fill';
  readonly byte: number;
  readonly count: bigint;
}

/** `@N`, `@+N`, `@-N` and `@^N`. */
export interface SeekNode extends Placed {
  readonly kind: 'seek';
  readonly how: '' | '+' | '-' | '^';
  readonly value: bigint;
}

/** `<FILE` */
export interface FileNode extends Placed {
  readonly kind: 'file';
  readonly path: string;
}

/** `<(SCRIPT)` */
export interface ScriptNode extends Placed {
  readonly kind: 'script';
  readonly code: string;
}

/** `( ... )`, `$VAR` and the whole text: a little disk of its own, and a scope for names. */
export interface GroupNode extends Placed {
  readonly kind: 'group';
  readonly items: readonly Node[];
}

/** `EXPR*N` */
export interface RepeatNode extends Placed {
  readonly kind: 'repeat';
  readonly of: Node;
  readonly count: bigint;
}

/** `EXPR[N:M]`; without an end, to the end of the expression. */
export interface SliceNode extends Placed {
  readonly kind: 'slice';
  readonly of: Node;
  readonly start: bigint;
  readonly end: bigint | undefined;
}

/** `EXPR -> \NAME` */
export interface AssignNode extends Placed {
  readonly kind: 'assign';
  readonly of: Node;
  readonly name: string;
}

/** `\NAME` */
export interface NameNode extends Placed {
  readonly kind: 'name';
  readonly name: string;
}
