import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pluginSource } from '../../../test/contract/open.ts';

const REMOTE = ['server=host', 'user=me', 'password=x', 'vm=moref=1'];

test('what is wrong with the parameters is said before the library is looked for', async () => {
  const cases: [words: string[], message: string | RegExp][] = [
    [[], 'file and export: one of them must be given, and one only'],
    [['/a.vmdk', 'export=*'], 'file and export: one of them must be given, and one only'],
    [['/a.vmdk', 'server=host'], 'user: must be given for a disk of a host'],
    [['/a.vmdk', 'port=1'], 'server: must be given for a disk of a host'],
    [['/a.vmdk', 'create=true'], 'create: needs create-size'],
    [['/a.vmdk', 'create=true', 'create-size=513'], 'create-size: expected a multiple of 512'],
    [
      ['/a.vmdk', 'create=true', 'create-size=1M', ...REMOTE],
      'create: only local disks can be made',
    ],
    [
      ['/a.vmdk', 'create=true', 'create-size=1M', 'create-hwversion=vax'],
      /^create-hwversion: cannot parse 'vax': expected workstation4, .* or a number up to 65535$/,
    ],
    [
      ['/a.vmdk', 'libdir=/nowhere'],
      /^libdir: \/nowhere\/lib64\/libvixDiskLib\.so\.8 \(or \.7, \.6\) is not there: expected /,
    ],
  ];
  for (const [words, message] of cases) {
    await assert.rejects(pluginSource('vddk', ...words), { name: 'UsageError', message });
  }
});
