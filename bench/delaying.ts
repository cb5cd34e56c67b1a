/**
 * A link with a delay, `delaying.ts SOCKET TARGET MS`: listens on a Unix socket and passes everything on
 * to another one and back, each way that much later.
 */
import net from 'node:net';

const [socket, path, delay] = process.argv.slice(2) as [string, string, string];
/** What may be under way in one direction, in bytes: more than any client asks for at once. */
const UNDER_WAY = 256 << 20;

function passOn(from: net.Socket, to: net.Socket): void {
  let underWay = 0;
  from.on('data', bytes => {
    underWay += bytes.length;
    if (underWay > UNDER_WAY) from.pause();
    setTimeout(() => {
      underWay -= bytes.length;
      if (!to.destroyed) to.write(bytes);
      from.resume();
    }, Number(delay));
  });
  from.on('end', () => setTimeout(() => to.end(), Number(delay)));
  from.on('error', () => to.destroy());
}

const server = net.createServer({ allowHalfOpen: true }, client => {
  const far = net.connect({ path, allowHalfOpen: true });
  passOn(client, far);
  passOn(far, client);
});
server.listen(socket);
