/** A quick look at what `npm run reliability` does at length. */
import { test } from 'node:test';
import { files } from './files.ts';
import { misbehaving } from './plugins.ts';
import { SCENARIOS, tried } from './run.ts';

const skip = process.platform !== 'linux' && 'needs Linux';

for (const scenario of SCENARIOS) {
  // These wait until the server has lost its patience, and for programs that interop tests run, too.
  if (scenario === misbehaving || scenario === files) continue;
  test(scenario.name, { skip }, async () => {
    await tried(scenario, 0, 1, 0.05);
  });
}
