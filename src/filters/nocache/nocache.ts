import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'nocache',
  description: 'forbids cache requests, answers them by reading or ignores them',
  parameters: {
    cachemode: {
      type: 'string',
      choices: ['none', 'emulate', 'nop', 'no-op'],
      default: 'none',
      help: 'What becomes of them',
    },
  },
  wrap(below, { cachemode }) {
    if (cachemode === 'none' || cachemode === 'emulate') {
      const caching = cachemode === 'none' ? 'none' : 'emulated';
      return wrapDevice(below, { ...PASS, cache: undefined, caching });
    }
    return wrapDevice(below, { ...PASS, cache: () => {} });
  },
});
