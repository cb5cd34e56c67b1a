/** The release of nbdkit whose options, plugins and filters are the measure here. */
export const NBDKIT_RELEASE = '1.48.0';
