import { around, type Call } from './around.ts';
import type { BlockDevice, ReadOptions, RequestOptions } from './device.ts';
import { Reopenable } from './reopen.ts';
import { type Patience, retrying } from './retrying.ts';
import { PASS, wrapDevice } from './wrap.ts';

export interface Reopening {
  readonly patience: Patience;
  /** Nobody waits for the device any more. */
  readonly signal?: AbortSignal | undefined;
  /** Whether opening it again would not help. */
  isFinal?(error: unknown, call: Call): boolean;
}

/**
 * A device that is opened again when requests fail, upon which they are made again. Those that fail
 * together share one attempt.
 * @param open opens another one in the place of the first.
 */
export function reopeningDevice(
  first: BlockDevice,
  open: (options: RequestOptions) => BlockDevice | PromiseLike<BlockDevice>,
  { patience, signal, isFinal }: Reopening,
): BlockDevice {
  const disk = new Reopenable(first, open);
  let reopens = 0;
  let reopening: Promise<void> | undefined;
  const reopen = () => {
    reopening ??= disk
      .reopen({ signal })
      .then(() => {
        reopens += 1;
      })
      .finally(() => {
        reopening = undefined;
      });
    return reopening;
  };
  const device = around(disk.device, (call, act) => {
    let tried = reopens;
    return retrying(call.kind, patience, act, {
      signal: signal ?? call.options?.signal,
      isFinal: error => isFinal?.(error, call) ?? false,
      recover: async () => {
        // Another request may have had it opened again meanwhile.
        if (reopens === tried) await reopen();
        tried = reopens;
      },
    });
  });
  const close = async () => {
    patience.debug(`reopens needed: ${reopens}`);
    await device.close?.();
  };
  const read: BlockDevice['read'] = (offset, length, options) =>
    device.read(offset, length, options?.memory ? withOneMemory(options) : options);
  return wrapDevice(device, { ...PASS, read, close });
}

/** Memory is asked for once, also for a read that is made again. */
function withOneMemory({ memory, ...others }: ReadOptions): ReadOptions {
  let given: Uint8Array | undefined;
  return {
    ...others,
    memory: length => {
      if (given?.length !== length) given = memory!(length);
      return given;
    },
  };
}
