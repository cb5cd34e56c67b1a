import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { Group, type Tracking } from './group.ts';

export default defineFilter({
  name: 'multi-conn',
  description: 'says whether one client may use several connections, and makes it safe',
  parameters: {
    'multi-conn-mode': {
      type: 'string',
      choices: ['auto', 'emulate', 'plugin', 'disable', 'unsafe'],
      default: 'auto',
      help: 'How it is made safe',
    },
    'multi-conn-track-dirty': {
      type: 'string',
      choices: ['conn', 'connection', 'fast', 'off'],
      default: 'conn',
      help: 'Which connections are flushed together',
    },
    'multi-conn-exportname': {
      type: 'boolean',
      aliases: ['multi-conn-export-name'],
      default: 'false',
      help: 'Only those of one export',
    },
  },
  wrap: (below, { 'multi-conn-mode': mode }) => saying(below, mode),
  create(parameters, below, { again }) {
    const groups = new Groups(parameters);
    const mode = parameters['multi-conn-mode'];
    return wrapSource(below, (device, { exportName }) => {
      const emulates = mode === 'emulate' || (mode === 'auto' && !device.multiConn);
      if (!emulates) return again(saying(device, mode), device);
      if (device.flush) return groups.join(exportName, device);
      throw new BlockError('EIO', 'emulating multi-conn requires working flush');
    });
  },
});

/** What needs nothing but to be said. */
function saying(below: BlockDevice, mode: string): BlockDevice {
  if (mode === 'plugin' || mode === 'auto') return below;
  return wrapDevice(below, { ...PASS, multiConn: mode === 'unsafe' });
}

/** Groups by export names, or one for all. */
class Groups {
  readonly #groups = new Map<string, Group>();
  readonly #tracking: Tracking;
  readonly #byName: boolean;

  constructor(parameters: {
    readonly 'multi-conn-track-dirty': Tracking | 'connection';
    readonly 'multi-conn-exportname': boolean;
  }) {
    const tracking = parameters['multi-conn-track-dirty'];
    this.#tracking = tracking === 'connection' ? 'conn' : tracking;
    this.#byName = parameters['multi-conn-exportname'];
  }

  join(exportName: string, device: BlockDevice): BlockDevice {
    const name = this.#byName ? exportName : '';
    for (const [old, group] of this.#groups) if (group.isEmpty) this.#groups.delete(old);
    const group = this.#groups.get(name) ?? new Group(this.#tracking);
    this.#groups.set(name, group);
    return group.join(device);
  }
}
