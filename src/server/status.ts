import type { StatusRun } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { CommandFlag, MAX_EXTENTS } from '../protocol/constants.ts';
import type { RequestHeader } from '../protocol/request.ts';
import type { Export, Terms } from './export.ts';

/** Longest run that fits 32 bits, in whole 64-KiB blocks. */
const LONGEST_COMPACT_RUN = 0xffff0000;

/**
 * The runs of each context that is asked for: one chunk a context.
 * @throws BlockError EINVAL for ids that are unknown or given twice.
 */
export async function statusReply(
  opened: Export,
  terms: Terms,
  request: RequestHeader,
  contextIds: readonly number[] = terms.contexts.map((_, index) => index + 1),
): Promise<{ contextId: number; runs: StatusRun[] }[]> {
  if (new Set(contextIds).size !== contextIds.length || contextIds.length === 0) {
    throw new BlockError('EINVAL', 'context ids must be given once each');
  }
  const one = (request.flags & CommandFlag.reqOne) !== 0;
  const replies: { contextId: number; runs: StatusRun[] }[] = [];
  for (const contextId of contextIds) {
    const context = terms.contexts[contextId - 1];
    if (context === undefined) throw new BlockError('EINVAL', `unknown context id ${contextId}`);
    const runs = await opened.status(context, request.offset, request.length);
    const room = Number(opened.device.size - request.offset);
    const longest = terms.extended ? room : Math.min(room, LONGEST_COMPACT_RUN);
    replies.push({ contextId, runs: fit(runs, one ? request.length : room, longest, one) });
  }
  return replies;
}

/** The runs cut to `room` bytes in all, none over `longest`, one or as many as a chunk takes. */
function fit(runs: readonly StatusRun[], room: number, longest: number, one: boolean): StatusRun[] {
  const fitted: StatusRun[] = [];
  let left = room;
  for (const { length, flags } of runs) {
    const cut = Math.min(length, left, longest);
    if (!(cut > 0)) break;
    fitted.push({ length: cut, flags });
    left -= cut;
    if (one || cut < length || fitted.length === MAX_EXTENTS) break;
  }
  if (fitted.length === 0) throw new BlockError('EIO', 'the device gave no extents');
  return fitted;
}
