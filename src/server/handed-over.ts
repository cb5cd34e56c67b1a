import type { MessagePort } from 'node:worker_threads';
import { messageOf } from '../block/errors.ts';
import { type Makers, remake } from '../block/recipe.ts';
import { SocketTransport } from '../transport/socket.ts';
import type { Transport } from '../transport/transport.ts';
import { Export } from './export.ts';
import { shareOf } from './share.ts';
import type { Connection, Order, Report } from './threads.ts';
import { Transmission } from './transmission.ts';

/**
 * Serves in this thread what the server in another one hands over, until it is ended from there. What
 * goes wrong, exceptions that nobody catches among it, is told to that server.
 * @param makers find what makes the devices of recipes.
 */
export function serveHandedOver(
  port: MessagePort,
  makers: Makers,
): { report(message: string): void } {
  const running = new Set<Transmission>();
  let closing = false;
  const report = (message: Report) => port.postMessage(message);
  const onError = (message: string) => report({ kind: 'error', message });

  const serve = async (
    transport: Transport,
    pool: number,
    connection: Connection,
    ended: () => void,
  ) => {
    const { recipe, exportName, readOnly, terms, leftover, threads } = connection;
    const { peer } = transport;
    const { signal } = new AbortController();
    const disconnect = () => transport.destroy();
    const request = { exportName, readOnly, tls: false, peer, signal, disconnect };
    const device = await remake(recipe, makers, request);
    const finished = async () => {
      running.delete(transmission);
      await device.close?.();
      ended();
    };
    const transmission = new Transmission(
      transport,
      new Export(device, exportName, readOnly),
      terms,
      { threads, share: () => shareOf(pool, running.size), onError },
      leftover,
      () => void finished(),
    );
    running.add(transmission);
    transmission.start();
    if (closing) transmission.close();
  };

  const take = ({ id, pool, connection }: Extract<Order, { kind: 'serve' }>) => {
    const transport = SocketTransport.adopted(connection.fd);
    const ended = () => report({ kind: 'ended', id });
    serve(transport, pool, connection, ended).catch(error => {
      onError(messageOf(error));
      transport.destroy();
      ended();
    });
  };

  port.on('message', (order: Order) => {
    if (order.kind === 'serve') {
      take(order);
      return;
    }
    closing = true;
    for (const transmission of running) transmission.close();
  });
  report({ kind: 'ready' });
  return { report: onError };
}
