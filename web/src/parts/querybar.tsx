/** The line a query is written in: coloured while it is typed, completed by the server, and errors stand
 *  below the place they are about. Enter runs it, Shift+Enter begins a new line, the arrow up brings earlier ones. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ApiError, get } from '../api';
import { short, visible } from '../format';
import { tokens } from '../query';
import { asked as earlier, remember } from '../state';

interface Item {
  text: string;
  kind: string;
  detail?: string;
  count?: number;
}
interface Completion {
  from: number;
  to: number;
  items: Item[];
  of: string; /* the text it is about */
}

/** The server counts bytes, the browser UTF-16 units. */
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const toBytes = (text: string, units: number) => encoder.encode(text.slice(0, units)).length;
const toUnits = (text: string, bytes: number) => decoder.decode(encoder.encode(text).slice(0, bytes)).length;

export function QueryBar({ value, error, busy, onRun }: { value: string; error?: ApiError; busy: boolean; onRun: (q: string) => void }) {
  const [text, setText] = useState(value);
  const [list, setList] = useState<Completion | null>(null);
  const [at, setAt] = useState(0);
  const box = useRef<HTMLTextAreaElement>(null);
  const asked = useRef(0);
  const caret = useRef(-1); /* where it goes with the text that comes */
  const back = useRef({ steps: 0, draft: '' }); /* into the earlier ones, from what was being written */
  useLayoutEffect(() => {
    /* at once: later it would undo what is typed by then */
    setText(value);
    setList(null);
    back.current.steps = 0;
  }, [value]);

  const ask = async (t: string, cursor: number) => {
    const mine = ++asked.current;
    try {
      const c = await get<Completion>('/api/v1/complete', { q: t, cursor: toBytes(t, cursor), limit: 12 });
      if (mine !== asked.current) return;
      const shown = { ...c, from: toUnits(t, c.from), to: toUnits(t, c.to), of: t };
      const same = shown.items.length === 1 && shown.items[0]?.text === t.slice(shown.from, shown.to);
      setList(shown.items.length && !same ? shown : null);
      setAt(0);
    } catch {
      if (mine === asked.current) setList(null);
    }
  };
  const changed = (e: Event) => {
    const t = e.currentTarget as HTMLTextAreaElement;
    setText(t.value);
    back.current.steps = 0;
    void ask(t.value, t.selectionStart);
  };
  const accept = (item: Item) => {
    if (!list || !box.current) return;
    /* what was typed since the list was asked for is replaced, too */
    const to = Math.max(list.from, list.to + text.length - list.of.length);
    const next = text.slice(0, list.from) + item.text + text.slice(to);
    const cursor = list.from + item.text.length;
    caret.current = cursor;
    setText(next);
    setList(null);
    asked.current++;
  };
  useLayoutEffect(() => {
    /* before another key is pressed */
    if (caret.current < 0) return;
    box.current?.focus();
    box.current?.setSelectionRange(caret.current, caret.current);
    caret.current = -1;
  });
  const run = () => {
    setList(null);
    asked.current++;
    remember(text.trim());
    onRun(text.trim());
  };
  const recall = (by: number): boolean => {
    const all = earlier(),
      b = back.current;
    if (!b.steps) b.draft = text;
    const wanted = all.filter((q) => q !== b.draft),
      to = b.steps + by;
    if (to < 0 || to > wanted.length) return false;
    b.steps = to;
    setText(to ? (wanted[to - 1] as string) : b.draft);
    return true;
  };
  const key = (e: KeyboardEvent) => {
    if (list && (e.key === 'ArrowDown' || e.key === 'ArrowUp')) {
      e.preventDefault();
      asked.current++; /* a later answer would take the choice away */
      setAt((at + (e.key === 'ArrowDown' ? 1 : list.items.length - 1)) % list.items.length);
    } else if ((e.key === 'ArrowUp' || e.key === 'ArrowDown') && (!text.includes('\n') || back.current.steps)) {
      if (recall(e.key === 'ArrowUp' ? 1 : -1)) e.preventDefault();
    } else if (list && e.key === 'Tab') {
      e.preventDefault();
      accept(list.items[at] as Item);
    } else if (e.key === 'Escape') {
      e.preventDefault();
      asked.current++;
      if (list) setList(null);
      else box.current?.blur();
    } else if (e.key === 'Enter' && !e.shiftKey) {
      e.preventDefault();
      run();
    } else if (e.key === ' ' && e.ctrlKey) {
      e.preventDefault();
      void ask(text, box.current?.selectionStart ?? text.length);
    }
  };

  const bad = error && error.position >= 0 && text.trim() === value ? toUnits(value, error.position) : -1;
  return (
    <div class={`querybar ${error ? 'wrong' : ''}`}>
      <div class="query">
        <pre aria-hidden="true">
          {coloured(text, bad)}
          {'\n'}
        </pre>
        <textarea
          ref={box}
          id="q"
          rows={1}
          value={text}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          aria-label="Query"
          placeholder='Search: words, "a phrase", level:error, agent:coder, duration_ms>2s … then | stats count() by agent'
          role="combobox"
          aria-autocomplete="list"
          aria-expanded={!!list}
          aria-controls="completions"
          aria-activedescendant={list ? `c${at}` : undefined}
          onInput={changed}
          onKeyDown={key}
          onBlur={() => setTimeout(() => setList(null), 150)}
        />
        {list && (
          <ul class="completions" id="completions" role="listbox">
            {list.items.map((item, i) => (
              <li
                key={item.kind + item.text}
                id={`c${i}`}
                role="option"
                aria-selected={i === at}
                class={i === at ? 'on' : ''}
                onMouseDown={(e) => {
                  e.preventDefault();
                  accept(item);
                }}
              >
                <span class={`kind ${item.kind}`}>{item.kind}</span>
                <span class="what">{visible(item.text)}</span>
                <span class="about">{visible(item.detail ?? '')}</span>
                {item.count !== undefined && <span class="about">{short(item.count)}</span>}
              </li>
            ))}
          </ul>
        )}
      </div>
      <button type="button" class="run" onClick={run} aria-busy={busy}>
        {busy ? 'Running' : 'Run'}
      </button>
      {error && (
        <p class="wrongness" role="alert">
          <strong>{visible(error.message)}</strong>
          {error.hint && <> · {visible(error.hint)}</>}
        </p>
      )}
    </div>
  );
}

/** The pieces in their colours; the one at `bad` is marked. */
function coloured(text: string, bad: number) {
  let at = 0;
  const out = tokens(text).map((t, i) => {
    const here = bad >= at && bad < at + t.text.length;
    at += t.text.length;
    return (
      <span key={i} class={`t-${t.kind}${here ? ' bad' : ''}`}>
        {t.text}
      </span>
    );
  });
  if (bad >= at)
    out.push(
      <span key="end" class="bad">
        {'\u00a0\u00a0'}
      </span>,
    ); /* something is missing behind it */
  return out;
}
