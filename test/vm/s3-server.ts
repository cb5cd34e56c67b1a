/** `s3-server FILE`: an S3 server with the file in its bucket `disks`, which prints its URL. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import process from 'node:process';
import { startS3 } from '../peer/fake-s3.ts';

const [file] = process.argv.slice(2);
const s3 = await startS3();
s3.objects.set(`/disks/${basename(file!)}`, readFileSync(file!));
console.log(s3.url(''));
