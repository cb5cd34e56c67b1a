import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { contiguous } from '../../block/data.ts';
import { tarEnd, tarHeader, tarPadding } from '../../formats/archive/tar-write.ts';

const LAYER = Buffer.concat([Buffer.alloc(50_000, 'a layer '), randomBytes(100_000)]);
const TAG = 'org.opencontainers.image.ref.name';

const hex = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
type Files = Map<string, Buffer>;

function blob(files: Files, content: Buffer | object): string {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
  files.set(`blobs/sha256/${hex(bytes)}`, bytes);
  return `sha256:${hex(bytes)}`;
}

/** A layout of OCI with images of these tags, each of a packed layer and one that is not. */
function layout(...tags: readonly (string | undefined)[]): Files {
  const files: Files = new Map();
  const type = 'application/vnd.oci.image.layer.v1.tar';
  const layers = [
    { mediaType: `${type}+gzip`, digest: blob(files, gzipSync(LAYER)) },
    { mediaType: type, digest: blob(files, LAYER) },
  ];
  const digest = blob(files, { layers });
  const manifests = tags.map(tag => ({ digest, ...(tag && { annotations: { [TAG]: tag } }) }));
  files.set('index.json', Buffer.from(JSON.stringify({ manifests })));
  return files;
}

function savedByDocker(...names: readonly string[]): Files {
  const files: Files = new Map([
    ['one/layer.tar', LAYER],
    ['two.tar', gzipSync(LAYER)],
  ]);
  const images = names.map(name => ({ RepoTags: [name], Layers: ['two.tar', 'one/layer.tar'] }));
  files.set('manifest.json', Buffer.from(JSON.stringify(images)));
  return files;
}

function asFolder(t: TestContext, files: Files): string {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
  return folder;
}

function asArchive(t: TestContext, files: Files): string {
  const common = { type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: 0n } as const;
  const parts = [...files].flatMap(([name, bytes]) => {
    const size = BigInt(bytes.length);
    return [tarHeader({ ...common, name: Buffer.from(name), size }), bytes, tarPadding(size)];
  });
  const path = join(temporaryFolder(t), 'image.tar');
  writeFileSync(path, Buffer.concat([...parts, tarEnd(0n)]));
  return path;
}

async function layerOf(name: string, index: number): Promise<Buffer> {
  const source = await pluginSource('cdi', name, `layer=${index}`);
  const device = await source.open(REQUEST);
  try {
    return Buffer.from(contiguous(await device.read(0n, Number(device.size))));
  } finally {
    await device.close?.();
    await source.close?.();
  }
}

const IMAGES: Readonly<Record<string, (t: TestContext) => string>> = {
  'a folder': t => `oci:${asFolder(t, layout(undefined))}`,
  'a folder with several images': t => `oci:${asFolder(t, layout('1', '2'))}:2`,
  'an archive of OCI': t => `oci-archive:${asArchive(t, layout('latest'))}`,
  'an archive of docker': t => `docker-archive:${asArchive(t, savedByDocker('a/b:1'))}`,
  'an archive of docker with several images': t =>
    `docker-archive:${asArchive(t, savedByDocker('docker.io/a/b:latest', 'docker.io/c:1'))}:a/b`,
};
for (const [what, make] of Object.entries(IMAGES)) {
  test(`${what}: layers that are packed, and that are not`, async t => {
    const name = make(t);
    for (const index of [0, 1]) assert.ok(LAYER.equals(await layerOf(name, index)), `${index}`);
  });
}

describe('what is refused', () => {
  const changed = (t: TestContext) => {
    const files = layout(undefined);
    const name = [...files].find(([, bytes]) => bytes.includes('layers'))![0];
    return asFolder(t, files.set(name, Buffer.from('{"layers":[]}')));
  };
  const long = (t: TestContext) =>
    asFolder(t, new Map([['index.json', Buffer.alloc(5 << 20, ' ')]]));
  const refused: readonly [name: (t: TestContext) => string, why: RegExp][] = [
    [t => `oci:${asFolder(t, layout('1', '2'))}`, /^name: there are 2 images: .*: 1, 2$/],
    [t => `oci:${asFolder(t, layout('1', '2'))}:3`, /^name: no image '3': .*: 1, 2$/],
    [t => `oci:${changed(t)}`, /it was changed/],
    [t => `oci:${long(t)}`, /index.json has 5242880 bytes: it is no manifest/],
    [t => `oci:${temporaryFolder(t)}`, /index.json': no such file/i],
    [t => `oci-archive:${asArchive(t, new Map())}`, /no file index.json in the archive/],
    [() => 'docker-archive:/nonexistent', /'\/nonexistent': no such file/i],
    [t => `docker-archive:${asArchive(t, savedByDocker('x:1'))}:y`, /no image 'y': .*: x:1$/],
    [t => `oci-archive:${join(long(t), 'index.json')}`, /it is no tar archive/],
  ];
  for (const [name, why] of refused) {
    test(String(why), t => assert.rejects(layerOf(name(t), 0), { message: why }));
  }

  test('a layer that there is not', async t => {
    const name = `docker-archive:${asArchive(t, savedByDocker('x:1'))}`;
    await assert.rejects(layerOf(name, 2), { message: /no layer 2: the image has 2$/ });
  });
});
