import { UsageError } from '../../block/errors.ts';
import { nameOf } from '../../formats/fs/names.ts';
import type { Place, Tree } from '../../formats/fs/tree.ts';
import { type JournalEntry, journalEntries } from '../../inspect/journal/journal.ts';
import { print } from '../cli.ts';
import type { FilesCommand } from './commands.ts';
import { contentOf } from './content.ts';
import { Failures } from './failures.ts';
import { Output } from './fields.ts';
import { mountedTree, openGuest, statusWith } from './guest.ts';
import { GUEST_OPTIONS, MOUNT_OPTIONS } from './sources.ts';
import { disksOf } from './words.ts';

const JOURNAL = '/var/log/journal';
/** Where systems keep their log as text. */
const TEXTS = ['/var/log/syslog', '/var/log/messages'] as const;
/** systemd's names of files of the journal; the second is of one that was not closed. */
const JOURNAL_FILE = /\.journal~?$/;

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Prints the log of the system on disks: systemd's journal, or the text of syslog:

    virt-log -a DISK [-a DISK ...]

`,
  async run(line) {
    const guest = await openGuest(line, disksOf(line));
    const tree = await mountedTree(line, guest);
    const status = statusWith(line, tree.mounts, 0);
    const failures = new Failures(line);
    const journal = await journalFiles(tree, failures);
    if (journal.length > 0) await printJournal(journal, failures);
    else await printText(tree);
    return failures.status(status);
  },
};

export default command;

async function journalFiles(tree: Tree, { report }: Failures): Promise<readonly Place[]> {
  const folder = await tree.existing(JOURNAL);
  if (folder?.node.stat.type !== 'directory') return [];
  const found: Place[] = [];
  for await (const place of tree.walk(folder, { failed: report })) {
    if (place.node.stat.type === 'file' && JOURNAL_FILE.test(place.path)) found.push(place);
  }
  return found;
}

async function printText(tree: Tree): Promise<void> {
  for (const path of TEXTS) {
    const place = await tree.existing(path);
    if (place?.node.stat.type !== 'file') continue;
    for await (const bytes of contentOf(place.node)) await print(bytes);
    return;
  }
  throw new UsageError(`there is no log: none of ${[JOURNAL, ...TEXTS].join(', ')}`);
}

/** One that has more entries, with the next. */
interface Ahead {
  readonly entries: AsyncGenerator<JournalEntry>;
  readonly path: string;
  next: JournalEntry;
}

/** All entries by their times. */
async function printJournal(files: readonly Place[], { report }: Failures): Promise<void> {
  const output = new Output();
  const advance = async (entries: Ahead['entries'], path: string) => {
    try {
      return (await entries.next()).value as JournalEntry | undefined;
    } catch (error) {
      // Of a file that is damaged those before are there.
      report(path, error);
      return undefined;
    }
  };
  let ahead: Ahead[] = [];
  for (const { node, path } of files) {
    const entries = journalEntries(await node.open());
    const next = await advance(entries, path);
    if (next) ahead.push({ entries, path, next });
  }
  while (ahead.length > 0) {
    const first = ahead.reduce((a, b) => (b.next.time < a.next.time ? b : a));
    await output.line(lineOf(first.next));
    const next = await advance(first.entries, first.path);
    if (next) first.next = next;
    else ahead = ahead.filter(each => each !== first);
  }
  await output.flush();
}

const LEVELS = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'] as const;
const USUAL = 6;

/** As virt-log has it. */
function lineOf({ time, fields }: JournalEntry): string {
  const text = (key: string) => {
    const value = fields.get(key);
    return value && nameOf(value);
  };
  const name = text('SYSLOG_IDENTIFIER') ?? text('_COMM');
  const pid = text('_PID');
  const level = LEVELS[Number(text('PRIORITY') || USUAL)] ?? LEVELS[USUAL];
  const message = text('MESSAGE');
  const who = `${name === undefined ? '' : ` ${name}`}${pid === undefined ? '' : `[${pid}]`}`;
  return `${dateOf(time)}${who} ${level}:${message === undefined ? '' : ` ${message}`}`;
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

function dateOf(microseconds: bigint): string {
  const date = new Date(Number(microseconds / 1000n));
  const two = (value: number) => String(value).padStart(2, '0');
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${MONTHS[date.getMonth()] ?? '???'} ${two(date.getDate())} ${clock}`;
}
