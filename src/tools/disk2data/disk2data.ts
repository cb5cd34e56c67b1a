import { closeSync, fstatSync, openSync } from 'node:fs';
import { reasonOf, UsageError } from '../../block/errors.ts';
import { NBDKIT_RELEASE } from '../../declare/release.ts';
import { print, run } from '../cli.ts';
import { STANDARD, understand } from '../standard.ts';
import { describeImage } from './describe.ts';

const HELP = `\
disk2data [--help] [-V|--version] DISK

Writes the expression of the data language that describes a disk image, so that

    disk2data DISK > FILE
    nbdkit data data=+FILE

serves the same bytes.
`;

const COMMAND = {
  name: 'disk2data',
  options: STANDARD,
  help: () => HELP,
  version: () => `disk2data ${NBDKIT_RELEASE}\n`,
};

run('disk2data', async argv => {
  const line = await understand(COMMAND, argv);
  if (!line) return 0;
  const { words } = line;
  const [disk] = words;
  if (disk === undefined || words.length > 1) {
    throw new UsageError('expected the name of one disk image: see --help');
  }
  const fd = open(disk);
  for (const text of describeImage(fd)) if (text !== '') await print(text);
  closeSync(fd);
  return 0;
});

function open(disk: string): number {
  let fd: number;
  try {
    fd = openSync(disk, 'r');
  } catch (error) {
    throw new UsageError(`${disk}: ${reasonOf(error)}`);
  }
  const stat = fstatSync(fd);
  if (!stat.isFile() && !stat.isBlockDevice()) {
    throw new UsageError(`${disk}: expected a regular file or a block device`);
  }
  return fd;
}
