import type { MessagePort } from 'node:worker_threads';
import type { BlockDevice } from '../block/device.ts';
import { messageOf } from '../block/errors.ts';
import { SocketTransport } from '../transport/socket.ts';
import type { Transport } from '../transport/transport.ts';
import { Export } from './export.ts';
import { shareOf } from './share.ts';
import type { Connection, Order, Report } from './threads.ts';
import { Transmission } from './transmission.ts';

/**
 * Serves in this thread what the server in another one hands over, until it is ended from there. What
 * goes wrong, exceptions that nobody catches among it, is told to that server.
 * @param revive makes the device of what it said of itself.
 */
export function serveHandedOver(
  port: MessagePort,
  revive: (portable: unknown) => BlockDevice,
): void {
  const running = new Set<Transmission>();
  let closing = false;
  const report = (message: Report) => port.postMessage(message);
  const onError = (message: string) => report({ kind: 'error', message });

  const serve = (transport: Transport, pool: number, connection: Connection, ended: () => void) => {
    const { portable, exportName, readOnly, terms, leftover, threads } = connection;
    const device = revive(portable);
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
    try {
      serve(transport, pool, connection, ended);
    } catch (error) {
      onError(messageOf(error));
      transport.destroy();
      ended();
    }
  };

  process.on('uncaughtException', error => onError(messageOf(error)));
  port.on('message', (order: Order) => {
    if (order.kind === 'serve') {
      take(order);
      return;
    }
    closing = true;
    for (const transmission of running) transmission.close();
  });
  report({ kind: 'ready' });
}
