export const HELP = `nbdublk - a disk as a block device

  nbdublk [OPTIONS] DEVICE NBD-URI
  nbdublk [OPTIONS] DEVICE [ CMD ARGS ... ]
  nbdublk [OPTIONS] DEVICE --command CMD ARGS ...
  nbdublk [OPTIONS] DEVICE --socket-activation CMD ARGS ...
  nbdublk [OPTIONS] DEVICE --unix SOCKET
  nbdublk [OPTIONS] DEVICE --tcp HOST PORT
  nbdublk [OPTIONS] DEVICE --vsock CID PORT
  nbdublk [OPTIONS] DEVICE --fd N
  nbdublk [OPTIONS] DEVICE --plugin [--filter=FILTER ...] PLUGIN [KEY=VALUE ...]
  nbdublk --list
  nbdublk --delete DEVICE

DEVICE is /dev/ublkbN, N, or - for any, whose name is printed. In the place of the NBD-URI
stands also the name of a file or an address on the web. With --plugin the disk is in
nbdublk itself, without a server.

Options:
  -C, --connections N      most connections to the server (4)
      --delete DEVICE      take a device away
      --list               list the devices that there are
  -r, --readonly           nobody writes
      --recover            serve a device again whose nbdublk was killed
      --recoverable        when nbdublk is killed, requests wait for --recover
      --no-shared-memory   all payloads go through the socket
      --retries N          connect again N times when the connection is lost
  -v, --verbose            say what is done
  -V, --version            print the version
      --help               print this
`;
