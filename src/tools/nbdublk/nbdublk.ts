import { UsageError } from '../../block/errors.ts';
import { UblkControl, ublkDevices } from '../../ublk/control.ts';
import { DEVICE_STATES, type DeviceInfo } from '../../ublk/wire.ts';
import { compilePatiently, print, run } from '../cli.ts';
import { originOf } from '../modes.ts';
import { understand } from '../standard.ts';
import { untilSignal } from '../until-signal.ts';
import { OPTIONS, readSettings, type Settings, wantedDevice } from './options.ts';
import { provide } from './provide.ts';

const COMMAND = {
  name: 'nbdublk',
  options: OPTIONS,
  optionsFirst: true,
  help: async () => (await import('./help.ts')).HELP,
};

run('nbdublk', async argv => {
  const line = await understand(COMMAND, argv);
  if (!line) return 0;
  const settings = readSettings(line.given);
  if (settings.list) return withControl(list);
  const { remove } = settings;
  if (remove !== undefined) return withControl(control => takeAway(control, remove));
  compilePatiently();
  return nbdublk(line.words, settings);
});

async function withControl(work: (control: UblkControl) => Promise<void>): Promise<number> {
  const control = new UblkControl();
  try {
    await work(control);
    return 0;
  } finally {
    control.close();
  }
}

async function list(control: UblkControl): Promise<void> {
  for (const id of ublkDevices()) await print(describe(await control.info(id)));
}

/** As `ublk list` has it. */
function describe({ id, queues, depth, longest, state, pid, flags }: DeviceInfo): string {
  const name = DEVICE_STATES[state] ?? `state ${state}`;
  return `dev id ${id}: nr_hw_queues ${queues} queue_depth ${depth}\n\tmax rq size ${longest} daemon pid ${pid} flags 0x${flags.toString(16)} state ${name}\n`;
}

async function takeAway(control: UblkControl, id: number): Promise<void> {
  await control.stop(id);
  await control.remove(id);
}

async function nbdublk([word, ...words]: readonly string[], settings: Settings): Promise<number> {
  if (word === undefined) throw new UsageError('expected DEVICE and a disk: see --help');
  const id = wantedDevice(word);
  return untilSignal(async ending => {
    const origin = await originOf(words, { ...settings.connecting, signal: ending.signal });
    try {
      await withControl(control => provide(control, origin, id, settings, ending));
    } finally {
      await origin.close();
    }
  });
}
