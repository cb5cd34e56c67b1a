import { around, type Call } from '../../src/block/around.ts';
import type { BlockDevice } from '../../src/block/device.ts';

/** A device that keeps a list of what it was asked for. */
export function recorded(below: BlockDevice): { device: BlockDevice; calls: Call[] } {
  const calls: Call[] = [];
  const device = around(below, (call, act) => {
    calls.push(call);
    return act();
  });
  return { device, calls };
}

/** The kinds of the calls, with the flags that were set: `write fua`. */
export function kindsOf(calls: readonly Call[]): string[] {
  return calls.map(({ kind, options = {} }) => {
    const flags = ['fua', 'mayTrim', 'fastZero'].filter(flag => options[flag as 'fua']);
    return [kind, ...flags].join(' ');
  });
}
