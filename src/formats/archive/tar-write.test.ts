import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constantDevice } from '../../block/constant.ts';
import { tarEntries } from './tar.ts';
import { type TarMember, tarEnd, tarHeader, tarPadding } from './tar-write.ts';

const member = (name: string, more: Partial<TarMember> = {}): TarMember => ({
  name: Buffer.from(name),
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0n,
  mtime: 0n,
  ...more,
});

/** An archive with these members, each of its content. */
function archive(members: readonly (readonly [TarMember, string])[]): Buffer {
  const parts = members.flatMap(([one, content]) => [
    tarHeader({ ...one, size: BigInt(content.length) }),
    Buffer.from(content),
    tarPadding(BigInt(content.length)),
  ]);
  const written = Buffer.concat(parts);
  return Buffer.concat([written, tarEnd(BigInt(written.length))]);
}

test('the reader finds what was written', async () => {
  const long = `${'a/'.repeat(90)}name`;
  const bytes = archive([
    [member('./f'), 'text'],
    [member(long, { mtime: -1n, uid: 3_000_000 }), 'x'.repeat(600)],
    [member('ü'), ''],
  ]);
  assert.equal(bytes.length % 10240, 0);
  const entries: [string, number][] = [];
  for await (const { name, size } of tarEntries(constantDevice(bytes), {})) {
    entries.push([name, size]);
  }
  assert.deepEqual(entries, [
    ['./f', 4],
    [long, 600],
    ['ü', 0],
  ]);
});

test('lengths that count themselves', () => {
  for (let length = 85; length < 110; length++) {
    const header = tarHeader(member('n'.repeat(100 + length)));
    const text = header.toString('latin1', 512);
    const said = Number(/^(\d+) path=/.exec(text)![1]);
    assert.equal(text[said - 1], '\n', String(length));
  }
});

test('extended attributes', () => {
  const attributes = [[Buffer.from('user.a=b%\xe9', 'latin1'), Buffer.of(0, 10, 255)]] as const;
  const header = tarHeader(member('f', { attributes }));
  const record = '35 SCHILY.xattr.user.a%3Db%25\xe9=\0\n\xff\n';
  assert.equal(header.toString('latin1', 512, 512 + 35), record);
});
