import { Constants } from './constants.ts';
import { Lexer, type Token } from './lexer.ts';
import { faultAt, type Place, type Source } from './source.ts';
import type { GroupNode, Node } from './syntax.ts';

/** Values of `$VAR`; undefined when there is none. */
export type Variables = (name: string) => string | undefined;

const MAX_DEPTH = 250;
const MAX_SUBSTITUTIONS = 100_000;

/**
 * The syntax tree of a text.
 * @throws UsageError that shows the place.
 */
export function parse(source: Source, variables: Variables): GroupNode {
  return new Parser(variables).text(source, { source, at: 0 }, 0);
}

class Parser {
  private readonly variables: Variables;
  private substitutions = 0;

  constructor(variables: Variables) {
    this.variables = variables;
  }

  /** A whole text as a group; variables bring more than one. */
  text(source: Source, place: Place, depth: number): GroupNode {
    return this.group(new Lexer(source), place, depth, 'end');
  }

  private group(lexer: Lexer, place: Place, depth: number, until: 'close' | 'end'): GroupNode {
    if (depth > MAX_DEPTH) throw faultAt(place, `nested more than ${MAX_DEPTH} deep`);
    const items = new Items();
    let postfixes = 0;
    for (;;) {
      const token = lexer.next();
      const here = { source: lexer.source, at: lexer.start };
      if (token.kind === until) return { kind: 'group', place, items: items.finish() };
      if (token.kind === 'close') throw faultAt(here, "unmatched ')'");
      if (token.kind === 'end') throw faultAt(place, "unmatched '('");
      if (token.kind === 'repeat' || token.kind === 'slice' || token.kind === 'assign') {
        postfixes += 1;
        if (depth + postfixes > MAX_DEPTH) throw faultAt(here, `more than ${MAX_DEPTH} deep`);
        items.last = applyTo(items.last, token, here);
      } else {
        postfixes = 0;
        items.add(this.item(token, lexer, here, depth));
      }
    }
  }

  private item(token: ItemToken, lexer: Lexer, place: Place, depth: number): Node {
    if (token.kind === 'open') return this.group(lexer, place, depth + 1, 'close');
    if (token.kind === 'variable') {
      const text = this.variables(token.name);
      if (text === undefined) {
        const expected = `expected a parameter ${token.name}=... or an environment variable`;
        throw faultAt(place, `$${token.name} is not defined: ${expected}`);
      }
      this.substitutions += 1;
      if (this.substitutions > MAX_SUBSTITUTIONS) {
        throw faultAt(place, `more than ${MAX_SUBSTITUTIONS} variables to put in`);
      }
      return this.text({ name: `$${token.name}`, text }, place, depth + 1);
    }
    return { ...token, place };
  }
}

/** The items of a group. Neighbouring constants become one, or there would be one a byte. */
class Items {
  /** What an operator would apply to. */
  last: Node | undefined;
  private readonly items: Node[] = [];
  private readonly constants = new Constants(this.items);

  add(item: Node): void {
    this.settle();
    this.last = item;
  }

  finish(): readonly Node[] {
    this.settle();
    this.constants.flush();
    return this.items;
  }

  private settle(): void {
    if (!this.last) return;
    if (this.last.kind === 'bytes') {
      this.constants.add(this.last);
    } else {
      this.constants.flush();
      this.items.push(this.last);
    }
    this.last = undefined;
  }
}

type PostfixToken = Extract<Token, { kind: 'repeat' | 'slice' | 'assign' }>;
type ItemToken = Exclude<Token, PostfixToken | { kind: 'close' | 'end' }>;

function applyTo(of: Node | undefined, token: PostfixToken, place: Place): Node {
  const name = { repeat: '*N', slice: '[N:M]', assign: '->' }[token.kind];
  if (!of) throw faultAt(place, `${name} must follow an expression`);
  if (of.kind === 'seek') throw faultAt(place, `${name} cannot be applied to an offset`);
  return token.kind === 'assign'
    ? { kind: 'assign', name: token.name, of, place }
    : { ...token, of, place };
}
