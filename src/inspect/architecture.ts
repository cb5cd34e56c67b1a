import type { Tree } from '../formats/fs/tree.ts';
import { bytesOf } from './text.ts';

/** Programs that every system has. */
const PROGRAMS = [
  '/bin/sh',
  '/bin/bash',
  '/bin/ls',
  '/sbin/init',
  '/Windows/System32/cmd.exe',
  '/WINDOWS/system32/cmd.exe',
  '/WINNT/system32/cmd.exe',
] as const;
const HEADER = 4096;
const ELF = '\x7fELF';
/** Of ELF, by its number of a machine; where its words are short and long. */
const ELF_MACHINES: Readonly<Record<number, readonly [short: string, long: string]>> = {
  3: ['i386', 'i386'],
  8: ['mips', 'mips64'],
  20: ['ppc', 'ppc'],
  21: ['ppc64', 'ppc64'],
  22: ['s390', 's390x'],
  40: ['arm', 'arm'],
  43: ['sparc64', 'sparc64'],
  50: ['ia64', 'ia64'],
  62: ['x86_64', 'x86_64'],
  183: ['aarch64', 'aarch64'],
  243: ['riscv32', 'riscv64'],
  258: ['loongarch32', 'loongarch64'],
};
/** Of Windows. */
const PE_MACHINES: Readonly<Record<number, string>> = {
  332: 'i386',
  34404: 'x86_64',
  43620: 'aarch64',
};

/** What processor a system is for, by one of its programs; undefined where none says it. */
export async function architectureOf(tree: Tree): Promise<string | undefined> {
  for (const path of PROGRAMS) {
    const header = await bytesOf(tree, path, { most: HEADER });
    const found = header && (elfMachine(header) ?? peMachine(header));
    if (found !== undefined) return found;
  }
  return undefined;
}

function elfMachine(header: Buffer): string | undefined {
  if (header.length < 20 || header.toString('latin1', 0, 4) !== ELF) return undefined;
  const long = header[4] === 2;
  const big = header[5] === 2;
  const machine = big ? header.readUInt16BE(18) : header.readUInt16LE(18);
  const name = ELF_MACHINES[machine]?.[long ? 1 : 0];
  return name === 'ppc64' && !big ? 'ppc64le' : name;
}

function peMachine(header: Buffer): string | undefined {
  if (header.length < 64 || header.toString('latin1', 0, 2) !== 'MZ') return undefined;
  const at = header.readUInt32LE(60);
  if (at + 6 > header.length || header.toString('latin1', at, at + 2) !== 'PE') return undefined;
  return PE_MACHINES[header.readUInt16LE(at + 4)];
}
