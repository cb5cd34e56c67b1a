import { around } from './around.ts';
import { closeAll } from './close-all.ts';
import type { BlockDevice } from './device.ts';
import { serialiseDevice } from './serialise.ts';
import { Turns } from './turns.ts';
import { PASS, wrapDevice } from './wrap.ts';

/**
 * Several connections to one disk as one device, which uses them in turn and closes all of them. What
 * one has flushed all must see (`multiConn`).
 */
export function poolDevice(connections: readonly BlockDevice[]): BlockDevice {
  let turn = 0;
  const pool = serialiseDevice(connections[0]!, new Turns(), () => connections[turn]!);
  const inTurn = around(pool, (_, act) => {
    turn = (turn + 1) % connections.length;
    return act();
  });
  return wrapDevice(inTurn, { ...PASS, close: () => closeAll(connections) });
}
