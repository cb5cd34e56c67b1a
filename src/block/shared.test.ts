import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { deviceContract } from '../../test/contract/contract.ts';
import { pluginSource, REQUEST } from '../../test/contract/open.ts';
import { paddingDevice } from './constant.ts';
import type { BlockDevice, DeviceSource, OpenRequest } from './device.ts';
import { shareSource } from './shared.ts';

deviceContract(
  'memory that connections share',
  async () => await shareSource(await pluginSource('memory', '1M')).open(REQUEST),
  { writes: 'kept' },
);

/** A source whose devices the test opens and which notes what happens. */
function source(own: Partial<DeviceSource> = {}) {
  const notes: string[] = [];
  const requests: OpenRequest[] = [];
  let closing: (() => Promise<void>) | undefined;
  const shared = shareSource({
    open: async request => {
      requests.push(request);
      notes.push(`open ${request.exportName}${request.readOnly ? ' read-only' : ''}`);
      await turn();
      return {
        ...paddingDevice(4096n),
        close: async () => {
          notes.push('close');
          await closing?.();
          notes.push('closed');
        },
      };
    },
    ...own,
  });
  const open = async (more: Partial<OpenRequest> = {}): Promise<BlockDevice> =>
    await shared.open({ ...REQUEST, ...more });
  const slowly = (close: () => Promise<void>) => {
    closing = close;
  };
  return { shared, open, notes, requests, slowly };
}

describe('a shared device', () => {
  test('is opened once and closed by the last', async () => {
    const { open, notes } = source();
    const [one, two] = await Promise.all([open(), open()]);
    const three = await open();
    assert.notEqual(one, two);
    assert.deepEqual(notes, ['open ']);
    await one!.close!();
    await one!.close!();
    await two!.close!();
    assert.deepEqual(notes, ['open ']);
    await three.close!();
    assert.deepEqual(notes, ['open ', 'close', 'closed']);
    await (await open()).close!();
    assert.deepEqual(notes.slice(3), ['open ', 'close', 'closed']);
  });

  test('is another one for each export, and for reading only', async () => {
    const { open, notes } = source();
    await Promise.all([
      open({ exportName: 'a' }),
      open({ exportName: 'b' }),
      open({ exportName: 'a' }),
    ]);
    await open({ exportName: 'a', readOnly: true });
    assert.deepEqual(notes, ['open a', 'open b', 'open a read-only']);
  });

  test('is opened again only when it is closed', async () => {
    const { open, notes, slowly } = source();
    let finish = () => {};
    slowly(
      () =>
        new Promise(resolve => {
          finish = resolve;
        }),
    );
    const first = await open();
    const closing = first.close!();
    const second = open();
    const patience = new AbortController();
    const third = open({ signal: patience.signal });
    await turn();
    patience.abort(new Error('enough'));
    await assert.rejects(third, /enough/);
    assert.deepEqual(notes, ['open ', 'close']);
    finish();
    await closing;
    await second;
    assert.deepEqual(notes, ['open ', 'close', 'closed', 'open ']);
  });

  test('that could not be opened is tried again', async () => {
    let tries = 0;
    const { open } = source({
      open: () => {
        tries += 1;
        if (tries === 1) throw new Error('no');
        return paddingDevice(1n);
      },
    });
    const failed = [open(), open()];
    for (const one of failed) await assert.rejects(one, /no/);
    assert.equal(tries, 1);
    assert.equal((await open()).size, 1n);
  });

  test('lives as long as any client', async () => {
    const { open, notes, requests } = source();
    const clients = [new AbortController(), new AbortController()];
    const views = clients.map(({ signal }) => open({ signal }));
    clients[0]!.abort(new Error('gone'));
    await assert.rejects(views[0]!, /gone/);
    const view = await views[1]!;
    assert.ok(!requests[0]!.signal.aborted);
    clients[1]!.abort();
    assert.ok(requests[0]!.signal.aborted);
    await view.close!();
    assert.deepEqual(notes, ['open ', 'close', 'closed']);
  });

  test('for which nobody waits any more is closed when it is open', async () => {
    const { open, notes, requests } = source();
    const client = new AbortController();
    const view = open({ signal: client.signal });
    client.abort(new Error('gone'));
    await assert.rejects(view, /gone/);
    assert.ok(requests[0]!.signal.aborted);
    const next = await open();
    assert.deepEqual(notes, ['open ', 'close', 'closed', 'open ']);
    await next.close!();
  });

  test('disconnects all', async () => {
    const { open, requests } = source();
    const ended: number[] = [];
    await Promise.all([1, 2].map(index => open({ disconnect: () => ended.push(index) })));
    requests[0]!.disconnect(true);
    assert.deepEqual(ended, [1, 2]);
  });

  test('tells the last one that closing failed', async () => {
    const { open } = source({
      open: () => ({ ...paddingDevice(1n), close: () => assert.fail('stuck') }),
    });
    const [one, two] = [await open(), await open()];
    await one.close!();
    await assert.rejects(async () => await two.close!(), /stuck/);
    assert.equal((await open()).size, 1n);
  });
});
