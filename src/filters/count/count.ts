import { andThen } from '../../block/answer.ts';
import { around } from '../../block/around.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';

export default defineFilter({
  name: 'count',
  description:
    'counts the bytes that are read, written, zeroed and trimmed, and tells them at the end',
  parameters: {},
  create(_parameters, below, { debug }) {
    const bytes = { read: 0n, write: 0n, zero: 0n, trim: 0n };
    const counted = wrapSource(below, device =>
      around(
        device,
        ({ kind, length }, act) =>
          andThen(act(), answer => {
            bytes[kind as keyof typeof bytes] += BigInt(length);
            return answer;
          }),
        ['read', 'write', 'zero', 'trim'],
      ),
    );
    return passSource(counted, {
      close: async () => {
        const { read, write, zero, trim } = bytes;
        debug(`count bytes: read ${read}, written ${write}, zeroed ${zero}, trimmed ${trim}`);
        await below.close?.();
      },
    });
  },
});
