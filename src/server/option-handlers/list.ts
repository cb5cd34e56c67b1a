import type { ExportEntry } from '../../block/device.ts';
import { messageOf } from '../../block/errors.ts';
import { MAX_STRING, Option, Rep } from '../../protocol/constants.ts';
import { encodeServerReply } from '../../protocol/handshake.ts';
import type { Session } from '../session.ts';
import type { OptionHandler, Outcome } from './option.ts';

/** The default export, where the source does not refuse it. */
async function onlyDefault(session: Session): Promise<ExportEntry[]> {
  try {
    return [{ name: await session.defaultExport() }];
  } catch (error) {
    session.complain(error);
    return [];
  }
}

/** NBD_OPT_LIST. */
export const list: OptionHandler = async (session, data): Promise<Outcome> => {
  if (data.length > 0) {
    session.reply(Option.list, Rep.errInvalid, 'this option has no data');
    return 'next';
  }
  try {
    const exports = (await session.source.list?.(session.facts())) ?? (await onlyDefault(session));
    for (const { name, description } of exports) {
      if (Buffer.byteLength(name) > MAX_STRING) continue;
      session.reply(Option.list, Rep.server, encodeServerReply(name, description));
    }
    session.reply(Option.list, Rep.ack);
  } catch (error) {
    session.complain(error);
    session.reply(Option.list, Rep.errPlatform, messageOf(error));
  }
  return 'next';
};
