import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { ALLOCATOR, allocatorFacts, memoryStore } from '../../stores/allocator.ts';

export default definePlugin({
  name: 'memory',
  description: 'a disk in memory, gone when the server ends',
  parameters: {
    size: { type: 'size', required: true, bare: true, help: 'Size of the disk' },
    allocator: ALLOCATOR,
  },
  facts: allocatorFacts,
  create({ size, allocator }) {
    const disk = memoryStore(size, allocator);
    return sourceOf(() => disk);
  },
});
