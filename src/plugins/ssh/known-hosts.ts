import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BlockError } from '../../block/errors.ts';

/** One line of a file of known hosts. */
interface Entry {
  readonly revoked: boolean;
  readonly hosts: string;
  readonly type: string;
  readonly key: Buffer;
}

/** The keys that a host is known by, as ssh keeps them. */
export class KnownHosts {
  readonly #files: readonly string[];
  readonly #name: string;
  readonly #entries: readonly Entry[];

  /** @param files those that are not there are passed over. */
  constructor(files: readonly string[], host: string, port: number) {
    this.#files = files;
    this.#name = port === 22 ? host : `[${host}]:${port}`;
    const all = files.flatMap(entriesOf);
    this.#entries = all.filter(({ hosts }) => isAmong(hosts, this.#name.toLowerCase()));
  }

  /** Which kinds of keys the host is known by, so that it is asked for one of those. */
  get types(): readonly string[] {
    return [...new Set(this.#entries.map(({ type }) => type))];
  }

  /** @throws BlockError EACCES it is not known, or by another key. */
  check(key: Buffer): void {
    const type = key.toString('latin1', 4, 4 + key.readUInt32BE(0));
    const same = this.#entries.filter(entry => entry.key.equals(key));
    if (same.some(({ revoked }) => revoked)) throw this.#refused('has a key that was revoked');
    if (same.length > 0) return;
    const where = this.#files.join(' and ');
    if (this.#entries.some(entry => entry.type === type && !entry.revoked)) {
      const words = `has another ${type} key than the one in ${where}`;
      throw this.#refused(`${words}: somebody may be in between, or it was set up anew`);
    }
    const hint = `connect with ssh first, or use known-hosts= or verify-remote-host=false`;
    throw this.#refused(`is not known: its ${type} key is not in ${where}: ${hint}`);
  }

  #refused(words: string): BlockError {
    return new BlockError('EACCES', `the host ${this.#name} ${words}`);
  }
}

function entriesOf(file: string): Entry[] {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch {
    return [];
  }
  return text.split('\n').flatMap(line => {
    const fields = line.trim().split(/\s+/);
    const marker = fields[0]!.startsWith('@') ? fields.shift() : undefined;
    const [hosts, type, key] = fields;
    // Certificates of hosts are not understood here.
    const usable = marker === undefined || marker === '@revoked';
    if (!usable || hosts === undefined || hosts.startsWith('#') || key === undefined) return [];
    return [{ revoked: marker !== undefined, hosts, type: type!, key: Buffer.from(key, 'base64') }];
  });
}

/** Whether a list of patterns, or a hashed name, means this host. */
function isAmong(hosts: string, name: string): boolean {
  const [, salt, hash] = /^\|1\|([^|]+)\|([^|]+)$/.exec(hosts) ?? [];
  if (hash !== undefined) {
    const made = createHmac('sha1', Buffer.from(salt!, 'base64')).update(name).digest();
    const known = Buffer.from(hash, 'base64');
    return known.length === made.length && timingSafeEqual(known, made);
  }
  return matches(hosts.split(','), name);
}

/** Patterns with `*` and `?`; one after `!` that matches counts most. */
export function matches(patterns: readonly string[], name: string): boolean {
  const fits = (pattern: string) => {
    const literal = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
    return new RegExp(`^${literal.replace(/\*+/g, '.*').replace(/\?/g, '.')}$`, 'i');
  };
  const which = (negated: boolean) =>
    patterns
      .filter(pattern => pattern.startsWith('!') === negated)
      .some(pattern => fits(negated ? pattern.slice(1) : pattern).test(name));
  return which(false) && !which(true);
}
