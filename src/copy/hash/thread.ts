/** What a hashing thread runs: bytes come, the digests of their blocks go. */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockDigests } from './digests.ts';
import type { HashForm } from './form.ts';

const digests = new BlockDigests(workerData as HashForm);
parentPort!.on('message', (bytes: Uint8Array) => parentPort!.postMessage(digests.of(bytes)));
