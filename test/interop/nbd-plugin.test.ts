/** The nbd plugin between servers and clients that are not ours. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isListening } from '../peer/listening.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, hasNbdsh, ourCommands, run, runWell, startProgram } from './programs.ts';

test('a qcow2 image of qemu-nbd, which is started for it and ended with it', async t => {
  if (!has(t, 'qemu-nbd', 'qemu-img', 'nbdcopy')) return;
  const folder = temporaryFolder(t);
  const [raw, image, copy] = ['raw', 'image', 'copy'].map(name => join(folder, name)) as string[];
  writeFileSync(raw!, randomBytes(3 << 20));
  await runWell('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw!, image!]);
  await runWell('qemu-img', ['bitmap', '--add', image!, 'changes']);
  const { env } = ourCommands(t);
  const server = ['command=qemu-nbd', 'arg=-f', 'arg=qcow2', 'arg=-A', 'arg=-B', 'arg=changes'];
  const run = `/usr/bin/nbdcopy "$uri" '${copy}' &&
    nbdinfo --map=qemu:dirty-bitmap:changes "$uri" && nbdinfo --map=qemu:allocation-depth "$uri"`;
  const words = ['-U', '-', 'nbd', ...server, `arg=${image}`, '--run', run];
  const printed = await runWell('nbdkit', words, { env });
  assert.ok(readFileSync(copy!).equals(readFileSync(raw!)));
  assert.deepEqual(
    printed
      .trim()
      .split(/\n\s*/)
      .map(line => line.split(/\s+/).slice(0, 3)),
    [
      ['0', '3145728', '0'],
      ['0', '3145728', '1'],
    ],
  );
});

test('between C nbdkit and C nbdcopy, both ways, and an error on its way', async t => {
  if (!has(t, 'nbdkit', 'nbdcopy')) return;
  const folder = temporaryFolder(t);
  const [there, from, to] = ['there', 'from', 'to'].map(name => join(folder, name)) as string[];
  const words = ['-f', '-U', there!, '--filter=error', 'memory', '3M', 'error-trim=ENOSPC'];
  await startProgram(t, '/usr/bin/nbdkit', [...words, 'error-trim-rate=100%'], () =>
    isListening(there!),
  );
  writeFileSync(from!, randomBytes(3 << 20));
  const { env } = ourCommands(t);
  const copies = `/usr/bin/nbdcopy '${from}' "$uri" && /usr/bin/nbdcopy "$uri" '${to}'`;
  await runWell('nbdkit', ['-U', '-', 'nbd', `socket=${there}`, '--run', copies], { env });
  assert.ok(readFileSync(from!).equals(readFileSync(to!)));
  if (!hasNbdsh(t)) return;
  const trims = `/usr/bin/python3 -c 'import nbd,sys
h = nbd.NBD(); h.connect_uri(sys.argv[1])
try: h.trim(512, 0)
except nbd.Error as error: print(error.errno)' "$uri"`;
  const { stdout } = await run('nbdkit', ['-U', '-', 'nbd', `socket=${there}`, '--run', trims], {
    env,
  });
  assert.equal(stdout, 'ENOSPC\n');
});
