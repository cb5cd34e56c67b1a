import { ending } from '../../block/answer.ts';
import { around, CHANGES } from '../../block/around.ts';
import type { BlockDevice } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import { needPowerOfTwo } from '../../block/size.ts';
import { passSource } from '../../block/source.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { listenForCommands } from '../../transport/control.ts';
import { type DirtyMap, DirtyMaps } from './dirty-map.ts';

export default defineFilter({
  name: 'dirty',
  description: 'tells which blocks were written since the last backup, as a metadata context',
  parameters: {
    'dirty-control': {
      type: 'path',
      required: true,
      help: 'Unix socket to be told through when a backup begins and ends',
    },
    'dirty-name': { type: 'string', default: 'backup', help: 'Last part of the context’s name' },
    'dirty-block-size': {
      type: 'size',
      default: '64K',
      minimum: 4096,
      maximum: 1 << 25,
      help: 'What is dirty at once (default: 64K)',
    },
  },
  async create(parameters, below, { warn }) {
    const { 'dirty-control': path, 'dirty-name': name, 'dirty-block-size': block } = parameters;
    needPowerOfTwo('dirty-block-size', block);
    if (!/^[\w.-]{1,64}$/.test(name)) {
      throw new UsageError(
        `dirty-name: '${name}': expected 1 to 64 letters, digits, '.', '_', '-'`,
      );
    }
    const maps = new DirtyMaps(below, block);
    const control = await listenForCommands(
      path,
      { key: 'dirty-control', warn },
      { b: () => maps.begin(), e: () => maps.end() },
    );
    const watched = wrapSource(below, async (device, request) =>
      watching(device, await maps.of(device, request), `nbdpipe:dirty-bitmap:${name}`),
    );
    return passSource(watched, {
      close: async () => {
        await control.close();
        await below.close?.();
      },
    });
  },
});

/** A write counts when it ends, well or not: a backup that begins meanwhile may read what was before. */
function watching(below: BlockDevice, map: DirtyMap, name: string): BlockDevice {
  const marking = around(
    below,
    ({ offset, length }, act) => ending(act, () => map.mark(offset, length)),
    CHANGES,
  );
  const status = map.status.bind(map);
  return wrapDevice(marking, {
    ...PASS,
    contexts: [...(below.contexts ?? []), { name, status }],
    resize: undefined,
  });
}
