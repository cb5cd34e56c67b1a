import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UsageError } from '../../block/errors.ts';
import type { Node, Stat } from '../../formats/fs/file-system.ts';
import { compareNames } from '../../formats/fs/names.ts';
import type { Place, Tree } from '../../formats/fs/tree.ts';
import { findProgram } from '../../posix/program.ts';
import { atEnd } from '../ending.ts';
import type { FilesCommand, FilesLine } from './commands.ts';
import { checksumNamed, checksumOf, contentOf } from './content.ts';
import { Failures } from './failures.ts';
import { Output } from './fields.ts';
import { mountedTree, openGuest, statusWith } from './guest.ts';
import { LISTING_OPTIONS, listingOf } from './listing.ts';
import { GUEST_OPTIONS, has, lastValue, sourcesOf } from './sources.ts';

const command: FilesCommand = {
  options: {
    ...GUEST_OPTIONS,
    ...LISTING_OPTIONS,
    addSecond: { names: ['A'], value: 'required', values: 'file' },
    domainSecond: { names: ['D'], value: 'required' },
    all: { names: ['all'] },
    atime: { names: ['atime'] },
    dirLinks: { names: ['dir-links'] },
    dirTimes: { names: ['dir-times'] },
    xattrs: { names: ['xattrs'] },
  },
  help: `
What differs between the files of two machines:

    virt-diff [--checksum[=SUM]] [--all] [--extra-stats] [--times] [--uids] [--xattrs]
              [--atime] [--dir-links] [--dir-times] [--csv] [-h]
              -a DISK [-a DISK ...] -A DISK [-A DISK ...]

`,
  async run(line) {
    if (line.words.length > 0) throw new UsageError(`${line.words[0]}: expected -a DISK -A DISK`);
    const second = sourcesOf(line, 'addSecond');
    if (second.length === 0)
      throw new UsageError('what with? expected -a DISK -A DISK, see --help');
    const trees: Tree[] = [];
    let status = 0;
    for (const sources of [sourcesOf(line, 'add'), second]) {
      const tree = await mountedTree(line, await openGuest(line, sources));
      status = statusWith(line, tree.mounts, status);
      trees.push(tree);
    }
    const failures = new Failures(line);
    await new Comparison(line, failures).run(trees[0]!, trees[1]!);
    return failures.status(status);
  },
};

export default command;

type Field = (stat: Stat) => string | number | bigint;

const seconds = (time: bigint) => time / 1_000_000_000n;
const changed: Field = ({ ctime }) => seconds(ctime);
const modified: Field = ({ mtime }) => seconds(mtime);
const size: Field = stat => stat.size;

/** What tells that content differs where nobody asked for a checksum. */
const CONTENT: readonly Field[] = [modified, changed, size];

interface Compared {
  readonly links: boolean;
  readonly times: boolean;
  readonly atime: boolean;
}

/** What is compared, by the names that stat has for it. */
function fieldsOf({ links, times, atime }: Compared): readonly (readonly [string, Field])[] {
  return [
    ['st_mode', ({ type, mode }) => `${type} ${mode}`],
    ...(links ? [['st_nlink', (stat: Stat) => stat.links] as const] : []),
    ['st_uid', ({ uid }) => uid],
    ['st_gid', ({ gid }) => gid],
    ['st_rdev', ({ device }) => (device ? `${device.major}:${device.minor}` : '')],
    ['st_size', size],
    ['st_blocks', ({ blocks }) => blocks],
    ...(times && atime ? [['st_atime_sec', (stat: Stat) => seconds(stat.atime)] as const] : []),
    ...(times
      ? ([
          ['st_mtime_sec', modified],
          ['st_ctime_sec', changed],
        ] as const)
      : []),
  ];
}

class Comparison {
  readonly #line: FilesLine;
  readonly #failures: Failures;
  readonly #output = new Output();
  readonly #listing: (place: Place) => Promise<string>;
  readonly #attributes: boolean;
  readonly #ofFiles: ReturnType<typeof fieldsOf>;
  readonly #ofDirectories: ReturnType<typeof fieldsOf>;

  constructor(line: FilesLine, failures: Failures) {
    this.#line = line;
    this.#failures = failures;
    const all = has(line, 'all') ? { uids: true, times: true, extraStats: true } : {};
    const [attributes, atime] = [has(line, 'xattrs') || has(line, 'all'), has(line, 'atime')];
    this.#attributes = attributes;
    this.#listing = listingOf(line, { atime, attributes, ...all });
    this.#ofFiles = fieldsOf({ links: true, times: true, atime });
    const [links, times] = [has(line, 'dirLinks'), has(line, 'dirTimes')];
    this.#ofDirectories = fieldsOf({ links, times, atime });
  }

  /** Goes over both trees side by side. */
  async run(first: Tree, second: Tree): Promise<void> {
    const [left, right] = [await this.#walk(first), await this.#walk(second)];
    let [a, b] = [await left.next(), await right.next()];
    while (!a.done || !b.done) {
      const order = a.done ? 1 : b.done ? -1 : comparePaths(a.value.path, b.value.path);
      if (order < 0) await this.#say('-', a.value!);
      else if (order > 0) await this.#say('+', b.value!);
      else await this.#compare(a.value!, b.value!);
      if (order <= 0) a = await left.next();
      if (order >= 0) b = await right.next();
    }
    await this.#output.flush();
  }

  async #walk(tree: Tree) {
    const walk = tree.walk(await tree.find('/'), { failed: this.#failures.report });
    // The root has no name that could differ.
    await walk.next();
    return walk;
  }

  async #say(mark: string, place: Place): Promise<void> {
    const comma = has(this.#line, 'csv') ? ',' : ' ';
    await this.#output.line(mark + comma + (await this.#listing(place)));
  }

  async #compare(a: Place, b: Place): Promise<void> {
    const changes = await this.#changes(a, b);
    const files = a.node.stat.type === 'file' && b.node.stat.type === 'file';
    const content = files && (await this.#contentDiffers(a.node, b.node));
    if (content) {
      await this.#say('=', a);
      if (!has(this.#line, 'csv')) await this.#showContent(a, b);
    } else if (changes.length > 0) {
      await this.#say('-', a);
      await this.#say('+', b);
      const separator = has(this.#line, 'csv') ? ',' : ' ';
      await this.#output.line(['#', 'changed:', ...changes].join(separator));
    }
  }

  async #changes(a: Place, b: Place): Promise<string[]> {
    const [first, second] = [a.node.stat, b.node.stat];
    const changed: string[] = [];
    for (const [name, of] of first.type === 'directory' ? this.#ofDirectories : this.#ofFiles)
      if (of(first) !== of(second)) changed.push(name);
    const same = this.#attributes ? await sameAttributes(a, b) : true;
    return same ? changed : [...changed, 'xattrs'];
  }

  async #contentDiffers(a: Node, b: Node): Promise<boolean> {
    if (has(this.#line, 'checksum')) {
      const checksum = checksumNamed(lastValue(this.#line, 'checksum'));
      return (await checksumOf(a, checksum)) !== (await checksumOf(b, checksum));
    }
    return CONTENT.some(of => of(a.stat) !== of(b.stat));
  }

  /** As the program diff has it, where there is one. */
  async #showContent(a: Place, b: Place): Promise<void> {
    const program = findProgram('diff');
    if (!program) return;
    const folder = await mkdtemp(join(tmpdir(), 'nbdpipe-diff-'));
    const leave = () => rm(folder, { recursive: true, force: true });
    atEnd(leave);
    try {
      const files = [join(folder, 'a'), join(folder, 'b')];
      for (const [index, { node }] of [a, b].entries()) {
        await pipeline(Readable.from(copies(node)), createWriteStream(files[index]!));
      }
      for (const text of await differences(program, files)) await this.#output.line(text);
      await this.#output.line('@@ End of diff @@');
    } finally {
      await leave();
    }
  }
}

/** Pieces that last until they are written. */
async function* copies(node: Node): AsyncGenerator<Buffer> {
  for await (const bytes of contentOf(node)) yield Buffer.from(bytes);
}

/** The lines of `diff -u` without the names of its files, which mean nothing. */
function differences(program: string, files: readonly string[]): Promise<string[]> {
  return new Promise(resolve => {
    const options = { encoding: 'latin1', maxBuffer: 256 << 20 } as const;
    execFile(program, ['-u', ...files], options, (_, text) => {
      const lines = Buffer.from(text, 'latin1').toString().split('\n');
      resolve(lines.slice(2, -1));
    });
  });
}

async function sameAttributes({ node: a }: Place, { node: b }: Place): Promise<boolean> {
  const [first, second] = [await a.attributes?.(), await b.attributes?.()];
  const text = (all: ReadonlyMap<string, Buffer> = new Map()) =>
    [...all]
      .map(([name, value]) => `${name}=${value.toString('hex')}`)
      .sort()
      .join('\n');
  return text(first) === text(second);
}

/** The order in which both trees are gone through: directory by directory. */
function comparePaths(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [a.split('/'), b.split('/')];
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const order = compareNames(left[index]!, right[index]!);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}
