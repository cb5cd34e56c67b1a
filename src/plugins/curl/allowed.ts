import net from 'node:net';
import { BlockError, UsageError } from '../../block/errors.ts';

/** Addresses of this link only, where clouds give away credentials to whoever asks. */
const LINK_LOCAL = new net.BlockList();
LINK_LOCAL.addSubnet('169.254.0.0', 16, 'ipv4');
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6');

/** Which servers may be asked: a list of names, `*.DOMAIN`, addresses and networks. */
export class AllowedHosts {
  readonly #names: string[] = [];
  readonly #networks = new net.BlockList();
  #hasNetworks = false;

  /** @throws UsageError */
  constructor(words: readonly string[]) {
    for (const word of words.flatMap(each => each.split(','))) this.#add(word.trim().toLowerCase());
  }

  /** Before an address is asked, also one that a server redirects to. @throws BlockError EACCES */
  checkUrl({ hostname }: URL): void {
    const host = hostname.replace(/^\[|\]$/g, '').toLowerCase();
    const allowed = net.isIP(host)
      ? contains(this.#networks, host)
      : this.#isNamed(host) || this.#hasNetworks;
    if (!allowed) throw this.#refusal(host);
  }

  /** Before a name is connected to by what it stands for. @throws BlockError EACCES */
  checkAddress(host: string, address: string): void {
    if (contains(this.#networks, address)) return;
    if (!this.#isNamed(host.toLowerCase()) || contains(LINK_LOCAL, address)) {
      throw this.#refusal(`${host}, which is ${address},`);
    }
  }

  #add(word: string): void {
    const [, address = '', bits] = /^([\da-f.:]+)(?:\/(\d{1,3}))?$/.exec(word) ?? [];
    const kind = net.isIP(address);
    if (kind) {
      const most = kind === 4 ? 32 : 128;
      if (Number(bits ?? most) > most) throw new UsageError(`allow-hosts: '${word}': no network`);
      this.#networks.addSubnet(address, Number(bits ?? most), kind === 4 ? 'ipv4' : 'ipv6');
      this.#hasNetworks = true;
      return;
    }
    if (!/^(?:\*\.)?[a-z\d_-]+(?:\.[a-z\d_-]+)*\.?$/.test(word)) {
      throw new UsageError(`allow-hosts: '${word}': expected a host, *.DOMAIN or a network`);
    }
    this.#names.push(word);
  }

  #isNamed(host: string): boolean {
    return this.#names.some(name =>
      name.startsWith('*.') ? host.endsWith(name.slice(1)) : host === name,
    );
  }

  #refusal(what: string): BlockError {
    return new BlockError('EACCES', `${what} is not among allow-hosts`);
  }
}

function contains(list: net.BlockList, address: string): boolean {
  const kind = net.isIP(address);
  return kind !== 0 && list.check(address, kind === 4 ? 'ipv4' : 'ipv6');
}
