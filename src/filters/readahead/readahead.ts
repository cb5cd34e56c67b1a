import { alignedDevice } from '../../block/aligned.ts';
import { around } from '../../block/around.ts';
import { Background } from '../../block/background.ts';
import type { BlockDevice } from '../../block/device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { Prefetched } from './prefetched.ts';
import { Window } from './window.ts';

export default defineFilter({
  name: 'readahead',
  description: 'reads ahead of clients that read one place after the other',
  parameters: {},
  create(_parameters, below) {
    const others = new Set<Prefetched>();
    return wrapSource(below, device => {
      const background = new Background();
      const ahead = device.cache
        ? announcing(device, background)
        : keeping(device, background, others);
      const close = async () => {
        await background.end();
        await ahead.close?.();
      };
      return wrapDevice(ahead, { ...PASS, close });
    });
  },
});

/** The disk keeps what it is told will be read. */
function announcing(device: BlockDevice, background: Background): BlockDevice {
  const window = new Window(device.size);
  const aligned = alignedDevice(device);
  return wrapDevice(device, {
    ...PASS,
    read(offset, length, options) {
      const next = window.after(offset, length);
      if (next) background.start(own => aligned.cache!(next.offset, next.length, own));
      return device.read(offset, length, options);
    },
  });
}

/** What is read ahead is kept here. @param others of all connections, whose writes count. */
function keeping(
  device: BlockDevice,
  background: Background,
  others: Set<Prefetched>,
): BlockDevice {
  const prefetched = new Prefetched(alignedDevice(device), background);
  others.add(prefetched);
  const watched = around(
    device,
    ({ offset, length }, act) => {
      let change = act;
      for (const other of others) {
        const inner = change;
        change = () => other.changing(offset, length, inner);
      }
      return change();
    },
    ['write', 'zero', 'trim'],
  );
  return wrapDevice(watched, {
    ...PASS,
    read: (offset, length, options) => prefetched.read(offset, length, options),
    close: () => {
      others.delete(prefetched);
      return device.close?.();
    },
  });
}
