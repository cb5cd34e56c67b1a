import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const RSA = ['-newkey', 'rsa:2048', '-nodes'];

function openssl(...words: readonly string[]): void {
  const { status, stderr, error } = spawnSync('openssl', words, { encoding: 'utf8' });
  if (status !== 0) throw error ?? new Error(`openssl ${words.join(' ')}: ${stderr}`);
}

/**
 * Makes a folder with an authority's certificate and those of a server and a client that it has
 * signed, with their keys, under the names that nbdkit, libnbd and qemu know. Needs openssl.
 */
export function makeCertificates(folder: string): void {
  const file = (name: string) => join(folder, name);
  mkdirSync(folder);
  writeFileSync(file('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  const authority = ['-subj', '/CN=an authority', '-keyout', file('ca-key.pem')];
  openssl('req', '-x509', ...RSA, ...authority, '-out', file('ca-cert.pem'));
  const signer = ['-CA', file('ca-cert.pem'), '-CAkey', file('ca-key.pem'), '-CAcreateserial'];
  for (const side of ['server', 'client']) {
    const [key, request, cert] = ['-key.pem', '.csr', '-cert.pem'].map(end => file(side + end));
    openssl('req', ...RSA, '-subj', '/O=nbdpipe/CN=localhost', '-keyout', key!, '-out', request!);
    openssl('x509', '-req', '-in', request!, ...signer, '-extfile', file('names'), '-out', cert!);
  }
}
