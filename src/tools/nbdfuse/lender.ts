import { SHORTEST_SHARED, SharedMemory } from '../../client/shared-memory.ts';
import { type Lender, ORDINARY } from '../../fuse/loop.ts';
import { giveBuffer, takeBuffer } from '../../transport/buffers.ts';
import type { Connecting } from '../connecting.ts';

/**
 * What lends memory for answers: memory that is shared with the server, so that they go from there to
 * the kernel. Not where connections are made again: what was lost may still be under way in it.
 */
export function lenderFor({
  sharedMemory,
  reconnect,
}: Connecting): Lender & { readonly sharedMemory?: SharedMemory } {
  const memory = sharedMemory && !reconnect ? SharedMemory.create() : undefined;
  if (!memory) return ORDINARY;
  return {
    sharedMemory: memory,
    take: length => (length >= SHORTEST_SHARED && memory.take(length)) || takeBuffer(length),
    give: buffer => {
      if (memory.placeOf(buffer) === undefined) giveBuffer(buffer);
      else memory.give(buffer);
    },
  };
}
