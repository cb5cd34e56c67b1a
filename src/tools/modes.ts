/** The words after the mount point: a mode and what belongs to it, or a disk. */
import { UsageError } from '../block/errors.ts';
import type { NegotiationOptions } from '../client/negotiation.ts';
import { joinBrackets } from './cli.ts';
import {
  commandOrigin,
  descriptorOrigin,
  type Origin,
  pipeOrigin,
  pluginOrigin,
  serverOrigin,
  wordOrigin,
} from './origins.ts';

/**
 * What the words name. `options` are those of connections that are made at once. A server is started, and nothing else is opened yet.
 * @throws UsageError; BlockError a command or a plugin that does not start; the signal's reason.
 */
export async function originOf(
  words: readonly string[],
  options: NegotiationOptions,
): Promise<Origin> {
  const [mode, ...rest] = words;
  switch (mode) {
    case undefined:
      throw new UsageError('expected an NBD-URI or another disk: see --help');
    case '[':
      return commandOrigin(bracketed(words));
    case '--socket-activation':
    case '--systemd-socket-activation':
      return commandOrigin(least(mode, rest));
    case '--command':
    case '--cmd':
      return pipeOrigin(least(mode, rest), options);
    case '--plugin':
      return pluginOrigin(least(mode, rest));
    case '--fd':
      return descriptorOrigin(numberIn(mode, just(mode, rest, 1)[0]!, 2 ** 31 - 1), options);
    case '--unix':
      return serverOrigin({ path: just(mode, rest, 1)[0]! });
    case '--tcp': {
      const [host, port] = just(mode, rest, 2) as [string, string];
      return serverOrigin({ host, port: numberIn(mode, port, 65535) });
    }
    case '--vsock': {
      const [cid, port] = just(mode, rest, 2) as [string, string];
      const most = 2 ** 32 - 1;
      return serverOrigin({ cid: numberIn(mode, cid, most), port: numberIn(mode, port, most) });
    }
    case '--uri':
      return wordOrigin(just(mode, rest, 1)[0]!);
  }
  if (mode.startsWith('-')) throw new UsageError(`unknown mode '${mode}': see --help`);
  return wordOrigin(just('the disk', words, 1)[0]!);
}

function bracketed(words: readonly string[]): readonly string[] {
  const [endpoint, ...more] = joinBrackets(words);
  if (!endpoint || !('command' in endpoint) || more.length > 0) {
    throw new UsageError('expected nothing after ]');
  }
  return endpoint.command;
}

function least(mode: string, words: readonly string[]): readonly string[] {
  if (words.length > 0) return words;
  throw new UsageError(`${mode}: what to run is missing, see --help`);
}

function just(mode: string, words: readonly string[], count: number): readonly string[] {
  if (words.length === count) return words;
  const found = words.length === 1 ? '1 word' : `${words.length} words`;
  throw new UsageError(`${mode}: expected ${count}, found ${found}, see --help`);
}

function numberIn(mode: string, text: string, most: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= most) return value;
  throw new UsageError(`${mode}: cannot parse '${text}': expected a number up to ${most}`);
}
