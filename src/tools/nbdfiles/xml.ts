/** An element of XML, with text or other elements in it. */
export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly content: string | readonly Element[];
}

/** What XML has no way to say: control characters, and halves of pairs. */
const UNSAYABLE = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;
const ESCAPED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
};

export function element(
  name: string,
  content: Element['content'],
  attributes: Element['attributes'] = {},
): Element {
  return { name, content, attributes };
}

/** Elements with a text each, without those of which there is none. */
export function texts(values: Readonly<Record<string, string | undefined>>): Element[] {
  return Object.entries(values).flatMap(([name, text]) => (text ? element(name, text) : []));
}

/** An element on lines of its own, indented. */
export function xmlText({ name, attributes, content }: Element, indent = ''): string {
  const words = Object.entries(attributes).map(([key, text]) => ` ${key}="${escaped(text)}"`);
  const head = `${indent}<${name}${words.join('')}`;
  if (content.length === 0) return `${head}/>\n`;
  if (typeof content === 'string') return `${head}>${escaped(content)}</${name}>\n`;
  const inner = content.map(each => xmlText(each, `${indent}  `)).join('');
  return `${head}>\n${inner}${indent}</${name}>\n`;
}

function escaped(text: string): string {
  return text.replace(UNSAYABLE, '\ufffd').replace(/[&<>"\r]/g, character => ESCAPED[character]!);
}
