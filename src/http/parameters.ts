import type { ParameterDeclarations } from '../declare/parameters.ts';

/** What plugins that ask web servers have in common. */
export const WEB_PARAMETERS = {
  connections: {
    type: 'integer',
    minimum: 1,
    maximum: 1024,
    default: '16',
    help: 'Most connections to the server',
  },
  sslverify: { type: 'boolean', default: 'true', help: "Check the server's certificate" },
} as const satisfies ParameterDeclarations;
