import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { readBytes } from '../../testing/model.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-ddrescue-'));
after(() => rmSync(folder, { recursive: true }));

async function opened(map: string) {
  const file = join(folder, 'map');
  writeFileSync(file, map);
  return await openOver(await openPlugin('pattern', '4k'), `ddrescue ddrescue-mapfile=${file}`);
}

const MAP = `# Mapfile. Created by GNU ddrescue
# current_pos  current_status  current_pass
0x00000000     +               1
#      pos        size  status
0x00000000  0x00000200  +
0x00000200  0x00000200  -
0x00000400  0x00000200  +
0x00000600  0x00000200  +
`;

test('what was rescued is read, the rest fails', async () => {
  const device = await opened(MAP);
  await readBytes(device, 0n, 512);
  await readBytes(device, 0x500n, 512);
  for (const [offset, length, lost] of [
    [0, 513, 512],
    [512, 1, 512],
    [1024, 2048, 2048],
  ] as const) {
    assert.throws(() => device.read(BigInt(offset), length), {
      errno: 'EIO',
      message: `the bytes from ${lost} on were not rescued`,
    });
  }
  assert.equal(device.write, undefined);
});

test('what is no map', async () => {
  await assert.rejects(opened('0 + 1\n0x0 0x200'), {
    name: 'UsageError',
    message: /^ddrescue-mapfile: .*map:2: expected a place, a size and a status$/,
  });
  await assert.rejects(opened('0 + 1\nx 0x200 +'), { message: /map:2: cannot parse 'x'/ });
  const memory = await openPlugin('memory', '1M');
  await assert.rejects(openOver(memory, 'ddrescue ddrescue-mapfile=/none'), {
    message: /^ddrescue-mapfile: ENOENT/,
  });
});
