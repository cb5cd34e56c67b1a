import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import type { DeviceSource, Peer } from '../../block/device.ts';

const LOCAL: Peer = { family: 'ipv4', address: '127.0.0.1', port: 5000 };
const OTHER: Peer = { family: 'ipv4', address: '10.20.30.40', port: 5000 };
const IPV6: Peer = { family: 'ipv6', address: '2001:db8:1::5', port: 5000 };
const UNIX: Peer = { family: 'unix', pid: 100, uid: 0, gid: 5 };
const VSOCK: Peer = { family: 'vsock', address: '3', port: 10809 };
const PIPE: Peer = { family: 'pipe' };
const PEERS = { LOCAL, OTHER, IPV6, UNIX, VSOCK, PIPE };

async function filter(...words: string[]): Promise<DeviceSource> {
  return await filterSource(await pluginSource('memory', '1M'), 'ip', ...words);
}

/** Who is served. */
async function served(...words: string[]): Promise<string[]> {
  const source = await filter(...words);
  const names: string[] = [];
  for (const [name, peer] of Object.entries(PEERS)) {
    try {
      await source.preconnect!(peer);
      names.push(name);
    } catch (error) {
      assert.equal((error as Error).message, 'ip: source address not permitted');
    }
  }
  return names;
}

const ALL = Object.keys(PEERS);
const without = (...names: string[]) => ALL.filter(name => !names.includes(name));

test('what is allowed counts first, and all is that is not denied', async () => {
  assert.deepEqual(await served(), ALL);
  assert.deepEqual(await served('deny=all'), []);
  assert.deepEqual(await served('deny=ANY', 'allow=127.0.0.1,anyunix'), ['LOCAL', 'UNIX']);
  assert.deepEqual(await served('deny=127.0.0.1'), without('LOCAL'));
});

test('networks', async () => {
  assert.deepEqual(await served('deny=10.20.0.0/16'), without('OTHER'));
  assert.deepEqual(await served('deny=10.20.31.0/24'), ALL);
  assert.deepEqual(await served('deny=0.0.0.0/0'), without('LOCAL', 'OTHER'));
  assert.deepEqual(await served('deny=2001:db8::/32'), without('IPV6'));
  assert.deepEqual(await served('deny=2001:db8:2::/48'), ALL);
  assert.deepEqual(await served('deny=2001:db8:1::5'), without('IPV6'));
});

test('kinds of addresses and numbers', async () => {
  assert.deepEqual(await served('deny=allipv4', 'deny=anyipv6'), without('LOCAL', 'OTHER', 'IPV6'));
  assert.deepEqual(await served('deny=anyvsock,allunix'), without('UNIX', 'VSOCK'));
  assert.deepEqual(await served('deny=pid:100'), without('UNIX'));
  assert.deepEqual(await served('deny=uid:0'), without('UNIX'));
  assert.deepEqual(await served('deny=gid:5,uid:1'), without('UNIX'));
  assert.deepEqual(await served('deny=gid:6'), ALL);
  assert.deepEqual(await served('deny=vsock-cid:3'), without('VSOCK'));
  assert.deepEqual(await served('deny=vsock-port:10809'), without('VSOCK'));
});

test('names in certificates, which are known only when the client asks for a disk', async () => {
  const source = await filter('allow=anyunix,dn:CN=mine,O=here', 'deny=all');
  const tls = { subject: 'CN=mine,O=here', issuer: 'CN=ca' };
  assert.equal(source.preconnect, undefined);
  const open = (peer: Peer) => source.open({ ...REQUEST, peer });
  await open({ ...LOCAL, tls });
  await open(UNIX);
  const refused = { errno: 'EACCES', message: 'ip: source address not permitted' };
  assert.throws(() => open(LOCAL), refused);
  assert.throws(() => open({ ...LOCAL, tls: { ...tls, subject: 'CN=mine' } }), refused);
  assert.throws(() => source.list!({ ...REQUEST, peer: LOCAL }), refused);
  const byIssuer = await filter('allow=issuer-dn:CN=ca', 'deny=all');
  await byIssuer.open({ ...REQUEST, peer: { ...LOCAL, tls } });
});

test('rules that do not parse', async () => {
  for (const [list, message] of [
    ['', 'allow: empty entry in rule list'],
    ['all,,all', 'allow: empty entry in rule list'],
    ['1.2.3', /^allow: don't know how to parse rule: '1.2.3': expected an address/],
    ['1.2.3.4/33', "allow: prefix is > 32 in '1.2.3.4/33'"],
    ['::1/x', /^allow: cannot parse 'x'/],
    ['pid:0', /^allow: pid: parameter out of range/],
    ['vsock-port:4294967296', /^allow: vsock-port: parameter out of range/],
    ['uid:root', /^allow: cannot parse 'root'/],
    ['security:x', /don't know how to parse/],
  ] as const) {
    await assert.rejects(filter(`allow=${list}`), { name: 'UsageError', message }, list);
  }
});
