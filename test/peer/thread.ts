import { Worker } from 'node:worker_threads';

/** The thread of `nbdkit memory`, from its source. */
export async function startThread(): Promise<Worker> {
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const thread = JSON.stringify(import.meta.resolve('../../src/tools/nbdkit/thread.ts'));
  const program = `import(${tsx}).then(({ register }) => (register(), import(${thread})))`;
  return new Worker(program, { eval: true, workerData: 'memory' });
}
