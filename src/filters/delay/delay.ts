import { before, type CallKind } from '../../block/around.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { sleep } from '../../block/sleep.ts';
import { passSource } from '../../block/source.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';
import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';

const PARAMETERS = {
  rdelay: { type: 'delay', aliases: ['delay-read', 'delay-reads'], help: 'Before reads' },
  wdelay: { type: 'delay', help: 'Before writes, zeroing and trims' },
  'delay-write': { type: 'delay', aliases: ['delay-writes'], help: 'Before writes' },
  'delay-zero': { type: 'delay', aliases: ['delay-zeroes'], help: 'Before zeroing' },
  'delay-trim': {
    type: 'delay',
    aliases: ['delay-trims', 'delay-discard', 'delay-discards'],
    help: 'Before trims',
  },
  'delay-extents': { type: 'delay', aliases: ['delay-extent'], help: 'Before extents are told' },
  'delay-cache': { type: 'delay', help: 'Before cache requests' },
  'delay-fast-zero': { type: 'boolean', default: 'true', help: 'Also before fast zeroing' },
  'delay-open': { type: 'delay', default: '0', help: 'Before a client is served' },
  'delay-close': { type: 'delay', default: '0', help: 'Before a client that leaves is let go' },
} as const satisfies ParameterDeclarations;

export default defineFilter({
  name: 'delay',
  description: 'makes requests slow',
  parameters: PARAMETERS,
  wrap: delayed,
  create(parameters, below, { again }) {
    return passSource(below, {
      open: async request => {
        await sleep(parameters['delay-open'], request.signal);
        const device = await below.open(request);
        return again(delayed(device, parameters), device);
      },
    });
  },
});

function delayed(below: BlockDevice, parameters: ParameterValues<typeof PARAMETERS>): BlockDevice {
  const { wdelay = 0, 'delay-zero': zero = wdelay } = parameters;
  const delays: Readonly<Partial<Record<CallKind, number>>> = {
    read: parameters.rdelay ?? 0,
    write: parameters['delay-write'] ?? wdelay,
    zero,
    trim: parameters['delay-trim'] ?? wdelay,
    extents: parameters['delay-extents'] ?? 0,
    cache: parameters['delay-cache'] ?? 0,
  };
  const refusesFast = zero > 0 && !parameters['delay-fast-zero'];
  const slow = before(
    below,
    ({ kind, options }) => {
      if (refusesFast && kind === 'zero' && options?.fastZero) {
        throw new BlockError('ENOTSUP', 'zeroing is slow here, as delay-fast-zero=false says');
      }
      return sleep(delays[kind]!, options?.signal);
    },
    (Object.keys(delays) as CallKind[]).filter(kind => delays[kind]! > 0),
  );
  return wrapDevice(slow, {
    ...PASS,
    ...(refusesFast && below.zero && { fastZero: 'native' as const }),
    close: async () => {
      await sleep(parameters['delay-close']);
      await below.close?.();
    },
  });
}
