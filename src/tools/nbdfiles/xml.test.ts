import assert from 'node:assert/strict';
import { test } from 'node:test';
import { element, texts, xmlText } from './xml.ts';

test('elements, indented, with what means something else escaped', () => {
  const inner = texts({ a: '<&>\r"', b: '', c: undefined, d: 'x\n y \u0007\udc80 \u{1f600}' });
  assert.equal(
    xmlText(element('top', [...inner, element('e', 'f', { dev: '"1"' }), element('none', [])])),
    `<top>
  <a>&lt;&amp;&gt;&#13;&quot;</a>
  <d>x
 y \ufffd\ufffd \u{1f600}</d>
  <e dev="&quot;1&quot;">f</e>
  <none/>
</top>
`,
  );
});
