import { humanSize } from '../../block/size.ts';
import { harmless, jsonText } from '../../protocol/text.ts';
import type { Colour, Painter } from '../colours.ts';
import { type ExportFacts, type Facts, PROPERTIES } from './facts.ts';

type Property = (typeof PROPERTIES)[number][0];

/** The facts as people read them. */
export function showText({ connection, exports }: Facts, paint: Painter): string {
  const { protocol, tls, structured, extended, sharedMemory } = connection;
  const packets = extended ? 'extended' : structured ? 'structured' : 'simple';
  const how = `${packets} packets${sharedMemory ? ' and shared memory' : ''}`;
  const head = `protocol: ${protocol} with${tls ? '' : 'out'} TLS, using ${how}\n`;
  return paint('dim', head) + exports.map(facts => exportText(facts, paint)).join('');
}

function exportText(facts: ExportFacts, paint: Painter): string {
  const { name, description, size, content, uri, contexts } = facts;
  const human = humanSize(size);
  let head = `export="${jsonText(name)}":\n`;
  if (description !== undefined) head += `\tdescription: ${harmless(description)}\n`;
  head += `\texport-size: ${size}${human === String(size) ? '' : ` (${human})`}\n`;
  if (content !== undefined) head += `\tcontent: ${harmless(content)}\n`;
  if (uri !== undefined) head += `\turi: ${uri}\n`;
  const listed = contexts.map(context => `\t\t${harmless(context)}\n`).join('');
  let dim = contexts.length > 0 ? `\tcontexts:\n${listed}` : '';
  let rest = '';
  for (const [property, value] of propertiesOf(facts)) {
    const line = `\t${property}: ${value}\n`;
    if (property === 'is_rotational') dim += line;
    else rest += paint(colourOf(property, value), line);
  }
  for (const [key, value] of blockSizesOf(facts)) rest += `\t${key}: ${value}\n`;
  return paint('bold', head) + paint('dim', dim) + rest;
}

function colourOf(property: Property, value: boolean): Colour {
  if (property === 'is_read_only') return 'plain';
  return value ? 'good' : 'bad';
}

function propertiesOf({ flags }: ExportFacts): [Property, boolean][] {
  const all = PROPERTIES.map(([property, flag]): [Property, boolean] => [
    property,
    (flags & flag) !== 0,
  ]);
  // Newer than the scripts that read this: shown only where a server has it.
  return all.filter(([property, value]) => property !== 'can_block_status_payload' || value);
}

function blockSizesOf({ blockSize }: ExportFacts): [string, number][] {
  if (!blockSize) return [];
  return [
    ['block_size_minimum', blockSize.minimum],
    ['block_size_preferred', blockSize.preferred],
    ['block_size_maximum', blockSize.maximum],
  ];
}

/** The facts as a JSON document. */
export function showJson({ connection, exports }: Facts): string {
  const { protocol, tls, structured, extended, sharedMemory } = connection;
  const head = [`"protocol": "${protocol}"`, `"TLS": ${tls}`, `"structured": ${structured}`];
  if (extended) head.push('"extended": true');
  if (sharedMemory) head.push('"shared_memory": true');
  const bodies = exports.map(facts => `\t{\n${exportJson(facts)}\n\t}`);
  return `{\n${head.map(line => `${line},\n`).join('')}"exports": [\n${bodies.join(',\n')} ]\n}\n`;
}

function exportJson(facts: ExportFacts): string {
  const { name, description, size, content, uri, contexts } = facts;
  const fields = [`"export-name": ${quoted(name)}`];
  if (description !== undefined) fields.push(`"description": ${quoted(description)}`);
  if (content !== undefined) fields.push(`"content": ${quoted(content)}`);
  if (uri !== undefined) fields.push(`"uri": ${quoted(uri)}`);
  if (contexts.length > 0) {
    const list = contexts.map(context => `\t\t${quoted(context)}`).join(',\n');
    fields.push(`"contexts": [\n${list}\n\t]`);
  }
  for (const [property, value] of propertiesOf(facts)) fields.push(`"${property}": ${value}`);
  for (const [key, value] of blockSizesOf(facts)) fields.push(`"${key}": ${value}`);
  fields.push(`"export-size": ${size}`, `"export-size-str": ${quoted(humanSize(size))}`);
  return fields.map(field => `\t${field}`).join(',\n');
}

const quoted = (text: string) => `"${jsonText(text)}"`;
