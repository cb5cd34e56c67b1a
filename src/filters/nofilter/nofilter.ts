import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'nofilter',
  description: 'changes nothing',
  parameters: {},
  wrap: below => below,
});
