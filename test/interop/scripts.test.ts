/** One script under both nbdkits: what clients see is the same. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, run } from './programs.ts';

const ALL = `case "$1" in
  config) echo "$3" >"$tmpdir/$2" ;;
  config_complete) truncate -s 48K "$tmpdir/disk" ;;
  open) echo "$3" >"$tmpdir/name"; echo "$tmpdir/disk" ;;
  get_size) stat -c %s "$2" ;;
  export_description) echo "$(cat "$tmpdir/name") of $(cat "$tmpdir/owner")" ;;
  default_export) echo main ;;
  list_exports) printf 'INTERLEAVED\\nmain\\nthe first\\nother\\n\\n' ;;
  block_size) echo 1 4K 64K ;;
  can_write|can_flush|can_trim|can_zero|can_multi_conn|can_extents|is_rotational) ;;
  can_fua) echo native ;;
  can_cache) echo emulate ;;
  can_fast_zero) exit 3 ;;
  pread) dd iflag=skip_bytes,count_bytes skip="$4" count="$3" if="$2" ;;
  pwrite) dd conv=notrunc oflag=seek_bytes seek="$4" of="$2" ;;
  zero|flush|trim) exit 2 ;;
  extents) printf '0 8192 hole,zero\\n8192 40960\\n' ;;
  *) exit 2 ;;
esac`;

const FEW = `case "$1" in
  get_size) echo 10000 ;;
  pread) head -c "$3" /dev/zero | tr '\\0' x ;;
  *) exit 2 ;;
esac`;

const BROKEN = `case "$1" in
  get_size) echo 10000 ;;
  pread) echo ENOMEM no more >&2; exit 1 ;;
  *) exit 2 ;;
esac`;

const PYTHON = `
import nbdkit
API_VERSION = 2
disk = bytearray(48 << 10)
def thread_model(): return nbdkit.THREAD_MODEL_SERIALIZE_REQUESTS
def list_exports(readonly, tls): return [("main", "the first"), ("other", "")]
def default_export(readonly, tls): return "main"
def export_description(h): return h + " of Python"
def open(readonly): return nbdkit.export_name()
def get_size(h): return len(disk)
def can_multi_conn(h): return True
def can_cache(h): return nbdkit.CACHE_EMULATE
def pread(h, buf, offset, flags): buf[:] = disk[offset:offset + len(buf)]
def pwrite(h, buf, offset, flags): disk[offset:offset + len(buf)] = buf
def flush(h, flags): pass
def zero(h, count, offset, flags):
    nbdkit.set_error(95)
    raise RuntimeError("no")
def extents(h, count, offset, flags): return [(0, 8192, 3), (8192, 40960, 0)]
`;

/** What the C clients find, with what differs from run to run left out. */
const LOOK = `/usr/bin/nbdinfo --list --json "$uri" | grep -v '"uri"'
/usr/bin/nbdinfo --map "$uri"
seq 9000 | head -c 40000 >"$folder/data"
/usr/bin/nbdcopy "$folder/data" "$uri" 2>/dev/null; echo "written: $?"
/usr/bin/nbdcopy "$uri" - 2>/dev/null | cksum`;

interface Case {
  readonly plugin: 'sh' | 'eval' | 'python';
  readonly script?: string;
  readonly words?: readonly string[];
  /** It says which block sizes are good; otherwise our server does. */
  readonly blockSize?: true;
}

const CASES: Readonly<Record<string, Case>> = {
  'sh with everything': {
    plugin: 'sh',
    script: `#!/bin/sh\n${ALL}\n`,
    words: ['owner=me'],
    blockSize: true,
  },
  'sh with little, without a first line': { plugin: 'sh', script: `${FEW}\n` },
  'sh that fails': { plugin: 'sh', script: `${BROKEN}\n` },
  'eval with everything': {
    plugin: 'eval',
    words: [`missing=${ALL}`, 'owner=me'],
    blockSize: true,
  },
  'eval with little': {
    plugin: 'eval',
    words: [
      'get_size=echo 48K',
      'open=truncate -s 48K $tmpdir/disk',
      'pread=dd iflag=skip_bytes,count_bytes skip=$4 count=$3 if=$tmpdir/disk',
      'pwrite=dd conv=notrunc oflag=seek_bytes seek=$4 of=$tmpdir/disk',
      'flush=:',
    ],
  },
  'python with everything': { plugin: 'python', script: PYTHON },
};

async function seenBy(t: TestContext, each: Case, env: object) {
  const { plugin, script, words = [], blockSize } = each;
  const folder = temporaryFolder(t);
  const path = join(folder, 'script');
  if (script !== undefined) writeFileSync(path, script, { mode: 0o755 });
  const given = script === undefined ? words : [path, ...words];
  const args = ['-U', '-', plugin, ...given, '--run', LOOK];
  const { status, stdout } = await run('nbdkit', args, { env: { ...env, folder } });
  return { status, stdout: blockSize ? stdout : stdout.replace(/^.*"block_size_.*\n/gm, '') };
}

for (const [name, each] of Object.entries(CASES)) {
  test(`${name}, under both nbdkits`, { skip: process.platform !== 'linux' }, async t => {
    if (!has(t, 'nbdkit', 'nbdinfo', 'nbdcopy')) return;
    if ((await run('nbdkit', [each.plugin, '--version'])).status !== 0) {
      return t.skip(`needs the ${each.plugin} plugin of the C nbdkit`);
    }
    const { env } = ourCommands(t);
    const [ours, theirs] = await Promise.all([seenBy(t, each, env), seenBy(t, each, {})]);
    assert.match(theirs.stdout, /export-size/);
    assert.deepEqual(ours, theirs);
  });
}
