import { openSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { Pace } from './pace.ts';

const WIDTH = 40;
const SPINNER = ['▝', '▐', '▗', '▃', '▖', '▌', '▘', '▀'];
const STDERR = 2;
/** ms between two states of what overwrites itself or is read by a program, and of lines for people. */
const OFTEN = 100;
const SELDOM = 5000;

/** Shows how far a copy is. */
export interface Progress {
  advance(bytes: number): void;
  /** So many bytes had been copied before. */
  begin(bytes: number): void;
  /** Everything is copied. */
  done(): void;
  /** Something else is about to be shown. */
  leave(): void;
}

/** One way to show it. */
interface Display {
  readonly fd: number;
  readonly every: number;
  /** @param percent undefined: nobody knows of what. */
  show(percent: number | undefined, pace: Pace): string | undefined;
  /** What ends a copy that is complete, and one that is not. */
  readonly end: { done(pace: Pace): string; readonly left: string };
}

/**
 * A bar on the terminal, lines on standard error where there is none, or `N/100` lines to a file
 * descriptor.
 * @param size of the whole copy in bytes; undefined when nobody knows.
 */
export function startProgress(
  kind: 'bar' | number | undefined,
  size: bigint | undefined,
): Progress {
  const nothing = () => {};
  if (kind === undefined)
    return { advance: nothing, begin: nothing, done: nothing, leave: nothing };
  const display = kind === 'bar' ? displayForPeople() : numbers(kind);
  const pace = new Pace(size === undefined ? undefined : Number(size));
  let shown = Date.now();
  const write = (text: string | undefined) => {
    try {
      if (text) writeSync(display.fd, text);
    } catch {}
  };
  write(display.show(pace.percent, pace));
  return {
    begin: bytes => pace.begin(bytes),
    advance(bytes) {
      const now = Date.now();
      pace.advance(bytes);
      if (now - shown < display.every) return;
      shown = now;
      pace.mark(now);
      write(display.show(pace.percent, pace));
    },
    done: () => write(display.end.done(pace)),
    leave: () => write(display.end.left),
  };
}

function numbers(fd: number): Display {
  return {
    fd,
    every: OFTEN,
    show: percent => (percent === undefined ? undefined : `${percent}/100\n`),
    end: { done: () => '100/100\n', left: '' },
  };
}

function displayForPeople(): Display {
  const fd = terminal();
  if (fd === undefined) {
    return {
      fd: STDERR,
      every: SELDOM,
      show: (_percent, pace) => (pace.copied > 0 ? `nbdcopy: ${pace.sentence()}\n` : undefined),
      end: { done: pace => `nbdcopy: ${pace.summary()}\n`, left: '' },
    };
  }
  let step = 0;
  return {
    fd,
    every: OFTEN,
    show: (percent, pace) => `${bar(percent, step++)} ${pace.short()}\x1b[K\r`,
    end: { done: pace => `${bar(100, undefined)} ${pace.summary()}\x1b[K\n`, left: '\n' },
  };
}

/**
 * @internal The bar, without the end of the line.
 * @param percent undefined when nobody knows. @param step undefined at the end.
 */
export function bar(percent: number | undefined, step: number | undefined): string {
  const spinner = step === undefined ? '█' : SPINNER[step % SPINNER.length]!;
  if (percent === undefined) return spinner;
  const stars = Math.floor((WIDTH * percent) / 100);
  const field = '*'.repeat(stars).padEnd(WIDTH, '-');
  return `${spinner} ${String(percent).padStart(3)}% [${field}]`;
}

/** Where a person looks, also when standard error goes elsewhere. */
function terminal(): number | undefined {
  try {
    return openSync('/dev/tty', 'w');
  } catch {
    return isatty(STDERR) ? STDERR : undefined;
  }
}
