import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { contiguous } from '../../block/data.ts';

test('all connections see one disk', async () => {
  const source = await pluginSource('memory', '1M');
  const one = await source.open(REQUEST);
  const other = await source.open({ ...REQUEST, exportName: 'any' });
  await one.write!(1000n, Buffer.from('hello'));
  assert.equal(Buffer.from(contiguous(await other.read(1000n, 5))).toString(), 'hello');
});

test('two servers do not', async () => {
  const one = await openPlugin('memory', '1M');
  const other = await openPlugin('memory', '1M');
  await one.write!(0n, Buffer.from('x'));
  assert.equal(contiguous(await other.read(0n, 1))[0], 0);
});

test('the size is needed and checked', async () => {
  await assert.rejects(openPlugin('memory'), {
    name: 'UsageError',
    message: /size: must be given/,
  });
  await assert.rejects(openPlugin('memory', '1X'), { message: /size: cannot parse '1X'/ });
  await assert.rejects(openPlugin('memory', '9E'), { message: /larger than 2\^63-1/ });
});

const MODULE = JSON.stringify(fileURLToPath(new URL('./memory.ts', import.meta.url)));

/** What a program prints that has a disk of `size` bytes, after the words of a shell. */
function printed(size: string, body: string, first = ':'): string {
  const script = `
    const { default: plugin } = await import(${MODULE});
    const source = await plugin.create({ size: ${size}, allocator: 'sparse' }, {});
    const device = await source.open({});
    ${body}
  `;
  const node = `exec "$0" --import tsx --input-type=module -e "$1"`;
  const words = ['-c', `${first} && ${node}`, process.execPath, script];
  return execFileSync('sh', words, { encoding: 'utf8' }).trim();
}

test('the FFI library is not loaded for it', () => {
  const body = `
    device.write(0n, Buffer.alloc(100));
    const { createRequire } = await import('node:module');
    const cached = Object.keys(createRequire(${MODULE}).cache);
    console.log(cached.filter(name => name.includes('koffi')).length);
  `;
  assert.equal(printed('1n << 20n', body), '0');
});

test('it does without shared memory where there is no room for it', () => {
  const body = `
    device.write((1n << 40n) - 1n, Buffer.from('x'));
    console.log(device.portable, device.read((1n << 40n) - 1n, 1).toString());
  `;
  const limit = 'ulimit -v $((256 * 1024 * 1024))';
  assert.equal(printed('1n << 40n', body, limit), 'undefined x');
});
