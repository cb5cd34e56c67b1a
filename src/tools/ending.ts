/** What is undone when a command ends, however it ends: children, folders. */

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

const undos = new Set<() => Promise<void>>();
let signalled = false;

/**
 * Has `undo` called before the program ends: by `run`, or by SIGTERM, SIGINT or SIGHUP, whose
 * effect it then has all the same. A second signal ends the program at once. `undo` may have been
 * called before and may fail.
 * @returns what takes that back.
 */
export function atEnd(undo: () => Promise<void>): () => void {
  if (undos.size === 0) for (const signal of SIGNALS) process.on(signal, dieBy);
  undos.add(undo);
  return () => {
    undos.delete(undo);
    if (undos.size === 0) for (const signal of SIGNALS) process.off(signal, dieBy);
  };
}

/** Whether a signal is ending the program: nothing else is to end it or to complain any more. */
export function endedBySignal(): boolean {
  return signalled;
}

export async function undoAll(): Promise<void> {
  await Promise.allSettled([...undos].map(undo => undo()));
}

function dieBy(signal: NodeJS.Signals): void {
  signalled = true;
  for (const each of SIGNALS) process.off(each, dieBy);
  void undoAll().then(() => process.kill(process.pid, signal));
}
