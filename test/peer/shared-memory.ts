/** Memory that a test shares with a peer, made by hand so that it may be wrong. */
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { takeDescriptor } from '../../src/posix/descriptor-passing.ts';
import { addressOf, libcFunction } from '../../src/posix/libc.ts';
import { Mapping } from '../../src/posix/mapping.ts';
import { join, u16, u64 } from './bytes.ts';
import type { ScriptedClient } from './scripted-client.ts';
import type { ScriptedServer } from './scripted-server.ts';

const F_ADD_SEALS = 1033;
export const SHRINK = 2;
export const SHARED_MEMORY = 0x6e627000;
/** Flag of a request, and type of a chunk. */
export const SHARED = 1 << 15;
export const SHARED_DATA = 0x6e70;

const memfdCreate = libcFunction('int memfd_create(const char *name, unsigned int flags)');
const fcntl = libcFunction('int fcntl(int fd, int command, int argument)');
const sendmsg = libcFunction('int64_t sendmsg(int fd, void *message, int flags)');

/** Whether this system has such memory. */
export const hasMemfd = () => memfdCreate() !== undefined;

export interface TestMemory {
  readonly fd: number;
  put(place: number, bytes: Uint8Array): void;
  get(place: number, length: number): Buffer;
}

/** As `memoryOf`, until the test ends. */
export function testMemory(t: TestContext, size: number, seals = SHRINK): TestMemory {
  const memory = memoryOf(size, seals);
  t.after(() => closeSync(memory.fd));
  return memory;
}

/** @param seals none may be added later unless 0. */
export function memoryOf(size: number, seals = SHRINK): TestMemory {
  const fd = memfdCreate()!('test', 1 | (seals ? 2 : 0));
  ftruncateSync(fd, size);
  if (seals) assert.equal(fcntl()!(fd, F_ADD_SEALS, seals), 0);
  return {
    fd,
    put: (place, bytes) => void writeSync(fd, bytes, 0, bytes.length, place),
    get: (place, length) => {
      const bytes = Buffer.alloc(length);
      readSync(fd, bytes, 0, length, place);
      return bytes;
    },
  };
}

/** Sends one byte and any number of descriptors with it. */
export function sendDescriptors(socket: number, fds: readonly number[]): void {
  const byte = Buffer.alloc(1);
  const pieces = Buffer.concat([Buffer.alloc(8), Buffer.alloc(8)]);
  pieces.writeBigUInt64LE(addressOf(byte), 0);
  pieces.writeBigUInt64LE(1n, 8);
  const control = Buffer.alloc(16 + 8 * Math.ceil(fds.length / 2));
  control.writeBigUInt64LE(BigInt(16 + 4 * fds.length), 0);
  control.writeInt32LE(1, 8);
  control.writeInt32LE(1, 12);
  for (const [index, fd] of fds.entries()) control.writeInt32LE(fd, 16 + 4 * index);
  const message = Buffer.alloc(56);
  message.writeBigUInt64LE(addressOf(pieces), 16);
  message.writeBigUInt64LE(1n, 24);
  if (fds.length > 0) {
    message.writeBigUInt64LE(addressOf(control), 32);
    message.writeBigUInt64LE(BigInt(control.length), 40);
  }
  assert.equal(sendmsg()!(socket, message, 0), 1);
}

/** Offers memory as a client does. @returns the last reply, and how much the server takes. */
export async function share(
  client: ScriptedClient,
  fds: readonly number[],
  size: number | bigint,
): Promise<{ type: number; taken: number; words: string }> {
  client.option(SHARED_MEMORY, u64(size));
  const first = await client.reply(SHARED_MEMORY);
  if (first.type !== SHARED_MEMORY) {
    return { type: first.type, taken: 0, words: first.data.toString() };
  }
  const taken = Number(first.data.readBigUInt64BE(0));
  sendDescriptors(client.wire.descriptor, fds);
  const last = await client.reply(SHARED_MEMORY);
  if (last.type === 1) client.shared = true;
  return { type: last.type, taken, words: last.data.toString() };
}

/** What a server says to memory that it is offered: how much it takes, and the last reply. */
export interface Taking {
  readonly takes?: number | bigint;
  readonly says?: number;
}

/**
 * Negotiates as an honest server with extended headers does, but for what it says to shared memory.
 * @returns the memory, if it was taken.
 */
export async function takeMemory(
  server: ScriptedServer,
  { takes, says = 1 }: Taking = {},
): Promise<Mapping | undefined> {
  let memory: Mapping | undefined;
  await server.greet();
  for (;;) {
    const { option, data } = await server.option();
    if (option === SHARED_MEMORY) {
      const size = Number(data.readBigUInt64BE(0));
      server.wire.stopReading();
      server.reply(option, SHARED_MEMORY, u64(takes ?? size));
      let fd = takeDescriptor(server.wire.descriptor);
      for (; fd === 'later'; fd = takeDescriptor(server.wire.descriptor)) await turn();
      if (fd !== undefined && says === 1) memory = Mapping.given(fd, size);
      if (fd !== undefined) closeSync(fd);
      server.wire.startReading();
      server.reply(option, says);
      server.shared = memory !== undefined;
    } else if (option === 7) {
      server.reply(7, 3, join(u16(0), u64(1n << 20n), u16(0x1fed)));
      server.reply(7, 1);
      return memory;
    } else {
      server.extended ||= option === 11;
      server.reply(option, 1);
    }
  }
}
