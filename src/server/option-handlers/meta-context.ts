import { errnoOf, messageOf } from '../../block/errors.ts';
import { Option, Rep } from '../../protocol/constants.ts';
import { decodeMetaContextRequest, encodeMetaContextReply } from '../../protocol/handshake.ts';
import type { Session } from '../session.ts';
import type { OptionHandler } from './option.ts';

/** NBD_OPT_LIST_META_CONTEXT: no query lists all; `namespace:` lists those of the namespace. */
export const listMetaContext: OptionHandler = (session, data) =>
  answer(session, Option.listMetaContext, data, (names, queries) =>
    queries.length === 0
      ? names
      : names.filter(name =>
          queries.some(query => query === name || (query.endsWith(':') && name.startsWith(query))),
        ),
  );

/** NBD_OPT_SET_META_CONTEXT: replaces what was selected before, also when it fails. */
export const setMetaContext: OptionHandler = (session, data) => {
  session.terms = { ...session.terms, contexts: [] };
  session.contextsExport = undefined;
  return answer(session, Option.setMetaContext, data, (names, queries, exportName) => {
    const contexts = names.filter(name => queries.includes(name));
    session.terms = { ...session.terms, contexts };
    session.contextsExport = exportName;
    return contexts;
  });
};

async function answer(
  session: Session,
  option: number,
  data: Buffer,
  select: (names: string[], queries: readonly string[], exportName: string) => string[],
): Promise<'next'> {
  if (session.options.noMetaContexts || session.options.noStructuredReplies) {
    session.reply(option, Rep.errUnsup, 'the server was told not to offer this');
    return 'next';
  }
  if (!session.terms.structured) {
    session.reply(option, Rep.errInvalid, 'structured replies must be agreed on first');
    return 'next';
  }
  try {
    const { name, queries } = decodeMetaContextRequest(data);
    const opened = await session.open(name);
    const selected = select(opened.contextNames(), queries, name);
    for (const [index, context] of selected.entries()) {
      const id = option === Option.setMetaContext ? index + 1 : 0;
      session.reply(option, Rep.metaContext, encodeMetaContextReply(id, context));
    }
    session.reply(option, Rep.ack);
  } catch (error) {
    const malformed = errnoOf(error) === 'EPROTO';
    session.reply(option, malformed ? Rep.errInvalid : Rep.errUnknown, messageOf(error));
  }
  return 'next';
}
