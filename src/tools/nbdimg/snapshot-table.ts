import type { Snapshot } from '../../images/image.ts';
import { harmless } from '../../protocol/text.ts';
import { humanSize } from './common.ts';

/** Snapshots as qemu-img lists them. */
export function snapshotTable(snapshots: readonly Snapshot[]): string {
  const rows = [['ID', 'TAG', 'VM SIZE', 'DATE', 'VM CLOCK', 'ICOUNT'], ...snapshots.map(rowOf)];
  const lines = rows.map(([id, tag, size, date, clock, count]) =>
    [
      `${id!.padEnd(9)} ${tag!.padEnd(16)} `,
      size!.padStart(8),
      date!.padStart(20),
      clock!.padStart(13),
      count!.padStart(11),
    ].join(''),
  );
  return ['Snapshot list:', ...lines].join('\n');
}

function rowOf(snapshot: Snapshot): string[] {
  const { id, name, stateSize, seconds, clock, instructions } = snapshot;
  return [
    harmless(id),
    harmless(name),
    humanSize(stateSize),
    localTime(seconds),
    clockText(clock),
    instructions === undefined ? '' : `${instructions}`,
  ];
}

const two = (value: number | bigint) => `${value}`.padStart(2, '0');

function localTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function clockText(nanoseconds: bigint): string {
  const all = nanoseconds / 1_000_000_000n;
  const rest = (nanoseconds / 1_000_000n) % 1000n;
  return `${two(all / 3600n)}:${two((all / 60n) % 60n)}:${two(all % 60n)}.${`${rest}`.padStart(3, '0')}`;
}
