import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { after, describe, type TestContext, test } from 'node:test';
import { makeCertificates } from '../peer/certificates.ts';
import { isListening } from '../peer/listening.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, run, runWell, startProgram } from './programs.ts';

const OUR_NBDKIT = resolve(import.meta.dirname, '../../dist/nbdkit.cjs');

/** `stranger` has another authority, `anonymous` no certificate of its own. */
function credentials(folder: string) {
  const [good, stranger, anonymous] = ['good', 'stranger', 'anonymous'].map(name =>
    join(folder, name),
  ) as [string, string, string];
  makeCertificates(good);
  makeCertificates(stranger);
  mkdirSync(anonymous);
  cpSync(join(good, 'ca-cert.pem'), join(anonymous, 'ca-cert.pem'));
  const keys = join(folder, 'keys.psk');
  writeFileSync(keys, `qemu:${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  return { good, anonymous, stranger, keys };
}

const makers = ['ours', 'C'] as const;
type Maker = (typeof makers)[number];

let folder: string | undefined;
let made: ReturnType<typeof credentials> | undefined;
after(() => folder && rmSync(folder, { recursive: true }));

/** Certificates and keys, made once; undefined when the programs are not there. */
function prepared(t: TestContext, ...programs: readonly string[]) {
  if (!has(t, 'openssl', 'nbdkit', 'nbdinfo', 'nbdcopy', ...programs)) return undefined;
  folder ??= mkdtempSync(join(tmpdir(), 'nbdpipe-tls-'));
  made ??= credentials(folder);
  return { ...made, env: { ours: ourCommands(t).env, C: {} } };
}

/** A nbdkit with a disk in memory; gives its socket. */
async function serve(t: TestContext, maker: Maker, ...tls: readonly string[]): Promise<string> {
  const socket = join(temporaryFolder(t), 'socket');
  const [program, ...first] = maker === 'ours' ? [process.execPath, OUR_NBDKIT] : ['nbdkit'];
  const words = [...first, '-f', '-U', socket, ...tls, 'memory', '3M'];
  await startProgram(t, program!, words, () => isListening(socket));
  return socket;
}

/** Copies bytes in and out again. */
async function copies(t: TestContext, uri: string, env: Readonly<Record<string, string>>) {
  const [from, to] = ['from', 'to'].map(name => join(temporaryFolder(t), name)) as [string, string];
  writeFileSync(from, randomBytes(3 << 20));
  await runWell('nbdcopy', [from, uri], { env });
  await runWell('nbdcopy', [uri, to], { env });
  assert.ok(readFileSync(from).equals(readFileSync(to)));
}

for (const server of makers) {
  for (const client of makers) {
    if (server === 'C' && client === 'C') continue;
    describe(`TLS: server ${server}, client ${client}`, () => {
      test('certificates of both sides', async t => {
        const made = prepared(t);
        if (!made) return;
        const env = made.env[client];
        const words = ['--tls=require', `--tls-certificates=${made.good}`, '--tls-verify-peer'];
        const socket = await serve(t, server, ...words);
        const uri = (name: 'good' | 'anonymous' | 'stranger', host = 'localhost') =>
          `nbds+unix:///?socket=${socket}&tls-certificates=${made[name]}&tls-hostname=${host}`;
        await copies(t, uri('good'), env);
        assert.match(await runWell('nbdinfo', [uri('good')], { env }), /^protocol: \S+ with TLS/);
        for (const name of ['anonymous', 'stranger'] as const) {
          const { status, stderr } = await run('nbdinfo', ['--size', uri(name)], { env });
          assert.equal(status, 1, name);
          assert.match(stderr, /^nbdinfo: .+\n$/);
        }
        const plain = await run('nbdinfo', ['--size', `nbd+unix:///?socket=${socket}`], { env });
        assert.equal(plain.status, 1);
        if (client === 'ours') {
          const other = await run('nbdinfo', ['--size', uri('good', 'example.com')], { env });
          assert.match(other.stderr, /: its certificate is not for 'example\.com', but for DNS:/);
        }
        assert.equal(await runWell('nbdinfo', ['--size', uri('good')], { env }), '3145728\n');
      });

      test('pre-shared keys', async t => {
        const made = prepared(t);
        if (!made) return;
        const env = made.env[client];
        const socket = await serve(t, server, '--tls=require', `--tls-psk=${made.keys}`);
        const uri = (user: string) =>
          `nbds+unix://${user}@/?socket=${socket}&tls-psk-file=${made.keys}`;
        await copies(t, uri('qemu'), env);
        assert.equal((await run('nbdinfo', ['--size', uri('alice')], { env })).status, 1);
      });

      test('as the client likes', async t => {
        const made = prepared(t);
        if (!made) return;
        const env = made.env[client];
        const socket = await serve(t, server, '--tls=on', `--tls-certificates=${made.good}`);
        const where = `socket=${socket}&tls-certificates=${made.anonymous}`;
        for (const [uri, how] of [
          [`nbd+unix:///?${where}`, 'without'],
          [`nbds+unix:///?${where}&tls-hostname=localhost`, 'with'],
        ] as const) {
          const words = await runWell('nbdinfo', [uri], { env });
          assert.match(words, new RegExp(`^protocol: \\S+ ${how} TLS`));
        }
      });
    });
  }
}

test('TLS in the URI of --run is enough for a client on this machine', async t => {
  const made = prepared(t);
  if (!made) return;
  const words = ['-U', '-', '--tls=require', `--tls-certificates=${made.good}`, 'null'];
  const command = '[ "$tls" = 2 ] && nbdinfo "$uri"';
  const { env } = ourCommands(t);
  const printed = await runWell('nbdkit', [...words, '--run', command], { env });
  assert.match(printed, /^protocol: newstyle-fixed with TLS/);
});

describe('TLS with qemu', () => {
  for (const kind of ['x509', 'psk'] as const) {
    const options = { x509: 'verify-peer=yes', psk: 'username=qemu' };
    test(`${kind}: our server`, async t => {
      const made = prepared(t, 'qemu-img');
      if (!made) return;
      const ours = {
        x509: [`--tls-certificates=${made.good}`, '--tls-verify-peer'],
        psk: [`--tls-psk=${made.keys}`],
      };
      const socket = await serve(t, 'ours', '--tls=require', ...ours[kind]);
      const dir = { x509: made.good, psk: dirname(made.keys) }[kind];
      const credentials = `tls-creds-${kind},id=t,endpoint=client,dir=${dir},${options[kind]}`;
      const image = `driver=nbd,path=${socket},tls-creds=t,tls-hostname=localhost`;
      const words = ['info', '--object', credentials, '--image-opts', image];
      assert.match(await runWell('qemu-img', words), /virtual size: 3 MiB/);
    });

    test(`${kind}: our client`, async t => {
      const made = prepared(t, 'qemu-nbd');
      if (!made) return;
      const disk = join(temporaryFolder(t), 'disk');
      const socket = join(temporaryFolder(t), 'socket');
      writeFileSync(disk, Buffer.alloc(3 << 20));
      const dir = { x509: made.good, psk: dirname(made.keys) }[kind];
      const verify = kind === 'x509' ? ',verify-peer=yes' : '';
      const credentials = `tls-creds-${kind},id=t,endpoint=server,dir=${dir}${verify}`;
      const words = ['--object', credentials, '--tls-creds', 't', '-f', 'raw', '-t', '-k', socket];
      await startProgram(t, 'qemu-nbd', [...words, disk], () => isListening(socket));
      const uri = {
        x509: `nbds+unix:///?socket=${socket}&tls-certificates=${made.good}&tls-hostname=localhost`,
        psk: `nbds+unix://qemu@/?socket=${socket}&tls-psk-file=${made.keys}`,
      };
      await copies(t, uri[kind], made.env.ours);
    });
  }
});
