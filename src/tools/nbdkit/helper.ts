import { Worker } from 'node:worker_threads';

/** A thread that can serve connections of a plugin. @param word what `load` finds the plugin by. */
export function startHelper(word: string): Worker {
  const program = import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.cjs';
  return new Worker(new URL(program, import.meta.url), { workerData: word });
}
