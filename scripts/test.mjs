// `npm test`: the build, then the checks and every *.test.ts, or those whose path contains a PATTERN.
//
//   npm test [-- [--no-skips] [PATTERN...]]
//
// A test that is skipped says why in the words 'needs PROGRAM'. With --no-skips, or where CI is set,
// such a skip is a failure.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import process from 'node:process';
import { run } from 'node:test';
import { pathToFileURL } from 'node:url';
import { inspect, parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  options: { 'no-skips': { type: 'boolean', default: Boolean(process.env.CI) } },
  allowPositionals: true,
});

async function runScript(name) {
  const words = [join('scripts', name)];
  const script = spawn(process.execPath, words, { cwd: root, stdio: 'inherit' });
  const [status] = await once(script, 'exit');
  return status === 0;
}

function testFiles() {
  return ['src', 'test', 'examples']
    .filter(folder => existsSync(join(root, folder)))
    .flatMap(folder =>
      readdirSync(join(root, folder), { recursive: true }).map(path => join(folder, path)),
    )
    .filter(path => path.endsWith('.test.ts') && !path.includes('node_modules'))
    .filter(path => positionals.length === 0 || positionals.some(word => path.includes(word)))
    .sort()
    .map(path => resolve(root, path));
}

/** The words of a failure: the first error that is not the runner's own "subtests failed". */
function describe(error) {
  const cause = error?.cause ?? error;
  return typeof cause === 'object' ? inspect(cause) : String(cause);
}

const indent = text => text.replace(/^/gm, '    ');

/** Test files that one process runs: to start one and compile what it imports takes a second or two. */
const TOGETHER = 18;

/** A process that takes so long hangs. */
const HANG_MS = 600_000;

/** Such a file changes the environment for all that its process runs. */
const CHANGES_ENVIRONMENT = /^process\.env\.\w+ = /m;

/** Modules that import several test files each, and files that are long enough by themselves. */
function grouped(files, folder) {
  const long = process.env.NBDPIPE_FUZZ_SECONDS ? 'test' : 'test/interop';
  const isUnit = file =>
    !file.startsWith(join(root, long)) && !CHANGES_ENVIRONMENT.test(readFileSync(file, 'utf8'));
  const units = files.filter(isUnit);
  const groups = [];
  while (units.length > 0) {
    const imports = units.splice(0, TOGETHER).map(file => `import '${pathToFileURL(file)}';\n`);
    const group = join(folder, `group-${groups.length}.mjs`);
    writeFileSync(group, imports.join(''));
    groups.push(group);
  }
  // The long ones begin first, so that none of them is left alone at the end.
  return [...files.filter(file => !isUnit(file)), ...groups];
}

async function runTests(files) {
  const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-tests-'));
  try {
    return await runAll(grouped(files, folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function runAll(files) {
  // The processes of the tests are started as this one was; what they start themselves is not.
  process.execArgv.push('--import', import.meta.resolve('tsx'));
  const counts = { passed: 0, failed: 0 };
  const skipped = [];
  const path = [];
  const events = run({
    files,
    // One more than there are processors: tests wait for what they start.
    concurrency: Math.max(2, availableParallelism()) + 1,
    timeout: HANG_MS + Number(process.env.NBDPIPE_FUZZ_SECONDS ?? 0) * 2000,
  });
  for await (const { type, data } of events) {
    if (type === 'test:stderr' || type === 'test:stdout') process.stderr.write(data.message);
    if (type === 'test:start') path.splice(data.nesting, path.length, data.name);
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    path.splice(data.nesting, path.length, data.name);
    const file = data.file ? relative(root, data.file) : '';
    const name = [file, ...path].filter((part, at, all) => part !== all[at - 1]).join(' > ');
    if (data.skip !== undefined) {
      skipped.push({ name, reason: String(data.skip) });
    } else if (type === 'test:fail') {
      if (data.details.error?.failureType === 'subtestsFailed') continue;
      counts.failed += 1;
      console.log(`FAILED ${name}\n${indent(describe(data.details.error))}`);
    } else if (data.details.type !== 'suite') {
      counts.passed += 1;
    }
  }
  for (const { name, reason } of skipped) console.log(`skipped ${name}: ${reason}`);
  console.log(
    `${counts.passed} passed, ${counts.failed} failed, ${skipped.length} skipped${needed(skipped)}`,
  );
  const forbidden = values['no-skips'] && skipped.some(({ reason }) => reason.startsWith('needs '));
  if (forbidden) console.log('skipping for a missing program is a failure here');
  return counts.failed === 0 && counts.passed > 0 && !forbidden;
}

function needed(skipped) {
  const programs = skipped.flatMap(({ reason }) => /^needs (.*)/.exec(reason)?.[1] ?? []);
  return programs.length > 0 ? ` (needs ${[...new Set(programs)].sort().join(', ')})` : '';
}

const files = testFiles();
if (files.length === 0) {
  console.error(`no test file has '${positionals.join("' or '")}' in its path`);
  process.exit(1);
}
const built = await runScript('build.mjs');
// Tests that start commands start the built ones.
process.env.NBDPIPE_BUILT = '1';
// Payloads of megabytes in large pages: a fault for each 2 MiB in place of 512, a sixth of all their time.
process.env.GLIBC_TUNABLES ??= 'glibc.malloc.hugetlb=1';
// The checks beside the tests: where those wait, processors are idle.
const [checked, tested] = await Promise.all([
  positionals.length > 0 || runScript('check.mjs'),
  runTests(files),
]);
if (!checked) console.log('the checks failed: see above');
process.exit(checked && built && tested ? 0 : 1);
