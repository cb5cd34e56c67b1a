/** Connections that are no clients, and more of them than there is room for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { connect } from '../../src/client/connect.ts';
import { parseNbdUri } from '../../src/protocol/uri.ts';
import { join as bytesOf, hex, u32, u64 } from '../peer/bytes.ts';
import { milliseconds, type Scenario, type Trial } from './scenario.ts';
import { ServerProcess } from './server.ts';

const IHAVEOPT = hex('49484156454f5054');
/** How long a handshake may take, in ms. */
const HANDSHAKE = 1000;

/** What a stranger does with a connection. */
type Visit = (socket: net.Socket, trial: Trial) => Promise<void> | void;

/** Waits until the server hangs up. */
async function hungUp(socket: net.Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await new Promise<void>(done => void socket.once('close', () => done()));
}

const sends =
  (bytes: (trial: Trial) => Uint8Array | string): Visit =>
  async (socket, trial) => {
    socket.end(bytes(trial));
    await hungUp(socket);
  };

const VISITS: Readonly<Record<string, Visit>> = {
  'port scan': socket => void socket.destroy(),
  'port scan that resets': socket => void socket.resetAndDestroy(),
  'half-open': async socket => {
    socket.end();
    await hungUp(socket);
  },
  'TLS hello': async socket => {
    const secure = tls.connect({ socket, rejectUnauthorized: false });
    await once(secure, 'error').catch(() => {});
    socket.destroy();
  },
  HTTP: sends(() => 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
  'random bytes': sends(({ random }) => random.bytes(1 + random.below(5000))),
  'unknown flags': sends(() => u32(0xffffffff)),
  'endless option': sends(() =>
    bytesOf(u32(3), IHAVEOPT, u32(7), u32(0xffffffff), Buffer.alloc(99)),
  ),
  'half a request': sends(() =>
    bytesOf(u32(3), IHAVEOPT, u32(1), u32(0), hex('25609513'), u32(1), u64(7n)),
  ),
  'slow handshake': async socket => {
    const drip = setInterval(() => socket.write(IHAVEOPT.subarray(0, 1)), HANDSHAKE / 4);
    socket.write(u32(3));
    await hungUp(socket);
    clearInterval(drip);
  },
};

/** Everybody visits, at the same time, over and over; others are served meanwhile. */
async function visited(
  trial: Trial,
  server: ServerProcess,
  visits: Readonly<Record<string, Visit>>,
): Promise<string> {
  const address = parseNbdUri(server.uri).address as { host: string; port: number };
  await server.serves();
  const { descriptors, memory } = server;
  let strangers = 0;
  while (trial.more()) {
    trial.round();
    const all = Object.values(visits).map(async visit => {
      const socket = net.connect(address);
      socket.on('error', () => {});
      await once(socket, 'connect');
      await visit(socket, trial);
    });
    strangers += all.length;
    await server.serves();
    await Promise.all(all);
  }
  await server.serves();
  await server.settles(descriptors);
  const grown = Math.max(0, server.memory - memory) / 2 ** 20;
  await server.endWell();
  return [
    `${strangers} strangers of ${Object.keys(visits).length} kinds, all hung up on`,
    `clients are served in ${milliseconds(server.longest)} at most`,
    `no descriptor is left; memory grew by ${grown.toFixed(0)} MiB`,
  ].join('; ');
}

const TCP = ['-i', '127.0.0.1', '-p', '0', `--timeout=${HANDSHAKE}ms`];

export const strangers: Scenario = {
  name: 'strangers on a plain port: port scans, TLS, HTTP, random bytes, slow handshakes',
  async run(trial) {
    return visited(
      trial,
      await ServerProcess.start(trial.folder, [...TCP, 'memory', '1M']),
      VISITS,
    );
  },
};

const KEY = 'a1'.repeat(32);

export const strangersOfTls: Scenario = {
  name: 'the same and plain clients on a port that wants TLS',
  async run(trial) {
    writeFileSync(join(trial.folder, 'keys'), `user:${KEY}\n`, { mode: 0o600 });
    const words = [...TCP, '--tls=require', '--tls-psk=keys', 'memory', '1M'];
    const server = await ServerProcess.start(trial.folder, words);
    const plain = server.uri.replace('nbds:', 'nbd:');
    const secure = `${server.uri}?tls-psk-file=${join(trial.folder, 'keys')}&tls-username=user`;
    server.connect = () => connect(secure, { signal: AbortSignal.timeout(10_000) });
    return visited(trial, server, {
      ...VISITS,
      'plain client': async socket => {
        socket.destroy();
        await assert.rejects(connect(plain), /TLS|encrypted/);
      },
      'half of a TLS handshake': async socket => {
        socket.write(bytesOf(u32(3), IHAVEOPT, u32(5), u32(0)));
        socket.write(hex('1603010200010001fc0303'));
        await hungUp(socket);
      },
    });
  },
};

export const crowded: Scenario = {
  name: 'out of descriptors (`ulimit -n 100`)',
  async run({ folder, more, round }) {
    const words = ['-U', 'socket', 'memory', '1M'];
    const server = await ServerProcess.start(folder, words, 'ulimit -n 100');
    await server.serves();
    const { descriptors } = server;
    let [rounds, served, away] = [0, 0, 0];
    while (more()) {
      round();
      rounds += 1;
      const arrivals = await Promise.allSettled(
        Array.from({ length: 150 }, () => server.connect()),
      );
      for (const arrival of arrivals) {
        if (arrival.status === 'rejected') away += 1;
        else {
          served += 1;
          await arrival.value.read(0n, 512);
          await arrival.value.close();
        }
      }
      await server.settles(descriptors);
      await server.serves();
    }
    assert.equal(server.count('out of file descriptors'), rounds, server.said.slice(0, 500));
    await server.endWell();
    const each = 'one line in the log each time';
    return `${served} clients served, ${away} turned away, ${each}; service again at once`;
  },
};
