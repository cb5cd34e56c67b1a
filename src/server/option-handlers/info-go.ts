import { errnoOf, messageOf } from '../../block/errors.ts';
import { Info, Option, Rep } from '../../protocol/constants.ts';
import { decodeInfoRequest, encodeInfoReply, type InfoReply } from '../../protocol/handshake.ts';
import type { Export, Terms } from '../export.ts';
import type { Session } from '../session.ts';
import type { OptionHandler, Outcome } from './option.ts';

/** NBD_OPT_INFO: what NBD_OPT_GO would say, and the negotiation goes on. */
export const info: OptionHandler = async (session, data): Promise<Outcome> => {
  await describe(session, Option.info, data);
  return 'next';
};

/** NBD_OPT_GO: transmission follows when the export could be opened. */
export const go: OptionHandler = async (session, data) => {
  const answered = await describe(session, Option.go, data);
  return answered ? { transmit: answered.opened, terms: answered.terms } : 'next';
};

async function describe(
  session: Session,
  option: number,
  data: Buffer,
): Promise<{ opened: Export; terms: Terms } | undefined> {
  try {
    const { name, requests } = decodeInfoRequest(data);
    const opened = await session.open(name);
    const terms = session.termsFor(name);
    for (const reply of infoReplies(opened, terms, requests)) {
      session.reply(option, Rep.info, encodeInfoReply(reply));
    }
    session.reply(option, Rep.ack);
    return { opened, terms };
  } catch (error) {
    const malformed = errnoOf(error) === 'EPROTO';
    session.complain(error);
    session.reply(option, malformed ? Rep.errInvalid : Rep.errUnknown, messageOf(error));
    return undefined;
  }
}

function infoReplies(
  opened: Export,
  terms: Terms,
  requests: readonly number[],
): Exclude<InfoReply, { info: 'unknown' }>[] {
  const { device, name } = opened;
  const flags = opened.transmissionFlags(terms);
  const replies: Exclude<InfoReply, { info: 'unknown' }>[] = [
    { info: 'export', size: device.size, flags },
  ];
  if (requests.includes(Info.name)) replies.push({ info: 'name', text: name });
  if (requests.includes(Info.description) && device.description !== undefined) {
    replies.push({ info: 'description', text: device.description });
  }
  if (requests.includes(Info.blockSize)) {
    replies.push({ info: 'blockSize', blockSize: opened.blockSize() });
  }
  return replies;
}
