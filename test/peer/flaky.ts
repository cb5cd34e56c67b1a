import { around, type Call } from '../../src/block/around.ts';
import type { BlockDevice, DeviceSource } from '../../src/block/device.ts';
import { BlockError } from '../../src/block/errors.ts';
import { PASS, wrapDevice } from '../../src/block/wrap.ts';

/** A source of a disk that stays, which fails as it is told. */
export interface Flaky {
  readonly source: DeviceSource;
  /** For each time that it was opened, whether for reading only. */
  readonly opened: boolean[];
  readonly closed: () => number;
  /** How many more calls, and openings, fail. */
  failures: number;
  openFailures: number;
}

/** @param shown what each opening gives instead of the disk; `count` is that of openings. */
export function flaky(
  disk: BlockDevice,
  shown: (disk: BlockDevice, count: number) => BlockDevice = each => each,
): Flaky {
  let closed = 0;
  const fail = (call: Call): never => {
    state.failures -= 1;
    throw new BlockError('EIO', `${call.kind} failed on purpose`);
  };
  const state: Flaky & { failures: number } = {
    opened: [],
    closed: () => closed,
    failures: 0,
    openFailures: 0,
    source: {
      open: ({ readOnly }) => {
        state.opened.push(readOnly);
        if (state.openFailures > 0) {
          state.openFailures -= 1;
          throw new BlockError('EIO', 'open failed on purpose');
        }
        const close = () => {
          closed += 1;
        };
        const device = wrapDevice(shown(disk, state.opened.length), { ...PASS, close });
        return around(device, (call, act) => (state.failures > 0 ? fail(call) : act()));
      },
    },
  };
  return state;
}
