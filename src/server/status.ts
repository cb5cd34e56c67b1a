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
    const runs = await opened.status(context, request.offset, request.length, { one });
    const room = Number(opened.device.size - request.offset);
    const limits = {
      asked: request.length,
      room: one ? request.length : room,
      longest: terms.extended ? room : Math.min(room, LONGEST_COMPACT_RUN),
      count: one ? 1 : MAX_EXTENTS,
      flags: terms.extended ? 2n ** 64n : 2n ** 32n,
    };
    replies.push({ contextId, runs: fit(runs, limits) });
  }
  return replies;
}

interface Limits {
  /** The last run is the one that reaches so far. */
  readonly asked: number;
  /** Bytes that the runs may cover in all, and one of them. */
  readonly room: number;
  readonly longest: number;
  readonly count: number;
  /** More than the largest flags. */
  readonly flags: bigint;
}

/** As many of the runs, cut where they must be, as one chunk may have. */
function fit(runs: readonly StatusRun[], limits: Limits): StatusRun[] {
  const fitted: StatusRun[] = [];
  let covered = 0;
  for (const { length, flags } of runs) {
    const cut = Math.min(length, limits.room - covered, limits.longest);
    const whole = Number.isInteger(cut) && Number.isInteger(Number(flags));
    if (!(whole && cut > 0 && flags >= 0 && flags < limits.flags)) {
      throw new BlockError('EIO', `the device gave an impossible status: ${flags} for ${length}`);
    }
    fitted.push({ length: cut, flags });
    covered += cut;
    const full = fitted.length === limits.count || covered >= limits.asked;
    if (full || cut < length) break;
  }
  if (fitted.length === 0) throw new BlockError('EIO', 'the device gave no extents');
  return fitted;
}
