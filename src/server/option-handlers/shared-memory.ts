import { closeSync } from 'node:fs';
import { messageOf } from '../../block/errors.ts';
import { Mapping } from '../../posix/mapping.ts';
import { Option, Rep } from '../../protocol/constants.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { decodeMemorySize, encodeMemorySize } from '../../protocol/handshake.ts';
import type { Descriptors } from '../../transport/transport.ts';
import type { Session } from '../session.ts';
import type { OptionHandler } from './option.ts';

const OPTION = Option.sharedMemory;

/**
 * NBD_OPT_SHARED_MEMORY (docs/protocol.md): the client has memory for payloads, or only asks whether
 * it may have some. Says how much of it will be used, and takes the descriptor that is sent then.
 */
export const sharedMemory: OptionHandler = async (session, data) => {
  const refuse = (reply: number, why: string) => {
    session.reply(OPTION, reply, why);
    return 'next' as const;
  };
  const size = decodeMemorySize(data);
  const { descriptors } = session.transport;
  if (size === undefined) return refuse(Rep.errInvalid, 'the size of the memory is 8 bytes');
  if (session.options.noSharedMemory) return refuse(Rep.errPolicy, 'no memory is shared here');
  if (!descriptors) return refuse(Rep.errPlatform, 'memory is shared over Unix sockets only');
  if (!session.terms.structured) {
    return refuse(Rep.errInvalid, 'structured replies must be agreed on first');
  }
  if (size > 0) {
    try {
      await take(session, descriptors, Math.min(size, session.share()));
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      return refuse(Rep.errInvalid, messageOf(error));
    }
  }
  session.reply(OPTION, Rep.ack);
  return 'next';
};

/** @throws ProtocolError the client did not wait; BlockError the memory is not as it must be. */
async function take(session: Session, descriptors: Descriptors, size: number): Promise<void> {
  session.shareMemory(undefined);
  if (session.reader.leftover().length > 0) {
    throw new ProtocolError('the client went on before it was told how much memory is shared');
  }
  session.transport.pause();
  session.reply(OPTION, Rep.sharedMemory, encodeMemorySize(size));
  const fd = await descriptors.take(session.signal);
  if (fd === undefined) throw new Error('one descriptor of memory must come with the byte');
  try {
    session.shareMemory(Mapping.given(fd, size));
  } finally {
    closeSync(fd);
  }
  session.debug(`the client shares ${size} bytes of memory`);
}
