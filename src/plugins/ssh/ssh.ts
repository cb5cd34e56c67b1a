import type { BlockDevice, OpenRequest } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { loginOf } from './login.ts';
import { PARAMETERS, type Parameters } from './parameters.ts';
import { Connection, type Opening } from './remote-file.ts';

export default definePlugin({
  name: 'ssh',
  description: 'a file on another machine, by SSH',
  parameters: PARAMETERS,
  create(parameters, { debug }) {
    loginOf(parameters);
    let create = creation(parameters);
    return sourceOf(request => {
      // The first client has it made, and all others find it.
      const first = create;
      create = undefined;
      return open(parameters, first, request, debug);
    });
  },
  remake: (parameters: Parameters, _over, request) =>
    open(parameters, undefined, request, () => {}),
});

/** Each client has a connection of its own, as that is encrypted by one processor there. */
async function open(
  parameters: Parameters,
  create: Opening['create'],
  { readOnly, signal }: OpenRequest,
  debug: (message: string) => void,
): Promise<BlockDevice> {
  const connection = await Connection.open(loginOf(parameters), debug, signal);
  const device = await connection.device({ path: parameters.path, readOnly, create });
  return wrapDevice(device, {
    ...PASS,
    recipe: device.multiConn ? { from: parameters } : undefined,
  });
}

/** @throws UsageError */
function creation({ create, 'create-size': size, 'create-mode': mode }: Parameters) {
  if (!create) return undefined;
  if (size === undefined) throw new UsageError('create: needs create-size');
  return { size, mode };
}
