import type { Node } from './syntax.ts';

/** The lines of a syntax tree, for `-D data.AST=1`, as the C plugin prints it. */
export function treeLines(node: Node, indent = ''): string[] {
  const deeper = `${indent}    `;
  const around = (inner: readonly Node[], close: string) => [
    `${indent}(`,
    ...inner.flatMap(item => treeLines(item, deeper)),
    `${indent}${close}`,
  ];
  const inside = (of: Node) => (of.kind === 'group' ? of.items : [of]);
  switch (node.kind) {
    case 'group':
      if (node.items.length === 0) return [`${indent}null`];
      return around(node.items, ')');
    case 'repeat':
      return around(inside(node.of), `) *${node.count}`);
    case 'slice':
      return around(inside(node.of), `)[${node.start}:${node.end ?? ''}]`);
    case 'assign':
      return around(inside(node.of), `) -> \\${node.name}`);
    case 'bytes':
      return [`${indent}${bytesText(node.bytes)}`];
    case 'fill':
      return [`${indent}fill(${node.byte}*${node.count})`];
    case 'seek':
      return [`${indent}@${node.how}${node.value}`];
    case 'file':
      return [`${indent}<${node.path}`];
    case 'script':
      return [`${indent}<(${node.code})`];
    case 'name':
      return [`${indent}\\${node.name}`];
  }
}

/** One byte as its number, others as text. */
function bytesText(bytes: Buffer): string {
  if (bytes.length === 1) return String(bytes[0]);
  const text = bytes
    .toString('latin1')
    .replace(/[^ -~]/g, byte => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return `"${text}"`;
}
