import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrowingMemory, makeImage, SECRET } from '../../../test/peer/images.ts';
import { readBytes } from '../../testing/model.ts';
import { openImage } from '../open-image.ts';

const SIZE = 1 << 20;

test('passphrases of an encrypted image are added and removed', async () => {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, 'qcow2', BigInt(SIZE), 'encrypt.format=luks,encrypt.iter-time=1');
  const open = (passphrase: string) =>
    openImage(
      { device: file },
      { format: 'qcow2', readOnly: false, secret: () => Buffer.from(passphrase) },
    );
  const amending = { force: false, secret: (id: string | undefined) => Buffer.from(id!) };
  const amend = async (passphrase: string, words: Readonly<Record<string, string>>) => {
    const { amend: change, device } = await open(passphrase);
    const list = Object.entries(words).map(([key, value]) => ({ key: `encrypt.${key}`, value }));
    await change!(list, amending);
    await device.close!();
  };
  const first = await open(SECRET);
  await first.device.write!(5000n, Buffer.from('sealed'));
  await first.device.close!();
  assert.ok(!file.bytes.includes('sealed'));

  await amend(SECRET, { state: 'active', 'new-secret': 'other', 'iter-time': '1' });
  await amend('other', { state: 'inactive', 'old-secret': SECRET });
  await assert.rejects(open(SECRET), { errno: 'EACCES' });
  const { device, check } = await open('other');
  assert.equal((await readBytes(device, 5000n, 6)).toString(), 'sealed');
  assert.deepEqual((await check!()).findings, []);
  await assert.rejects(amend('other', { state: 'inactive', keyslot: '1' }), { errno: 'EPERM' });
});
