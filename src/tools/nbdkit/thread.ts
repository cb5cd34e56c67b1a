/** What a helper's thread runs. */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockError } from '../../block/errors.ts';
import type { Maker } from '../../block/recipe.ts';
import { makerOf } from '../../declare/declare.ts';
import { serveHandedOver } from '../../server/handed-over.ts';
import { MAKERS } from '../../server/makers.ts';
import { load } from '../load.ts';

/** By the names that recipes have: `filter:WORD`, those of MAKERS, and none for the plugin. */
async function makerNamed(by: string | undefined): Promise<Maker> {
  const filter = by?.startsWith('filter:') ? by.slice('filter:'.length) : undefined;
  const maker =
    filter !== undefined
      ? makerOf((await load('filter', filter)).declaration)
      : by !== undefined
        ? MAKERS[by]
        : (await load('plugin', workerData as string)).declaration.remake;
  if (maker) return maker;
  throw new BlockError('EIO', `nothing makes the device of '${by ?? workerData}' again`);
}

const report = serveHandedOver(parentPort!, makerNamed);
// What goes wrong beside a request must not end the service of the others.
process.on('uncaughtException', report);
