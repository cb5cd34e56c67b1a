import type { Export, Terms } from '../export.ts';
import type { Session } from '../session.ts';

/** What follows an option: the next one, the end of the connection, or transmission. */
export type Outcome = 'next' | 'close' | { readonly transmit: Export; readonly terms: Terms };

/** Answers one option of the client. Its data is in full there and at most OPTION_LIMIT bytes. */
export type OptionHandler = (session: Session, data: Buffer) => Promise<Outcome> | Outcome;
