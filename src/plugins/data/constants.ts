import { checkedSize } from './checks.ts';
import { type BytesNode, type FillNode, joinConstants, type Node } from './syntax.ts';

/** Joined at once; more would take too much memory until then. */
const MAX_PIECES = 10_000;

/** Joins constants that are neighbours: to runs of one byte, or to text of several. */
export class Constants {
  readonly #into: Node[];
  #run: FillNode | undefined;
  #text: BytesNode[] = [];

  /** @param into where they go when they are joined. */
  constructor(into: Node[]) {
    this.#into = into;
  }

  add(node: BytesNode | FillNode): void {
    if (node.kind === 'bytes' && node.bytes.length === 0) return;
    const next = runOf(node);
    if (next && this.#run?.byte === next.byte) {
      const count = checkedSize(this.#run.count + next.count, next.place);
      this.#run = { ...this.#run, count };
      return;
    }
    const isText = next === undefined || next.count === 1n;
    if (isText && this.#run?.count === 1n) {
      this.#text = [byteOf(this.#run)];
      this.#run = undefined;
    }
    if (!isText || this.#text.length === 0 || this.#text.length >= MAX_PIECES) this.flush();
    if (next && this.#text.length === 0) this.#run = next;
    else this.#text.push(next ? byteOf(next) : (node as BytesNode));
  }

  flush(): void {
    const run = this.#run;
    if (run) this.#into.push(run.count === 1n ? byteOf(run) : run);
    if (this.#text.length > 0) this.#into.push(joinConstants(this.#text));
    this.#run = undefined;
    this.#text = [];
  }
}

/** A constant as so many of one byte, if it is that. */
function runOf(node: BytesNode | FillNode): FillNode | undefined {
  if (node.kind === 'fill') return node;
  const { bytes, place } = node;
  if (!bytes.subarray(1).equals(bytes.subarray(0, -1))) return undefined;
  return { kind: 'fill', byte: bytes[0]!, count: BigInt(bytes.length), place };
}

function byteOf({ byte, place }: FillNode): BytesNode {
  return { kind: 'bytes', bytes: Buffer.of(byte), place };
}
