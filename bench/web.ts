import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeCertificates } from '../test/peer/certificates.ts';
import { sourceOf, type Workload } from './kinds.ts';
import { Served, seconds } from './measure.ts';

/** A file that nginx serves from the benchmark's folder, through the curl plugin. */
export function fromNginx(name: string, encrypted: boolean): Workload {
  return {
    name: `curl from nginx, read 2 GiB, ${name}`,
    unit: 's',
    goal: 1.5,
    needs: ['nbdkit', 'nbdcopy', 'nginx', 'openssl'],
    start: async (side, folder) => {
      const keys = join(folder, 'nginx-keys');
      if (!existsSync(keys)) makeCertificates(keys);
      const nginx = await startNginx(folder, keys, encrypted);
      const url = `${encrypted ? 'https' : 'http'}://localhost/${sourceOf('').slice(1)}`;
      const how = [`unix-socket-path=${nginx.socket}`, `cainfo=${keys}/ca-cert.pem`];
      const server = await Served.start(side, folder, ['curl', url, ...how]);
      return {
        measure: () => seconds(['nbdcopy', server.uri, 'null:']),
        stop: async () => {
          await server.stop();
          await nginx.stop();
        },
      };
    },
  };
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
  const child = spawn('nginx', ['-c', `${part}.conf`, '-e', 'stderr'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  while (!existsSync(socket)) {
    if (child.exitCode !== null) throw new Error('nginx does not start');
    await delay(20);
  }
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  return { socket, stop };
}
