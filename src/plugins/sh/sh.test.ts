import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import sh from './sh.ts';

/** A script with these cases. */
function script(t: TestContext, cases: string): string {
  const path = join(temporaryFolder(t), 'script.sh');
  writeFileSync(path, `#!/bin/sh\ncase "$1" in\n${cases}\n*) exit 2 ;;\nesac\n`, { mode: 0o755 });
  return path;
}

async function text(device: BlockDevice, length: number): Promise<string> {
  return Buffer.from(contiguous(await device.read(0n, length))).toString();
}

test('a script serves a file, is told everything and cleans up', async t => {
  const log = join(temporaryFolder(t), 'log');
  const path = script(
    t,
    `config|load|unload) echo "$@" >>${log} ;;
    magic_config_key) echo size ;;
    config_complete) touch $tmpdir/disk ;;
    open) echo "$tmpdir/disk" ;;
    get_size) echo 64K ;;
    can_write|can_flush|flush) ;;
    pread) truncate -s 64K $2; dd iflag=skip_bytes,count_bytes skip=$4 count=$3 if=$2 ;;
    pwrite) dd conv=notrunc oflag=seek_bytes seek=$4 of=$2 ;;`,
  );
  const source = await pluginSource('sh', path, '64K', 'a.b=c=d', 'e');
  const device = await source.open(REQUEST);
  assert.equal(device.size, 65536n);
  await device.write!(3n, Buffer.from('data'));
  await device.flush!();
  assert.equal(await text(device, 8), '\0\0\0data\0');
  await device.close!();
  await source.close!();
  assert.equal(
    readFileSync(log, 'utf8'),
    'load\nconfig size 64K\nconfig a.b c=d\nconfig size e\nunload\n',
  );
});

test('$tmpdir is there while the server is, and not after a failure', async t => {
  const kept = join(temporaryFolder(t), 'tmpdir');
  const cases = `load) echo $tmpdir >${kept} ;;\nget_size) echo 1 ;;`;
  const source = await pluginSource('sh', script(t, cases));
  const folder = readFileSync(kept, 'utf8').trim();
  assert.ok(existsSync(folder));
  await source.close!();
  assert.ok(!existsSync(folder));
  await assert.rejects(pluginSource('sh', script(t, cases), 'a=b'), /it has no config method/);
  assert.ok(!existsSync(readFileSync(kept, 'utf8').trim()));
});

test('scripts that say too much, too little or nothing', async t => {
  const path = script(
    t,
    `get_size) echo 1M ;;
    open) echo "$3" ;;
    can_write) ;;
    pread) case "$2" in
      much) yes ;;
      little) printf x ;;
      killed) kill -9 $$ ;;
      daemon) sleep 100 >/dev/null 2>&1 & printf 12345678 ;;
      *) echo ENOSPC no "$2" >&2; exit 1 ;;
    esac ;;`,
  );
  const source = await pluginSource('sh', path);
  const open = (exportName: string) => source.open({ ...REQUEST, exportName });
  const fails = async (exportName: string, words: RegExp) =>
    assert.rejects(async () => (await open(exportName)).read(0n, 8), words);
  await fails('much', /wrote more than the 8 bytes/);
  await fails('little', /gave 1 bytes instead of 8/);
  await fails('killed', /was ended by SIGKILL/);
  await fails('$x `y`', /script.sh: no \$x `y`/);
  assert.equal(await text(await open('daemon'), 8), '12345678');
  const device = await open('');
  await assert.rejects(async () => device.write!(0n, Buffer.alloc(1)), /pwrite method is missing/);
  await source.close!();
});

test('words that are wrong', async t => {
  const wrong = (words: RegExp) => (error: unknown) =>
    error instanceof UsageError && words.test(error.message);
  await assert.rejects(openPlugin('sh'), wrong(/script: must be given/));
  await assert.rejects(openPlugin('sh', '/none/such'), wrong(/\/none\/such: there is no such/));
  await assert.rejects(openPlugin('sh', 'a=b', 'script=x'), wrong(/'a': the first parameter/));
  const path = script(t, 'config) echo "bad $2" >&2; exit 1 ;;');
  await assert.rejects(openPlugin('sh', path, 'a=b'), /script.sh: bad a/);
  await assert.rejects(openPlugin('sh', path, 'word'), wrong(/'word': expected key=value/));
});

test('facts for --dump-plugin', async t => {
  const path = script(t, 'thread_model) echo parallel ;;\ndump_plugin) echo one=1; echo two ;;');
  const facts = await sh.facts!([{ key: undefined, value: path }]);
  const { thread_model, max_known_status, has_can_fua, one } = facts;
  assert.deepEqual([thread_model, max_known_status, has_can_fua, one], ['parallel', '8', '1', '1']);
  assert.equal((await sh.facts!([])).max_known_status, '8');
});
