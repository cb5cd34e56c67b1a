import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeCertificates } from '../test/peer/certificates.ts';
import { copyOut, sourceOf, type Workload } from './kinds.ts';
import { Served, seconds } from './measure.ts';
import { packed } from './packed.ts';
import { partOf } from './remote.ts';

/** There and back, in ms. */
const ROUND_TRIP = 20;

/** A file that nginx serves from the benchmark's folder, through the curl plugin. */
export function fromNginx(name: string, encrypted: boolean): Workload {
  return throughCurl({
    name: `curl from nginx, read 2 GiB, ${name}`,
    goal: 1.5,
    encrypted,
    file: async folder => sourceOf(folder),
  });
}

export const fromFarNginx = throughCurl({
  name: `curl from nginx, read 256 MiB, link of ${ROUND_TRIP} ms`,
  goal: 2,
  isFar: true,
  file: folder => partOf(folder, '256M'),
});

export const xzFromNginx = throughCurl({
  name: 'xz of 16-MiB blocks by curl from nginx, 1 GiB',
  goal: 1.5,
  filters: ['xz'],
  file: async folder => packed(folder, 'xz'),
});

interface Through {
  readonly name: string;
  readonly goal: number;
  readonly encrypted?: boolean;
  /** Behind a link with a delay. */
  readonly isFar?: boolean;
  readonly filters?: readonly string[];
  /** A file in the folder that nginx serves. */
  file(folder: string): Promise<string>;
}

function throughCurl({
  name,
  goal,
  encrypted = false,
  isFar,
  filters = [],
  file,
}: Through): Workload {
  return {
    name,
    unit: 's',
    goal,
    needs: ['nbdkit', 'nbdcopy', 'nginx', 'openssl'],
    start: async (side, folder) => {
      const keys = join(folder, 'nginx-keys');
      if (!existsSync(keys)) makeCertificates(keys);
      const path = await file(folder);
      const nginx = await startNginx(folder, keys, encrypted);
      const link = isFar ? await startLink(nginx.socket) : undefined;
      const url = `${encrypted ? 'https' : 'http'}://localhost/${basename(path)}`;
      const socket = link?.socket ?? nginx.socket;
      const how = [`unix-socket-path=${socket}`, `cainfo=${keys}/ca-cert.pem`];
      const above = filters.map(filter => `--filter=${filter}`);
      const words = [...above, 'curl', url, ...how];
      const serve = () => Served.start(side, folder, words);
      // What a filter has decoded must not be there already.
      const kept = filters.length > 0 ? undefined : await serve();
      const measure = async () => {
        const server = kept ?? (await serve());
        try {
          return await seconds(copyOut(server.uri));
        } finally {
          if (!kept) await server.stop();
        }
      };
      const stop = async () => {
        await kept?.stop();
        await link?.stop();
        await nginx.stop();
      };
      return { measure, stop };
    },
  };
}

async function startLink(target: string) {
  const socket = `${target}.far`;
  const program = resolve(import.meta.dirname, 'delaying.ts');
  const words = ['--import', import.meta.resolve('tsx'), program];
  return startOn(socket, process.execPath, [...words, socket, target, `${ROUND_TRIP / 2}`]);
}

/** Starts a program that listens on a socket. */
async function startOn(socket: string, program: string, words: readonly string[]) {
  const child = spawn(program, words, { stdio: 'ignore' });
  const ended = once(child, 'exit');
  while (!existsSync(socket)) {
    if (child.exitCode !== null) throw new Error(`${program} does not start`);
    await delay(20);
  }
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  return { socket, stop };
}

async function startNginx(folder: string, keys: string, encrypted: boolean) {
  const part = join(folder, `nginx-${Math.random().toString(36).slice(2)}`);
  const socket = `${part}.sock`;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map(kind => `${kind}_temp_path ${part}.${kind};`)
    .join(' ');
  const certificate = `ssl_certificate ${keys}/server-cert.pem; ssl_certificate_key ${keys}/server-key.pem;`;
  writeFileSync(
    `${part}.conf`,
    `daemon off; pid ${part}.pid; error_log stderr; ${process.getuid?.() === 0 ? 'user root;' : ''}
    events {}
    http {
      access_log off; sendfile on; keepalive_requests 1000000; ${temporary}
      server { listen unix:${socket}${encrypted ? ' ssl' : ''}; root ${folder}; ${encrypted ? certificate : ''} }
    }`,
  );
  return startOn(socket, 'nginx', ['-c', `${part}.conf`, '-e', 'stderr']);
}
