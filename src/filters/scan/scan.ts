import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { alignedDevice } from '../../block/aligned.ts';
import { Background } from '../../block/background.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';

const LEAST = 512n;
const MOST = 32n << 20n;

export default defineFilter({
  name: 'scan',
  description: 'tells the disk to get ready all of it, from the first byte to the last',
  parameters: {
    'scan-ahead': { type: 'boolean', default: 'true', help: 'Skip what the client has read' },
    'scan-clock': { type: 'boolean', default: 'true', help: 'Go on where it was left' },
    'scan-forever': { type: 'boolean', default: 'false', help: 'Begin again at the end' },
    'scan-size': { type: 'size', default: '2M', help: 'Bytes at once, a power of two up to 32M' },
  },
  create(parameters, below, { debug, warn }) {
    const step = parameters['scan-size'];
    if (step < LEAST || step > MOST || (step & (step - 1n)) !== 0n) {
      throw new UsageError('scan-size parameter should be [512..32M] and a power of two');
    }
    // How far it has come, by exports.
    const clocks = new Map<string, bigint>();
    return wrapSource(below, (device, { exportName }) => {
      if (!device.cache) {
        const words = 'underlying plugin does not support NBD_CMD_CACHE, not scanning';
        warn(`scan: warning: ${words}; try adding --filter=cache after this filter`);
        return device;
      }
      const scan = new Scan(device, {
        step: Number(step),
        clock: parameters['scan-clock'] ? (clocks.get(exportName) ?? 0n) : 0n,
        forever: parameters['scan-forever'],
        reached: offset => clocks.set(exportName, offset),
      });
      const background = new Background();
      background.start(async options => {
        await scan.run(options);
        debug('scan: finished scanning the plugin');
      });
      return wrapDevice(device, {
        ...PASS,
        read(offset, length, options) {
          if (parameters['scan-ahead']) scan.skip(offset + BigInt(length));
          return device.read(offset, length, options);
        },
        close: async () => {
          await background.end();
          await device.close?.();
        },
      });
    });
  },
});

interface ScanOptions {
  /** Bytes at once. */
  readonly step: number;
  /** Where to begin. */
  readonly clock: bigint;
  readonly forever: boolean;
  reached(offset: bigint): void;
}

class Scan {
  readonly #device: BlockDevice;
  readonly #options: ScanOptions;
  #offset: bigint;

  constructor(device: BlockDevice, options: ScanOptions) {
    this.#device = alignedDevice(device);
    this.#options = options;
    this.#offset = options.clock;
  }

  /** What is before has been read by the client. */
  skip(offset: bigint): void {
    if (offset > this.#offset) this.#offset = offset;
  }

  async run({ signal }: RequestOptions): Promise<void> {
    const { step, forever, reached } = this.#options;
    const { size } = this.#device;
    do {
      while (this.#offset < size) {
        signal?.throwIfAborted();
        reached(this.#offset);
        const offset = this.#offset;
        const length = Math.min(Number(size - offset), step);
        this.#offset += BigInt(length);
        await this.#device.cache!(offset, length, { signal });
        await eventLoopTurn();
      }
      this.#offset = 0n;
      reached(0n);
    } while (forever && size > 0n);
  }
}
