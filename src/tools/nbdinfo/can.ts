import { UsageError } from '../../block/errors.ts';
import type { NbdClient } from '../../client/client.ts';
import { TransmissionFlag } from '../../protocol/constants.ts';

const flag = (bit: number) => (client: NbdClient) => (client.agreement.flags & bit) !== 0;

/** What may be asked, with `-` and `_` left out. */
const QUESTIONS: Readonly<Record<string, (client: NbdClient) => boolean>> = {
  connect: () => true,
  open: () => true,
  read: () => true,
  write: client => !client.readOnly,
  readonly: client => client.readOnly,
  rotational: client => client.rotational,
  tls: client => client.agreement.tls,
  structuredreply: client => client.agreement.structured,
  structuredreplies: client => client.agreement.structured,
  structured: client => client.agreement.structured,
  extendedheaders: client => client.agreement.extended,
  blockstatuspayload: flag(TransmissionFlag.blockStatusPayload),
  cache: flag(TransmissionFlag.cache),
  df: flag(TransmissionFlag.df),
  fastzero: flag(TransmissionFlag.fastZero),
  flush: flag(TransmissionFlag.flush),
  fua: flag(TransmissionFlag.fua),
  multiconn: flag(TransmissionFlag.multiConn),
  trim: flag(TransmissionFlag.trim),
  zero: flag(TransmissionFlag.writeZeroes),
};

/** The questions as people are told of them. */
export const WORDS = [
  'read-only',
  'rotational',
  'tls',
  'write',
  'structured-reply',
  'extended-headers',
  'block-status-payload',
  'cache',
  'connect',
  'df',
  'fast-zero',
  'flush',
  'fua',
  'multi-conn',
  'trim',
  'zero',
] as const;

/**
 * The question that a word after --can, --is, --has or one of their opposites asks.
 * @throws UsageError
 */
export function question(word: string): (client: NbdClient) => boolean {
  const key = word.toLowerCase().replace(/[-_]/g, '');
  if (Object.hasOwn(QUESTIONS, key)) return QUESTIONS[key]!;
  const right = WORDS.join(', ');
  throw new UsageError(`'${word}' cannot be asked for: expected one of ${right}`);
}
