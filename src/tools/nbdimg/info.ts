import { statSync } from 'node:fs';
import { UsageError } from '../../block/errors.ts';
import type { ImageFacts } from '../../images/image.ts';
import { print } from '../cli.ts';
import { COMMON, Given, humanSize, OUTPUT } from './common.ts';
import { contentsLines, contentsOf, type Holding } from './contents.ts';
import { fullName, type Opened, Opening, type Wanted } from './opening.ts';
import { snapshotTable } from './snapshot-table.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...OUTPUT,
  chain: { names: ['backing-chain'] },
  contents: { names: ['contents'] },
} as const;

const info: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    const { json, one } = given;
    const chain = await infosOf(new Opening(given), one, given);
    if (json) {
      const all = chain.map(asJson);
      await print(`${JSON.stringify(given.has('chain') ? all : all[0], withBigints, 4)}\n`);
    } else await print(chain.map(asText).join('\n'));
    return 0;
  },
};
export default info;

interface Info {
  readonly name: string;
  readonly format: string;
  readonly size: bigint;
  /** Of the file, in bytes; undefined where it is none. */
  readonly taken: number | undefined;
  readonly facts: ImageFacts;
  /** What is on the disk, where that was asked for. */
  readonly contents?: readonly Holding[];
}

async function infosOf(opening: Opening, name: string, given: Given): Promise<Info[]> {
  const options = given.has('imageOpts');
  const found: Info[] = [];
  const seen = new Set<string>();
  let format = given.text('format');
  for (let next: string | undefined = name; next !== undefined; ) {
    if (seen.has(next)) {
      throw new UsageError(`Backing file '${next}' creates an infinite loop.`);
    }
    seen.add(next);
    const wanted = { readOnly: true, format, options: options && found.length === 0 };
    const opened: Opened = await opening.open(next, { ...wanted, alone: true });
    const { facts } = opened.image;
    const contents =
      given.has('contents') && found.length === 0
        ? { contents: await contentsIn(opening, next, wanted) }
        : {};
    found.push({ ...infoOf(opened), ...contents });
    await opened.close();
    if (!given.has('chain') || found.length > 64 || !facts.backing) break;
    next = fullName(facts.backing.name, next);
    format = facts.backing.format;
  }
  return found;
}

/** What is on the disk, of which the backing files are a part. */
async function contentsIn(opening: Opening, name: string, wanted: Wanted): Promise<Holding[]> {
  const { image, close } = await opening.open(name, wanted);
  try {
    return await contentsOf(image.device);
  } finally {
    await close();
  }
}

function infoOf({ name, image: { device, facts, format } }: Opened): Info {
  return { name, format, size: device.size, taken: takenBy(name), facts };
}

function takenBy(name: string): number | undefined {
  try {
    return statSync(name.replace(/^file:/, '')).blocks * 512;
  } catch {
    return undefined;
  }
}

/** In the order in which qemu-img has them. */
function asJson({ name, format, size, taken, facts, contents }: Info) {
  const { backing, clusterSize, snapshots = [], specific } = facts;
  return {
    ...(backing?.format !== undefined && { 'backing-filename-format': backing.format }),
    ...(snapshots.length > 0 && {
      snapshots: snapshots.map(snapshot => ({
        ...(snapshot.instructions !== undefined && { icount: snapshot.instructions }),
        'vm-clock-nsec': snapshot.clock % 1_000_000_000n,
        name: snapshot.name,
        'date-sec': snapshot.seconds,
        'date-nsec': snapshot.nanoseconds,
        'vm-clock-sec': snapshot.clock / 1_000_000_000n,
        id: snapshot.id,
        'vm-state-size': snapshot.stateSize,
      })),
    }),
    'virtual-size': size,
    filename: name,
    ...(clusterSize !== undefined && { 'cluster-size': clusterSize }),
    ...(facts.encrypted && { encrypted: true }),
    ...(facts.compressed && { compressed: true }),
    format,
    ...(taken !== undefined && { 'actual-size': taken }),
    ...(specific && { 'format-specific': { type: format, data: specific } }),
    ...(backing && { 'full-backing-filename': fullName(backing.name, name) }),
    ...(backing && { 'backing-filename': backing.name }),
    'dirty-flag': facts.dirty ?? false,
    ...(contents && { contents }),
  };
}

const withBigints = (_: string, value: unknown) =>
  typeof value === 'bigint' ? Number(value) : value;

function asText({ name, format, size, taken, facts, contents }: Info): string {
  const { backing, clusterSize, snapshots = [], specific } = facts;
  const lines = [
    `image: ${name}`,
    `file format: ${format}`,
    `virtual size: ${humanSize(size)} (${size} bytes)`,
    `disk size: ${taken === undefined ? 'unavailable' : humanSize(BigInt(taken))}`,
  ];
  if (facts.encrypted) lines.push('encrypted: yes');
  if (clusterSize !== undefined) lines.push(`cluster_size: ${clusterSize}`);
  if (facts.dirty) lines.push('cleanly shut down: no');
  if (backing) {
    const full = fullName(backing.name, name);
    const actual = full === backing.name ? '' : ` (actual path: ${full})`;
    lines.push(`backing file: ${backing.name}${actual}`);
    if (backing.format !== undefined) lines.push(`backing file format: ${backing.format}`);
  }
  if (snapshots.length > 0) lines.push(snapshotTable(snapshots));
  if (specific) lines.push('Format specific information:', ...specificLines(specific, 1));
  if (contents) lines.push('Contents:', ...contentsLines(contents));
  return `${lines.join('\n')}\n`;
}

function specificLines(value: object, depth: number): string[] {
  const space = '    '.repeat(depth);
  return Object.entries(value).flatMap(([key, each]) => {
    const name = Array.isArray(value) ? `[${key}]` : key.replaceAll('-', ' ');
    if (typeof each !== 'object' || each === null) return [`${space}${name}: ${each}`];
    return [`${space}${name}:`, ...specificLines(each, depth + 1)];
  });
}
