import type { BlockDevice } from '../../block/device.ts';
import { withRecipeOf } from '../../block/recipe.ts';
import { serialiseDevice } from '../../block/serialise.ts';
import { whileOpen } from '../../block/source.ts';
import { Turns } from '../../block/turns.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';

export default defineFilter({
  name: 'noparallel',
  description: 'serves one request, or one client, at a time',
  parameters: {
    serialize: {
      type: 'string',
      choices: ['requests', 'all-requests', 'connections'],
      default: 'requests',
      help: 'Requests of each client, of all clients, or clients',
    },
  },
  facts: words => {
    const serialize = words.find(({ key }) => key === 'serialize')?.value ?? 'requests';
    return { thread_model: `serialize_${serialize.replace('-', '_')}` };
  },
  wrap: oneAtATime,
  create({ serialize }, below, { again }) {
    const turns = new Turns(1);
    if (serialize === 'connections') {
      const single = wrapSource(below, device =>
        withRecipeOf(device, wrapDevice(device, { ...PASS, multiConn: false })),
      );
      return whileOpen(single, ({ signal }) => turns.enter(signal));
    }
    return wrapSource(below, device =>
      serialize === 'requests' ? again(oneAtATime(device), device) : serialiseDevice(device, turns),
    );
  },
});

function oneAtATime(device: BlockDevice): BlockDevice {
  return serialiseDevice(device, new Turns(1));
}
