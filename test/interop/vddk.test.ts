/** VixDiskLib as a small library that pretends to be it: VMware's cannot be had freely. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { deviceContract } from '../contract/contract.ts';
import { openPlugin, pluginSource, REQUEST } from '../contract/open.ts';
import { has, ourCommands, run, runWell } from './programs.ts';

const SOURCES = join(import.meta.dirname, 'vddk');
const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-vddk-'));
const file = (name: string) => join(folder, name);
const LIBDIR = `libdir=${folder}`;
const LIBRARIES = file('lib64');
after(() => rmSync(folder, { recursive: true }));

/** Not whole chunks of 64 KiB. */
const SIZE = 1_000_448;

const hasCompiler = existsSync('/usr/bin/cc');
if (hasCompiler && process.arch === 'x64') {
  mkdirSync(LIBRARIES);
  const compile = (to: string, ...words: string[]) => {
    const flags = ['-shared', '-fPIC', '-o', join(LIBRARIES, to)];
    execFileSync('cc', [...flags, ...words], { input: '', cwd: SOURCES });
  };
  compile('libcrypto.so.3', 'libcrypto.c', '-Wl,-soname,libcrypto.so.3');
  compile('libdiskLibPlugin.so', 'libdiskLibPlugin.c', join(LIBRARIES, 'libcrypto.so.3'));
  compile('libvixDiskLib.so.8', 'libvixDiskLib.c', '-lpthread');
  // VMware's are older than what Node needs.
  compile('libstdc++.so.6', '-xc', '-', '-Wl,-soname,libstdc++.so.6');
}

function disk(name: string, size = SIZE): string {
  writeFileSync(file(name), '');
  truncateSync(file(name), size);
  return file(name);
}

if (hasCompiler) {
  deviceContract('vddk', () => openPlugin('vddk', LIBDIR, disk('contract.vmdk')), {
    writes: 'kept',
    steps: 60,
  });
}

describe('nbdkit vddk', { concurrency: true }, () => {
  test('starts again where the library finds what it loads; commands get what was there', async t => {
    if (!has(t, 'cc')) return;
    const command = 'echo "$LD_LIBRARY_PATH:$LD_PRELOAD:$NBDPIPE_ENVIRONMENT"';
    const words = ['-v', 'vddk', LIBDIR, disk('again.vmdk'), '--run', command];
    const { status, stdout, stderr } = await run(nbdkit(t), words, {
      env: { LD_LIBRARY_PATH: '/nowhere' },
    });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, '/nowhere::\n');
    assert.match(stderr, new RegExp(`starts again with LD_LIBRARY_PATH=${LIBRARIES}:/nowhere\n`));
    assert.match(stderr, /debug: OpenSSL of the plugin: that of the VDDK\n/);
    assert.match(stderr, /debug: from a thread of its own: begun\n/);
    assert.match(stderr, /debug: VDDK_PhoneHome/);
  });

  test('passwords are asked for once, and nobody sees them', async t => {
    if (!has(t, 'cc', 'nbdinfo')) return;
    writeFileSync(file('password'), 'se same\n');
    const login = ['server=host', 'user=me', 'vm=moref=vm-2', 'thumbprint=a:b', 'port=8443'];
    const words = [...login, 'nfchostport=9', 'snapshot=snap-1', 'transports=nbdssl:nbd'];
    const command = 'tr "\\0" " " </proc/$PPID/cmdline; nbdinfo --size "$uri"';
    const given = `${nbdkit(t)} -rv vddk ${LIBDIR} ${words.join(' ')} ${disk('login.vmdk')}`;
    const env = { FAKE_VDDK_PASSWORD: 'se same' };
    for (const [password, cookie] of [
      ['-3 3<password', ''],
      ['+password', 'cookie=biscuit'],
    ]) {
      const line = `${given} password=${password} ${cookie} --run '${command}'`;
      const { stdout, stderr, status } = await run('sh', ['-c', line], { env, cwd: folder });
      assert.equal(status, 0, stderr);
      assert.match(stdout, new RegExp(`\n?${SIZE}\n$`));
      assert.doesNotMatch(stdout + stderr, /se same/);
      assert.match(stderr, /login: \.\.\./);
      assert.match(stderr, /server=host vm=moref=vm-2 user=me thumbprint=a:b port=8443 nfc=9/);
      assert.match(stderr, /read-only=1 snapshot=snap-1 transports=nbdssl:nbd/);
      assert.match(stderr, cookie ? /cookie=\.\.\./ : /type=1\/0/);
    }
    const wrong = `${given} password=no --run 'nbdinfo "$uri"'`;
    const { stderr } = await run('sh', ['-c', wrong], { env });
    assert.match(stderr, /VixDiskLib_ConnectEx: Unknown error\\u001b\[1m/);
  });

  test('what --dump-plugin tells', async t => {
    if (!has(t, 'cc')) return;
    const facts = await runWell(nbdkit(t), ['vddk', LIBDIR, '--dump-plugin']);
    assert.match(facts, /^vddk_default_libdir=\/usr\/lib64\/vmware-vix-disklib$/m);
    assert.match(facts, /^vddk_library_version=8$/m);
    assert.match(facts, new RegExp(`^vddk_dll=${LIBRARIES}/libvixDiskLib.so.8$`, 'm'));
    assert.match(facts, /^VixDiskLib_QueryAllocatedBlocks=1$/m);
    const without = await runWell(nbdkit(t), ['vddk', 'libdir=/nowhere', '--dump-plugin']);
    assert.match(without, /^vddk_has_nfchostport=1$/m);
    assert.doesNotMatch(without, /vddk_library_version|VixDiskLib_/);
  });
});

test('a disk is made for the first client', async t => {
  if (!has(t, 'cc')) return;
  const made = file('made.vmdk');
  const words = [
    'create=true',
    'create-size=2M',
    'create-type=vmfs-thin',
    'create-hwversion=esx65',
  ];
  const source = await pluginSource('vddk', LIBDIR, made, ...words);
  const [one, another] = await Promise.all([source.open(REQUEST), source.open(REQUEST)]);
  await one.write!(1n << 20n, Buffer.alloc(4096, 'x'));
  await one.flush!();
  assert.equal(another.size, 2n << 20n);
  assert.equal(readFileSync(made)[1 << 20], 'x'.charCodeAt(0));
  assert.deepEqual(await another.extents!(0n, 2 << 20), [
    { length: 1 << 20, hole: true, zero: true },
    { length: 1 << 16, hole: false, zero: false },
    { length: (1 << 20) - (1 << 16), hole: true, zero: true },
  ]);
  const full = Buffer.from('fill the disk'.padEnd(512));
  await assert.rejects(async () => one.write!(0n, full), {
    errno: 'ENOSPC',
    message: 'VixDiskLib_WriteAsync: The disk is full\\u001b[1m',
  });
  for (const device of [one, another]) await device.close!();
  await source.close!();
});

test('what is open of a chain by itself has no zeroes in its holes; the end counts as data', async t => {
  if (!has(t, 'cc')) return;
  const link = await openPlugin('vddk', LIBDIR, disk('link.vmdk'), 'single-link=true');
  const whole = SIZE - (SIZE % 65536);
  assert.deepEqual(await link.extents!(512n, SIZE - 512), [
    { length: whole - 512, hole: true, zero: false },
  ]);
  assert.deepEqual(await link.extents!(BigInt(whole), 512), [
    { length: 512, hole: false, zero: false },
  ]);
  await link.close!();
});

test('clients name disks that are allowed', async t => {
  if (!has(t, 'cc')) return;
  disk('one.vmdk', 512);
  const source = await pluginSource('vddk', LIBDIR, `export=${folder}/*.vmdk`);
  const open = async (exportName: string) => source.open({ ...REQUEST, exportName });
  const device = await open(file('one.vmdk'));
  assert.equal(device.size, 512n);
  await device.close!();
  for (const name of ['', '/etc/passwd', `${folder}/lib64/../one.vmdk`]) {
    await assert.rejects(open(name), { errno: 'ENOENT' });
  }
  await assert.rejects(open(file('none.vmdk')), {
    errno: 'ENOENT',
    message: 'VixDiskLib_Open: The file was not found\\u001b[1m',
  });
  await source.close!();
});

const nbdkit = (t: TestContext) => join(ourCommands(t).path, 'nbdkit');
