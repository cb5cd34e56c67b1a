/** Faults that users of other libraries reported, and classes of published weaknesses of image formats. */
import assert from 'node:assert/strict';
import { readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { allExtents } from '../../src/block/emulate.ts';
import { packed } from '../../src/codecs/packing.ts';
import { openImage } from '../../src/formats/open-image.ts';
import type { Image } from '../../src/images/image.ts';
import { Random, readBytes } from '../../src/testing/model.ts';
import { GrowingMemory, makeImage, makeImageFile, openImageFile } from '../peer/images.ts';
import { temporaryFolder } from '../peer/wire.ts';

const MIB = 1 << 20;

async function made(format: string, size: number, options = ''): Promise<GrowingMemory> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, format, BigInt(size), options);
  return file;
}

const open = (device: GrowingMemory, format: string, more = {}): Promise<Image> =>
  openImage({ device }, { format, readOnly: false, ...more });

/** Nothing is wrong with an image, and nothing is lost in it. */
async function isGood(file: GrowingMemory, format: string): Promise<void> {
  const { check } = await open(file, format, { readOnly: true, checking: true });
  const { corruptions, leaks, errors, findings } = await check!();
  assert.deepEqual([corruptions, leaks, errors], [0, 0, 0], findings.join('\n'));
}

describe('reported of other libraries', () => {
  test('an image of nothing but clusters of zeroes', async () => {
    for (const [format, options] of [
      ['qcow2', 'cluster_size=4096'],
      ['qcow2', 'cluster_size=16k,extended_l2=on'],
      ['vdi', ''],
      ['vmdk', 'zeroed_grain=on'],
      ['vhdx', 'block_size=1M'],
    ] as const) {
      const file = await made(format, 3 * MIB, options);
      const { device } = await open(file, format);
      await device.write!(0n, Buffer.alloc(MIB, 1));
      await device.zero!(0n, 3 * MIB, { mayTrim: true });
      await device.close!();
      const again = await open(file, format, { readOnly: true });
      const extents = await allExtents(again.device, 0n, 3 * MIB);
      // Blocks of VDI keep their room.
      const isKnown = format === 'vdi' || extents.every(({ zero }) => zero);
      assert.ok(isKnown, format);
      assert.ok((await readBytes(again.device, 0n, 3 * MIB)).every(byte => byte === 0));
      await isGood(file, format);
    }
  });

  test('compressed clusters of all lengths, at every size of a cluster', async () => {
    for (let bits = 9; bits <= 21; bits++) {
      // Large ones take their time.
      for (const kind of bits > 18 ? [bits === 20 ? 'zstd' : 'zlib'] : ['zlib', 'zstd']) {
        const cluster = 2 ** bits;
        const options = `cluster_size=${cluster},compression_type=${kind}`;
        const parts = bits > 18 ? 2 : bits > 16 ? 3 : 8;
        const size = parts * cluster;
        const file = await made('qcow2', size, options);
        const { device, compressed } = await open(file, 'qcow2');
        const content = Buffer.alloc(size, 'some text ');
        // From what is all text to what no compression makes shorter.
        for (let part = 0; part < parts; part++) {
          new Random(part)
            .bytes(Math.floor((cluster * part) / (parts - 1)))
            .copy(content, part * cluster);
        }
        const most = compressed!.blockSize!.maximum;
        for (let at = 0; at < size; at += most) {
          await compressed!.write!(BigInt(at), content.subarray(at, at + most));
        }
        await device.close!();
        const again = await open(file, 'qcow2', { readOnly: true });
        assert.ok((await readBytes(again.device, 0n, size)).equals(content), options);
        await isGood(file, 'qcow2');
      }
    }
  });

  test('a compressed image that is cut in its last sector', async () => {
    const file = await made('qcow2', MIB);
    const { device, compressed } = await open(file, 'qcow2');
    const content = Buffer.alloc(65536, 'some text ');
    await compressed!.write!(0n, content);
    await device.close!();
    let end = file.bytes.length;
    while (file.bytes[end - 1] === 0) end--;
    const cut = new GrowingMemory(file.bytes.subarray(0, end));
    const again = await open(cut, 'qcow2', { readOnly: true });
    assert.ok((await readBytes(again.device, 0n, 65536)).equals(content));
  });

  test('whatever rewrites the header keeps what is in it', async () => {
    const file = await made('qcow2', MIB, 'lazy_refcounts=on,compression_type=zstd');
    const at = 112 + 8 + 384;
    file.bytes.writeUInt32BE(0x1234_5678, at);
    file.bytes.writeUInt32BE(5, at + 4);
    file.bytes.write('hello', at + 8);
    const rewriting: readonly ((image: Image) => Promise<void> | void)[] = [
      ({ device }) => device.resize!(BigInt(2 * MIB)) as Promise<void>,
      ({ snapshots }) => snapshots!.create('s'),
      ({ snapshots }) => snapshots!.remove('s'),
      ({ bitmaps }) => {
        bitmaps!.add('b');
        return bitmaps!.save();
      },
      ({ amend }) =>
        amend!([{ key: 'refcount_bits', value: '64' }], {
          force: false,
          secret: () => assert.fail('no secret is needed'),
        }),
      ({ setBacking }) => setBacking!('base', 'raw'),
    ];
    for (const rewrite of rewriting) {
      const image = await open(file, 'qcow2', { alone: true });
      await rewrite(image);
      await image.device.close!();
      assert.ok(file.bytes.subarray(0, 1000).includes('\x12\x34\x56\x78\0\0\0\x05hello'));
      const { facts } = await open(file, 'qcow2', { alone: true, readOnly: true });
      assert.equal(facts.specific?.['compression-type'], 'zstd');
      assert.equal(facts.specific?.['lazy-refcounts'], true);
    }
  });

  test('a table of reference counts that is larger than it need be', async () => {
    const file = await made('qcow2', MIB);
    const table = file.bytes.length;
    file.resize(BigInt(table + 3 * 65536));
    const at = Number(file.bytes.readBigUInt64BE(48));
    file.bytes.copy(file.bytes, table, at, at + 8);
    file.bytes.writeBigUInt64BE(BigInt(table), 48);
    file.bytes.writeUInt32BE(3, 56);
    const block = Number(file.bytes.readBigUInt64BE(at));
    file.bytes.writeUInt16BE(0, block + (at / 65536) * 2);
    for (let each = 0; each < 3; each++) {
      file.bytes.writeUInt16BE(1, block + (table / 65536 + each) * 2);
    }
    const { device } = await open(file, 'qcow2');
    await device.write!(0n, Buffer.alloc(65536, 1));
    await device.close!();
    await isGood(file, 'qcow2');
  });

  test('a sparse VMDK that was renamed', async t => {
    const folder = temporaryFolder(t);
    const [before, after] = [join(folder, 'before.vmdk'), join(folder, 'after it.vmdk')];
    await makeImageFile(before, 'vmdk', BigInt(MIB));
    renameSync(before, after);
    const { device } = await openImageFile(after);
    await device.write!(0n, Buffer.from('text'));
    await device.close!();
    const again = await openImageFile(after, undefined, true);
    assert.equal((await readBytes(again.device, 0n, 4)).toString(), 'text');
    await again.device.close!();
  });

  test('extent lines of three to seven words, names with blanks, lines that end as on Windows', async t => {
    const folder = temporaryFolder(t);
    const [path, name] = [join(folder, 'a.vmdk'), 'some data - of "mine".bin'.replaceAll('"', '')];
    writeFileSync(join(folder, name), Buffer.alloc(4096, 7));
    for (const [line, size, first] of [
      ['RW 8 ZERO', 4096, 0],
      [`RW 8 VMFS "${name}"`, 4096, 7],
      [`RW 8 FLAT "${name}" 0`, 4096, 7],
      [`RW 8 FLAT "${name}" 0 1234-uuid`, 4096, 7],
      [`RW\t4 FLAT  "${name}"\t4 1234-uuid vml.02`, 2048, 7],
    ] as const) {
      for (const end of ['\n', '\r\n']) {
        writeFileSync(path, ['# Disk DescriptorFile', 'version=1', line, ''].join(end));
        const { device } = await openImageFile(path, undefined, true);
        const bytes = await readBytes(device, 0n, size);
        assert.deepEqual([device.size, bytes[0], bytes.at(-1)], [BigInt(size), first, first], line);
        await device.close!();
      }
    }
  });

  test('markers of a stream in any order, and with anything in them', async () => {
    const file = await made('vmdk', MIB, 'subformat=streamOptimized');
    const { device } = await open(file, 'vmdk');
    const content = Buffer.alloc(MIB, 'some text ');
    for (let at = MIB - 65536; at >= 0; at -= 65536) {
      await device.write!(BigInt(at), content.subarray(at, at + 65536));
    }
    await device.close!();
    const marker = Buffer.alloc(512);
    marker.writeBigUInt64LE(2n ** 60n, 0);
    marker.writeUInt32LE(1, 12);
    const more = new GrowingMemory(Buffer.concat([file.bytes, marker, new Random(1).bytes(512)]));
    const again = await open(more, 'vmdk', { readOnly: true });
    assert.ok((await readBytes(again.device, 0n, MIB)).equals(content));
  });

  test('absent blocks of a VHDX, in every state', async () => {
    const file = await made('vhdx', 8 * MIB, 'block_size=1M');
    const { device } = await open(file, 'vhdx');
    await device.write!(0n, Buffer.alloc(MIB, 1));
    await device.close!();
    const table = 2 * MIB;
    for (const state of [0, 1, 2, 3])
      file.bytes.writeBigUInt64LE(BigInt(state), table + 8 + 8 * state);
    const again = await open(file, 'vhdx', { readOnly: true });
    assert.ok((await readBytes(again.device, BigInt(MIB), 7 * MIB)).every(byte => byte === 0));
    await isGood(file, 'vhdx');
  });

  test('parents that are missing or over themselves are named', async t => {
    const folder = temporaryFolder(t);
    for (const [format, options] of [
      ['qcow2', 'backing_fmt=qcow2,'],
      ['vmdk', ''],
    ] as const) {
      const [base, child] = ['base', 'child'].map(name => join(folder, `${name}.${format}`));
      await makeImageFile(base!, format, BigInt(MIB));
      await makeImageFile(child!, format, BigInt(MIB), `${options}backing_file=base.${format}`);
      renameSync(base!, `${base}.away`);
      await assert.rejects(openImageFile(child!), { message: /base\.\w+'?: no such file/ });
      symlinkSync(child!, base!);
      await assert.rejects(openImageFile(child!), { message: /the chain is a loop|was changed/ });
    }
  });
});

describe('published of other programs', () => {
  /** What an image gives whose second table has this entry, or these bytes where that leads. */
  async function withEntry(entry: bigint, bytes?: Buffer, options = ''): Promise<Image> {
    const file = await made('qcow2', MIB, options);
    const { device } = await open(file, 'qcow2');
    await device.write!(0n, Buffer.alloc(65536, 1));
    await device.close!();
    const table = Number(file.bytes.readBigUInt64BE(3 * 65536) & 0xff_ffff_ffff_fe00n);
    file.bytes.writeBigUInt64BE(entry, table);
    if (bytes) {
      file.resize(BigInt(MIB + bytes.length));
      bytes.copy(file.bytes, MIB);
    }
    return open(file, 'qcow2', { readOnly: true });
  }

  test('entries that lead nowhere or between clusters (CVE-2014-0143 and others)', async () => {
    for (const entry of [0x8000_0000_0001_0200n, 0x80ff_ffff_ffff_0000n, 0xbfff_ffff_ffff_fe00n]) {
      const { device } = await withEntry(entry);
      const read = async () => readBytes(device, 0n, 512);
      const outcome = await read().catch((error: Error) => error);
      const isRefused = outcome instanceof Error && outcome.name === 'BlockError';
      assert.ok(isRefused || (outcome as Buffer).every(byte => byte === 0), `${outcome}`);
    }
  });

  test('what unpacks to far more than a cluster is one cluster, or refused', async () => {
    const bomb = Buffer.alloc(64 * MIB);
    for (const kind of ['zlib', 'zstd'] as const) {
      const bytes = Buffer.from(await packed(kind, bomb));
      const sectors = BigInt(Math.min(127, Math.ceil(bytes.length / 512) - 1));
      const entry = (1n << 62n) | (sectors << 54n) | BigInt(MIB);
      const { device } = await withEntry(entry, bytes, `compression_type=${kind}`);
      const read = await readBytes(device, 0n, 65536).catch((error: Error) => error);
      const isRefused = read instanceof Error && read.name === 'BlockError';
      assert.ok(isRefused || (read as Buffer).every(byte => byte === 0), `${read}`);
    }
  });

  test('a header of encryption that is nowhere, or without end', async () => {
    for (const [offset, length] of [
      [2n ** 63n, 512n],
      [0n, 2n ** 40n],
      [0n, 0n],
      [2n ** 50n, 4096n],
    ] as const) {
      const file = await made('qcow2', MIB);
      file.bytes.writeUInt32BE(2, 32);
      const extension = Buffer.alloc(24);
      extension.writeUInt32BE(0x0537_be77, 0);
      extension.writeUInt32BE(16, 4);
      extension.writeBigUInt64BE(offset, 8);
      extension.writeBigUInt64BE(length, 16);
      file.bytes.copy(file.bytes, 112 + 24, 112, 112 + 400);
      extension.copy(file.bytes, 112);
      const secret = () => Buffer.from('x');
      await assert.rejects(open(file, 'qcow2', { secret }), { name: 'BlockError' });
    }
  });

  test('names of other files in images of every format (CVE-2015-5163, 2022-47951, 2024-32498)', async t => {
    const folder = temporaryFolder(t);
    const secret = join(temporaryFolder(t), 'secret');
    writeFileSync(secret, Buffer.alloc(MIB, 'secret'));
    const path = join(folder, 'image');
    const refused = { message: /another folder|may name files only|no such file/ };
    for (const name of [secret, `../${secret.split('/').slice(-2).join('/')}`, `json:{}`]) {
      for (const options of [`backing_file=${name},backing_fmt=raw`, `data_file=${name}`]) {
        writeFileSync(path, (await made('qcow2', MIB, options)).bytes);
        await assert.rejects(openImageFile(path), refused);
      }
      for (const text of [
        `RW 8 FLAT "${name}" 0`,
        `RW 8 SPARSE "${name}"`,
        `parentCID=1\nparentFileNameHint="${name}"\nRW 8 ZERO`,
      ]) {
        writeFileSync(path, `# Disk DescriptorFile\n${text}\n`);
        await assert.rejects(openImageFile(path, 'vmdk'), refused, text);
      }
    }
    assert.ok(readFileSync(secret).includes('secret'));
  });
});
