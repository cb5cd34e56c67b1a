/** The locks that qemu takes on files of images: neither changes what the other one has open. */
import { closeSync, constants, openSync } from 'node:fs';
import { BlockError, UsageError } from '../../block/errors.ts';
import { SystemError } from '../../posix/libc.ts';
import { hasLocks, isByteLocked, lockByte } from '../../posix/lock.ts';

/** What one does with a file, and what nobody else may do: bits, in the order of the names. */
export interface Use {
  readonly own: number;
  readonly refused: number;
}

const NAMES = ['consistent read', 'write', 'write unchanged', 'resize'];
const [READ, WRITE, RESIZE] = [1, 2, 8];
/** Bytes of a file that are locked for what is done, and for what others may not do. */
const [OWN, REFUSED] = [100, 200];

/** How a file is used that has tables, or only data. */
export function useOf(isRaw: boolean, readOnly: boolean): Use {
  const own = readOnly ? READ : READ | WRITE;
  return isRaw
    ? { own, refused: 0 }
    : { own: readOnly ? own : own | RESIZE, refused: WRITE | RESIZE };
}

/** How a file is used whose content nobody else may change. */
export const ALONE: Use = { own: READ | WRITE, refused: WRITE | RESIZE };

/** How a file is used that is emptied and made anew. */
export const MAKING: Use = { own: WRITE | RESIZE, refused: RESIZE };

/** A file that is in use in this process, which never keeps itself out. */
interface Held {
  readonly fd: number;
  readonly uses: Set<Use>;
  /** Bytes that are locked. */
  bytes: ReadonlySet<number>;
}

const HELD = new Map<string, Held>();

/**
 * Says to other programs how a file is used.
 * @param identity the same for each name of the same file.
 * @returns gives it back. @throws BlockError EBUSY others do not allow it.
 */
export function useFile(
  { fd, identity, name }: { fd: number; identity: string; name: string },
  use: Use,
): () => void {
  const held = HELD.get(identity) ?? hold(fd);
  if (!held) return () => {};
  HELD.set(identity, held);
  const mine = { ...use };
  const release = () => {
    held.uses.delete(mine);
    if (held.uses.size > 0) return update(held, name);
    HELD.delete(identity);
    closeSync(held.fd);
  };
  held.uses.add(mine);
  try {
    update(held, name);
    check(held.fd, use, name);
  } catch (error) {
    release();
    // A file system without locks keeps nobody out.
    if (error instanceof SystemError) return () => {};
    throw error;
  }
  return release;
}

/** Locks belong to an open file, which goes when the last one has given it back. */
function hold(fd: number): Held | undefined {
  if (!hasLocks()) return undefined;
  try {
    const own = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
    return { fd: own, uses: new Set(), bytes: new Set() };
  } catch {
    return undefined;
  }
}

function update(held: Held, name: string): void {
  const wanted = new Set(
    [...held.uses].flatMap(({ own, refused }) => [
      ...bitsOf(own).map(bit => OWN + bit),
      ...bitsOf(refused).map(bit => REFUSED + bit),
    ]),
  );
  for (const byte of wanted) {
    if (held.bytes.has(byte) || lockByte(held.fd, byte, true)) continue;
    throw refusal(name, byte >= REFUSED ? 'shared ' : '', byte % OWN);
  }
  for (const byte of held.bytes) if (!wanted.has(byte)) lockByte(held.fd, byte, false);
  held.bytes = wanted;
}

function check(fd: number, { own, refused }: Use, name: string): void {
  for (const bit of bitsOf(own)) if (isByteLocked(fd, REFUSED + bit)) throw refusal(name, '', bit);
  for (const bit of bitsOf(refused)) {
    if (isByteLocked(fd, OWN + bit)) throw refusal(name, 'shared ', bit);
  }
}

function refusal(name: string, what: string, bit: number): BlockError {
  const words = `Failed to get ${what}"${NAMES[bit]}" lock`;
  const cause = new UsageError(words, `Is another process using the image [${name}]?`);
  return new BlockError('EBUSY', words, { cause });
}

const bitsOf = (bits: number) => NAMES.flatMap((_, bit) => ((bits >> bit) & 1 ? [bit] : []));
