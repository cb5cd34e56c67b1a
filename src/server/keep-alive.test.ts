import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { Server } from './server.ts';

const KEEPALIVE = '02';
const ESTABLISHED = '01';

for (const keepAlive of [false, true]) {
  const skip = process.platform !== 'linux' && 'needs Linux';
  test(`a connection ${keepAlive ? 'with' : 'without'} keepalive`, { skip }, async t => {
    const server = new Server({ source: { open: () => Promise.reject(new Error()) }, keepAlive });
    t.after(() => server.close({ timeout: 0 }));
    const listening = await server.listen({ host: '127.0.0.1', port: 0 });
    const { port } = listening as net.AddressInfo;
    const client = net.connect(port, '127.0.0.1').resume();
    t.after(() => client.destroy());
    await once(client, 'data');
    const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const sockets = readFileSync('/proc/net/tcp', 'latin1').split('\n');
    const own = sockets
      .map(line => line.trim().split(/\s+/))
      .find(([, local, , state]) => local?.endsWith(end) && state === ESTABLISHED);
    assert.equal(own![5]!.startsWith(`${KEEPALIVE}:`), keepAlive);
  });
}
