import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { BlockDevice } from '../block/device.ts';
import { BlockError, errnoOf, reasonOf, UsageError } from '../block/errors.ts';
import { InOrder } from './in-order.ts';
import type { CopyObserver } from './observer.ts';
import type { Chunk } from './work-queue.ts';

/** How far an interrupted copy came, in bytes. */
export interface Reached {
  readonly sourceSize: bigint;
  readonly destinationSize: bigint;
  /** Everything before was durable. */
  readonly done: bigint;
}

const TITLE = 'nbdcopy journal 1';
const FORM = /^nbdcopy journal 1\nsource (\d{1,19})\ndestination (\d{1,19})\ndone (\d{1,19})\n$/;
/** ms between two entries, each of which waits for a flush. */
const EVERY = 5000;
const MODE = 0o644;

/**
 * What a journal says; undefined where there is none.
 * @throws UsageError it is something else. BlockError it cannot be read.
 */
export function readJournal(path: string): Reached | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new BlockError(errnoOf(error), `the journal: ${reasonOf(error)}`, { cause: error });
  }
  const found = FORM.exec(text);
  const [sourceSize = 0n, destinationSize = 0n, done = 0n] = found?.slice(1).map(BigInt) ?? [];
  if (found && done <= sourceSize) return { sourceSize, destinationSize, done };
  throw new UsageError(`'${path}' is not a journal of a copy: expected one, or no file yet`);
}

/** Writes down how far a copy has come, once everything up to there is durable at the destination. */
export class Journal implements CopyObserver {
  readonly #path: string;
  readonly #source: BlockDevice;
  readonly #destination: BlockDevice;
  readonly #every: number;
  readonly #ordered: InOrder<undefined>;
  #last = 0;
  #saving = false;

  /** @param every ms between two entries. */
  constructor(
    path: string,
    source: BlockDevice,
    destination: BlockDevice,
    { start = 0n, every = EVERY }: { readonly start?: bigint; readonly every?: number } = {},
  ) {
    this.#path = path;
    this.#source = source;
    this.#destination = destination;
    this.#every = every;
    this.#ordered = new InOrder(start);
  }

  async written({ offset, length }: Chunk): Promise<void> {
    this.#ordered.add(offset, length, undefined);
    while (this.#ordered.take());
    if (this.#saving || Date.now() - this.#last < this.#every) return;
    this.#saving = true;
    try {
      const done = this.#ordered.end;
      await this.#destination.flush?.();
      this.#save(done);
    } finally {
      this.#last = Date.now();
      this.#saving = false;
    }
  }

  /** The copy is complete: once that is durable, the journal is not needed any more. */
  async complete(): Promise<void> {
    await this.#destination.flush?.();
    rmSync(this.#path, { force: true });
  }

  /** Puts a new journal in the place of the old one. */
  #save(done: bigint): void {
    const lines = [
      TITLE,
      `source ${this.#source.size}`,
      `destination ${this.#destination.size}`,
      `done ${done}`,
    ];
    const draft = `${this.#path}.new`;
    try {
      durably(draft, 'w', fd => writeSync(fd, `${lines.join('\n')}\n`));
      renameSync(draft, this.#path);
      durably(dirname(this.#path), 'r', () => {});
    } catch (error) {
      throw new BlockError(errnoOf(error), `the journal: ${reasonOf(error)}`, { cause: error });
    }
  }
}

function durably(path: string, flags: string, act: (fd: number) => void): void {
  const fd = openSync(path, flags, MODE);
  try {
    act(fd);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
