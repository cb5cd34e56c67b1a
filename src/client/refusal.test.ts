import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command, Rep } from '../protocol/constants.ts';
import { OptionError, requestError } from './refusal.ts';

const READ = { type: Command.read, flags: 0, offset: 4096n, length: 512 };
const BLOCKS = { minimum: 4096, preferred: 4096, maximum: 65536 };
const EINVAL = 22;
const ENOSPC = 28;

const words = (...args: Parameters<typeof requestError>) => requestError(...args).message;

test('a refused request: what was asked, what it may mean, what the server said', () => {
  assert.equal(
    words(ENOSPC, '', { ...READ, type: Command.write }, undefined),
    'write of 512 bytes at 4096 failed: ENOSPC, there is no space left',
  );
  assert.equal(
    words(ENOSPC, 'no room', READ, undefined),
    'read of 512 bytes at 4096 failed: ENOSPC: no room',
  );
  assert.equal(
    words(EINVAL, '', READ, BLOCKS),
    'read of 512 bytes at 4096 failed: EINVAL, the server takes whole blocks of 4096 bytes',
  );
  assert.equal(
    words(EINVAL, 'odd', { ...READ, offset: 1n, length: 4096 }, BLOCKS),
    'read of 4096 bytes at 1 failed: EINVAL, the server takes whole blocks of 4096 bytes: odd',
  );
  assert.match(words(EINVAL, '', { ...READ, length: 81920 }, BLOCKS), /takes at most 65536 bytes/);
  assert.match(words(EINVAL, '', { ...READ, length: 5 }, undefined), /may take only whole blocks/);
  assert.match(words(EINVAL, '', READ, undefined), /EINVAL, the server does not take such/);
  assert.match(words(12345, '', READ, undefined), /failed: EINVAL,/);
  const located = requestError(5, 'bad sector', READ, undefined, 4200n);
  assert.equal(located.message, 'read of 512 bytes at 4096 failed at 4200: EIO: bad sector');
  assert.equal(located.offset, 4200n);
  assert.match(words(5, '', { ...READ, type: Command.flush }, BLOCKS), /^flush failed: EIO, it /);
  const status = { ...READ, type: Command.blockStatus, length: 12 };
  assert.match(words(EINVAL, '', status, BLOCKS), /^block status at 4096 failed: EINVAL, the/);
});

test('every error of an option has words and an errno', () => {
  const errors = Object.values(Rep).filter(reply => reply >= 0x80000000);
  const seen = new Set<string>();
  for (const reply of errors) {
    const { message } = new OptionError("the export 'x'", reply, '');
    assert.match(message, /^the server refused the export 'x': [a-z][\w, ()]{10,}$/);
    seen.add(message);
  }
  assert.equal(seen.size, errors.length);
  const refused = (reply: number) => new OptionError('it', reply, 'why');
  assert.equal(refused(Rep.errUnknown).errno, 'ENOENT');
  assert.equal(
    refused(Rep.errUnknown).message,
    'the server refused it: it has no such export, or cannot open it: why',
  );
  assert.equal(refused(Rep.errPolicy).errno, 'EPERM');
  assert.equal(refused(0x80000099).message, 'the server refused it: error 0x80000099: why');
});

test("a server's words do nothing to a terminal", () => {
  const evil = '\x1b[2J\0\u009b\u202e\n';
  const shown = '\\u001b[2J\\u0000\\u009b\\u202e\\u000a';
  assert.ok(words(5, evil, READ, undefined).endsWith(`: EIO: ${shown}`));
  assert.ok(new OptionError('x', Rep.errPolicy, evil).message.endsWith(shown));
  assert.ok(new OptionError(evil, Rep.errPolicy, '').message.includes(shown));
});
