/** Texts and values of a conversation. They come from strangers: a little of what models write (bold, code, fences)
 *  is given its looks, everything stays text. */
import { useState } from 'preact/hooks';
import type { Json } from '../api';
import { count, visible } from '../format';
import { JsonTree, parsed } from './jsontree';
import { Marked } from './marked';

const LONG = 3000;
const LONGEST = 40000;

function Inline({ text, find }: { text: string; find: string }) {
  return (
    <>
      {text.split(/(\*\*[^*\n]+\*\*|`[^`\n]+`)/).map((part, i) =>
        i % 2 === 0 ? (
          <Marked key={i} text={visible(part)} sought={find} />
        ) : part[0] === '`' ? (
          <code key={i}>
            <Marked text={visible(part.slice(1, -1))} sought={find} />
          </code>
        ) : (
          <strong key={i}>
            <Marked text={visible(part.slice(2, -2))} sought={find} />
          </strong>
        ),
      )}
    </>
  );
}

export function Text({ text, find = '' }: { text: string; find?: string }) {
  const [whole, setWhole] = useState(false);
  const cut = text.length > LONG && !whole && !(find && text.toLowerCase().includes(find));
  const parts = (cut ? text.slice(0, LONG) : text).split(/^```[^\n]*\n?/m);
  return (
    <div class="text">
      {parts.map((part, i) =>
        i % 2 ? (
          <pre key={i} class="code">
            <Marked text={visible(part)} sought={find} />
          </pre>
        ) : (
          <Inline key={i} text={part} find={find} />
        ),
      )}
      {cut && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          … {count(text.length - LONG)} more characters
        </button>
      )}
    </div>
  );
}

const json = (value: Json | undefined): Json | undefined => (typeof value === 'string' ? (parsed(value) ?? value) : value);

const DIFF = /^(@@ |diff --git |--- |\+\+\+ )/m;

export function Value({ value, find = '' }: { value: Json | undefined; find?: string }) {
  const [raw, setRaw] = useState(false),
    [whole, setWhole] = useState(false);
  if (value === undefined || value === null || value === '') return <span class="dim">nothing</span>;
  const v = json(value);
  if (v !== null && typeof v === 'object' && !raw && !find) {
    return (
      <>
        <JsonTree value={v} actions={{}} />
        <button type="button" class="more" onClick={() => setRaw(true)}>
          as text
        </button>
      </>
    );
  }
  const all = typeof value === 'string' ? value : JSON.stringify(value, null, 2),
    text = whole ? all : all.slice(0, LONGEST);
  return (
    <pre class="json">
      {DIFF.test(text) ? (
        text.split('\n').map((line, i) => (
          <span key={i} class={/^[+-]/.test(line) ? (line[0] === '+' ? 'plus' : 'minus') : line.startsWith('@@') ? 'dim' : ''}>
            <Marked text={visible(line + '\n')} sought={find} />
          </span>
        ))
      ) : (
        <Marked text={visible(text)} sought={find} />
      )}
      {all.length > text.length && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          … {count(all.length - text.length)} more characters
        </button>
      )}
    </pre>
  );
}

const ESSENTIAL = ['command', 'cmd', 'query', 'sql', 'file_path', 'path', 'pattern', 'url', 'thought', 'code', 'prompt', 'message', 'text'];

/** The argument a call is known by. */
export function essence(value: Json | undefined): string {
  const v = json(value);
  if (v === null || v === undefined) return '';
  if (typeof v !== 'object') return String(v);
  if (Array.isArray(v)) return JSON.stringify(v);
  const name = ESSENTIAL.find((k) => typeof v[k] === 'string' && v[k] !== '');
  if (name) return v[name] as string;
  return Object.entries(v)
    .map(([k, x]) => (typeof x === 'string' ? x : `${k} ${JSON.stringify(x)}`))
    .join(' · ');
}
