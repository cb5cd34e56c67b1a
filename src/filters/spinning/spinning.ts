import { before } from '../../block/around.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';
import { Heads } from './heads.ts';

export default defineFilter({
  name: 'spinning',
  description: 'is as slow as a disk whose heads have to move',
  parameters: {
    heads: { type: 'integer', minimum: 1, maximum: 64, default: '1', help: 'How many heads' },
    'separate-heads': { type: 'boolean', default: 'false', help: 'Each moves by itself' },
    'min-seek-time': { type: 'delay', default: '10ms', help: 'To move to the next track' },
    'half-seek-time': { type: 'delay', default: '200ms', help: 'To move over half the disk' },
    'max-seek-time': { type: 'delay', default: '500ms', help: 'To move over all of it' },
  },
  wrap(below, parameters) {
    const heads = new Heads({
      size: below.size,
      count: parameters.heads,
      separate: parameters['separate-heads'],
      times: {
        least: parameters['min-seek-time'],
        half: parameters['half-seek-time'],
        most: parameters['max-seek-time'],
      },
    });
    const slow = before(below, ({ offset, options }) => heads.seek(offset, options?.signal), [
      'read',
      'write',
      'zero',
    ]);
    // Each connection has heads of its own.
    return wrapDevice(slow, { ...PASS, rotational: true, multiConn: false });
  },
});
