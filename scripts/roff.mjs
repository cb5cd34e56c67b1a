// Manual pages: the Markdown that this project uses, as man(1) wants it. Headings, paragraphs, lists,
// tables and code; whatever else stands there is taken as text.

/** A page. `name` is what man finds it by; the one line about it follows the first ` - `. */
export function roffOf(name, version, markdown) {
  const blocks = blocksOf(markdown.split('\n'));
  const lines = [`.TH "${name.toUpperCase()}" 1 "" "nbdpipe ${version}" "nbdpipe"`];
  let section = '';
  for (const block of blocks) {
    if (block.kind === 'section') section = block.text;
    if (section === 'Name' && block.kind === 'text') {
      const [, about] = /\s-\s(.*)$/s.exec(block.text) ?? [];
      lines.push(`${inline(name)} \\- ${inline(about ?? '')}`);
    } else lines.push(...FORMS[block.kind](block));
  }
  if (name !== 'nbdkit') lines.push('.SH SEE ALSO', '\\fBnbdkit\\fR(1)');
  return `${lines.join('\n')}\n`;
}

const FORMS = {
  title: () => [],
  section: ({ text }) => [`.SH ${text.toUpperCase()}`],
  subsection: ({ text }) => [`.SS ${inline(text)}`],
  text: ({ text }) => ['.PP', inline(text)],
  code: ({ lines }) => ['.PP', '.RS 4', '.nf', ...lines.map(literal), '.fi', '.RE'],
  item: ({ mark, text }) => {
    const [, term, rest] = /^((?:`[^`]*`|\*\*[^*]*\*\*|[^:`*])+): (.*)$/s.exec(text) ?? [];
    if (term !== undefined && /^[`*]/.test(term)) return ['.TP', inline(term), inline(rest)];
    return [`.IP "${mark === '-' ? '\\(bu' : mark}" 4`, inline(text)];
  },
  row: ({ cells: [term, ...rest] }) => [
    '.TP',
    inline(term) || '\\&',
    inline(rest.join(' \u2014 ')),
  ],
};

/** What ends a paragraph: an empty line, or the first one of something else. */
const BEGINS = /^\s*$|^#{1,3} |^\||^```|^\s*(?:-|\d+\.) /;

function blocksOf(lines) {
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    const [end, ...found] = blockAt(lines, at);
    blocks.push(...found);
    at = end;
  }
  return blocks;
}

/** Where the block that begins at a line ends, and the block, if it is one. */
function blockAt(lines, at) {
  const line = lines[at];
  if (line.trim() === '') return [at + 1];
  const heading = /^(#{1,3}) (.*)$/.exec(line);
  if (heading) {
    const kind = ['title', 'section', 'subsection'][heading[1].length - 1];
    return [at + 1, { kind, text: heading[2] }];
  }
  if (line.startsWith('```')) {
    const end = endOf(lines, at + 1, next => !next.startsWith('```'));
    return [end + 1, { kind: 'code', lines: lines.slice(at + 1, end) }];
  }
  if (line.startsWith('|')) {
    const end = endOf(lines, at, next => next.startsWith('|'));
    return [end, ...lines.slice(at + 2, end).map(row => ({ kind: 'row', cells: cellsOf(row) }))];
  }
  const item = /^\s*(-|\d+\.) (.*)$/.exec(line);
  if (line.startsWith('    ') && !item) {
    const end = endOf(lines, at, next => next.startsWith('    ') || next === '');
    const code = lines.slice(at, end).map(each => each.slice(4));
    while (code.at(-1) === '') code.pop();
    return [end, { kind: 'code', lines: code }];
  }
  const end = endOf(lines, at + 1, next => !BEGINS.test(next));
  const rest = lines.slice(at + 1, end).map(each => each.trim());
  const text = [item ? item[2] : line, ...rest].join('\n');
  return [end, item ? { kind: 'item', mark: item[1], text } : { kind: 'text', text }];
}

function endOf(lines, start, belongs) {
  let end = start;
  while (end < lines.length && belongs(lines[end])) end += 1;
  return end;
}

/** A `|` in code is written `\|`. */
function cellsOf(row) {
  const cells = row.replace(/^\||\|\s*$/g, '').split(/(?<!\\)\|/);
  return cells.map(cell => cell.trim().replaceAll('\\|', '|'));
}

const escaped = text => text.replaceAll('\\', '\\e');

/** Code, and lines that would be taken for requests. */
const literal = line =>
  escaped(line)
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&');

const SPANS = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)]+)\)|([^`*[]+|.)/gs;

function inline(text) {
  const parts = [...text.matchAll(SPANS)].map(([, code, bold, label, target, plain]) => {
    if (code !== undefined) return `\\fB${literal(code)}\\fR`;
    if (bold !== undefined) return `\\fB${literal(bold)}\\fR`;
    if (label === undefined) return escaped(plain);
    return /^https?:/.test(target) ? `${inline(label)} <${target}>` : `\\fI${inline(label)}\\fR`;
  });
  return parts.join('').replace(/^(?=[.'])/gm, '\\&');
}
