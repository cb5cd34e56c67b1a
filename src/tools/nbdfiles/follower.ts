import { contiguous } from '../../block/data.ts';
import { BlockError, messageOf } from '../../block/errors.ts';
import type { Node } from '../../formats/fs/file-system.ts';
import type { Tree } from '../../formats/fs/tree.ts';
import type { Write } from './buffered.ts';

/** Of a file that has grown by more bytes only the last lines are shown. */
const MUCH = 10_000;
const LINES = 10;
/** Bytes in which the last lines are looked for. */
const LONGEST_TAIL = 1 << 20;
const LINE_END = 0x0a;

/** What was seen of a file. */
interface Seen {
  readonly mtime: bigint;
  readonly size: bigint;
}

/** Shows what is new in files each time that it is shown a tree. */
export class Follower {
  readonly #paths: readonly string[];
  readonly #write: Write;
  readonly #seen = new Map<string, Seen>();
  #shown: string | undefined;
  #first = true;

  /** @param write for the bytes. */
  constructor(paths: readonly string[], write: Write) {
    this.#paths = paths;
    this.#write = write;
  }

  /**
   * @returns whether there is still one of the files.
   * @throws BlockError ENOENT there never was; what a file cannot be read for.
   */
  async look(tree: Tree): Promise<boolean> {
    let found = false;
    for (const path of this.#paths) {
      const node = await find(tree, path);
      if (node) await this.#show(path, node);
      else this.#seen.delete(path);
      found ||= node !== undefined;
    }
    if (!found && this.#first) {
      throw new BlockError('ENOENT', 'none of the files were found in the disk image');
    }
    this.#first = false;
    return found;
  }

  async #show(path: string, node: Node): Promise<void> {
    const { mtime, size } = node.stat;
    const before = this.#seen.get(path) ?? { mtime: -1n, size: 0n };
    if (before.mtime === mtime && before.size === size) return;
    if (this.#paths.length > 1 && this.#shown !== path) {
      await this.#write(Buffer.from(`\n\n--- ${path} ---\n\n`));
    }
    this.#shown = path;
    this.#seen.set(path, { mtime, size });
    const grown = size - before.size;
    const isNew = grown > 0n && grown <= BigInt(MUCH);
    await this.#write(isNew ? await end(node, Number(grown)) : await lastLines(node));
  }
}

/** undefined: it is not there. */
async function find(tree: Tree, path: string): Promise<Node | undefined> {
  try {
    return (await tree.existing(path))?.node;
  } catch (error) {
    throw new BlockError('EIO', `${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function end(node: Node, length: number): Promise<Uint8Array> {
  const content = await node.open();
  const all = Math.min(Number(content.size), length);
  if (all === 0) return Buffer.alloc(0);
  return contiguous(await content.read(content.size - BigInt(all), all));
}

async function lastLines(node: Node): Promise<Uint8Array> {
  const bytes = Buffer.from(await end(node, LONGEST_TAIL));
  let at = bytes.length - 1;
  for (let lines = 0; lines < LINES && at >= 0; lines++) at = bytes.lastIndexOf(LINE_END, at - 1);
  return bytes.subarray(at + 1);
}
