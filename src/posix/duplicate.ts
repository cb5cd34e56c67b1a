import { libcFunction } from './libc.ts';

const F_DUPFD_CLOEXEC = 1030;

const fcntl = libcFunction('int fcntl(int fd, int command, int from)');

/** A second descriptor of the same open file, closed by itself; undefined if there is none to be had. */
export function duplicate(fd: number): number | undefined {
  const copy = fcntl()?.(fd, F_DUPFD_CLOEXEC, 0) ?? -1;
  return copy < 0 ? undefined : copy;
}
