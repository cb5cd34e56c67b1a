import type { ListRequest, Peer } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter } from '../../declare/declare.ts';
import { needsCertificate, parseRules } from './rules.ts';

export default defineFilter({
  name: 'ip',
  description: 'serves some clients and turns others away, by where they are and who they are',
  parameters: {
    allow: { type: 'string', repeat: true, help: 'Rules for clients that are served' },
    deny: { type: 'string', repeat: true, help: 'Rules for others that are turned away' },
  },
  create({ allow, deny }, below) {
    const allowed = allow.flatMap(list => parseRules('allow', list));
    const denied = deny.flatMap(list => parseRules('deny', list));
    const check = (peer: Peer) => {
      if (allowed.some(rule => rule(peer)) || !denied.some(rule => rule(peer))) return;
      throw new BlockError('EACCES', 'ip: source address not permitted');
    };
    if (![...allow, ...deny].some(needsCertificate)) {
      return passSource(below, {
        preconnect(peer) {
          check(peer);
          return below.preconnect?.(peer);
        },
      });
    }
    return passSource(below, {
      open(request) {
        check(request.peer);
        return below.open(request);
      },
      list(request: ListRequest) {
        check(request.peer);
        return below.list?.(request);
      },
    });
  },
});
