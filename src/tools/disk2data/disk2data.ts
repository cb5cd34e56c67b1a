import { closeSync, fstatSync, openSync } from 'node:fs';
import { messageOf, UsageError } from '../../block/errors.ts';
import { COMPLETION, optionNames, parseCommandLine, print, run, version } from '../cli.ts';
import { describeImage } from './describe.ts';

const OPTIONS = {
  ...COMPLETION,
  help: { names: ['help'] },
  version: { names: ['V', 'version'] },
};

const HELP = `\
disk2data [--help] [-V|--version] DISK

Writes the expression of the data language that describes a disk image, so that

    disk2data DISK > FILE
    nbdkit data data=+FILE

serves the same bytes.
`;

run('disk2data', async argv => {
  const { given, words } = parseCommandLine(OPTIONS, argv);
  const has = (key: string) => given.some(option => option.key === key);
  if (has('longOptions')) return printed(optionNames(OPTIONS, 'long'));
  if (has('shortOptions')) return printed(optionNames(OPTIONS, 'short'));
  if (has('help')) return printed(HELP);
  if (has('version')) return printed(`disk2data ${version()}\n`);
  const [disk] = words;
  if (disk === undefined || words.length > 1) {
    throw new UsageError('expected the name of one disk image: see --help');
  }
  const fd = open(disk);
  for (const text of describeImage(fd)) if (text !== '') await print(text);
  closeSync(fd);
  return 0;
});

async function printed(text: string): Promise<number> {
  await print(text);
  return 0;
}

function open(disk: string): number {
  let fd: number;
  try {
    fd = openSync(disk, 'r');
  } catch (error) {
    const reason = /^[A-Z0-9]+: ([^,]+)/.exec(messageOf(error))?.[1];
    throw new UsageError(`${disk}: ${reason ?? messageOf(error)}`);
  }
  const stat = fstatSync(fd);
  if (!stat.isFile() && !stat.isBlockDevice()) {
    throw new UsageError(`${disk}: expected a regular file or a block device`);
  }
  return fd;
}
