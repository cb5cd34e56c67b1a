import type { BlockDevice } from './device.ts';
import { withRecipeOf } from './recipe.ts';
import { PASS, wrapDevice } from './wrap.ts';

interface Closable {
  close?(): void | PromiseLike<void>;
}

/** Closes all, also when some of them fail. @throws what the first of these threw. */
export async function closeAll(several: Iterable<Closable>): Promise<void> {
  const closing = Array.from(several, async one => await one.close?.());
  for (const result of await Promise.allSettled(closing)) {
    if (result.status === 'rejected') throw result.reason;
  }
}

/** Closes what is of no use any more, where something else has failed that matters more. */
export async function discard(one: Closable): Promise<void> {
  await Promise.allSettled([closeAll([one])]);
}

/** The device, with something that is done once it is closed, well or not. */
export function afterClose(device: BlockDevice, act: () => void): BlockDevice {
  const close = async () => {
    try {
      await device.close?.();
    } finally {
      act();
    }
  };
  return withRecipeOf(device, wrapDevice(device, { ...PASS, close }));
}
