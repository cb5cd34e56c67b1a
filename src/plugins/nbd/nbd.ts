import type { BlockDevice, DeviceSource, OpenRequest } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import type { NbdClient } from '../../client/client.ts';
import { tlsOf } from '../../client/connect.ts';
import { definePlugin } from '../../declare/declare.ts';
import { LIBNBD_RELEASE } from '../../declare/release.ts';
import { PARAMETERS } from './parameters.ts';
import { type Target, targetOf } from './target.ts';
import { Upstream } from './upstream.ts';

export default definePlugin({
  name: 'nbd',
  description: 'an export of another NBD server',
  parameters: PARAMETERS,
  facts: () => ({
    libnbd_version: LIBNBD_RELEASE,
    libnbd_tls: '1',
    libnbd_uri: '1',
    libnbd_dynamic_list: '1',
  }),
  async create(parameters, { debug }) {
    const target = targetOf(parameters);
    const { 'dynamic-export': dynamic, retry } = parameters;
    const shared = parameters.shared ?? (target.command ?? target.fd) !== undefined;
    if (dynamic && parameters.export !== undefined) {
      throw new UsageError('dynamic-export: the client names the export, not export=');
    }
    if (dynamic && shared) {
      throw new UsageError('dynamic-export: a shared connection has one export only');
    }
    if (!shared && target.fd !== undefined) {
      throw new UsageError('shared: a connection that is given by socket-fd must be shared');
    }
    tlsOf(target.uri);
    const upstream = new Upstream(target, retry, debug);
    if (shared) return sharedSource(upstream, target.uri.exportName);
    return dynamic ? dynamicSource(upstream, target) : singleSource(upstream, target);
  },
  remake: async ({ target, exportName }: Made, _over, request) =>
    own(new Upstream(target, 0, () => {}), { target, exportName }, request),
});

/** What a connection of its own is made of. */
interface Made {
  readonly target: Target;
  readonly exportName: string;
}

/** A connection for one client. Another thread may have one more in its place if that is as good. */
async function own(upstream: Upstream, made: Made, request: OpenRequest): Promise<BlockDevice> {
  const client = await upstream.connect(made.exportName, request.signal);
  const alone = made.target.command !== undefined;
  const equal = client.multiConn || client.readOnly || request.readOnly;
  return wrapDevice(client, { ...PASS, recipe: equal && !alone ? { from: made } : undefined });
}

function singleSource(upstream: Upstream, target: Target): DeviceSource {
  const { exportName } = target.uri;
  return {
    open: request => own(upstream, { target, exportName }, request),
    close: () => upstream.close(),
  };
}

/** Clients choose among the exports of the other server. */
function dynamicSource(upstream: Upstream, target: Target): DeviceSource {
  return {
    open: request => own(upstream, { target, exportName: request.exportName }, request),
    list: () => upstream.ask(negotiation => negotiation.list()),
    defaultExport: () =>
      upstream.ask(async negotiation => (await negotiation.info('')).canonicalName ?? ''),
    close: () => upstream.close(),
  };
}

/**
 * One connection, made before the server listens, and once more when it was lost. What one client has
 * flushed all see, as to the other server they are one.
 */
async function sharedSource(upstream: Upstream, exportName: string): Promise<DeviceSource> {
  let connection: Promise<NbdClient> = upstream.connect(exportName);
  await connection;
  const current = async (): Promise<NbdClient> => {
    const known = connection;
    const client = await known;
    if (!client.ended) return client;
    if (connection === known) {
      connection = upstream.connect(exportName);
      connection.catch(() => {
        connection = known;
      });
    }
    return current();
  };
  return {
    open: async () => wrapDevice(await current(), { ...PASS, multiConn: true, close: () => {} }),
    close: async () => {
      await (await connection).close();
      await upstream.close();
    },
  };
}
