// Threads do not inherit what translates the sources in tests.
import { register } from 'tsx/esm/api';

register();
await import(process.argv[2]);
