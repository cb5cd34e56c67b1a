/** Starting programs without copying this process first, which takes libuv some ms in a large one. */
import { constants } from 'node:os';
import { type CFunction, libcFunction, SystemError } from './libc.ts';

const spawnWith = libcFunction(
  'int posix_spawn(void *pid, const char *path, void *actions, void *attributes, const char **argv, const char **env)',
);
const initActions = libcFunction('int posix_spawn_file_actions_init(void *actions)');
const addDup = libcFunction(
  'int posix_spawn_file_actions_adddup2(void *actions, int from, int to)',
);
const addOpen = libcFunction(
  'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, int mode)',
);
const freeActions = libcFunction('int posix_spawn_file_actions_destroy(void *actions)');
const initAttributes = libcFunction('int posix_spawnattr_init(void *attributes)');
const setFlags = libcFunction('int posix_spawnattr_setflags(void *attributes, short flags)');
const setDefault = libcFunction('int posix_spawnattr_setsigdefault(void *attributes, void *set)');
const waitpid = libcFunction('int waitpid(int pid, void *status, int options)');

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
const WNOHANG = 1;
const ENOEXEC = 8;
/** Room for what the C library keeps to itself, of any of them. */
const OPAQUE = 512;

/** How a process has ended. */
export interface Exit {
  readonly status: number | null;
  readonly signal: string | null;
}

/** A process that was started. */
export interface Spawned {
  readonly pid: number;
  readonly exited: Promise<Exit>;
}

/** Descriptors for the standard streams; without one there is nothing to read. */
export interface Standard {
  readonly input: number | undefined;
  readonly output: number;
  readonly errors: number;
}

/** How often ends are looked for if no signal tells of them, in ms. */
const LOOK_EVERY = 1000;

let attributes: Uint8Array | undefined;

/**
 * Starts a program in a session of its own. Only in the main thread, and where `makePipe` makes pipes.
 * A file without a first line that says whose script it is belongs to the shell.
 * @throws SystemError
 */
export function spawnProcess(
  program: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
  standard: Standard,
): Spawned {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const actions = actionsFor(standard);
  const pid = new Int32Array(1);
  attributes ??= newAttributes();
  const start = (path: string, argv: readonly string[]) =>
    call(spawnWith)(
      new Uint8Array(pid.buffer),
      path,
      actions,
      attributes!,
      [...argv, null] as never,
      [...variables, null] as never,
    );
  try {
    let error = start(program, [program, ...words]);
    if (error === ENOEXEC) error = start('/bin/sh', ['/bin/sh', program, ...words]);
    if (error !== 0) throw new SystemError('posix_spawn', error);
  } finally {
    call(freeActions)(actions);
  }
  return { pid: pid[0]!, exited: exitOf(pid[0]!) };
}

function call(bound: () => CFunction | undefined): CFunction {
  return bound()!;
}

function actionsFor({ input, output, errors }: Standard): Uint8Array {
  const actions = new Uint8Array(OPAQUE);
  call(initActions)(actions);
  if (input === undefined) call(addOpen)(actions, 0, '/dev/null', 0, 0);
  else call(addDup)(actions, input, 0);
  call(addDup)(actions, output, 1);
  call(addDup)(actions, errors, 2);
  return actions;
}

/** Node ignores SIGPIPE, which scripts cannot undo. */
function newAttributes(): Uint8Array {
  const made = new Uint8Array(OPAQUE);
  call(initAttributes)(made);
  call(setFlags)(made, SETSIGDEF | SETSIGMASK | SETSID);
  const set = Buffer.alloc(128);
  set.writeBigUInt64LE(1n << BigInt(constants.signals.SIGPIPE - 1));
  call(setDefault)(made, set);
  return made;
}

/** Those whose end nobody has been told of. */
const running = new Map<number, (exit: Exit) => void>();

/** While it runs this process lives, too: what listens to signals does not keep it. */
let looking: NodeJS.Timeout | undefined;

function exitOf(pid: number): Promise<Exit> {
  return new Promise(resolve => {
    if (running.size === 0) {
      process.on('SIGCHLD', reap);
      looking = setInterval(reap, LOOK_EVERY);
    }
    running.set(pid, resolve);
    // It may have ended before anyone listened.
    reap();
  });
}

function reap(): void {
  const status = new Int32Array(1);
  for (const [pid, tell] of running) {
    if (call(waitpid)(pid, new Uint8Array(status.buffer), WNOHANG) === 0) continue;
    running.delete(pid);
    tell(exitFrom(status[0]!));
  }
  if (running.size > 0) return;
  process.off('SIGCHLD', reap);
  clearInterval(looking);
}

function exitFrom(status: number): Exit {
  const number = status & 0x7f;
  if (number === 0) return { status: (status >> 8) & 0xff, signal: null };
  const names = Object.entries(constants.signals);
  const name = names.find(([, each]) => each === number)?.[0] ?? `signal ${number}`;
  return { status: null, signal: name };
}
