import { closeSync, openSync, writeSync } from 'node:fs';
import { BlockError, reasonOf } from '../block/errors.ts';

/** Linux: which label the sockets get that this thread makes; writing nothing goes back to normal. */
const LABEL_OF_NEW_SOCKETS = '/proc/thread-self/attr/sockcreate';

/**
 * Does `work`, which makes sockets, with an SELinux label for them.
 * @throws BlockError the system does not take the label.
 */
export async function labelled<T>(label: string | undefined, work: () => Promise<T>): Promise<T> {
  if (label === undefined) return work();
  setLabel(`${label}\0`, label);
  try {
    return await work();
  } finally {
    setLabel('', label);
  }
}

function setLabel(text: string, label: string): void {
  try {
    const fd = openSync(LABEL_OF_NEW_SOCKETS, 'r+');
    try {
      writeSync(fd, Buffer.from(text));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const right = 'expected a label that SELinux, which must be running, knows';
    throw new BlockError('EINVAL', `SELinux label '${label}': ${reasonOf(error)}: ${right}`);
  }
}
