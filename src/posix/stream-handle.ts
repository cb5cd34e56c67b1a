/**
 * What Node's streams read and write a descriptor by that it has no kind of stream for. To libuv
 * anything that can be polled can be a pipe.
 * @param kind whether it listens for connections.
 */
export function streamHandle(fd: number, kind: 'SERVER' | 'SOCKET'): unknown {
  const { binding } = process as unknown as { binding(name: string): PipeBinding };
  const { Pipe, constants } = binding('pipe_wrap');
  const handle = new Pipe(constants[kind]);
  handle.open(fd);
  return handle;
}

interface PipeBinding {
  readonly Pipe: new (type: number) => { open(fd: number): number };
  readonly constants: { readonly SERVER: number; readonly SOCKET: number };
}
