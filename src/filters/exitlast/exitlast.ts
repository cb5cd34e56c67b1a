import { afterClose } from '../../block/close-all.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';

export default defineFilter({
  name: 'exitlast',
  description: 'ends the server when the last client has left',
  parameters: {},
  create(_parameters, below, { debug, shutdown }) {
    let clients = 0;
    return wrapSource(below, device => {
      clients += 1;
      return afterClose(device, () => {
        clients -= 1;
        if (clients > 0) return;
        debug('exitlast: exiting on last client connection');
        shutdown();
      });
    });
  },
});
