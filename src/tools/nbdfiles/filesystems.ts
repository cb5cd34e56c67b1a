import { UsageError } from '../../block/errors.ts';
import { isLeaf, type Mountable } from '../../inspect/volumes.ts';
import type { FilesCommand, FilesLine } from './commands.ts';
import { csvField, Output } from './fields.ts';
import { type Guest, openGuest, statusWith } from './guest.ts';
import { humanReadable } from './human.ts';
import { GUEST_OPTIONS, has, sourcesOf } from './sources.ts';

/** What can be listed, in the order in which it is. */
const KINDS = ['filesystems', 'lvs', 'vgs', 'pvs', 'partitions', 'devices'] as const;
type Kind = (typeof KINDS)[number];

const command: FilesCommand = {
  options: {
    ...GUEST_OPTIONS,
    all: { names: ['all'] },
    csv: { names: ['csv'] },
    devices: { names: ['blkdevs', 'block-devices'] },
    extra: { names: ['extra'] },
    filesystems: { names: ['filesystems'] },
    human: { names: ['h', 'human-readable'] },
    long: { names: ['l', 'long'] },
    lvs: { names: ['lvs', 'logvols', 'logical-volumes'] },
    noTitle: { names: ['no-title'] },
    partitions: { names: ['parts', 'partitions'] },
    pvs: { names: ['pvs', 'physvols', 'physical-volumes'] },
    uuid: { names: ['uuid', 'uuids'] },
    vgs: { names: ['vgs', 'volgroups', 'volume-groups'] },
  },
  help: `
Lists file systems, partitions and volumes of disks:

    virt-filesystems [-l] [-h] [--all] [--extra] [--partitions] [--block-devices]
                     [--lvs] [--vgs] [--pvs] [--uuid] [--csv] [--no-title] -a DISK ...

`,
  async run(line) {
    if (has(line, 'csv') && has(line, 'human')) {
      throw new UsageError('you cannot use -h and --csv options together');
    }
    const guest = await openGuest(line, sourcesOf(line, 'add'));
    const kinds = KINDS.filter(kind => has(line, kind) || has(line, 'all'));
    const implied = has(line, 'extra') && !kinds.includes('filesystems');
    const shown: readonly Kind[] =
      kinds.length === 0 || implied ? ['filesystems', ...kinds] : kinds;
    const rows: Row[] = [];
    for (const kind of shown) rows.push(...(await LISTS[kind](guest, line)));
    await print(line, rows, columnsOf(line, shown));
    return statusWith(line, guest.mountables, 0);
  },
};

export default command;

/** What a line says; what it has no word for is absent. */
interface Row {
  readonly name: string;
  readonly type: string;
  readonly vfs?: string;
  readonly label?: string;
  readonly mbr?: string;
  readonly size?: bigint;
  readonly parent?: string;
  readonly uuid?: string;
}

const LISTS: Readonly<Record<Kind, (guest: Guest, line: FilesLine) => Row[] | Promise<Row[]>>> = {
  filesystems: fileSystemRows,
  lvs: ({ volumes }) =>
    volumes.flatMap(({ kind, name, size, parent, logical }) =>
      kind === 'lv' ? [{ name, type: 'lv', size, parent: parent!, uuid: logical!.id }] : [],
    ),
  vgs: ({ groups, physical }) =>
    groups.map(({ name, id, size, physicalVolumes }) => {
      const nameOf = ({ id: member }: { readonly id: string }) =>
        physical.find(({ label }) => label.id === member)?.name ?? member;
      const parent = physicalVolumes.map(nameOf).join(',');
      return { name: `/dev/${name}`, type: 'vg', size, parent, uuid: id.replaceAll('-', '') };
    }),
  pvs: ({ groups, physical }) => {
    const members = groups.flatMap(({ physicalVolumes }) => physicalVolumes);
    return physical.map(({ name, label: { id, size } }) => {
      const usable = members.find(member => member.id === id)?.size ?? size;
      return { name, type: 'pv', size: usable, parent: '', uuid: id };
    });
  },
  partitions: ({ volumes }) =>
    volumes.flatMap(({ kind, name, size, parent, partition }) => {
      if (kind !== 'partition') return [];
      const mbr = partition!.mbrType?.toString(16).padStart(2, '0');
      return [
        { name, type: 'partition', size, parent: parent!, ...(mbr !== undefined && { mbr }) },
      ];
    }),
  devices: ({ volumes }) =>
    volumes.flatMap(({ kind, name, size }) =>
      kind === 'device' ? [{ name, type: 'device', size, parent: '' }] : [],
    ),
};

async function fileSystemRows({ volumes, mountables }: Guest, line: FilesLine): Promise<Row[]> {
  const extra = has(line, 'extra') || has(line, 'all');
  const rows: Row[] = [];
  for (const volume of volumes.filter(each => isLeaf(each, volumes))) {
    const mounted = mountables.filter(each => each.volume === volume);
    for (const mountable of mounted) rows.push(await mountableRow(mountable, line));
    if (mounted.length > 0 || !extra) continue;
    const { name, size, content } = volume;
    if (content.kind === 'other' && content.type === 'extended') continue;
    const row = { name, type: 'filesystem', size, parent: '', label: '', uuid: '' };
    if (content.kind === 'swap') {
      rows.push({ ...row, vfs: 'swap', label: content.label, uuid: content.uuid ?? '' });
    } else if (content.kind === 'other') {
      if (content.type !== 'LVM2_member') rows.push({ ...row, vfs: content.type });
    } else rows.push({ ...row, vfs: 'unknown' });
  }
  return rows;
}

async function mountableRow({ name, fileSystem }: Mountable, line: FilesLine): Promise<Row> {
  const { type: vfs, label, uuid = '' } = fileSystem;
  const row = { name, type: 'filesystem', vfs, label, uuid, parent: '' };
  if (name.startsWith('btrfsvol:') || !has(line, 'long')) return row;
  const { blocks, blockSize } = await fileSystem.usage();
  return { ...row, size: blocks * BigInt(blockSize) };
}

type Column = { readonly title: string; cell(row: Row): string | undefined };

/** Which columns there are depends on what is listed, as in the reference. */
function columnsOf(line: FilesLine, kinds: readonly Kind[]): readonly Column[] {
  const column = (title: string, cell: Column['cell']) => ({ title, cell });
  const sizeOf = ({ size }: Row) =>
    size === undefined ? undefined : has(line, 'human') ? humanReadable(size) : String(size);
  const columns = [column('Name', ({ name }) => name)];
  if (!has(line, 'long')) return columns;
  columns.push(column('Type', row => row.type));
  if (kinds.includes('filesystems')) {
    columns.push(
      column('VFS', row => row.vfs),
      column('Label', row => row.label),
    );
  }
  if (kinds.includes('partitions')) columns.push(column('MBR', row => row.mbr));
  columns.push(
    column('Size', sizeOf),
    column('Parent', row => row.parent),
  );
  if (has(line, 'uuid')) columns.push(column('UUID', row => row.uuid));
  return columns;
}

/** A terminal of 80 columns shows more of what is close together. */
const NARROW = 72;

/** A column without a title in which nothing has a word is left out. */
async function print(line: FilesLine, rows: readonly Row[], all: readonly Column[]): Promise<void> {
  const titled = has(line, 'long') && !has(line, 'noTitle');
  const columns = all.filter(({ cell }) => titled || rows.some(row => cell(row) !== undefined));
  const titles = titled ? [columns.map(({ title }) => title)] : [];
  const cells = rows.map(row => columns.map(({ cell }) => cell(row)));
  const output = new Output();
  if (has(line, 'csv')) {
    for (const row of [...titles, ...cells]) {
      await output.line(row.map(cell => csvField(cell ?? '')).join(','));
    }
  } else {
    const shown = [...titles, ...cells.map(row => row.map(cell => cell || '-'))];
    const widths = columns.map((_, index) => Math.max(0, ...shown.map(row => row[index]!.length)));
    const total = widths.reduce((sum, width) => sum + width + 2, 0);
    const gap = ' '.repeat(total > NARROW ? 1 : 2);
    for (const row of shown) {
      const padded = row.map((cell, index) =>
        index < row.length - 1 ? cell.padEnd(widths[index]!) : cell,
      );
      await output.line(padded.join(gap));
    }
  }
  await output.flush();
}
