import { UsageError } from '../../block/errors.ts';
import { runSlots } from '../../copy/slots.ts';
import { print } from '../cli.ts';
import { CACHE, COMMON, checkCache, Given, sizeOf } from './common.ts';
import { Opening } from './opening.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...CACHE,
  count: { names: ['c'], value: 'required' },
  depth: { names: ['d'], value: 'required' },
  flushInterval: { names: ['flush-interval'], value: 'required' },
  aio: { names: ['i'], value: 'required' },
  native: { names: ['n'] },
  noDrain: { names: ['no-drain'] },
  offset: { names: ['o'], value: 'required' },
  pattern: { names: ['pattern'], value: 'required' },
  bufferSize: { names: ['s'], value: 'required' },
  step: { names: ['S'], value: 'required' },
  write: { names: ['w'] },
} as const;

const bench: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    checkCache(given);
    const number = (key: string, otherwise: number, what: string) => {
      const text = given.text(key);
      const value = text === undefined ? BigInt(otherwise) : sizeOf(text);
      if (value === undefined || value > 2n ** 53n)
        throw new UsageError(`Invalid ${what} specified`);
      return Number(value);
    };
    const count = number('count', 75000, 'request count');
    const depth = number('depth', 64, 'queue depth');
    const size = number('bufferSize', 4096, 'buffer size');
    const step = number('step', size, 'step size') || size;
    const offset = number('offset', 0, 'offset');
    const write = given.has('write');
    const { image, close } = await new Opening(given).open(given.one, {
      readOnly: !write,
      format: given.text('format'),
      options: given.has('imageOpts'),
    });
    try {
      const { device } = image;
      const pattern = Buffer.alloc(size, number('pattern', 0, 'pattern'));
      const span = Math.max(1, Math.floor((Number(device.size) - size - offset) / step) + 1);
      const what = `${count} ${write ? 'write' : 'read'} requests, ${size} bytes each, ${depth} in parallel`;
      await print(`Sending ${what} (starting at offset ${offset}, step size ${step})\n`);
      const interval = number('flushInterval', 0, 'flush interval');
      if (interval > 0)
        await print(
          `Sending flush every ${given.has('noDrain') ? '' : 'drained '}${interval} requests\n`,
        );
      const begun = process.hrtime.bigint();
      let next = 0;
      await runSlots(depth, undefined, async () => {
        while (next < count) {
          const index = next++;
          const at = BigInt(offset + (index % span) * step);
          if (write) await device.write!(at, pattern);
          else await device.read(at, size);
          if (interval > 0 && next % interval === 0) await device.flush?.();
        }
      });
      const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
      await print(`Run completed in ${seconds.toFixed(3)} seconds.\n`);
    } finally {
      await close();
    }
    return 0;
  },
};
export default bench;
