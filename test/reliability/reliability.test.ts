/** A quick look at what `npm run reliability` does at length. */
import { test } from 'node:test';
import { misbehaving } from './plugins.ts';
import { SCENARIOS, tried } from './run.ts';

const skip = process.platform !== 'linux' && 'needs Linux';

for (const scenario of SCENARIOS) {
  // This one waits until the server has lost its patience.
  if (scenario === misbehaving) continue;
  test(scenario.name, { skip }, async () => {
    await tried(scenario, 0, 1, 0.05);
  });
}
