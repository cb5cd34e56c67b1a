import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { type BlockDevice, connect, contiguous, serve } from 'nbdpipe';
import { deviceContract, openFilter, openPlugin } from 'nbdpipe/testing';
import { run } from '../test/interop/programs.ts';
import httpObject from './http-object.ts';
import mirror from './mirror.ts';
import primes from './primes.ts';
import ramDisk from './ram-disk.ts';

const root = resolve(import.meta.dirname, '..');
const nbdkit = (...words: string[]) =>
  run(process.execPath, [join(root, 'dist/nbdkit.cjs'), ...words], { cwd: join(root, 'examples') });
const INFO = `'${process.execPath}' '${join(root, 'dist/nbdinfo.cjs')}' --size "$uri"`;

const bytesOf = async (device: BlockDevice, offset: bigint, length: number) =>
  Buffer.from(contiguous(await device.read(offset, length)));

deviceContract('ram-disk', () => openPlugin(ramDisk, '1000001'), { writes: 'kept' });
deviceContract('primes', () => openPlugin(primes, '3000'), { writes: 'none' });

test('primes', async () => {
  const disk = await bytesOf(await openPlugin(primes, 'count=6'), 0n, 24);
  assert.deepEqual([...new Uint32Array(new Uint8Array(disk).buffer)], [2, 3, 5, 7, 11, 13]);
});

/** What is mirrored to. */
const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-examples-'));
const second = serve(await openPlugin(ramDisk, '1M'), { listen: { path: join(folder, 'socket') } });
after(async () => {
  await (await second).close();
  rmSync(folder, { recursive: true });
});
const mirrored = async (size: string) => {
  const below = await openPlugin(ramDisk, size);
  return { below, device: await openFilter(mirror, below, `to=${(await second).uri}`) };
};
deviceContract('mirror', async () => (await mirrored('1000001')).device, { writes: 'kept' });

test('a mirror has what was written on both sides, and is refused when it is too small', async () => {
  const { below, device } = await mirrored('1M');
  await device.write!(4000n, Buffer.from('on both'));
  await device.flush!();
  await device.close!();
  const copy = await connect((await second).uri);
  for (const disk of [below, copy]) {
    assert.equal((await bytesOf(disk, 4000n, 7)).toString(), 'on both');
  }
  await copy.close();
  await assert.rejects(mirrored('2M'), /is smaller than the disk, or read-only/);
});

/** An object as S3 gives it, at its own path; another one after a while is not the same. */
const object = Buffer.alloc(300_000, 'one object, in parts. ');
let etag = '"one"';
const web = createServer(({ url, headers: { range, 'if-match': match } }, response) => {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  if (url !== '/object' || first === undefined) response.writeHead(404).end('no such object');
  else if (match !== undefined && match !== etag) response.writeHead(412).end('another one');
  else {
    const part = object.subarray(Number(first), Number(last) + 1);
    response.writeHead(206, { etag, 'content-range': `bytes ${first}-${last}/${object.length}` });
    response.end(part);
  }
});
const urlOf = (path: string) => `http://localhost:${(web.address() as AddressInfo).port}${path}`;
before(async () => {
  web.listen(0);
  await once(web, 'listening');
});
after(() => {
  web.closeAllConnections();
  web.close();
});
deviceContract('http-object', () => openPlugin(httpObject, urlOf('/object')), { writes: 'none' });

test('an object that is not there, or not the same any more', async () => {
  await assert.rejects(openPlugin(httpObject, urlOf('/nothing')), {
    message: `${urlOf('/nothing')}: expected status 206, a part, not 404`,
  });
  const disk = await openPlugin(httpObject, urlOf('/object'));
  etag = '"two"';
  await assert.rejects(bytesOf(disk, 0n, 512), /not 412$/);
});

test('nbdkit serves them, and tells about them', async () => {
  const served: [words: string[], size: string][] = [
    [['./ram-disk.ts', '1M'], '1048576'],
    [['./primes.ts', '1000'], '4000'],
    [['./http-object.ts', urlOf('/object')], '300000'],
    [['--filter=./mirror.ts', 'null', '1000', `to=${(await second).uri}`], '1000'],
  ];
  for (const [words, size] of served) {
    const { stdout, stderr } = await nbdkit(...words, '--run', INFO);
    assert.deepEqual([stdout, stderr], [`${size}\n`, ''], words.join(' '));
  }
  const { stdout } = await nbdkit('./ram-disk.ts', '--help');
  assert.match(stdout, /plugin: ram-disk \(a disk in memory\)/);
  assert.match(stdout, /size=<SIZE> +\(default 64M\) Size of the disk/);
});

test('the first sector, by the client library', async () => {
  const script = join(root, 'examples/first-sector.ts');
  const words = ['--import', import.meta.resolve('tsx'), script, (await second).uri];
  const { stdout, stderr } = await run(process.execPath, words);
  assert.deepEqual([stdout, stderr], ['1M, boot signature: no\n', '']);
});
