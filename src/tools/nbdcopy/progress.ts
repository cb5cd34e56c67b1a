import { openSync, writeSync } from 'node:fs';

const WIDTH = 40;
const EVERY_MS = 100;
const SPINNER = ['▝', '▐', '▗', '▃', '▖', '▌', '▘', '▀'];

/** Shows how far a copy is. */
export interface Progress {
  advance(bytes: number): void;
  /** Everything is copied. */
  done(): void;
}

/**
 * A bar on the terminal, or `N/100` lines to a file descriptor, some times a second.
 * @param size of the whole copy in bytes; undefined, when nobody knows, shows nothing but the end.
 */
export function startProgress(
  kind: 'bar' | number | undefined,
  size: bigint | undefined,
): Progress {
  if (kind === undefined) return { advance: () => {}, done: () => {} };
  const fd = kind === 'bar' ? terminal() : kind;
  const total = Number(size ?? 0n);
  let done = 0;
  let step = 0;
  let shown = Date.now();
  const show = (percent: number, last: boolean) => {
    const text = kind === 'bar' ? bar(percent, last, step++) : `${percent}/100\n`;
    try {
      writeSync(fd, text);
    } catch {}
  };
  show(0, false);
  return {
    advance(bytes) {
      done += bytes;
      const now = Date.now();
      if (now - shown < EVERY_MS || total === 0) return;
      shown = now;
      // The last step is taken when everything is durable and closed.
      show(Math.min(99, Math.floor((100 * done) / total)), false);
    },
    done: () => show(100, true),
  };
}

/** @internal One state of the bar, which the next one overwrites. */
export function bar(percent: number, last: boolean, step: number): string {
  const stars = Math.floor((WIDTH * percent) / 100);
  const spinner = last ? '█' : SPINNER[step % SPINNER.length]!;
  const field = '*'.repeat(stars).padEnd(WIDTH, '-');
  const line = `${spinner} ${String(percent).padStart(3)}% [${field}]`;
  return last ? `${line}\n` : `${line}\r`;
}

function terminal(): number {
  try {
    return openSync('/dev/tty', 'w');
  } catch {
    return 2;
  }
}
