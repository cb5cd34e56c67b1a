import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { lateDisk } from '../../test/block/late-disk.ts';
import { deviceContract } from '../../test/contract/contract.ts';
import { openPlugin } from '../../test/contract/open.ts';
import { Random } from '../testing/model.ts';
import type { BlockDevice } from './device.ts';
import { serialiseDevice } from './serialise.ts';
import { Turns } from './turns.ts';

deviceContract(
  'memory, one request at a time',
  async () => serialiseDevice(await openPlugin('memory', '1M'), new Turns(1)),
  { writes: 'kept' },
);

/** One of each kind of request. */
const requests: ((device: BlockDevice) => unknown)[] = [
  device => device.read(0n, 1),
  device => device.write!(1n, Buffer.alloc(1)),
  device => device.zero!(2n, 1),
  device => device.trim!(3n, 1),
  device => device.cache!(4n, 1),
  device => device.extents!(5n, 1),
  device => device.flush!(),
];

describe('turns', () => {
  for (const limit of [1, 3]) {
    test(`at most ${limit} requests of any kind at once, in order, and then the end`, async () => {
      const disk = lateDisk(Buffer.alloc(100), new Random(limit));
      const device = serialiseDevice(disk.device, new Turns(limit));
      const answers = [...requests, ...requests].map(request => request(device));
      await device.close!();
      await Promise.all(answers);
      assert.equal(disk.most, limit);
      const once = ['read 0+1', 'write 1+1', 'zero 2+1', 'trim 3+1', 'cache 4+1', 'extents 5+1'];
      assert.deepEqual(disk.notes, [...once, 'flush', ...once, 'flush', 'close']);
    });
  }

  test('several devices may share them', async () => {
    const turns = new Turns(1);
    const disk = lateDisk(Buffer.alloc(100), new Random(1));
    const devices = [serialiseDevice(disk.device, turns), serialiseDevice(disk.device, turns)];
    await Promise.all(devices.map(device => device.read(0n, 1)));
    assert.equal(disk.most, 1);
  });

  test('what is ready is answered at once', () => {
    const turns = new Turns(1);
    assert.equal(
      turns.run(() => 5),
      5,
    );
    assert.throws(() => turns.run(() => assert.fail('no')), /no/);
    assert.equal(
      turns.run(() => 6),
      6,
    );
  });

  test('a failure gives the turn to the next', async () => {
    const turns = new Turns(1);
    const failing = turns.run(() => Promise.reject(new Error('no')));
    const next = turns.run(() => 7);
    await assert.rejects(async () => await failing, /no/);
    assert.equal(await next, 7);
  });

  test('who gives up is passed by, also when it would have been alone', async () => {
    const turns = new Turns(2);
    let finish = () => {};
    const slow = turns.run(
      () =>
        new Promise<void>(resolve => {
          finish = resolve;
        }),
    );
    const patience = new AbortController();
    const alone = turns.alone(() => assert.fail('given up'), patience.signal);
    const behind = turns.run(() => 'behind');
    await turn();
    patience.abort(new Error('enough'));
    await assert.rejects(async () => await alone, /enough/);
    assert.equal(await behind, 'behind');
    finish();
    await slow;
    assert.equal(
      turns.alone(() => 'all done'),
      'all done',
    );
  });
});
