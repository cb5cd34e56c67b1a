/** Small images of all formats, and where they say what is where. */
import { createHash } from 'node:crypto';
import { createLuks } from '../../src/formats/luks/create.ts';
import { openImage } from '../../src/formats/open-image.ts';
import { sign } from '../../src/formats/vhdx/structures.ts';
import { checksum } from '../../src/formats/vpc/footer.ts';
import type { Image } from '../../src/images/image.ts';
import { GrowingMemory, makeImage, scribble } from '../peer/images.ts';
import type { OverlayMemory } from '../peer/overlay-memory.ts';

/** A part of a file, from one byte up to another; what is below 0 counts from the end. */
export type Part = readonly [from: number, to: number];

export interface Fixture {
  readonly format: string;
  readonly options?: string;
  /** All of them are damaged in each round. */
  readonly parts: readonly Part[];
  /** What is done with it while it is good. */
  readonly fill?: (image: Image) => Promise<void>;
  /** Its file as it is then, without it being closed. */
  readonly isCutOff?: boolean;
  /** Makes the checksums right of what was damaged. */
  readonly mend?: (file: OverlayMemory) => void;
  readonly make?: () => Promise<Buffer>;
}

export const PASSPHRASE = 'secret';
const SIZE = 2 << 20;
const KIB = 1024;
const MIB = 1 << 20;

const scribbled = ({ device }: Image) => scribble(device, Buffer.alloc(SIZE), { count: 5 });

/** With all that an image may have beside its disk. */
async function rich(image: Image): Promise<void> {
  const text = Buffer.alloc(64 * KIB, 'some text ');
  await image.compressed!.write!(0n, text);
  await scribbled(image);
  await image.snapshots!.create('first');
  if (image.facts.specific!.compat === '1.1') image.bitmaps!.add('changes', 64 * KIB);
  await image.bitmaps!.save();
  await image.compressed!.write!(BigInt(MIB), text);
}

/** What is compressed is written as a whole, and once. */
const stream = ({ device }: Image) =>
  Promise.resolve(device.write!(0n, Buffer.alloc(1 << 18, 't')));

const VHDX = { format: 'vhdx', options: 'block_size=1048576', mend: signVhdx } as const;
const VPC = { format: 'vpc', mend: sumVpc } as const;

export const FIXTURES: readonly Fixture[] = [
  { format: 'qcow2', options: 'cluster_size=4096', parts: [[0, 600]] },
  { format: 'qcow2', options: 'cluster_size=512', parts: [[0, 20_000]] },
  { format: 'qcow2', options: 'cluster_size=4096,compat=0.10', parts: [[0, 40_000]], fill: rich },
  {
    format: 'qcow2',
    options: 'cluster_size=512,refcount_bits=8',
    parts: [[0, 400_000]],
    fill: rich,
  },
  { format: 'qcow2', options: 'cluster_size=16k,extended_l2=on', parts: [[0, 100_000]] },
  {
    format: 'qcow2',
    options: 'cluster_size=4k,compression_type=zstd',
    parts: [[0, 1 << 19]],
    fill: rich,
  },
  { format: 'vdi', parts: [[0, 600]] },
  {
    ...VPC,
    parts: [
      [0, 1600],
      [-512, 0],
    ],
  },
  { ...VPC, options: 'subformat=fixed', parts: [[-512, 0]] },
  { format: 'vmdk', parts: [[0, 20_000]] },
  { format: 'vmdk', options: 'zeroed_grain=on', parts: [[0, 70_000]] },
  { format: 'vmdk', options: 'subformat=streamOptimized', parts: [[0, 70_000]], fill: stream },
  {
    ...VHDX,
    parts: [
      [64 * KIB, 64 * KIB + 80],
      [128 * KIB, 128 * KIB + 80],
    ],
  },
  {
    ...VHDX,
    parts: [
      [192 * KIB, 192 * KIB + 80],
      [256 * KIB, 256 * KIB + 80],
    ],
  },
  { ...VHDX, parts: [[2 * MIB, 2 * MIB + 64]] },
  {
    ...VHDX,
    parts: [
      [3 * MIB, 3 * MIB + 200],
      [3 * MIB + 64 * KIB, 3 * MIB + 64 * KIB + 40],
    ],
  },
  { ...VHDX, parts: [[MIB, MIB + 24 * KIB]], isCutOff: true },
  // But for how often a passphrase is hashed, which may well take a minute.
  {
    format: 'luks',
    parts: [
      [0, 164],
      [168, 212],
      [216, 600],
    ],
    make: () => luksVolume(1),
  },
  {
    format: 'luks',
    parts: [
      [0, 6 * KIB],
      [16 * KIB, 22 * KIB],
    ],
    mend: sumLuks,
    make: () => luksVolume(2),
  },
];

/** The bytes of a good image. */
export async function imageBytes(fixture: Fixture): Promise<Buffer> {
  if (fixture.make) return fixture.make();
  const { format, options, fill = scribbled, isCutOff } = fixture;
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, format, BigInt(SIZE), options);
  const image = await openImage({ device: file }, { format, readOnly: false });
  await fill(image);
  const before = Buffer.from(file.bytes);
  await image.device.close?.();
  return isCutOff ? before : file.bytes;
}

async function luksVolume(version: 1 | 2): Promise<Buffer> {
  const file = new GrowingMemory(Buffer.alloc(version === 1 ? 4 * MIB : 18 * MIB));
  const cheap = { pbkdf: 'pbkdf2', iterTime: 1 } as const;
  await createLuks(file, { passphrase: Buffer.from(PASSPHRASE), version, ...cheap });
  return file.bytes;
}

function signVhdx(file: OverlayMemory): void {
  for (const at of [64 * KIB, 128 * KIB]) file.change(at, 4096, sign);
  for (const at of [192 * KIB, 256 * KIB]) file.change(at, 64 * KIB, sign);
  file.change(MIB, MIB, log => {
    for (let at = 0; at < MIB; at += 4096) {
      if (log.toString('latin1', at, at + 4) !== 'loge') continue;
      const length = log.readUInt32LE(at + 8);
      if (length % 4096 === 0 && length > 0) sign(log.subarray(at, at + length));
    }
  });
}

function sumVpc(file: OverlayMemory): void {
  const sum = (fieldAt: number) => (bytes: Buffer) => {
    bytes.writeUInt32BE(checksum(bytes, fieldAt), fieldAt);
  };
  file.change(Number(file.size) - 512, 512, sum(64));
  file.change(0, 512, sum(64));
  file.change(512, 1024, sum(36));
}

function sumLuks(file: OverlayMemory): void {
  for (const at of [0, 16 * KIB]) {
    file.change(at, 16 * KIB, bytes => {
      bytes.fill(0, 448, 512);
      createHash('sha256').update(bytes).digest().copy(bytes, 448);
    });
  }
}
