import { around } from '../../block/around.ts';
import { passSource } from '../../block/source.ts';
import { Turns } from '../../block/turns.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { listenForCommands } from '../../transport/control.ts';

export default defineFilter({
  name: 'pause',
  description: 'stops all requests and lets them go on, as told through a socket',
  parameters: {
    'pause-control': { type: 'path', required: true, help: 'Unix socket to be told through' },
  },
  async create({ 'pause-control': path }, below, { debug, warn }) {
    const turns = new Turns();
    let resume: Promise<() => void> | undefined;
    const control = await listenForCommands(
      path,
      { key: 'pause-control', warn },
      {
        p: async () => {
          if (resume) return;
          debug('pause: pausing, waiting for requests to complete');
          resume = turns.enterAlone();
          await resume;
          debug('pause: paused');
        },
        r: async () => {
          if (!resume) return;
          const leave = await resume;
          resume = undefined;
          leave();
          debug('pause: resumed');
        },
      },
    );
    const paused = wrapSource(below, device =>
      around(device, ({ options }, act) => turns.run(act, options?.signal)),
    );
    return passSource(paused, {
      close: async () => {
        await control.close();
        await below.close?.();
      },
    });
  },
});
