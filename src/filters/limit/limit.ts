import { afterClose } from '../../block/close-all.ts';
import { BlockError } from '../../block/errors.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';

export default defineFilter({
  name: 'limit',
  description: 'limits how many clients are served at once',
  parameters: {
    limit: { type: 'integer', minimum: 0, default: '1', help: 'Most clients; 0 for no limit' },
  },
  create({ limit }, below) {
    let clients = 0;
    const check = () => {
      if (limit === 0 || clients < limit) return;
      throw new BlockError('EBUSY', 'limit: too many clients connected, connection rejected');
    };
    // Looked at before anything costs, and again, as clients may be slow to negotiate.
    const counted = wrapSource(below, device => {
      check();
      clients += 1;
      return afterClose(device, () => {
        clients -= 1;
      });
    });
    return passSource(counted, {
      preconnect: async peer => {
        await below.preconnect?.(peer);
        check();
      },
    });
  },
});
