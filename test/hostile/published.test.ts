/** The faults that libnbd has published, each of which must not be ours. */
import assert from 'node:assert/strict';
import { join as joinPath } from 'node:path';
import { test } from 'node:test';
import { BlockError } from '../../src/block/errors.ts';
import { connect, negotiate } from '../../src/client/connect.ts';
import { sshCommand } from '../../src/client/ssh.ts';
import { copy } from '../../src/copy/copy.ts';
import { parseNbdUri, type SshAddress } from '../../src/protocol/uri.ts';
import { serve } from '../../src/server/server.ts';
import { sparseStore } from '../../src/stores/sparse.ts';
import { loadCertificates } from '../../src/transport/credentials.ts';
import { has } from '../interop/programs.ts';
import { join, u16, u32, u64 } from '../peer/bytes.ts';
import { makeCertificates } from '../peer/certificates.ts';
import { honestUntilRequests, ScriptedServer } from '../peer/scripted-server.ts';
import { scriptedServer, temporaryFolder } from '../peer/wire.ts';

const uriOf = (path: string) => `nbd+unix:///?socket=${path}`;
const MIB = 1 << 20;

test('CVE-2021-20286: a server that refuses NBD_OPT_GO and hangs up ends no program', async t => {
  const path = await scriptedServer(t, async wire => {
    const server = new ScriptedServer(wire);
    await server.greet();
    for (;;) {
      const { option } = await server.option();
      server.reply(option, option === 7 ? 0x80000006 : 0x80000001);
      if (option === 7) return wire.hangUp();
    }
  });
  const negotiation = await negotiate({ path });
  await assert.rejects(negotiation.go('x'), BlockError);
  await assert.rejects(negotiation.go('y'), BlockError);
  await assert.rejects(negotiation.info('y'), BlockError);
  await negotiation.close();
});

test('CVE-2022-0485: a copy never goes on past a read or a write that failed', async t => {
  for (const failing of ['read', 'write'] as const) {
    const store = sparseStore(BigInt(4 * MIB));
    const fail = (offset: bigint) => {
      if (offset < BigInt(2 * MIB)) return;
      throw new BlockError('EIO', 'a bad sector', { offset });
    };
    const device = {
      size: store.size,
      read: (offset: bigint, length: number) => {
        if (failing === 'read') fail(offset);
        return Buffer.alloc(length, 1);
      },
      write: (offset: bigint) => fail(offset),
    };
    const path = joinPath(temporaryFolder(t), 'socket');
    const server = await serve(device, { listen: { path } });
    const client = await connect(uriOf(path));
    const [from, to] = failing === 'read' ? [client, store] : [device, client];
    await assert.rejects(copy(from, to, { requestSize: 65536 }), { errno: 'EIO' });
    await client.close();
    await server.close();
  }
});

test('CVE-2023-5215: a size of 2^63 bytes or more is no size', async t => {
  for (const size of [2n ** 63n, 2n ** 64n - 1n]) {
    const path = await scriptedServer(t, async wire => {
      const server = new ScriptedServer(wire);
      await server.greet();
      for (;;) {
        const { option } = await server.option();
        if (option === 7) break;
        server.reply(option, 0x80000001);
      }
      server.reply(7, 3, join(u16(0), u64(size), u16(1)));
      server.reply(7, 1);
      await wire.end();
    });
    await assert.rejects(connect(uriOf(path)), { errno: 'EPROTO' });
  }
});

test('CVE-2023-5871: a block status of 2^63 bytes ends at the end of the disk', async t => {
  for (const length of [2n ** 63n, 2n ** 64n - 1n]) {
    const offer = { form: 'extended', contexts: { 1: 'base:allocation' } } as const;
    const path = await honestUntilRequests(t, offer, async server => {
      const asked = await server.request();
      server.chunk(asked, 6, join(u32(1), u32(1), u64(length), u64(0)));
      await server.wire.end();
    });
    const client = await connect(uriOf(path));
    const whole = { length: MIB, hole: false, zero: false };
    assert.deepEqual(await client.extents!(0n, 512), [whole]);
    client.abort();
  }
});

test('CVE-2024-7383: a certificate for another host, or of nobody, is refused', async t => {
  if (!has(t, 'openssl')) return;
  const [ours, theirs] = ['ours', 'theirs'].map(name => joinPath(temporaryFolder(t), name));
  for (const folder of [ours!, theirs!]) makeCertificates(folder);
  const device = { size: 512n, read: (_: bigint, length: number) => Buffer.alloc(length) };
  const credentials = loadCertificates('server', ours!)!;
  const server = await serve(device, { listen: { port: 0 }, tls: { credentials, required: true } });
  t.after(() => server.close());
  const { port } = new URL(server.uri!.replace(/^nbds?:/, 'http:'));
  const uri = (host: string, folder: string, more = '') =>
    `nbds://${host}:${port}/?tls-certificates=${folder}${more}`;
  await (await connect(uri('localhost', ours!))).close();
  await assert.rejects(connect(uri('127.0.0.2', ours!)), BlockError);
  await assert.rejects(connect(uri('localhost', ours!, '&tls-hostname=bank.example')), BlockError);
  await assert.rejects(connect(uri('localhost', theirs!)), BlockError);
});

test('the injection of options by nbd+ssh: a host is never an option', () => {
  const host = '-oProxyCommand=touch /tmp/x';
  for (const uri of [
    `nbd+ssh://${encodeURIComponent(host)}/`,
    'nbd+ssh://-oX=y/',
    'nbd+ssh://-l@h/',
  ]) {
    assert.throws(() => parseNbdUri(uri), /must not begin with '-'/);
  }
  const command = sshCommand({ ssh: host, there: { path: '/s' } } satisfies SshAddress);
  assert.equal(command[command.indexOf(host) - 1], '--');
});
