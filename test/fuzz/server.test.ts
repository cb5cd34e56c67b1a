import assert from 'node:assert/strict';
import { Negotiation } from '../../src/client/negotiation.ts';
import type { Random } from '../../src/testing/model.ts';
import { join, u32, u64 } from '../peer/bytes.ts';
import { type Ask, infoRequest, metaRequest, ScriptedClient } from '../peer/scripted-client.ts';
import type { Wire } from '../peer/wire.ts';
import { fuzz, mutate, pieces } from './fuzz.ts';
import { line, SIZE, smallServer } from './live.ts';

/** What an honest client says from its flags to its goodbye, a random choice of it. */
function conversation(random: Random): Buffer {
  const said: Uint8Array[] = [u32(random.below(4))];
  const keep = { send: (...parts: (Uint8Array | string)[]) => void said.push(join(...parts)) };
  const client = new ScriptedClient(keep as unknown as Wire);
  const maybe = (say: () => void) => random.below(3) > 0 && say();
  maybe(() => client.option(3));
  maybe(() => client.option(8));
  maybe(() => {
    client.option(11);
    client.extended = true;
  });
  maybe(() => client.option(9, metaRequest('', 'base:')));
  maybe(() => client.option(10, metaRequest('', 'base:allocation', 'x:y')));
  maybe(() => client.option(6, infoRequest('', 1, 2, 3)));
  if (random.below(5) === 0) client.option(1, Buffer.from('disk'));
  else client.option(7, infoRequest('', 3));
  for (let count = random.below(20); count > 0; count--) client.request(anyRequest(client, random));
  client.request({ type: 2 });
  return Buffer.concat(said);
}

function anyRequest(client: ScriptedClient, random: Random): Ask {
  const offset = BigInt(random.below(SIZE));
  const length = 1 + random.below(SIZE - Number(offset));
  const type = [0, 0, 1, 1, 3, 4, 5, 6, 7][random.below(9)]!;
  const cookie = BigInt(random.below(2 ** 32));
  const flags = random.below(4) === 0 ? 1 << random.below(6) : 0;
  if (type === 1) {
    const payload = random.bytes(1 + random.below(Math.min(length, 3000)));
    return { type, cookie, offset, payload, flags: flags | (client.extended ? 32 : 0) };
  }
  if (type === 7 && client.extended && random.below(2)) {
    return { type, cookie, offset, flags: 32, payload: join(u64(length), u32(1)) };
  }
  return { type, cookie, offset, length: type === 3 ? 0 : length, flags };
}

/** Another client finds the server as it should be. */
async function stillServes(server: ReturnType<typeof smallServer>): Promise<void> {
  const there = line();
  const back = line();
  there.from.pipe(back.to);
  back.from.pipe(there.to);
  const served = server.serve(there.transport);
  const client = await (await Negotiation.begin(back.transport, {})).go('');
  await client.write!(0n, Buffer.from('still here'));
  const bytes = await client.read(0n, 10);
  assert.equal(Buffer.concat([bytes].flat()).toString(), 'still here');
  await client.close();
  await served;
}

fuzz('a live server', async random => {
  const server = smallServer(random);
  for (let count = 0; count < 20; count++) {
    const said = conversation(random);
    const bytes = random.below(20) === 0 ? said : mutate(said, random);
    const { transport, to, from } = line();
    let answered = 0;
    from.on('data', (data: Buffer) => {
      answered += data.length;
    });
    const served = server.serve(transport);
    for (const piece of pieces(bytes, random)) {
      to.write(piece);
      if (random.below(4) === 0) await new Promise(setImmediate);
    }
    to.end();
    await served;
    assert.ok(answered >= 18, 'it has said hello');
  }
  await stillServes(server);
  await server.close();
});

fuzz('a live server, and clients that vanish', async random => {
  const server = smallServer(random);
  for (let count = 0; count < 20; count++) {
    const bytes = conversation(random);
    const { transport, to, from } = line();
    if (random.below(2)) from.resume();
    const served = server.serve(transport);
    to.write(bytes.subarray(0, random.below(bytes.length + 1)));
    for (let turns = random.below(5); turns > 0; turns--) await new Promise(setImmediate);
    to.destroy();
    from.destroy();
    await served;
  }
  await stillServes(server);
  await server.close();
});
