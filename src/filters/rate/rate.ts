import { before } from '../../block/around.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { Limit } from './limit.ts';

export default defineFilter({
  name: 'rate',
  description: 'limits the speed of reads and of writes, of all clients or of each',
  parameters: {
    rate: { type: 'size', minimum: 1, help: 'Bits a second of all clients together' },
    'connection-rate': { type: 'size', minimum: 1, help: 'Bits a second of each client' },
    'rate-file': { type: 'path', help: 'File that says the rate while the server runs' },
    'connection-rate-file': { type: 'path', help: 'The same for connection-rate' },
    burstiness: {
      type: 'delay',
      default: '2.0',
      help: 'For so long there is no limit after a rest',
    },
  },
  create(parameters, below, { debug }) {
    const { rate, 'connection-rate': ownRate, burstiness } = parameters;
    const limit = (bits: bigint | undefined, file: string | undefined) =>
      new Limit({ rate: Number(bits ?? 0n), burst: burstiness / 1000, file, debug });
    const all = limit(rate, parameters['rate-file']);
    return wrapSource(below, device => {
      const own = limit(ownRate, parameters['connection-rate-file']);
      return before(
        device,
        async call => {
          await all.wait(call);
          await own.wait(call);
        },
        ['read', 'write'],
      );
    });
  },
});
