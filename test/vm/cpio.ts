/** Archives as the kernel unpacks them into its first file system (cpio, newc). */

export interface CpioEntry {
  readonly path: string;
  /** Absent: a folder. */
  readonly content?: Uint8Array;
  readonly executable?: boolean;
}

const FOLDER = 0o040755;
const FILE = 0o100644;
const PROGRAM = 0o100755;
const END = 'TRAILER!!!';

/** An archive of these, folders before what is in them. */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.map(({ path, content, executable }, index) => {
    const mode = content ? (executable ? PROGRAM : FILE) : FOLDER;
    return member(path, index + 1, mode, content);
  });
  return Buffer.concat([...parts, member(END, 0, 0)]);
}

function member(
  path: string,
  inode: number,
  mode: number,
  content: Uint8Array = new Uint8Array(),
): Buffer {
  const name = Buffer.from(`${path}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const hex = fields.map(field => field.toString(16).padStart(8, '0')).join('');
  const head = Buffer.concat([Buffer.from(`070701${hex}`), name]);
  return Buffer.concat([padded(head), padded(content)]);
}

const padded = (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
