import { openOnce } from '../../block/open-once.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'openonce',
  description: 'opens each export of the plugin once, for all clients',
  parameters: {},
  create: (_parameters, below) => openOnce(below),
});
