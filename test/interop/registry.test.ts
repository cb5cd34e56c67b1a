/** Layers of container images from a real registry. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { contiguous } from '../../src/block/data.ts';
import { loadZstd } from '../../src/posix/zstd.ts';
import { pluginSource, REQUEST } from '../contract/open.ts';
import { freePort, listens } from '../peer/ports.ts';
import { has, ourCommands, run, type Starting, startProgram } from './programs.ts';

const LAYER = Buffer.concat([Buffer.alloc(100_000, 'a tar file '), randomBytes(2_000_000)]);
const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
/** The hash of "sesame" by bcrypt, the only kind that the registry takes. */
const USERS = 'ali:$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O\n';
const AUTHORIZATION = { authorization: `Basic ${Buffer.from('ali:sesame').toString('base64')}` };

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-registry-'));
const file = (name: string) => join(folder, name);
const endings: (() => void | Promise<void>)[] = [];
after(async () => {
  for (const end of endings) await end();
  rmSync(folder, { recursive: true });
});

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A registry of the test's own, which all tests share. */
class Registry {
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  static async start(): Promise<Registry> {
    const port = await freePort();
    writeFileSync(file('users'), USERS);
    writeFileSync(
      file('config.yml'),
      `version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: ${file('store')} } }
http: { addr: "127.0.0.1:${port}", relativeurls: true }
auth: { htpasswd: { realm: test, path: ${file('users')} } }
`,
    );
    const until: Starting = { after: end => void endings.push(end) };
    const words = ['serve', file('config.yml')];
    await startProgram(until, 'docker-registry', words, () => listens(port));
    const registry = new Registry(port);
    await registry.#fill();
    return registry;
  }

  name(reference: string): string {
    return `docker://127.0.0.1:${this.#port}/some/image${reference}`;
  }

  /** An image for this machine and one for others, under the tag `latest`. */
  async #fill(): Promise<void> {
    const config = await this.#blob(Buffer.from('{}'), 'application/vnd.oci.image.config.v1+json');
    const layer = (packing: string, bytes: Uint8Array) =>
      this.#blob(Buffer.from(bytes), `application/vnd.oci.image.layer.v1.tar${packing}`);
    const image = async (layers: unknown[]) =>
      this.#manifest({ schemaVersion: 2, mediaType: MANIFEST, config, layers });
    const zstd = loadZstd();
    const own = await image([
      await layer('+gzip', gzipSync(LAYER)),
      await layer('', LAYER),
      ...(zstd ? [await layer('+zstd', zstd.compress(LAYER))] : []),
    ]);
    const other = await image([await layer('', Buffer.from('for another machine'))]);
    const architecture = ({ x64: 'amd64' } as Record<string, string>)[process.arch];
    const platforms = [
      { ...other, platform: { os: 'linux', architecture: 's390x' } },
      { ...own, platform: { os: 'linux', architecture: architecture ?? process.arch } },
    ];
    const all = { schemaVersion: 2, mediaType: INDEX, manifests: platforms };
    await this.#manifest(all, 'latest');
  }

  async #blob(bytes: Buffer, mediaType: string) {
    const digest = digestOf(bytes);
    const begun = await this.#send('POST', 'blobs/uploads/', Buffer.alloc(0), 202);
    const to = new URL(begun.headers.get('location')!, begun.url);
    to.searchParams.set('digest', digest);
    await this.#send('PUT', to.href, bytes, 201);
    return { mediaType, digest, size: bytes.length };
  }

  async #manifest(manifest: { mediaType: string; [key: string]: unknown }, tag?: string) {
    const bytes = Buffer.from(JSON.stringify(manifest));
    const digest = digestOf(bytes);
    await this.#send('PUT', `manifests/${tag ?? digest}`, bytes, 201, manifest.mediaType);
    return { mediaType: manifest.mediaType, digest, size: bytes.length };
  }

  async #send(method: string, path: string, body: Buffer, status: number, type?: string) {
    const url = new URL(path, `http://127.0.0.1:${this.#port}/v2/some/image/`);
    const headers = { ...AUTHORIZATION, 'content-type': type ?? 'application/octet-stream' };
    const response = await fetch(url, { method, headers, body });
    assert.equal(response.status, status, await response.text());
    return response;
  }
}

describe('cdi from docker-registry', () => {
  let started: Promise<Registry> | undefined;
  const ready = () => {
    started ??= Registry.start();
    return started;
  };
  const who = ['user=ali', 'password=sesame'];

  test('layers that are packed and one that is not, of the image for this machine', async t => {
    if (!has(t, 'docker-registry')) return;
    const registry = await ready();
    for (const layer of ['0', '1', ...(loadZstd() ? ['2'] : [])]) {
      const source = await pluginSource('cdi', registry.name(''), ...who, `layer=${layer}`);
      const device = await source.open(REQUEST);
      assert.equal(device.size, BigInt(LAYER.length), layer);
      const bytes = contiguous(await device.read(99_000n, 1_000_000));
      assert.ok(LAYER.subarray(99_000, 1_099_000).equals(bytes), layer);
      await device.close?.();
      await source.close?.();
    }
  });

  test('a file in a layer, by the command', async t => {
    if (!has(t, 'docker-registry')) return;
    const registry = await ready();
    const { path } = ourCommands(t);
    writeFileSync(file('secret'), 'sesame\n');
    const words = [registry.name(':latest'), 'user=ali', `password=+${file('secret')}`];
    const command = `'${path}/nbdcopy' "$uri" - | head -c 20`;
    const stack = ['cdi', ...words, '--filter=offset', 'offset=99990', '--run', command];
    const { stdout, stderr } = await run(join(path, 'nbdkit'), stack);
    assert.equal(stdout, LAYER.toString('latin1', 99_990, 100_010), stderr);
  });

  test('who is not let in, and what is not there', async t => {
    if (!has(t, 'docker-registry')) return;
    const registry = await ready();
    const refused = async (words: readonly string[], message: RegExp) =>
      assert.rejects(pluginSource('cdi', ...words), { message });
    await refused([registry.name('')], /access is denied \(status 401\)/);
    const wrong = ['user=ali', 'password=open'];
    await refused([registry.name(''), ...wrong], /access is denied \(status 401\)/);
    await refused([registry.name(':none'), ...who], /manifests\/none: no such file \(status 404\)/);
  });
});
