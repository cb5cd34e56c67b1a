import { BlockList, isIP } from 'node:net';
import type { Peer } from '../../block/device.ts';
import { naming, UsageError } from '../../block/errors.ts';
import { parseInteger } from '../../declare/parameters.ts';

/** Whether it is about a client. */
export type Rule = (peer: Peer) => boolean;

/** Words for all of a kind, each also with `all` in the place of `any`. */
const KINDS: Readonly<Record<string, Rule>> = {
  any: () => true,
  anyipv4: ({ family }) => family === 'ipv4',
  anyipv6: ({ family }) => family === 'ipv6',
  anyunix: ({ family }) => family === 'unix',
  anyvsock: ({ family }) => family === 'vsock',
};

const MOST = 2 ** 32 - 1;

/** Numbers, and the smallest and largest that there can be. */
const NUMBERS: Readonly<Record<string, { least: number; of(peer: Peer): number | undefined }>> = {
  pid: { least: 1, of: ({ family, pid }) => (family === 'unix' ? pid : undefined) },
  uid: { least: 0, of: ({ family, uid }) => (family === 'unix' ? uid : undefined) },
  gid: { least: 0, of: ({ family, gid }) => (family === 'unix' ? gid : undefined) },
  'vsock-cid': {
    least: 0,
    of: ({ family, address }) => (family === 'vsock' ? Number(address) : undefined),
  },
  'vsock-port': {
    least: 0,
    of: ({ family, port }) => (family === 'vsock' ? port : undefined),
  },
};

/** Distinguished names, which are known when the connection is encrypted. */
const NAMES: Readonly<Record<string, (peer: Peer) => string | undefined>> = {
  dn: ({ tls }) => tls?.subject,
  'issuer-dn': ({ tls }) => tls?.issuer,
};

/** Whether a list has rules about certificates. */
export function needsCertificate(list: string): boolean {
  return /(?:^|,)(?:issuer-)?dn:/i.test(list);
}

/**
 * The rules of a list with commas; a distinguished name goes on to the end of the list.
 * @throws UsageError
 */
export function parseRules(parameter: string, list: string): Rule[] {
  const [, before, name] = /^(.*?)((?:(?<=^|,)(?:issuer-)?dn:.*)?)$/is.exec(list)!;
  const words = before === '' && name !== '' ? [] : before!.replace(/,$/, '').split(',');
  if (name !== '') words.push(name!);
  return words.map(word => naming(parameter, () => parseRule(word)));
}

function parseRule(word: string): Rule {
  if (word === '') throw new UsageError('empty entry in rule list');
  const kind = KINDS[word.toLowerCase().replace(/^all/, 'any')];
  if (kind) return kind;
  const [, key = '', value = ''] = /^([a-z-]+):(.*)$/is.exec(word) ?? [];
  const number = NUMBERS[key.toLowerCase()];
  if (number) {
    const wanted = parseInteger(value);
    if (wanted >= number.least && wanted <= MOST) return peer => number.of(peer) === wanted;
    throw new UsageError(`${key}: parameter out of range: expected ${number.least} to ${MOST}`);
  }
  const name = NAMES[key.toLowerCase()];
  if (name) return peer => name(peer) === value;
  return parseAddress(word);
}

function parseAddress(word: string): Rule {
  const [, address = '', prefix] = /^([^/]*)(?:\/(.*))?$/s.exec(word) ?? [];
  const version = isIP(address);
  if (version === 0) {
    const right = 'expected an address, all, anyipv4, pid:N, uid:N, gid:N, dn:NAME or the like';
    throw new UsageError(`don't know how to parse rule: '${word}': ${right}`);
  }
  const bits = version === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : parseInteger(prefix);
  if (length < 0 || length > bits) throw new UsageError(`prefix is > ${bits} in '${word}'`);
  const family = version === 4 ? 'ipv4' : 'ipv6';
  const network = new BlockList();
  network.addSubnet(address, length, family);
  return peer =>
    peer.family === family && peer.address !== undefined && network.check(peer.address, family);
}
