/** What a helper's thread runs. */
import { parentPort, workerData } from 'node:worker_threads';
import { serveHandedOver } from '../../server/handed-over.ts';
import { load } from './load.ts';

void load('plugin', workerData as string).then(({ declaration }) => {
  serveHandedOver(parentPort!, portable => declaration.revive!(portable));
});
