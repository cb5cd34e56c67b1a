import { fileSystemContract } from './contract.ts';
import { KINDS } from './images.ts';

for (const [name, kind] of Object.entries(KINDS)) fileSystemContract(name, kind);
