import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'noextents',
  description: 'does not say where the disk has holes',
  parameters: {},
  wrap: below => wrapDevice(below, { ...PASS, extents: undefined }),
});
