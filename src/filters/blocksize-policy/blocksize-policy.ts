import { alignedDevice } from '../../block/aligned.ts';
import { before, type Call, PLACED } from '../../block/around.ts';
import { misplaced } from '../../block/bounds.ts';
import type { BlockDevice, BlockSize, OpenRequest } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { RangeLock } from '../../block/range-lock.ts';
import { extentsInBlocks } from '../../block/runs-in-blocks.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';
import { announced, checkSizes } from './sizes.ts';

const MOST = 2 ** 32 - 1;

const PARAMETERS = {
  'blocksize-error-policy': {
    type: 'string',
    choices: ['allow', 'error', 'strict-error'],
    default: 'allow',
    help: 'What becomes of requests that do not keep to them',
  },
  'blocksize-minimum': { type: 'size', maximum: MOST, help: 'Smallest block' },
  'blocksize-preferred': { type: 'size', maximum: MOST, help: 'Best size of requests' },
  'blocksize-maximum': { type: 'size', maximum: MOST, help: 'Longest read or write' },
  'blocksize-write-disconnect': {
    type: 'size',
    maximum: MOST,
    help: 'Disconnect clients that write more at once',
  },
} as const satisfies ParameterDeclarations;

export default defineFilter({
  name: 'blocksize-policy',
  description: 'says which block sizes clients should keep to, and can refuse those that do not',
  parameters: PARAMETERS,
  wrap: (below, parameters, request) => withPolicy(below, parameters, request),
  create(parameters, below, { again }) {
    checkSizes(parameters);
    // For all connections, whose writes may share a block of the disk below.
    const locks = new RangeLock();
    return wrapSource(below, (device, request) => {
      const own = withPolicy(device, parameters, request, locks);
      return insists(device) ? own : again(own, device);
    });
  },
});

/** Whether the disk takes whole blocks only. */
function insists({ blockSize }: BlockDevice): boolean {
  return blockSize !== undefined && !blockSize.advisory;
}

function withPolicy(
  below: BlockDevice,
  { 'blocksize-error-policy': policy, ...sizes }: ParameterValues<typeof PARAMETERS>,
  { disconnect }: OpenRequest,
  locks?: RangeLock,
): BlockDevice {
  const blockSize = announced(below, sizes);
  const limit = sizes['blocksize-write-disconnect'];
  const checks: Check[] = [];
  if (limit !== undefined) {
    checks.push(({ kind, length }) => {
      if (kind !== 'write' || length <= limit) return undefined;
      disconnect(true);
      return new BlockError('ESHUTDOWN', 'disconnecting client due to oversize write request');
    });
  }
  if (policy !== 'allow' && blockSize) checks.push(constraint(below, blockSize));
  if (policy === 'strict-error' && blockSize) checks.push(wholeBlocks(blockSize));
  // What is allowed here is made into what the disk takes.
  const lenient = alignedDevice(below, locks && { locks });
  const checked = checks.length > 0 ? checking(lenient, checks) : lenient;
  // Callers see to what is not advisory, and then nobody would see which writes are too long.
  const advisory = policy === 'allow' || limit !== undefined;
  return wrapDevice(checked, {
    ...PASS,
    blockSize: blockSize && { ...blockSize, advisory },
    extents: extentsInBlocks(checked, advisory ? 1 : (blockSize?.minimum ?? 1)),
  });
}

/** Why a request is refused, if it is. */
type Check = (call: Call) => BlockError | undefined;

function checking(below: BlockDevice, checks: readonly Check[]): BlockDevice {
  return before(
    below,
    call => {
      for (const check of checks) {
        const refusal = check(call);
        if (refusal) throw refusal;
      }
    },
    PLACED,
  );
}

/** What the disk below only advises is asked for here. */
function constraint({ size }: BlockDevice, announced: BlockSize): Check {
  const blockSize = { ...announced, advisory: false };
  return ({ kind, offset, length }) =>
    kind === 'flush' ? undefined : misplaced({ size, blockSize }, kind, offset, length);
}

/** Not even the last block may be cut off by the end of the disk. */
function wholeBlocks({ minimum }: BlockSize): Check {
  return ({ offset, length }) =>
    length % minimum === 0
      ? undefined
      : new BlockError(
          'EINVAL',
          `${length} bytes at ${offset} are no multiple of the minimum block size ${minimum}`,
          { offset },
        );
}
