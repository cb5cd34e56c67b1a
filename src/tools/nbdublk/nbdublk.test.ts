import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseCommandLine } from '../cli.ts';
import { OPTIONS, readSettings, wantedDevice } from './options.ts';

const settingsOf = (...argv: string[]) => readSettings(parseCommandLine(OPTIONS, argv).given);

test('options', () => {
  const { connecting, readOnly, recoverable, remove } = settingsOf(
    '-C',
    '2',
    '-r',
    '--recoverable',
  );
  assert.deepEqual([connecting.connections, readOnly, recoverable], [2, true, true]);
  assert.equal(remove, undefined);
  assert.equal(settingsOf('--delete', '/dev/ublkb12').remove, 12);
  assert.throws(() => settingsOf('--delete', 'x'), /x: expected \/dev\/ublkbN, a number/);
  assert.throws(() => settingsOf('-C', '0'), /--connections: cannot parse '0'/);
});

test('names of devices', () => {
  assert.deepEqual(['/dev/ublkb0', '3', '-'].map(wantedDevice), [0, 3, undefined]);
  for (const word of ['/dev/ublkc0', '/dev/ublkb', '/dev/ublkb0p1', '1x', '', '--']) {
    assert.throws(() => wantedDevice(word), /expected \/dev\/ublkbN/, word);
  }
  assert.throws(() => wantedDevice('1048576'), /cannot parse '1048576'/);
});

test('the manual names every option', () => {
  const page = readFileSync(join(import.meta.dirname, 'nbdublk.md'), 'utf8');
  for (const { names, ...form } of Object.values(OPTIONS)) {
    if ('hidden' in form && form.hidden) continue;
    const name = names.find(word => word.length > 1)!;
    assert.ok(page.includes(`--${name}`), name);
  }
});
