import type { MessagePort } from 'node:worker_threads';
import { controllerForMany } from '../block/abortable.ts';
import type { BlockDevice } from '../block/device.ts';
import { errnoOf, messageOf } from '../block/errors.ts';
import { type Makers, remake } from '../block/recipe.ts';
import { SocketTransport } from '../transport/socket.ts';
import { Export } from './export.ts';
import { shareOf } from './share.ts';
import { Counters } from './statistics.ts';
import type { Handover, Order, Remade, Report } from './threads.ts';
import { Transmission } from './transmission.ts';

/** A device that was made again, for a connection that comes or is here. */
class Guest {
  readonly #report: (message: Report) => void;
  readonly #id: number;
  readonly #device: BlockDevice;
  readonly #made: Remade;
  readonly #gone: AbortController;
  readonly counters = new Counters();
  #transmission: Transmission | undefined;
  #transport: SocketTransport | undefined;

  /** Makes the device. @throws what its maker throws. */
  static async make(
    report: (message: Report) => void,
    id: number,
    made: Remade,
    makers: Makers,
  ): Promise<Guest> {
    const gone = controllerForMany();
    let guest: Guest | undefined;
    const disconnect = (force?: boolean) => guest?.disconnect(force);
    const request = { ...made.request, signal: gone.signal, disconnect };
    const device = await remake(made.recipe, makers, request);
    guest = new Guest(report, id, made, device, gone);
    return guest;
  }

  private constructor(
    report: (message: Report) => void,
    id: number,
    made: Remade,
    device: BlockDevice,
    gone: AbortController,
  ) {
    this.#report = report;
    this.#id = id;
    this.#made = made;
    this.#device = device;
    this.#gone = gone;
  }

  serve({ fd, terms, leftover, threads }: Handover, share: () => number, over: () => void): void {
    const { exportName, readOnly } = this.#made.request;
    const transport = SocketTransport.adopted(fd);
    this.#transport = transport;
    const onError = (error: unknown) => this.#report(reportOf(error, this.#id));
    this.#transmission = new Transmission(
      transport,
      new Export(this.#device, exportName, readOnly),
      terms,
      { threads, gone: this.#gone, share, onError, counters: this.counters },
      leftover,
      over,
    );
    this.#transmission.start();
  }

  close(): void {
    this.#transmission?.close();
  }

  disconnect(force = false): void {
    if (force) this.#transport?.destroy();
    else this.close();
  }

  async end(): Promise<void> {
    try {
      await this.#device.close?.();
    } catch (error) {
      this.#report(reportOf(error, this.#id));
    }
    await this.#transport?.end();
  }
}

function reportOf(error: unknown, id?: number): Report {
  return { kind: 'error', id, errno: errnoOf(error), message: messageOf(error) };
}

/**
 * Serves in this thread what the server in another one hands over, until it is ended from there.
 * @param makers find what makes the devices of recipes.
 * @returns a function that tells that server of an error beside a connection.
 */
export function serveHandedOver(port: MessagePort, makers: Makers): (error: unknown) => void {
  const guests = new Map<number, Guest>();
  let serving = 0;
  let closing = false;
  const report = (message: Report) => port.postMessage(message);

  const make = async (id: number, device: Remade) => {
    try {
      guests.set(id, await Guest.make(report, id, device, makers));
      report({ kind: 'made', id });
    } catch (error) {
      report(reportOf(error, id));
      report({ kind: 'ended', id });
    }
  };
  const end = async (id: number) => {
    const guest = guests.get(id);
    await guest?.end();
    guests.delete(id);
    report({ kind: 'ended', id, statistics: guest && { ...guest.counters } });
  };
  const serve = ({ id, pool, handover }: Extract<Order, { kind: 'serve' }>) => {
    const guest = guests.get(id)!;
    serving += 1;
    const over = () => {
      serving -= 1;
      void end(id);
    };
    guest.serve(handover, () => shareOf(pool, serving), over);
    if (closing) guest.close();
  };

  port.on('message', (order: Order) => {
    if (order.kind === 'make') void make(order.id, order.device);
    else if (order.kind === 'serve') serve(order);
    else if (order.kind === 'drop') void end(order.id);
    else {
      closing = true;
      for (const guest of guests.values()) guest.close();
    }
  });
  report({ kind: 'ready' });
  return error => report(reportOf(error));
}
