import { afterClose } from '../../block/close-all.ts';
import { BlockError, messageOf } from '../../block/errors.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import {
  type Event,
  fileCreated,
  fileDeleted,
  pipeClosed,
  processExits,
  scriptSays,
} from './events.ts';

export default defineFilter({
  name: 'exitwhen',
  description: 'ends the server when something has happened and no client is left',
  parameters: {
    'exit-when-file-created': { type: 'path', repeat: true, help: 'This file is there' },
    'exit-when-file-deleted': { type: 'path', repeat: true, help: 'This file is not there' },
    'exit-when-pipe-closed': {
      type: 'integer',
      aliases: ['exit-when-fd-closed'],
      minimum: 0,
      repeat: true,
      help: 'The other end of this descriptor is closed',
    },
    'exit-when-process-exits': {
      type: 'integer',
      aliases: ['exit-when-pid-exits'],
      minimum: 1,
      repeat: true,
      help: 'This process has ended',
    },
    'exit-when-script': { type: 'string', repeat: true, help: 'This script ends with status 88' },
    'exit-when-poll': { type: 'integer', minimum: 1, default: '60', help: 'Seconds between looks' },
  },
  async create(parameters, below, { debug, warn, shutdown }) {
    const watch = new Watch(
      [
        ...parameters['exit-when-file-created'].map(fileCreated),
        ...parameters['exit-when-file-deleted'].map(fileDeleted),
        ...parameters['exit-when-pipe-closed'].map(pipeClosed),
        ...parameters['exit-when-process-exits'].map(processExits),
        ...parameters['exit-when-script'].map(scriptSays),
      ],
      debug,
      warn,
    );
    let clients = 0;
    const leaveIfDone = async (words: string) => {
      if (!(await watch.hasHappened()) || clients > 0) return;
      debug(`exitwhen: ${words}`);
      shutdown();
    };
    await leaveIfDone('exiting at once');
    const poll = () => void (clients === 0 && leaveIfDone('shutdown from polling thread'));
    const timer = setInterval(poll, parameters['exit-when-poll'] * 1000).unref();
    const counted = wrapSource(below, device => {
      clients += 1;
      return afterClose(device, () => {
        clients -= 1;
        void leaveIfDone('exiting on last client connection');
      });
    });
    return passSource(counted, {
      preconnect: async peer => {
        if (await watch.hasHappened()) {
          const words = 'exitwhen: nbdkit is exiting: rejecting new connection';
          throw new BlockError('ESHUTDOWN', words);
        }
        await below.preconnect?.(peer);
      },
      close: async () => {
        clearInterval(timer);
        await below.close?.();
      },
    });
  },
});

/** Whether any of several events has happened, now or before. */
class Watch {
  readonly #events: readonly Event[];
  readonly #debug: (message: string) => void;
  readonly #warn: (message: string) => void;
  #happened = false;

  constructor(
    events: readonly Event[],
    debug: (message: string) => void,
    warn: (message: string) => void,
  ) {
    this.#events = events;
    this.#debug = debug;
    this.#warn = warn;
  }

  async hasHappened(): Promise<boolean> {
    for (const event of this.#happened ? [] : this.#events) {
      try {
        const why = await event();
        if (why === undefined) continue;
        this.#debug(why);
        this.#happened = true;
      } catch (error) {
        this.#warn(messageOf(error));
      }
    }
    return this.#happened;
  }
}
