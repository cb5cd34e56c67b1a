// A filter that keeps a second disk the same: every write goes to both.
// nbdkit --filter=./examples/mirror.ts file disk.img to=nbd://backup
import { BlockError, connect, defineFilter, PASS, wrapDevice } from 'nbdpipe';

export default defineFilter({
  name: 'mirror',
  description: 'writes to a second disk, too',
  parameters: { to: { type: 'string', required: true, help: 'NBD URI of the second disk' } },
  wrap: async (below, { to }) => {
    const copy = await connect(to);
    if (copy.size < below.size || !copy.write) {
      await copy.close();
      throw new BlockError('EINVAL', `${to}: is smaller than the disk, or read-only`);
    }
    const { write } = below;
    return wrapDevice(below, {
      ...PASS,
      // Zeroes come as writes, then.
      zero: undefined,
      trim: undefined,
      resize: undefined,
      fua: 'emulated',
      write:
        write &&
        (async (offset, data) => {
          await Promise.all([write.call(below, offset, data), copy.write!(offset, data)]);
        }),
      flush: async () => void (await Promise.all([below.flush?.(), copy.flush?.()])),
      close: async () => void (await Promise.all([below.close?.(), copy.close()])),
    });
  },
});
