import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Content, treeOf } from '../../test/files/made-up.ts';
import { architectureOf } from './architecture.ts';
import { applicationsOf } from './packages.ts';

const DPKG = `Package: zlib
Status: install ok installed
Version: 1:1.2.13.dfsg-1
Architecture: amd64
Source: zlib (1.2)
Homepage: http://zlib.net/
Description: compression library
 Two lines
 .
 of text.

Package: gone
Status: deinstall ok config-files
Version: 1

Package: base-files
Status: install ok installed
Version: 12.4
`;

test('packages of Debian', async () => {
  const found = await applicationsOf(treeOf({ var: { lib: { dpkg: { status: DPKG } } } }));
  const nothing = { architecture: '', url: '', source: '', summary: '', description: '' };
  assert.deepEqual(found, [
    { name: 'base-files', epoch: 0, version: '12.4', release: '', ...nothing },
    {
      name: 'zlib',
      epoch: 1,
      version: '1.2.13.dfsg',
      release: '1',
      architecture: 'amd64',
      url: 'http://zlib.net/',
      source: 'zlib (1.2)',
      summary: 'compression library',
      description: 'Two lines\n.\nof text.',
    },
  ]);
});

test('packages of Alpine, and none', async () => {
  const installed = 'P:musl\nV:1.2.4-r2\nA:x86_64\nT:the libc\nU:u\no:musl\nF:lib\n\nF:x\n';
  const found = await applicationsOf(treeOf({ lib: { apk: { db: { installed } } } }));
  const said = found.map(({ name, version, release, summary }) => [
    name,
    version,
    release,
    summary,
  ]);
  assert.deepEqual(said, [['musl', '1.2.4', 'r2', 'the libc']]);
  assert.deepEqual(await applicationsOf(treeOf({})), []);
});

/** Bytes up to 127 as text. */
const program = (bytes: Buffer): Content => ({ bin: { sh: bytes.toString('latin1') } });

test('what processor a program is for', async () => {
  const elf = Buffer.alloc(20);
  elf.write('\x7fELF\x02\x01', 'latin1');
  elf.writeUInt16LE(62, 18);
  assert.equal(await architectureOf(treeOf(program(elf))), 'x86_64');
  elf[5] = 2;
  elf.writeUInt16BE(22, 18);
  assert.equal(await architectureOf(treeOf(program(elf))), 's390x');
  const pe = Buffer.alloc(70);
  pe.write('MZ');
  pe.writeUInt32LE(64, 60);
  pe.write('PE', 64);
  pe.writeUInt16LE(0x14c, 68);
  const cmd = pe.toString('latin1');
  const windows = treeOf({ Windows: { System32: { 'cmd.exe': cmd } } });
  assert.equal(await architectureOf(windows), 'i386');
  for (const odd of ['', 'MZ', '\x7fELF', '#!/bin/sh']) {
    assert.equal(await architectureOf(treeOf({ bin: { sh: odd } })), undefined);
  }
});
