import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { bytesBeforeData, createLuks } from '../../src/formats/luks/create.ts';
import { fileDevice } from '../../src/stores/file/device.ts';
import { openFile } from '../../src/stores/file/open.ts';
import { deviceContract, type Writes } from './contract.ts';
import { filterSource, makersOf, pluginSource, REQUEST } from './open.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-filters-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Buffer = ''): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** A block of 64 KiB in a list of digests. */
const ZEROES = `${createHash('sha256').update(Buffer.alloc(65536)).digest('hex')}\n`;

const present = file('present');
const missing = join(folder, 'missing');

/** An encrypted volume of 1 MiB. */
async function volume(version: 1 | 2): Promise<string> {
  const options = { version, passphrase: Buffer.from('secret'), iterTime: 1, memory: 1 << 16 };
  const path = file(`luks${version}`);
  truncateSync(path, bytesBeforeData(options) + (1 << 20));
  const device = fileDevice(openFile(path, false));
  await createLuks(device, options);
  await device.close?.();
  return path;
}

/** A plugin, a filter over it, their parameters and how the filter takes writes. */
const FILTERS: readonly (readonly [plugin: string, filter: string, writes: Writes])[] = [
  ['memory 1000001', 'blocksize', 'kept'],
  ['memory 1000001', 'blocksize minblock=4k maxdata=64k maxlen=128k', 'kept'],
  ['memory 1M', 'blocksize minblock=512', 'kept'],
  ['memory 1M', 'blocksize-policy', 'kept'],
  ['memory 1M', 'blocksize-policy blocksize-minimum=512 blocksize-maximum=1M', 'kept'],
  ['memory 1000001', 'blocksize-policy blocksize-minimum=512 blocksize-error-policy=error', 'kept'],
  [
    'memory 1M',
    'blocksize-policy blocksize-minimum=4k blocksize-error-policy=strict-error blocksize-write-disconnect=16M',
    'kept',
  ],
  ['pattern 1M', `ddrescue ddrescue-mapfile=${file('map', '0 + 1\n0 1M +\n')}`, 'none'],
  ['memory 1M', 'exportname exportdesc=fixed:x', 'kept'],
  ['memory 1M', `extentlist extentlist=${file('list', '0 1M\n')}`, 'kept'],
  ['memory 1M', 'fua', 'kept'],
  ['memory 1M', 'fua fuamode=emulate flush-on-close=true', 'kept'],
  ['memory 1M', 'fua fuamode=native', 'kept'],
  ['memory 1M', 'fua fuamode=force', 'kept'],
  ['memory 1M', 'fua fuamode=pass', 'kept'],
  ['memory 1M', 'fua fuamode=discard', 'kept'],
  ['memory 1M', 'log', 'kept'],
  ['memory 1M', `log logfile=${join(folder, 'memory.log')}`, 'kept'],
  ['full 1M', `log logfile=${join(folder, 'full.log')}`, 'ENOSPC'],
  [`file ${await volume(1)}`, 'luks passphrase=secret', 'kept'],
  [`file ${await volume(2)}`, 'luks passphrase=secret', 'kept'],
  ['memory 1M', 'map map=0-99999:200000 map=200000-299999:0', 'kept'],
  ['memory 7E', 'map map=0-99999:2E map=2305843009213693952-2305843009213793951:0', 'kept'],
  ['memory 1M', 'multi-conn', 'kept'],
  ['memory 1M', 'multi-conn multi-conn-mode=emulate', 'kept'],
  ['memory 1M', 'multi-conn multi-conn-mode=unsafe', 'kept'],
  ['memory 1M', 'multi-conn multi-conn-mode=disable', 'kept'],
  ['memory 1M', 'nocache', 'kept'],
  ['memory 1M', 'nocache cachemode=emulate', 'kept'],
  ['memory 1M', 'nocache cachemode=nop', 'kept'],
  ['memory 1M', 'noextents', 'kept'],
  ['memory 1M', 'nofilter', 'kept'],
  ['memory 1M', 'noparallel', 'kept'],
  ['memory 1M', 'noparallel serialize=all-requests', 'kept'],
  ['memory 1M', 'noparallel serialize=connections', 'kept'],
  ['memory 1M', 'nozero', 'kept'],
  ['memory 1M', 'nozero zeromode=emulate', 'kept'],
  ['memory 1M', 'nozero zeromode=notrim fastzeromode=slow', 'kept'],
  ['memory 1M', 'nozero zeromode=plugin fastzeromode=ignore', 'kept'],
  ['memory 2M', 'offset offset=123457 range=1000003', 'kept'],
  ['memory 7E', 'offset offset=6E', 'kept'],
  ['pattern 1M', 'offset offset=3', 'checked'],
  ['memory 1M', 'offset offset=1M', 'kept'],
  ['memory 1M', 'protect protect=2M-', 'kept'],
  ['pattern 1M', 'protect protect=2M-', 'checked'],
  ['memory 1M', 'readonly', 'none'],
  ['memory 1M', `readonly readonly-file=${missing}`, 'kept'],
  ['memory 1M', `readonly readonly-file=${present}`, 'EPERM'],
  ['memory 1M', 'rotational', 'kept'],
  ['memory 1000001', 'swab', 'kept'],
  ['memory 7E', 'swab swab-bits=64', 'kept'],
  ['memory 1M', 'truncate truncate=500000', 'kept'],
  ['memory 1M', 'truncate round-down=1M', 'kept'],
  ['pattern 1000001', 'checkwrite', 'checked'],
  ['memory 1M', 'count', 'kept'],
  ['memory 1M', 'delay', 'kept'],
  ['memory 1M', 'error error=EPERM error-rate=100% error-file=/none', 'kept'],
  ['memory 1M', 'evil evil-probability=0', 'kept'],
  ['memory 1M', 'exitlast', 'kept'],
  ['memory 1M', 'ip allow=all', 'kept'],
  ['memory 1M', 'limit', 'kept'],
  ['memory 1M', 'rate rate=1T connection-rate=1T', 'kept'],
  ['memory 1M', 'spinning min-seek-time=0 half-seek-time=0 max-seek-time=0', 'kept'],
  ['memory 1M', `stats statsfile=${join(folder, 'stats')}`, 'kept'],
  ['memory 1M', 'time-limit', 'kept'],
  ['memory 1M', 'cacheextents', 'kept'],
  ['memory 1M', 'openonce', 'kept'],
  ['memory 1M', 'readahead', 'kept'],
  ['memory 1M', 'scan', 'kept'],
  ['memory 1000001', `dirty dirty-control=${join(folder, 'small')}`, 'kept'],
  ['memory 7E', `dirty dirty-control=${join(folder, 'large')} dirty-block-size=4096`, 'kept'],
  ['pattern 1M', `dirty dirty-control=${join(folder, 'fixed')}`, 'checked'],
  ['memory 1M', 'quota quota=1E', 'kept'],
  ['pattern 1M', 'quota quota-read=1E quota-per=connection', 'checked'],
  ['memory 1000001', `verify verify-file=${file('zeroes', Buffer.alloc(1000001))}`, 'none'],
  ['memory 1M', `verify verify-digests=${file('digests', ZEROES.repeat(16))}`, 'none'],
  ['ones 1000003', 'truncate truncate=1500000', 'none'],
  ['memory 1000001', 'xor xor=0x5a', 'kept'],
  ['memory 1M', 'xor xor=0x123456 xorlen=5', 'kept'],
  ['memory 7E', 'xor xor=rand:7', 'kept'],
];

for (const [plugin, filter, writes] of FILTERS) {
  const [pluginName, ...pluginWords] = plugin.split(' ');
  const [filterName, ...filterWords] = filter.split(' ');
  deviceContract(
    `${plugin} | ${filter}`,
    async () => {
      const below = await pluginSource(pluginName!, ...pluginWords);
      const source = await filterSource(below, filterName!, ...filterWords);
      return await source.open(REQUEST);
    },
    { writes, steps: 40, window: 50_000, makers: makersOf(pluginName) },
  );
}
