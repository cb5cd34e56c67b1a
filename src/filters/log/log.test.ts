import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { filterSource, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { findProgram } from '../../posix/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-log-'));
after(() => rmSync(folder, { recursive: true }));

async function logged(plugin: readonly [string, ...string[]], ...words: string[]) {
  return await filterSource(await pluginSource(...plugin), 'log', ...words);
}

/** The lines without their time stamps, whose form is checked. */
function linesOf(file: string): string[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map(line => {
    assert.match(line, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} /);
    return line.slice(27);
  });
}

test('every request and its end are lines', async () => {
  const file = join(folder, 'memory.log');
  const source = await logged(['memory', '10M'], `logfile=${file}`);
  assert.deepEqual(await source.list!(REQUEST), [{ name: '' }]);
  const device = await source.open({ ...REQUEST, exportName: "a'b c" });
  await device.read(0n, 512);
  await device.write!(1n << 20n, Buffer.alloc(65536, 1), { fua: true });
  await device.trim!(0n, 512);
  await device.zero!(0n, 1024, { mayTrim: true, fastZero: true });
  await device.flush!();
  await device.cache!(0n, 512);
  await device.extents!(0n, 10 << 20);
  await device.close!();
  await source.close!();
  assert.equal(device.writeBuffer, undefined);
  const connect =
    'connection=1 Connect export="a\'b c" tls=0 size=0xa00000 minsize=0x0 prefsize=0x0 ' +
    'maxsize=0x0 write=1 flush=1 rotational=0 trim=1 zero=2 fua=2 extents=1 cache=2 fast_zero=1';
  const extents = '(0x0 0x100000 "hole,zero" 0x100000 0x10000 "" 0x110000 0x8f0000 "hole,zero")';
  assert.deepEqual(linesOf(file), [
    'Ready thread_model=3',
    'ListExports id=1 readonly=0 tls=0 ...',
    '...ListExports id=1 exports=("") return=0',
    connect,
    'connection=1 Read id=1 offset=0x0 count=0x200 ...',
    'connection=1 ...Read id=1 return=0',
    'connection=1 Write id=2 offset=0x100000 count=0x10000 fua=1 ...',
    'connection=1 ...Write id=2 return=0',
    'connection=1 Trim id=3 offset=0x0 count=0x200 fua=0 ...',
    'connection=1 ...Trim id=3 return=0',
    'connection=1 Zero id=4 offset=0x0 count=0x400 trim=1 fua=0 fast=1 ...',
    'connection=1 ...Zero id=4 return=0',
    'connection=1 Flush id=5 ...',
    'connection=1 ...Flush id=5 return=0',
    'connection=1 Cache id=6 offset=0x0 count=0x200 ...',
    'connection=1 ...Cache id=6 return=0',
    'connection=1 Extents id=7 offset=0x0 count=0xa00000 req_one=0 ...',
    `connection=1 ...Extents id=7 extents=${extents} return=0`,
    'connection=1 Disconnect transactions=7',
  ]);
});

test('failures carry their errno, and reach the caller', async () => {
  const file = join(folder, 'full.log');
  const device = await (await logged(['full', '1M'], `logfile=${file}`)).open(REQUEST);
  await assert.rejects(async () => await device.write!(0n, Buffer.alloc(1)), { errno: 'ENOSPC' });
  assert.equal(linesOf(file).at(-1), 'connection=1 ...Write id=1 return=-1 error=ENOSPC');
});

test('what is ready stays ready', async () => {
  const file = join(folder, 'sync.log');
  const device = await (await logged(['memory', '1M'], `logfile=${file}`)).open(REQUEST);
  assert.ok(device.read(0n, 512) instanceof Uint8Array);
});

test('a log is begun anew unless it is appended to', async () => {
  const file = join(folder, 'append.log');
  writeFileSync(file, 'before\n');
  await (await logged(['null'], `logfile=${file}`, 'logappend=true')).open(REQUEST);
  assert.match(readFileSync(file, 'utf8'), /^before\n.*Ready/);
  await (await logged(['null'], `logfile=${file}`)).open(REQUEST);
  assert.doesNotMatch(readFileSync(file, 'utf8'), /before/);
});

test('a script gets the fields as variables, in order, and cannot break the words', async () => {
  const file = join(folder, 'script.out');
  const script = `echo "$connection $type $id $act $offset $error $export" >>${file}; exit 3`;
  const source = await logged(['full', '1M'], `logscript=${script}`);
  const device = await source.open({ ...REQUEST, exportName: '$(date) "x"' });
  await Promise.allSettled([device.read(0n, 512), device.zero!(512n, 512)]);
  await source.close!();
  assert.deepEqual(readFileSync(file, 'utf8').split('\n').slice(0, -1), [
    ' PRINT  Ready   ',
    '1 PRINT  Connect   $(date) "x"',
    '1 ENTER 1 Read 0x0  ',
    '1 ENTER 2 Zero 0x200  ',
    '1 LEAVE 1 Read   ',
    '1 LEAVE 2 Zero  ENOSPC ',
  ]);
});

test('before a connection there is its announcement', async () => {
  const file = join(folder, 'preconnect.log');
  const source = await logged(['null', '1M'], `logfile=${file}`);
  await source.preconnect!({ family: 'unix' });
  assert.deepEqual(linesOf(file).slice(1), [
    'Preconnect id=1 readonly=0 ...',
    '...Preconnect id=1 return=0',
  ]);
});

test('lists are arrays where there is bash', {
  skip: !findProgram('bash') && 'needs bash',
}, async () => {
  const file = join(folder, 'arrays.out');
  const script = `[ $act$type = ExtentsLEAVE ] && echo "\${#extents[@]} \${extents[2]}" >${file}`;
  const device = await (await logged(['null', '1M'], `logscript=${script}`)).open(REQUEST);
  await device.extents!(0n, 1 << 20);
  assert.equal(readFileSync(file, 'utf8'), '3 hole,zero\n');
});

test('without a file and a script it is not there; a bad file is named', async () => {
  const below = await pluginSource('null');
  assert.equal(await filterSource(below, 'log'), below);
  await assert.rejects(filterSource(below, 'log', `logfile=${folder}/no/such`), {
    name: 'UsageError',
    message: /^logfile: ENOENT/,
  });
});
