import { test } from 'node:test';
import { inMachine } from './machine.ts';

test('x', async t => {
  console.log(await inMachine(t, process.env.SCRIPT!));
});
