/** Images that nbdimg makes and writes, before the eyes of qemu. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BlockError, UsageError } from '../../src/block/errors.ts';
import { openImage } from '../../src/formats/open-image.ts';
import type { Image } from '../../src/images/image.ts';
import { filesBeside, namedFile } from '../../src/stores/file/beside.ts';
import { Random, readBytes } from '../../src/testing/model.ts';
import { SUBCOMMANDS } from '../../src/tools/nbdimg/subcommands.ts';
import { STANDARD, understand } from '../../src/tools/standard.ts';
import { type Outcome, run, runWell } from '../interop/programs.ts';
import { scribble } from '../peer/images.ts';
import { BACKING_FORMATS, type Row, SECRET } from './rows.ts';

const PASSPHRASE = 'secret';
const OBJECT = ['--object', `secret,id=${SECRET},data=${PASSPHRASE}`];

/** No multiple of any cluster. */
const SIZE = (5 << 20) + 1536;
/** Of backing files: one ends within the image. */
const BASE_SIZE = 3 << 20;

/** Runs nbdimg in this process. */
async function nbdimg(name: string, ...words: readonly string[]): Promise<void> {
  const command = await SUBCOMMANDS[name]!();
  const about = { name: 'nbdimg', options: { ...command.options, ...STANDARD }, help: () => '' };
  assert.equal(await command.run((await understand(about, words))!), 0);
}

const optionsOf = ({ words }: Row) => (words === '' ? [] : ['-o', words]);

/** As `--image-opts` has it. */
function described({ format, words }: Row): string {
  const key = format === 'luks' ? 'key-secret' : 'encrypt.key-secret';
  const secret = words.includes('secret=') ? `,${key}=${SECRET}` : '';
  return `driver=${format}${secret},file.filename=image`;
}

async function using<T>(image: Image, act: (image: Image) => Promise<T>): Promise<T> {
  try {
    return await act(image);
  } finally {
    await image.device.close?.();
  }
}

/** Makes images by the rows of the matrix in a folder, and has qemu look at them. */
export class Matrix {
  readonly #folder: string;
  readonly #content = Buffer.alloc(SIZE);
  readonly #base = new Random(5).bytes(BASE_SIZE);

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(folder: string): Promise<Matrix> {
    const matrix = new Matrix(folder);
    const random = new Random(7);
    for (const at of [0, 170_000, 1 << 20, 3_000_000, SIZE - 100_000]) {
      random.bytes(100_000).copy(matrix.#content, at);
    }
    matrix.#content.fill('some text ', 2 << 20, (2 << 20) + 400_000);
    writeFileSync(matrix.#at('content'), matrix.#content);
    writeFileSync(matrix.#at('base.raw'), matrix.#base);
    for (const format of BACKING_FORMATS.slice(1)) {
      const words = ['-f', 'raw', '-O', format, ...(format === 'vpc' ? ['-o', 'force_size'] : [])];
      const cwd = matrix.#folder;
      await runWell('qemu-img', ['convert', ...words, 'base.raw', `base.${format}`], { cwd });
    }
    return matrix;
  }

  /**
   * An image is made and written here and there, and written by qemu; others are converted to.
   * @returns false: both refuse such an image.
   */
  async holds(row: Row, random: Random): Promise<boolean> {
    if (await this.#isRefused(row)) return false;
    await this.#written(row, random);
    if (!row.words.includes('backing_file')) await this.#converted(row);
    return true;
  }

  /** @throws AssertionError one of us refuses what the other makes. */
  async #isRefused(row: Row): Promise<boolean> {
    const args = ['-f', row.format, ...optionsOf(row)];
    // The times that qemu takes for passphrases are seconds, and some fail.
    const isSecret = row.words.includes('secret=');
    const theirs = isSecret ? undefined : await this.#qemu('create', ...args, 'theirs', `${SIZE}`);
    try {
      await nbdimg('create', '-q', ...OBJECT, ...args, this.#at('image'), `${SIZE}`);
      assert.equal(theirs?.status ?? 0, 0, theirs?.stderr);
      return false;
    } catch (error) {
      if (!(error instanceof UsageError || error instanceof BlockError)) throw error;
      if (!theirs || theirs.status === 0) throw error;
      return true;
    }
  }

  async #written(row: Row, random: Random): Promise<void> {
    const { format, words } = row;
    const isOnce = words.includes('streamOptimized');
    const content = await using(await this.#open(format, false), async ({ device }) => {
      const size = Number(device.size);
      // What is new and encrypted reads as anything.
      const isAny = words.includes('secret=');
      const bytes = isAny ? await readBytes(device, 0n, size) : Buffer.alloc(size);
      if (words.includes('backing_file')) this.#base.copy(bytes);
      else if (isOnce) this.#content.copy(bytes);
      if (isOnce) await device.write!(0n, this.#content);
      else await scribble(device, bytes, { random, count: 30 });
      return bytes;
    });
    await this.#agrees(row, content);
    if (isOnce) return;
    const at = random.below(SIZE - (1 << 20)) & ~511;
    await this.#byQemuIo(row, `write -P 7 ${at} 1M`);
    content.fill(7, at, at + (1 << 20));
    await this.#isHeldHere(format, content);
  }

  async #converted(row: Row): Promise<void> {
    const { format, words } = row;
    const packs = format === 'qcow2' && !/encrypt|data_file/.test(words);
    for (const how of packs ? [[], ['-c']] : [[]]) {
      const target = ['-O', format, ...optionsOf(row), this.#at('content'), this.#at('image')];
      await nbdimg('convert', ...OBJECT, ...how, '-f', 'raw', ...target);
      await this.#agrees(row, this.#content);
      await this.#isHeldHere(format, this.#content);
    }
  }

  /** Formats without a check answer 63. */
  async #agrees(row: Row, content: Buffer): Promise<void> {
    writeFileSync(this.#at('expected'), content);
    const words = [...OBJECT, '--image-opts', described(row)];
    const checked = await this.#qemu('check', ...words);
    assert.ok([0, 63].includes(checked.status!), checked.stdout + checked.stderr);
    const compared = await this.#qemu('compare', ...words, 'driver=raw,file.filename=expected');
    assert.equal(compared.status, 0, compared.stdout + compared.stderr);
  }

  async #byQemuIo(row: Row, command: string): Promise<void> {
    const words = [...OBJECT, '--image-opts', '-c', command, described(row)];
    assert.match(await runWell('qemu-io', words, { cwd: this.#folder }), /^wrote /);
  }

  /** Names in an image are of the folder where qemu runs. */
  #qemu(...words: readonly string[]): Promise<Outcome> {
    return run('qemu-img', words, { cwd: this.#folder });
  }

  /** The disk is what it should be, and a check finds nothing. */
  async #isHeldHere(format: string, content: Buffer): Promise<void> {
    await using(await this.#open(format, true), async ({ device, check }) => {
      const bytes = await readBytes(device, 0n, content.length);
      assert.ok(bytes.equals(content), 'another disk than was written');
      const report = await check?.();
      assert.deepEqual(report?.findings ?? [], []);
    });
  }

  #open(format: string, readOnly: boolean): Promise<Image> {
    const secret = () => Buffer.from(PASSPHRASE);
    const options = { format, readOnly, checking: readOnly, secret, files: filesBeside() };
    return openImage(namedFile(this.#at('image'), readOnly), options);
  }

  #at(name: string): string {
    return join(this.#folder, name);
  }
}
