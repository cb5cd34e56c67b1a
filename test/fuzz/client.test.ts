import assert from 'node:assert/strict';
import { BlockError } from '../../src/block/errors.ts';
import type { NbdClient } from '../../src/client/client.ts';
import { Negotiation } from '../../src/client/negotiation.ts';
import type { Random } from '../../src/testing/model.ts';
import { fuzz, mutate, pieces } from './fuzz.ts';
import { line, SIZE, smallServer } from './live.ts';

/** After so many turns of the event loop without a word, both sides wait for the other. */
const IDLE_TURNS = 30;

/** Failures must be BlockErrors; anything else is a bug. */
async function typed(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

async function useAll(client: NbdClient, random: Random): Promise<void> {
  const at = () => BigInt(random.below(SIZE / 2));
  const requests: Promise<unknown>[] = [];
  const ask = async (work: () => unknown) => void requests.push(typed(Promise.resolve(work())));
  for (let count = 0; count < 5; count++) {
    await typed(ask(() => client.read(at(), 1 + random.below(100_000))));
    await typed(ask(() => client.write?.(at(), random.bytes(1 + random.below(500)))));
    await typed(ask(() => client.zero?.(at(), 5000, { mayTrim: true })));
    await typed(ask(() => client.trim?.(at(), 5000)));
    await typed(ask(() => client.flush?.()));
    if (client.metaContexts.length > 0) await typed(ask(() => client.blockStatus(at(), 5000)));
    if (client.extents) await typed(ask(() => client.extents!(at(), 5000)));
  }
  await Promise.all(requests);
}

fuzz('a live client', async random => {
  const server = smallServer(random);
  const there = line();
  const back = line();
  const served = server.serve(there.transport);
  let said = 0;
  const harmless = random.below(20) === 0;
  const rate = 1 + random.below(20);
  there.from.on('data', (bytes: Buffer) => {
    said += 1;
    const lie = !harmless && random.below(rate) === 0;
    for (const piece of pieces(lie ? mutate(bytes, random) : bytes, random)) back.to.write(piece);
  });
  there.from.on('end', () => back.to.end());
  back.from.on('data', (bytes: Buffer) => {
    said += 1;
    there.to.write(bytes);
  });
  back.from.on('end', () => there.to.end());
  let over = false;
  const session = async () => {
    const options = {
      structuredReplies: random.below(3) > 0,
      extendedHeaders: random.below(2) > 0,
      contexts: ['base:allocation', 'x:y'],
    };
    const negotiation = await Negotiation.begin(back.transport, options);
    try {
      if (random.below(2)) await negotiation.list();
      if (random.below(2)) await negotiation.info('');
      if (random.below(2)) await negotiation.listMetaContexts('');
      const client = await negotiation.go('');
      await useAll(client, random);
      await client.close();
    } catch (error) {
      back.transport.destroy();
      throw error;
    }
  };
  const playing = (harmless ? session() : typed(session())).finally(() => {
    over = true;
  });
  for (let idle = 0, before = 0; !over; idle = said === before ? idle + 1 : 0) {
    before = said;
    await new Promise(setImmediate);
    if (idle === IDLE_TURNS) back.to.end();
  }
  await playing;
  assert.ok(said > 0);
  there.transport.destroy();
  await served;
  await server.close();
});
