import type { CallKind } from '../../block/around.ts';
import type { Kind, Size, Tally } from './tally.ts';

export interface ReportOptions {
  /** How long the server has run. */
  readonly seconds: number;
  /** Which part of the requests is told of by size and alignment, 0 to 1. */
  readonly threshold: number;
}

const ORDER: readonly CallKind[] = ['read', 'write', 'trim', 'zero', 'extents', 'cache', 'flush'];
/** Kinds that are not in the total of requests, and those whose lengths are not bytes that moved. */
const NOT_REQUESTS: readonly CallKind[] = ['cache'];
const NOT_BYTES: readonly CallKind[] = ['cache', 'extents'];

/** What is written to the file. */
export function report({ kinds }: Tally, options: ReportOptions): string {
  const { seconds } = options;
  let requests = 0;
  let bytes = 0n;
  for (const [name, kind] of kinds) {
    if (!NOT_REQUESTS.includes(name)) requests += kind.requests;
    if (!NOT_BYTES.includes(name)) bytes += kind.bytes;
  }
  const amount = `${humanBytes(Number(bytes))}, ${rateOf(bytes, seconds)}`;
  const total = `total: ${requests} ops, ${seconds.toFixed(6)} s, ${amount}\n`;
  const parts = ORDER.flatMap(name => {
    const kind = kinds.get(name);
    return kind ? kindReport(name, kind, options) : [];
  });
  return total + parts.join('');
}

function kindReport(name: CallKind, kind: Kind, { seconds, threshold }: ReportOptions): string {
  const time = kind.time / 1000;
  const { bytes, requests } = kind;
  const speed = `${rateOf(bytes, time)} op, ${rateOf(bytes, seconds)} total`;
  const head = `${name}: ${requests} ops, ${time.toFixed(6)} s, ${humanBytes(Number(bytes))}, ${speed}\n`;
  if (threshold === 0 || kind.sizes.size === 0) return head;
  const lines = sizeLines(kind, threshold);
  return `${head}  Request size and alignment breakdown:\n${lines.join('')}\n`;
}

/** The most frequent sizes first, until there are enough. */
function sizeLines({ sizes, requests, bytes }: Kind, threshold: number): string[] {
  const lines: string[] = [];
  let left = requests;
  let bytesLeft = bytes;
  const line = (label: string, count: number, amount: bigint) => {
    const what = `(${count} reqs, ${humanBytes(Number(amount))} total)`;
    lines.push(`${label}: ${percent(count, requests)} ${what}\n`);
  };
  for (const [bits, size] of [...sizes].sort(([, a], [, b]) => b.requests - a.requests)) {
    if (requests - left >= threshold * requests) {
      line('    other sizes', left, bytesLeft);
      break;
    }
    line(`    ${String(bits).padStart(2)} bits`, size.requests, size.bytes);
    lines.push(...alignmentLines(size, threshold));
    left -= size.requests;
    bytesLeft -= size.bytes;
  }
  return lines;
}

/** How many are aligned to each power of two; those that are to a larger one are also to it. */
function alignmentLines({ alignments, requests }: Size, threshold: number): string[] {
  const lines: string[] = [];
  const cutoff = (1 - threshold) * requests;
  const powers = [...alignments.keys()].filter(Number.isFinite).sort((a, b) => a - b);
  let aligned = requests;
  for (const bits of powers) {
    const label = `         ${String(bits).padStart(2)}`;
    if (aligned < cutoff) {
      lines.push(`${label}+ bit-aligned: ${percent(aligned, requests)} (${aligned})\n`);
      break;
    }
    lines.push(`${label} bit aligned: ${percent(aligned, requests, 5)} (${aligned})\n`);
    aligned -= alignments.get(bits)!;
  }
  return lines;
}

function percent(part: number, whole: number, width = 4): string {
  return `${((part / whole) * 100).toFixed(1).padStart(width)}%`;
}

const UNITS = ['KiB', 'MiB', 'GiB'];

function humanBytes(bytes: number): string {
  if (bytes < 1024) return `${Math.floor(bytes)} bytes`;
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length);
  return `${(bytes / 1024 ** power).toFixed(2)} ${UNITS[power - 1]}`;
}

function rateOf(bytes: bigint, seconds: number): string {
  return `${seconds > 0 ? humanBytes(Number(bytes) / seconds) : '(n/a)'}/s`;
}
