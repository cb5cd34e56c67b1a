/** The contract for the disks in images of all formats. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { makeImageFile } from '../peer/images.ts';
import { deviceContract } from './contract.ts';
import { filterSource, pluginSource, REQUEST } from './open.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-images-'));
after(() => rmSync(folder, { recursive: true }));

const IMAGES: readonly (readonly [format: string, size: number, options: string])[] = [
  ['qcow2', 3_000_320, ''],
  ['qcow2', 3_000_320, 'compat=0.10,cluster_size=4096'],
  ['qcow2', 3_000_320, 'extended_l2=on,cluster_size=16384'],
  ['qcow2', 300_032, 'cluster_size=512,refcount_bits=1'],
  ['vdi', 3_000_320, ''],
  ['vpc', 3_000_320, 'force_size=on'],
  ['vpc', 1_000_000, 'subformat=fixed'],
  ['vhdx', 3_000_320, 'block_size=1048576'],
  ['vmdk', 3_000_320, ''],
  ['vmdk', 3_000_320, 'zeroed_grain=on'],
];

for (const [format, size, options] of IMAGES) {
  const path = join(folder, `${format}${options}`);
  deviceContract(
    `${format} ${options}`,
    async () => {
      await makeImageFile(path, format, BigInt(size), options);
      const source = await filterSource(await pluginSource('file', path), format);
      return await source.open(REQUEST);
    },
    { writes: 'kept', steps: 40, window: 50_000 },
  );
}
