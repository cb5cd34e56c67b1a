import { MAX_STRING } from '../../protocol/constants.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { encodeExportNameReply } from '../../protocol/handshake.ts';
import type { OptionHandler } from './option.ts';

/** NBD_OPT_EXPORT_NAME: ends the negotiation; the only answer to an unknown name is to hang up. */
export const exportName: OptionHandler = async (session, data) => {
  if (session.terms.extended) {
    session.complain(new ProtocolError('a client with extended headers used NBD_OPT_EXPORT_NAME'));
    return 'close';
  }
  if (data.length > MAX_STRING) {
    session.complain(new ProtocolError(`an export name of ${data.length} bytes is too long`));
    return 'close';
  }
  const name = data.toString();
  try {
    const opened = await session.open(name);
    const terms = session.termsFor(name);
    const flags = opened.transmissionFlags(terms);
    session.transport.send([encodeExportNameReply(opened.device.size, flags, !session.noZeroes)]);
    return { transmit: opened, terms };
  } catch (error) {
    session.complain(error);
    return 'close';
  }
};
