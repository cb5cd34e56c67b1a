// The client library: node --import tsx examples/first-sector.ts URI
import { connect, contiguous, humanSize } from 'nbdpipe';

const client = await connect(process.argv[2] ?? 'nbd://localhost');
const sector = contiguous(await client.read(0n, 512));
const bootable = sector[510] === 0x55 && sector[511] === 0xaa;
console.log(`${humanSize(client.size)}, boot signature: ${bootable ? 'yes' : 'no'}`);
await client.close();
