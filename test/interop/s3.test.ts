/** Disks in Ceph's S3 gateway, beside what Amazon's own client for Python sees of them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { contiguous } from '../../src/block/data.ts';
import { Random } from '../../src/content/random.ts';
import { openPlugin, pluginSource, REQUEST } from '../contract/open.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, runWell } from './programs.ts';
import { CEPH, type Gateway, startRadosgw } from './radosgw.ts';

const PIECE = 16384;
const SIZE = 12 * PIECE;
const endings: (() => void | Promise<void>)[] = [];
after(async () => {
  for (const end of endings) await end();
});

function ready(t: TestContext): boolean {
  if (!has(t, ...CEPH, 'python3')) return false;
  const { status } = spawnSync('/usr/bin/python3', ['-c', 'import boto3']);
  if (status !== 0) t.skip('needs python3-boto3');
  return status === 0;
}

let started: Promise<Gateway> | undefined;
function gateway(): Promise<Gateway> {
  started ??= startRadosgw({ after: end => void endings.push(end) });
  return started;
}

/** Runs lines of Python that know the gateway as `s3`, and a file of theirs as `path`. */
async function python(
  { endpoint, accessKey, secretKey }: Gateway,
  path: string,
  ...lines: string[]
) {
  const script = [
    'import boto3, boto3.s3.transfer, sys',
    'path, url, access, secret = sys.argv[1:]',
    's3 = boto3.client("s3", endpoint_url=url, aws_access_key_id=access, aws_secret_access_key=secret)',
    ...lines,
  ];
  const words = [path, endpoint, accessKey, secretKey];
  return runWell('/usr/bin/python3', ['-c', script.join('\n'), ...words]);
}

const words = ({ endpoint, accessKey, secretKey }: Gateway, bucket: string, key: string) => [
  `endpoint-url=${endpoint}`,
  `access-key=${accessKey}`,
  `secret-key=${secretKey}`,
  `bucket=${bucket}`,
  `key=${key}`,
];

describe('S3 at radosgw', () => {
  test('an object that was sent in parts; it is noticed when it changes', async t => {
    if (!ready(t)) return;
    const ceph = await gateway();
    const folder = temporaryFolder(t);
    const [image, copy] = [join(folder, 'image'), join(folder, 'copy')];
    const bytes = randomBytes(6_000_001);
    writeFileSync(image, bytes);
    await python(
      ceph,
      image,
      's3.create_bucket(Bucket="images")',
      'parts = boto3.s3.transfer.TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)',
      's3.upload_file(path, "images", "a disk+1/ü", Config=parts)',
    );
    const where = words(ceph, 'images', 'a disk+1/ü');
    const { path } = ourCommands(t);
    const command = `'${path}/nbdcopy' "$uri" '${copy}'`;
    await runWell(join(path, 'nbdkit'), ['S3', ...where, '--run', command]);
    assert.ok(bytes.equals(readFileSync(copy)));
    const device = await openPlugin('S3', ...where);
    assert.equal(device.size, BigInt(bytes.length));
    const part = contiguous(await device.read(5_242_870n, 1000));
    assert.ok(bytes.subarray(5_242_870, 5_243_870).equals(part));
    await python(ceph, image, 's3.upload_file(path, "images", "a disk+1/ü")');
    await assert.rejects(async () => device.read(0n, 1000), { errno: 'EIO', message: /changed/ });
    await device.close?.();
  });

  test('a disk in pieces that is written, zeroed and trimmed', async t => {
    if (!ready(t)) return;
    const ceph = await gateway();
    const there = join(temporaryFolder(t), 'there');
    await python(ceph, there, 's3.create_bucket(Bucket="disks")');
    const pieces = [`size=${SIZE}`, `object-size=${PIECE}`];
    const source = await pluginSource('S3', ...words(ceph, 'disks', 'a disk'), ...pieces);
    const device = await source.open(REQUEST);
    const expected = Buffer.alloc(SIZE);
    const random = new Random('S3 at radosgw');
    for (let step = 0; step < 20; step++) {
      const offset = random.next() % SIZE;
      const length = 1 + (random.next() % Math.min(SIZE - offset, 4 * PIECE));
      if (random.next() % 2 === 0) {
        expected.fill(step + 1, offset, offset + length);
        await device.write!(BigInt(offset), expected.subarray(offset, offset + length));
      } else {
        expected.fill(0, offset, offset + length);
        await device.zero!(BigInt(offset), length);
      }
    }
    assert.ok(expected.equals(contiguous(await device.read(0n, SIZE))));
    await python(
      ceph,
      there,
      `disk = bytearray(${SIZE})`,
      'for each in s3.list_objects_v2(Bucket="disks")["Contents"]:',
      '    start = int(each["Key"].removeprefix("a disk/"), 16) * each["Size"]',
      '    body = s3.get_object(Bucket="disks", Key=each["Key"])["Body"].read()',
      '    disk[start:start + len(body)] = body',
      'open(path, "wb").write(disk)',
    );
    assert.ok(expected.equals(readFileSync(there)));
    await device.trim!(0n, SIZE);
    assert.deepEqual(await device.extents!(0n, SIZE), [{ length: SIZE, hole: true, zero: true }]);
    const count = 'print(s3.list_objects_v2(Bucket="disks")["KeyCount"])';
    assert.equal(await python(ceph, there, count), '0\n');
    await device.close?.();
    await source.close?.();
  });

  test('who is not let in, and what is not there', async t => {
    if (!ready(t)) return;
    const ceph = await gateway();
    const other = { ...ceph, secretKey: 'wrong' };
    await assert.rejects(openPlugin('S3', ...words(other, 'none', 'x')), { errno: 'EACCES' });
    await assert.rejects(openPlugin('S3', ...words(ceph, 'none', 'x')), { errno: 'ENOENT' });
  });
});
