import { BlockError } from '../block/errors.ts';
import { ClientFlag, HandshakeFlag, Option, Rep } from '../protocol/constants.ts';
import { ProtocolError } from '../protocol/errors.ts';
import {
  decodeOptionHeader,
  encodeGreeting,
  encodeOldstyleGreeting,
  OPTION_HEADER_SIZE,
} from '../protocol/handshake.ts';
import type { Export, Terms } from './export.ts';
import { exportName } from './option-handlers/export-name.ts';
import { go, info } from './option-handlers/info-go.ts';
import { list } from './option-handlers/list.ts';
import { listMetaContext, setMetaContext } from './option-handlers/meta-context.ts';
import type { OptionHandler, Outcome } from './option-handlers/option.ts';
import { sharedMemory } from './option-handlers/shared-memory.ts';
import { abort, extendedHeaders, startTls, structuredReply } from './option-handlers/simple.ts';
import { OPTION_LIMIT, type Session } from './session.ts';

const HANDLERS: Readonly<Record<number, OptionHandler>> = {
  [Option.exportName]: exportName,
  [Option.abort]: abort,
  [Option.list]: list,
  [Option.starttls]: startTls,
  [Option.info]: info,
  [Option.go]: go,
  [Option.structuredReply]: structuredReply,
  [Option.listMetaContext]: listMetaContext,
  [Option.setMetaContext]: setMetaContext,
  [Option.extendedHeaders]: extendedHeaders,
  [Option.sharedMemory]: sharedMemory,
};

/** What a client may ask for where TLS is required. */
const BEFORE_TLS: ReadonlySet<number> = new Set([Option.starttls, Option.abort]);

/**
 * The handshake of one connection, to the chosen export; undefined when the client left in order.
 * @throws ProtocolError the client does not keep to the protocol.
 */
export async function handshake(session: Session): Promise<Agreed | undefined> {
  let agreed: Agreed | undefined;
  try {
    agreed = await negotiate(session);
    return agreed;
  } finally {
    if (!agreed) await session.release();
  }
}

export interface Agreed {
  readonly transmit: Export;
  readonly terms: Terms;
}

async function negotiate(session: Session): Promise<Agreed | undefined> {
  if (session.options.oldstyle) return oldstyle(session);
  const offered =
    (HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes) &
    (session.options.maskHandshake ?? 0xffff);
  session.transport.send([encodeGreeting(offered)]);
  const first = await session.reader.takeOrEnd(4);
  if (!first) return leftEarly(session);
  const flags = first.readUInt32BE(0);
  if ((flags & ~offered) !== 0) {
    throw new ProtocolError(`unknown client flags 0x${flags.toString(16)}`);
  }
  session.fixed = (flags & ClientFlag.fixedNewstyle) !== 0;
  session.noZeroes = (flags & ClientFlag.noZeroes) !== 0;
  for (;;) {
    const outcome = await option(session);
    if (outcome === 'close') return undefined;
    if (outcome !== 'next') return outcome;
    await session.drained();
  }
}

async function oldstyle(session: Session): Promise<Agreed> {
  const opened = await session.open('');
  const flags = opened.transmissionFlags(session.terms);
  session.transport.send([encodeOldstyleGreeting(opened.device.size, flags)]);
  return { transmit: opened, terms: session.terms };
}

/** Port scanners do, and clients that only wanted to know whether somebody is there: no error. */
function leftEarly(session: Session): undefined {
  session.debug('client closed input socket, closing connection');
}

async function option(session: Session): Promise<Outcome> {
  const header = await session.reader.takeOrEnd(OPTION_HEADER_SIZE);
  if (!header) return leftEarly(session) ?? 'close';
  const { option, length } = decodeOptionHeader(header);
  session.debug(`option ${option} with ${length} bytes of data`);
  if (!session.fixed && option !== Option.exportName) {
    throw new BlockError('EPROTO', `option ${option} needs fixed newstyle negotiation`);
  }
  if (length > OPTION_LIMIT) {
    if (option === Option.exportName) throw new ProtocolError('the export name is too long');
    await session.reader.skip(length);
    session.reply(option, Rep.errTooBig, `at most ${OPTION_LIMIT} bytes of data are taken`);
    return 'next';
  }
  const data = await session.reader.take(length);
  if (session.options.tls?.required && !session.secure && !BEFORE_TLS.has(option)) {
    if (option === Option.exportName) throw new ProtocolError('the client does not use TLS');
    session.reply(option, Rep.errTlsReqd, 'this server serves encrypted connections only');
    return 'next';
  }
  const handler = HANDLERS[option];
  if (handler) return handler(session, data);
  session.reply(option, Rep.errUnsup, `option ${option} is not known here`);
  return 'next';
}
