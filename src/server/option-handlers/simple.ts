/** The options without data: ABORT, STARTTLS, STRUCTURED_REPLY, EXTENDED_HEADERS. */
import { Option, Rep } from '../../protocol/constants.ts';
import type { Session } from '../session.ts';
import type { OptionHandler, Outcome } from './option.ts';

export const abort: OptionHandler = session => {
  session.reply(Option.abort, Rep.ack);
  return 'close';
};

export const startTls: OptionHandler = async (session, data): Promise<Outcome> => {
  const { tls } = session.options;
  if (!tls) session.reply(Option.starttls, Rep.errPolicy, 'this server has no TLS');
  else if (session.secure) session.reply(Option.starttls, Rep.errInvalid, 'TLS is in use already');
  else if (data.length > 0) session.reply(Option.starttls, Rep.errInvalid, 'it has no data');
  else await session.encrypt(tls);
  return 'next';
};

export const structuredReply: OptionHandler = (session, data) => {
  if (session.terms.extended) {
    session.reply(Option.structuredReply, Rep.errExtHeaderReqd, 'extended headers are in use');
    return 'next';
  }
  return agree(session, Option.structuredReply, data, 'structured');
};

export const extendedHeaders: OptionHandler = (session, data) =>
  agree(session, Option.extendedHeaders, data, 'extended');

function agree(
  session: Session,
  option: number,
  data: Buffer,
  term: 'structured' | 'extended',
): Outcome {
  if (session.options.noStructuredReplies) {
    session.reply(option, Rep.errUnsup, 'the server was told not to offer this');
  } else if (data.length > 0) {
    session.reply(option, Rep.errInvalid, 'this option has no data');
  } else {
    session.terms = { ...session.terms, [term]: true };
    if (term === 'extended') session.terms.structured = true;
    session.reply(option, Rep.ack);
  }
  return 'next';
}
