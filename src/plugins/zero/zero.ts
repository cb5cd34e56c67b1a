import { zeroes } from '../../block/data.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';

export default definePlugin({
  name: 'zero',
  description: 'a disk of no bytes at all',
  parameters: {},
  create() {
    return sourceOf(() => ({
      size: 0n,
      multiConn: true,
      read: (_offset, length) => zeroes(length),
      cache: () => {},
    }));
  },
});
