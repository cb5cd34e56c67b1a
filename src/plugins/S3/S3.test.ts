import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { ACCESS_KEY, type FakeS3, SECRET_KEY, startS3, TOKEN } from '../../../test/peer/fake-s3.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { contiguous, isKnownZero, viewsOf } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { credentialsOf, readProfile } from './credentials.ts';
import type { Parameters } from './parameters.ts';
import { placeOf, urlOf } from './place.ts';
import { signed } from './signature.ts';

const PIECE = 16384;
const SIZE = 20 * PIECE;
let s3: FakeS3;
before(async () => {
  s3 = await startS3();
});
after(() => s3.close());

const WHO = [`access-key=${ACCESS_KEY}`, `secret-key=${SECRET_KEY}`, `session-token=${TOKEN}`];
const words = (key: string) => ['bucket=disks', `key=${key}`, `endpoint-url=${s3.url('')}`, ...WHO];
const PIECES = [`size=${SIZE}`, `object-size=${PIECE}`];

async function opened(...given: string[]): Promise<BlockDevice> {
  const source = await pluginSource('S3', ...given);
  const device = await source.open(REQUEST);
  const close = async () => {
    await device.close?.();
    await source.close?.();
  };
  return wrapDevice(device, { ...PASS, close });
}

let count = 0;
deviceContract('S3 in pieces', () => opened(...words(`disk-${count++}`), ...PIECES), {
  writes: 'kept',
  steps: 60,
});
const object = () => {
  s3.objects.set('/disks/a whole+one/ü', Buffer.alloc(100_001, 'object '));
  return opened(...words('a whole+one/ü'));
};
deviceContract('S3, one object', object, { writes: 'none' });

const nameOf = (key: string, index: number) =>
  `/disks/${key}/${index.toString(16).padStart(16, '0')}`;

describe('a disk in pieces', () => {
  async function disk(t: TestContext, key: string) {
    const device = await opened(...words(key), ...PIECES);
    t.after(() => device.close?.());
    return device;
  }

  test('has an object for each piece that was written, under the name that others know', async t => {
    const device = await disk(t, 'names');
    await device.write!(BigInt(17 * PIECE), Buffer.alloc(PIECE, 'x'));
    await device.write!(5n, Buffer.from('hello'));
    const names = [...s3.objects.keys()].filter(name => name.startsWith('/disks/names/'));
    assert.deepEqual(names.sort(), [nameOf('names', 0), nameOf('names', 17)]);
    assert.equal(s3.objects.get(nameOf('names', 0))!.length, PIECE);
    assert.equal(s3.objects.get(nameOf('names', 0))!.toString('latin1', 4, 11), '\0hello\0');
  });

  test('trimming and zeroing remove pieces, and only whole ones', async t => {
    const device = await disk(t, 'gone');
    await device.write!(0n, Buffer.alloc(4 * PIECE, 'x'));
    await device.trim!(100n, 2 * PIECE);
    await assert.rejects(async () => device.zero!(0n, 10, { fastZero: true }), {
      errno: 'ENOTSUP',
    });
    await device.zero!(BigInt(3 * PIECE), PIECE, { fastZero: true });
    const there = [0, 1, 2, 3].filter(index => s3.objects.has(nameOf('gone', index)));
    assert.deepEqual(there, [0, 2]);
    assert.ok(viewsOf(await device.read(BigInt(PIECE), PIECE)).every(isKnownZero));
  });

  test('holes are where no piece is', async t => {
    const device = await disk(t, 'holes');
    for (const index of [1, 2, 5])
      await device.write!(BigInt(index * PIECE), Buffer.alloc(10, 'x'));
    s3.objects.set('/disks/holes/other', Buffer.alloc(5));
    const runs = async (offset: number, length: number) =>
      (await device.extents!(BigInt(offset), length)).map(({ length, hole }) => [length, hole]);
    const rest = SIZE - 6 * PIECE;
    const all = [
      [PIECE, true],
      [2 * PIECE, false],
      [2 * PIECE, true],
      [PIECE, false],
      [rest, true],
    ];
    assert.deepEqual(await runs(0, SIZE), all);
    assert.deepEqual(await runs(PIECE + 10, PIECE), [[PIECE, false]]);
    s3.page = 2;
    assert.deepEqual(await runs(0, SIZE), all.slice(0, 2));
    assert.deepEqual(await runs(3 * PIECE, SIZE - 3 * PIECE), all.slice(2));
    s3.page = 1000;
    s3.secretive = true;
    assert.deepEqual(await runs(0, SIZE), [[SIZE, false]]);
    s3.secretive = false;
  });

  test('a server that wants less is obeyed', async t => {
    const device = await disk(t, 'slow');
    s3.slowDown = 2;
    await device.write!(0n, Buffer.alloc(PIECE, 'y'));
    s3.slowDown = 1;
    assert.equal(Buffer.from(contiguous(await device.read(0n, 3))).toString(), 'yyy');
  });

  test('pieces of another size are refused', async t => {
    const device = await disk(t, 'odd');
    s3.objects.set(nameOf('odd', 0), Buffer.alloc(PIECE - 1));
    await assert.rejects(async () => device.read(0n, 5), /has 16383 bytes instead of 16384/);
  });
});

test('who is not known is refused, with what the server says', async () => {
  const wrong = words('x').map(word => (word.startsWith('secret') ? 'secret-key=wrong' : word));
  await assert.rejects(opened(...wrong), { errno: 'EACCES', message: /status 403/ });
  const device = await opened(...wrong, ...PIECES);
  await assert.rejects(async () => device.read(0n, 1), /status 403\): SignatureDoesNotMatch$/);
  await device.close?.();
  await assert.rejects(opened(...words('nothing')), { errno: 'ENOENT' });
});

test('the signature of the documents', () => {
  const request = {
    method: 'GET',
    url: new URL('https://examplebucket.s3.amazonaws.com/test.txt'),
    headers: { range: 'bytes=0-9', 'accept-encoding': 'identity' },
  } as const;
  const secretKey = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
  const who = { accessKey: 'AKIAIOSFODNN7EXAMPLE', secretKey };
  const { authorization } = signed(request, who, 'us-east-1', new Date('2013-05-24T00:00:00Z'));
  assert.equal(
    authorization,
    'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
      'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,' +
      'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  );
});

describe('where buckets are', () => {
  const NO_PROFILE = new Map<string, string>();
  const places: readonly [given: Partial<Parameters>, url: string][] = [
    [{ bucket: 'b-c' }, 'https://b-c.s3.us-east-1.amazonaws.com/k%20y/%C3%BC'],
    [{ bucket: 'b.c' }, 'https://s3.us-east-1.amazonaws.com/b.c/k%20y/%C3%BC'],
    [{ bucket: 'bcd', region: 'eu-west-1' }, 'https://bcd.s3.eu-west-1.amazonaws.com/k%20y/%C3%BC'],
    [{ bucket: 'bcd', 'endpoint-url': 'http://h:99/x' }, 'http://h:99/x/bcd/k%20y/%C3%BC'],
    [
      { bucket: 'bcd', 'endpoint-url': 'http://h:99/x', 'addressing-style': 'virtual' },
      'http://bcd.h:99/x/k%20y/%C3%BC',
    ],
    [
      { bucket: 'bcd', 'addressing-style': 'path' },
      'https://s3.us-east-1.amazonaws.com/bcd/k%20y/%C3%BC',
    ],
  ];
  for (const [given, url] of places) {
    test(url, t => {
      clearEnvironment(t);
      const parameters = { 'addressing-style': 'auto', ...given } as Parameters;
      assert.equal(urlOf(placeOf(parameters, NO_PROFILE), 'k y/ü').href, url);
    });
  }
});

/** Without what this machine says of Amazon. */
function clearEnvironment(t: TestContext, values: Readonly<Record<string, string>> = {}): void {
  const before = { ...process.env };
  for (const name of Object.keys(before)) if (name.startsWith('AWS_')) delete process.env[name];
  Object.assign(process.env, values);
  t.after(() => {
    for (const name of Object.keys(values)) delete process.env[name];
    Object.assign(process.env, before);
  });
}

describe('credentials', () => {
  const ask = (given: Partial<Parameters> = {}) =>
    credentialsOf(given as Parameters, readProfile())();
  const file = (t: TestContext, text: string) => {
    const path = join(temporaryFolder(t), randomBytes(4).toString('hex'));
    writeFileSync(path, text);
    return path;
  };
  const files = (t: TestContext) => ({
    AWS_SHARED_CREDENTIALS_FILE: file(
      t,
      '[default]\naws_access_key_id = d\naws_secret_access_key=e\n' +
        '[other]\naws_access_key_id=f\naws_secret_access_key=g=\naws_session_token=h\n',
    ),
    AWS_CONFIG_FILE: file(
      t,
      '[default]\nregion=eu-1\n[profile asks]\ncredential_process = cat it\n',
    ),
  });

  test('of parameters, the environment and files, in this order', async t => {
    clearEnvironment(t, files(t));
    assert.deepEqual(await ask({ 'access-key': 'a', 'secret-key': 'b' }), {
      accessKey: 'a',
      secretKey: 'b',
      sessionToken: undefined,
    });
    assert.equal((await ask()).accessKey, 'd');
    assert.equal(readProfile().get('region'), 'eu-1');
    process.env.AWS_PROFILE = 'other';
    assert.deepEqual(await ask(), { accessKey: 'f', secretKey: 'g=', sessionToken: 'h' });
    clearEnvironment(t, { AWS_ACCESS_KEY_ID: 'i', AWS_SECRET_ACCESS_KEY: 'j', ...files(t) });
    assert.equal((await ask()).accessKey, 'i');
  });

  test('of a program, which is run again when they expire', async t => {
    const counted = file(t, '');
    const config = (until: string) =>
      file(
        t,
        `[default]\ncredential_process = echo >> ${counted}; echo '{"AccessKeyId":"'$(wc -l < ${counted})'",` +
          `"SecretAccessKey":"s","Expiration":"${until}"}'\n`,
      );
    const nowhere = { AWS_SHARED_CREDENTIALS_FILE: '/nonexistent' };
    clearEnvironment(t, { ...nowhere, AWS_CONFIG_FILE: config('2100-01-01T00:00:00Z') });
    const lasting = credentialsOf({} as Parameters, readProfile());
    assert.deepEqual([(await lasting()).accessKey, (await lasting()).accessKey], ['1', '1']);
    clearEnvironment(t, { ...nowhere, AWS_CONFIG_FILE: config('2001-01-01T00:00:00Z') });
    const brief = credentialsOf({} as Parameters, readProfile());
    assert.deepEqual([(await brief()).accessKey, (await brief()).accessKey], ['2', '3']);
  });
});

describe('what is refused', () => {
  const refused: readonly [words: string[], why: RegExp][] = [
    [['key=a', ...WHO], /^bucket: must be given/],
    [['bucket=a', ...WHO], /^key: must be given/],
    [['bucket=a', 'key=b', 'size=1M', ...WHO], /^size and object-size/],
    [['bucket=a', 'key=b', 'size=1M', 'object-size=5000', ...WHO], /multiple of 4096/],
    [['bucket=a', 'key=b', 'size=10000', 'object-size=4096', ...WHO], /multiple of object-size/],
    [['bucket=a', 'key=../b', ...WHO], /^key: '\.\.\/b'/],
    [['bucket=a/b', 'key=b', ...WHO], /^bucket: 'a\/b'/],
    [['bucket=a', 'key=b', 'access-key=x'], /must be given together/],
    [['bucket=a', 'key=b', 'endpoint-url=x', ...WHO], /^endpoint-url/],
    [['bucket=a', 'key=b', 'region=x y', ...WHO], /^region/],
    [['bucket=a', 'key=b'], /^there are no credentials/],
  ];
  for (const [given, why] of refused) {
    test(given.slice(0, 4).join(' '), async t => {
      const nowhere = {
        AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
        AWS_CONFIG_FILE: '/nonexistent',
      };
      clearEnvironment(t, nowhere);
      await assert.rejects(pluginSource('S3', ...given), { name: 'UsageError', message: why });
    });
  }
});
