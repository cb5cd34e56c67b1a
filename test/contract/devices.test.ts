import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { deviceContract, type Writes } from './contract.ts';
import { makersOf, openPlugin } from './open.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-contract-'));
const inherited: number[] = [];
after(() => {
  for (const fd of inherited) closeSync(fd);
  rmSync(folder, { recursive: true });
});

/** A plugin, its parameters and how it takes writes. */
const PLUGINS: readonly (readonly [words: string, writes: Writes])[] = [
  ['memory 1M', 'kept'],
  ['memory 0', 'kept'],
  ['memory 1000001', 'kept'],
  ['memory 64M', 'kept'],
  ['memory 1T', 'kept'],
  ['memory 7E', 'kept'],
  ['memory 9223372036854775807', 'kept'],
  ['memory 1000001 allocator=malloc', 'kept'],
  ['null 0', 'forgotten'],
  ['null 7E', 'forgotten'],
  ['zero', 'none'],
  ['ones 1000003', 'none'],
  ['ones 7E byte=0', 'none'],
  ['pattern 1000003', 'checked'],
  ['pattern 9223372036854775807', 'checked'],
  ['full 7E', 'ENOSPC'],
  ['random 1000003 seed=1', 'checked'],
  ['random 7E', 'checked'],
  ['sparse-random 1000003 seed=3 percent=50 runlength=20000', 'checked'],
  ['sparse-random 7E seed=1 percent=30', 'checked'],
  ['sparse-random 7E seed=1 percent=100', 'checked'],
  ['sparse-random 1T percent=0', 'checked'],
  ['sparse-random 1G random-content=true percent=50 runlength=64k', 'checked'],
];

for (const [words, writes] of PLUGINS) {
  const [plugin, ...parameters] = words.split(' ');
  deviceContract(words, () => openPlugin(plugin!, ...parameters), {
    writes,
    makers: makersOf(plugin),
  });
}

deviceContract('memory allocator=zstd', () => openPlugin('memory', '7E', 'allocator=zstd'), {
  writes: 'kept',
  steps: 40,
});

/** A file of that many bytes, holes from `data` on. */
function image(name: string, size: number, data: number): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.alloc(data, name));
  truncateSync(path, size);
  return path;
}

const FILES: readonly (readonly [name: string, size: number, data: number, words: string[]])[] = [
  ['empty', 0, 0, []],
  ['small', 70_001, 70_001, []],
  ['sparse', 3_000_001, 500_000, []],
  ['uncached', 300_000, 100_000, ['cache=none', 'fadvise=random']],
  ['far', 2 ** 40, 4096, ['fadvise=sequential']],
];
for (const [name, size, data, words] of FILES) {
  const path = image(name, size, data);
  deviceContract(`file ${name}`, () => openPlugin('file', path, ...words), {
    writes: 'kept',
    steps: 60,
  });
}

const descriptor = openSync(image('descriptor', 300_000, 300_000), 'r+');
inherited.push(descriptor);
deviceContract('file fd', () => openPlugin('file', `fd=${descriptor}`), {
  writes: 'kept',
  steps: 40,
});

const readable = openSync(image('readable', 300_000, 100_000), 'r');
inherited.push(readable);
deviceContract('file fd for reading', () => openPlugin('file', `fd=${readable}`), {
  writes: 'none',
});
