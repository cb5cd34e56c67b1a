import process from 'node:process';
import { transformDevice } from '../../block/transform.ts';
import { Random } from '../../content/random.ts';
import { defineFilter } from '../../declare/declare.ts';
import { flipBits, stickBits } from './bits.ts';

export default defineFilter({
  name: 'evil',
  description: 'changes bits of what is read, without telling anybody',
  parameters: {
    evil: {
      type: 'string',
      choices: ['cosmic-rays', 'stuck-bits', 'stuck-wires'],
      default: 'stuck-bits',
      help: 'Which bits',
    },
    'evil-probability': { type: 'probability', help: 'How many (default: 1e-8; 1e-6 for wires)' },
    'evil-stuck-probability': {
      type: 'probability',
      default: '100%',
      help: 'How often a bit that is stuck shows it',
    },
    'evil-seed': { type: 'string', help: 'What chance follows from' },
  },
  wrap(below, { evil, 'evil-stuck-probability': shows, ...parameters }) {
    const rate = parameters['evil-probability'] ?? (evil === 'stuck-wires' ? 1e-6 : 1e-8);
    if (rate === 0) return below;
    // The same for all connections, in every thread.
    const seed = parameters['evil-seed'] ?? String(process.pid);
    const chance = new Random('evil', seed);
    const read = (offset: bigint, bytes: Uint8Array) => {
      if (evil === 'cosmic-rays') flipBits(bytes, rate, chance);
      else stickBits(bytes, evil === 'stuck-wires' ? 0n : offset, { rate, seed, shows, chance });
    };
    return transformDevice(below, { read });
  },
});
