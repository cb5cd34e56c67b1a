import { controllerForMany } from '../block/abortable.ts';

/**
 * Runs `count` slots side by side until all of them have settled. The first that fails, or `signal`,
 * aborts the signal that the slots have, after which they begin nothing new.
 * @throws the first failure, or the reason of `signal`, when nothing is under way any more.
 */
export async function runSlots(
  count: number,
  signal: AbortSignal | undefined,
  slot: (index: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  signal?.throwIfAborted();
  const controller = controllerForMany();
  const fail = (error: unknown) => controller.abort(error);
  const giveUp = () => fail(signal?.reason);
  signal?.addEventListener('abort', giveUp);
  const slots = Array.from({ length: count }, (_, index) => slot(index, controller.signal));
  await Promise.all(slots.map(each => each.catch(fail)));
  signal?.removeEventListener('abort', giveUp);
  controller.signal.throwIfAborted();
}

/** Does one thing after the other, in the order in which they came, whether or not one fails. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(act: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(act);
    this.#last = mine.catch(() => {});
    return mine;
  }
}
