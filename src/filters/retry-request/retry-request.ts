import { around } from '../../block/around.ts';
import type { OpenRequest } from '../../block/device.ts';
import { isTooSlow, type Patience, retrying } from '../../block/retrying.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'retry-request',
  description: 'makes single requests again when they fail',
  parameters: {
    'retry-request-retries': {
      type: 'integer',
      minimum: 0,
      maximum: 1000,
      default: '2',
      help: 'How often a request is made again',
    },
    'retry-request-delay': {
      type: 'delay',
      minimum: 1,
      default: '2',
      help: 'How long to wait before that',
    },
    'retry-request-open': {
      type: 'boolean',
      default: 'true',
      help: 'Also open the disk again when that fails',
    },
  },
  create(parameters, source, { debug }) {
    const patience: Patience = {
      retries: parameters['retry-request-retries'],
      delay: parameters['retry-request-delay'],
      growth: 1,
      debug,
    };
    const open = async (request: OpenRequest) => {
      const { signal } = request;
      const attempt = () => source.open(request);
      const device = await (parameters['retry-request-open']
        ? retrying('open', patience, attempt, { signal })
        : attempt());
      return around(device, (call, act) =>
        retrying(call.kind, patience, act, {
          signal,
          isFinal: error => isTooSlow(call, error),
        }),
      );
    };
    return passSource(source, { open });
  },
});
