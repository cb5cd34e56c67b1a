import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { endGroup } from '../../posix/child.ts';

const MAX_COMPLAINT = 4096;

/**
 * Runs a shell script and hands on what it writes. After `limit` bytes it is ended, with all that
 * it started, and that is no failure.
 * @throws Error when it fails by itself: its status and what it wrote to standard error.
 */
export async function runScript(
  code: string,
  limit: bigint | undefined,
  take: (bytes: Uint8Array) => void,
  warn: (message: string) => void,
): Promise<void> {
  if (limit === 0n) return;
  const child = spawn(shell(), ['-c', code], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const end = () => endGroup(child.pid);
  process.once('exit', end);
  const exited = new Promise<string | undefined>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve(describe(status, signal)));
  });
  exited.catch(() => {});
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-MAX_COMPLAINT);
  });
  let cut = true;
  try {
    cut = await readUpTo(child.stdout, limit, take);
  } finally {
    if (cut) end();
  }
  const failure = await exited.finally(() => process.off('exit', end));
  const words = complaint.trim().replace(/\s*\n\s*/g, '; ');
  if (failure && !cut) throw new Error(`the script ${failure}${words && `: ${words}`}`);
  if (words) warn(words);
}

/** Whether there was more than the limit, or could have been. */
async function readUpTo(
  stream: AsyncIterable<Buffer>,
  limit: bigint | undefined,
  take: (bytes: Uint8Array) => void,
): Promise<boolean> {
  let left = limit;
  for await (const chunk of stream) {
    if (left === undefined) {
      take(chunk);
      continue;
    }
    const part = left < chunk.length ? chunk.subarray(0, Number(left)) : chunk;
    take(part);
    left -= BigInt(part.length);
    if (left === 0n) return true;
  }
  return false;
}

function describe(status: number | null, signal: string | null): string | undefined {
  if (signal !== null) return `was ended by ${signal}`;
  return status === 0 ? undefined : `failed with status ${status}`;
}

function shell(): string {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const bash = join(folder, 'bash');
    try {
      accessSync(bash, constants.X_OK);
      return bash;
    } catch {
      // Not here.
    }
  }
  return '/bin/sh';
}
