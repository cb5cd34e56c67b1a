/** What a decoding thread runs. */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockError, errnoOf, messageOf } from '../block/errors.ts';
import type { Decoder } from './coding.ts';
import { decoderOf } from './decoders.ts';
import { FileSink, MemorySink } from './sinks.ts';
import type { Begin, Order, Report } from './threads.ts';

/** What is being decoded: one thing at a time. */
interface Work {
  readonly decoder: Decoder;
  readonly sink: MemorySink | FileSink;
}

const port = parentPort!;
const stop = new Int32Array(workerData as SharedArrayBuffer);
let work: Work | undefined;

function begin({ coding, into }: Begin): Work {
  const check = () => {
    if (Atomics.load(stop, 0) !== 0) throw new BlockError('EIO', 'nobody wants it any more');
  };
  const sink =
    'fd' in into
      ? new FileSink(into, coding.crc, check)
      : new MemorySink(into.bytes, coding.crc, check);
  return { decoder: decoderOf(coding), sink };
}

async function follow({ begin: begun, input, last }: Order): Promise<Report> {
  if (begun) {
    // Of what was given up between two orders.
    end();
    work = begin(begun);
  }
  if (!work) throw new BlockError('EIO', 'what came before has failed');
  const { decoder, sink } = work;
  await decoder.decode(input, last, sink);
  if (!last) return { kind: 'fed' };
  sink.finish();
  end();
  return { kind: 'done', length: sink.done };
}

function end(): void {
  work?.decoder.close();
  work = undefined;
}

async function answer(order: Order): Promise<void> {
  let report: Report;
  try {
    report = await follow(order);
  } catch (error) {
    end();
    report = { kind: 'failed', errno: errnoOf(error), message: messageOf(error) };
  }
  port.postMessage(report);
}

let before = Promise.resolve();
port.on('message', (order: Order) => {
  before = before.then(() => answer(order));
});
