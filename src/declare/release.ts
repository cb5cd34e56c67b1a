/** The release of nbdkit whose options, plugins and filters are the measure here. */
export const NBDKIT_RELEASE = '1.48.0';
/** The release of libnbd whose commands are. */
export const LIBNBD_RELEASE = '1.24.0';
