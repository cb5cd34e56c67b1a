import { before, PLACED } from '../../block/around.ts';
import { BlockError } from '../../block/errors.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';

export default defineFilter({
  name: 'time-limit',
  description: 'ends connections after a time',
  parameters: {
    'time-limit': {
      type: 'delay',
      aliases: ['time_limit', 'timelimit'],
      default: '60',
      help: 'How long a client is served; 0 for no limit',
    },
  },
  create({ 'time-limit': limit }, below) {
    if (limit === 0) return below;
    return wrapSource(below, (device, { disconnect }) => {
      const end = performance.now() + limit;
      const check = () => {
        if (performance.now() <= end) return;
        disconnect(true);
        throw new BlockError('ESHUTDOWN', 'the time limit for this connection is over');
      };
      return before(device, check, PLACED);
    });
  },
});
