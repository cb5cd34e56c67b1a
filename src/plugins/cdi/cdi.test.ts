import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { deviceContract } from '../../../test/contract/contract.ts';
import { pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { sendPart, startWeb, type WebServer } from '../../../test/peer/web-server.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { loadZstd } from '../../posix/zstd.ts';
import { parseImageName } from './image-name.ts';

const LAYER = Buffer.concat([Buffer.alloc(100_000, 'a tar file '), randomBytes(3_000_000)]);
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const blobs = new Map<string, Buffer>();
const digestOf = (bytes: Buffer | string) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const keep = (bytes: Buffer) => {
  blobs.set(digestOf(bytes), bytes);
  return digestOf(bytes);
};
const layer = (bytes: Buffer, packing: string) => ({
  mediaType: `application/vnd.oci.image.layer.v1.tar${packing}`,
  digest: keep(bytes),
});
/** What the registry gives for a digest is not what has it. */
const changed = digestOf('a layer');
blobs.set(changed, gzipSync(LAYER));
const image = Buffer.from(
  JSON.stringify({
    layers: [
      layer(gzipSync(LAYER), '+gzip'),
      layer(LAYER, ''),
      layer(Buffer.from('x'), '+xz'),
      layer(gzipSync(LAYER).subarray(0, 50_000), '+gzip'),
      { ...layer(LAYER, '+gzip') },
      layer(Buffer.from(loadZstd()?.compress(LAYER) ?? ''), '+zstd'),
      { ...layer(LAYER, '+gzip'), digest: changed },
    ],
  }),
);
const architecture = ({ x64: 'amd64' } as Record<string, string>)[process.arch] ?? process.arch;
const index = Buffer.from(
  JSON.stringify({
    manifests: [
      { digest: digestOf('another'), platform: { os: 'linux', architecture: 'other' } },
      { digest: digestOf(image), platform: { os: 'linux', architecture } },
    ],
  }),
);

const TOKEN = 'token-1';
let registry: WebServer;
let store: WebServer;
let corrupt = false;
before(async () => {
  store = await startWeb((request, response) => {
    assert.equal(request.headers.authorization, undefined, 'no other server gets the token');
    sendPart(request, response, blobs.get(request.url!.slice(1))!);
  });
  registry = await startWeb((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, registry.url());
    const [, kind, reference] = /^\/v2\/some\/image\/(\w+)\/(.+)$/.exec(pathname) ?? [];
    if (pathname === '/token') {
      const good = searchParams.get('scope') === 'repository:some/image:pull';
      response.end(JSON.stringify(good ? { token: TOKEN } : {}));
    } else if (request.headers.authorization !== `Bearer ${TOKEN}`) {
      const asks = `Bearer realm="${registry.url('/token')}",scope="repository:some/image:pull"`;
      response.writeHead(401, { 'www-authenticate': asks }).end('{"errors":[]}');
    } else if (kind === 'blobs') {
      response.writeHead(307, { location: store.url(`/${reference}`) }).end();
    } else if (reference === 'latest' || reference === digestOf(index)) response.end(index);
    else if (reference === digestOf(image)) {
      response.setHeader('content-type', MANIFEST).end(corrupt ? `${image} ` : image);
    } else if (reference === 'odd') response.end('no JSON');
    else response.writeHead(404).end();
  });
});
after(() => {
  registry.close();
  store.close();
});

const name = (reference = '') => `docker://localhost:${registry.port}/some/image${reference}`;

async function opened(...words: string[]): Promise<BlockDevice> {
  const source = await pluginSource('cdi', ...words);
  const device = await source.open(REQUEST);
  const close = async () => {
    await device.close?.();
    await source.close?.();
  };
  return wrapDevice(device, { ...PASS, close });
}

deviceContract('cdi, unpacked', () => opened(name()), { writes: 'none' });
deviceContract('cdi, straight', () => opened(name(), 'layer=1'), { writes: 'none' });

test('layers are the same whether they were packed or not', async () => {
  for (const word of ['layer=0', 'layer=1', ...(loadZstd() ? ['layer=5'] : [])]) {
    for (const reference of ['', ':latest', `@${digestOf(index)}`, `@${digestOf(image)}`]) {
      const device = await opened(name(reference), word);
      assert.equal(device.size, BigInt(LAYER.length));
      const bytes = contiguous(await device.read(99_000n, 100_000));
      assert.ok(LAYER.subarray(99_000, 199_000).equals(bytes));
      await device.close?.();
    }
  }
});

describe('what is refused', () => {
  const refused: readonly [words: () => string[], why: RegExp][] = [
    [() => [name(':missing')], /manifests\/missing: no such file \(status 404\)/],
    [() => [name(':odd')], /no manifest of an image/],
    [() => [name(), 'layer=9'], /^layer: there is no layer 9: the image has 7$/],
    [() => [name(), 'layer=2'], /tar\+xz, which is not supported/],
    [() => [name(), 'layer=3'], /the layer cannot be unpacked: gzip: it is cut short/],
    [() => [name(), 'layer=4'], /the layer cannot be unpacked: gzip: it is damaged/],
    [() => [name(), 'layer=6'], /^the layer is not sha256:\w+ but sha256:\w+: it was changed$/],
    [() => ['UPPER/case'], /^name: 'UPPER\/case'/],
    [() => ['a/b@sha256:12'], /^name/],
    [() => ['../x'], /^name/],
  ];
  for (const [words, why] of refused) {
    test(String(why), () => assert.rejects(pluginSource('cdi', ...words()), { message: why }));
  }

  test('a manifest that was changed', async () => {
    corrupt = true;
    await assert.rejects(pluginSource('cdi', name()), /it was changed/);
    corrupt = false;
  });
});

test('names of images', () => {
  const names: readonly [text: string, registry: string, repository: string, reference: string][] =
    [
      ['fedora', 'https://registry-1.docker.io/', 'library/fedora', 'latest'],
      ['docker://kubevirt/disk:3', 'https://registry-1.docker.io/', 'kubevirt/disk', '3'],
      ['docker.io/fedora', 'https://registry-1.docker.io/', 'library/fedora', 'latest'],
      ['quay.io/a/b/c:x', 'https://quay.io/', 'a/b/c', 'x'],
      ['localhost:5000/a', 'http://localhost:5000/', 'a', 'latest'],
      ['host:5000/a', 'https://host:5000/', 'a', 'latest'],
    ];
  for (const [text, ...expected] of names) {
    const { registry, repository, reference } = parseImageName(text);
    assert.deepEqual([registry.href, repository, reference], expected);
  }
});
