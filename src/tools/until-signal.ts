import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Works until it is done, which a signal asks for; a second one ends the program at once.
 * @param work ends in order when the signal of its controller is aborted, and aborts it itself when
 * there is nothing more to do. What it throws for that reason is no failure.
 * @returns the exit status: 0, or as a shell has it for a signal before the work had begun.
 */
export async function untilSignal(
  work: (ending: AbortController) => Promise<void>,
): Promise<number> {
  const ending = new AbortController();
  const end = (signal: NodeJS.Signals) => {
    for (const each of SIGNALS) process.off(each, end);
    ending.abort(new Interrupted(signal));
  };
  for (const each of SIGNALS) process.on(each, end);
  try {
    await work(ending);
    return 0;
  } catch (error) {
    if (error instanceof Interrupted) return error.status;
    throw error;
  }
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

class Interrupted extends Error {
  readonly status: number;

  constructor(signal: NodeJS.Signals) {
    super(`ended by ${signal}`);
    this.status = 128 + constants.signals[signal];
  }
}
