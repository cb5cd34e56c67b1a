import { type ContractOptions, deviceContract as suite } from '../../src/testing/contract.ts';
import { makersOf } from './open.ts';

export type { Writes } from '../../src/testing/contract.ts';

/** The suite that every device passes, which here knows every filter of the package. */
export function deviceContract(
  name: string,
  open: Parameters<typeof suite>[1],
  options: ContractOptions,
): void {
  suite(name, open, { makers: makersOf(), ...options });
}
