import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newSalt, sha512Crypt } from './crypt.ts';

/** Made by openssl passwd -6. */
const KNOWN = [
  [
    'Hello world!',
    'saltstring',
    'svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1',
  ],
  [
    'ü'.repeat(50),
    '0123456789abcdef',
    'k87BPw9QjXeWZl/Ut7zveZpnJtAuD5APBhkI.sDHeANx0cOdZnwYH9JP4wOPJsTW/KZPVDkO0.Mbhbmi9gGic/',
  ],
] as const;

test('passwords as the C library keeps them', () => {
  for (const [password, salt, hash] of KNOWN) {
    assert.equal(sha512Crypt(password, salt), `$6$${salt}$${hash}`);
  }
  assert.match(newSalt(), /^[./\dA-Za-z]{16}$/);
  assert.notEqual(newSalt(), newSalt());
});
