/** Queries as text: where the filter ends, adding and taking away terms, quoting. The language is
 *  docs/query-language.md; the server alone judges whether a query is right. */
import type { Json } from './api';

export type TokenKind =
  'text' | 'field' | 'operator' | 'string' | 'regex' | 'keyword' | 'pipe' | 'pipename' | 'number' | 'comment' | 'paren';

export interface Token {
  kind: TokenKind;
  text: string;
}

const KEYWORDS = new Set(['AND', 'OR', 'NOT', 'TO', 'by', 'as', 'desc', 'asc', 'if', 'from', 'on', 'in']);

/* names (docs/query-language.md, Names): what cannot be seen, and turns the text around it, is written as an escape */
const HIDDEN = '\\u0000-\\u001f\\u007f-\\u00a0\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff';
const NAME = new RegExp(`^(?![^]*[${HIDDEN}])[A-Za-z_@\\u0080-\\uffff][A-Za-z0-9_@.$\\u0080-\\uffff-]*$`);
const RESERVED = new Set(['after', 'before', 'on', 'in']);

/** How long the name at the start of a text is, when a piece of it stands in backticks; else 0. */
function tickedLength(s: string): number {
  let i = 0,
    ticks = false;
  if (!/^[`A-Za-z_@\u0080-\uffff]/.test(s)) return 0;
  for (;;) {
    if (s[i] === '`') {
      ticks = true;
      for (i++; i < s.length && s[i] !== '`';) i += s[i] === '\\' ? 2 : 1;
      if (s[++i] !== '.') break;
    }
    while (i < s.length && /[A-Za-z0-9_@.$\u0080-\uffff-]/.test(s[i] as string)) i++;
    if (s[i] !== '`' || s[i - 1] !== '.') break;
  }
  return ticks ? Math.min(i, s.length) : 0;
}

/** Pieces for colouring; together they are the text. Lenient: whatever is not understood is text. */
export function tokens(q: string): Token[] {
  const out: Token[] = [];
  let i = 0,
    afterPipe = false,
    name: number;
  const take = (kind: TokenKind, n: number) => {
    out.push({ kind, text: q.slice(i, i + n) });
    i += n;
  };
  while (i < q.length) {
    const rest = q.slice(i);
    let m: RegExpExecArray | null;
    if ((m = /^\s+/.exec(rest))) take('text', m[0].length);
    else if (rest[0] === '#') take('comment', (/^[^\n]*/.exec(rest) as RegExpExecArray)[0].length);
    else if (rest[0] === '|') {
      take('pipe', 1);
      afterPipe = true;
      continue;
    } else if ((m = /^\*?"(?:\\.|[^"\\])*"?\*?/.exec(rest))) take('string', m[0].length);
    else if ((name = tickedLength(rest))) take('field', name);
    else if (rest[0] === '/' && (m = /^\/(?:\\.|[^/\\\n])+\/[ims]*(?=[\s)|]|$)/.exec(rest))) take('regex', m[0].length);
    else if ((m = /^[()[\]{}]/.exec(rest))) take('paren', 1);
    else if ((m = /^(?:!=|>=|<=|[:=<>,+*%-])/.exec(rest))) take('operator', m[0].length);
    else if ((m = /^[^\s()[\]{}|:=<>,"`!]+/.exec(rest))) {
      const word = m[0];
      if (afterPipe) take('pipename', word.length);
      else if (KEYWORDS.has(word)) take('keyword', word.length);
      else if (/^\s*(?::(?!\/\/)|!=|>=|<=|=|<|>)/.test(rest.slice(word.length))) take('field', word.length);
      else if (/^-?\d[\d.]*(?:[a-zA-Z]{1,3})?$/.test(word)) take('number', word.length);
      else take('text', word.length);
      afterPipe = false;
      continue;
    } else take('text', 1);
    if (out[out.length - 1]?.kind !== 'text') afterPipe = false;
  }
  return out;
}

/** Where the filter ends: the place of the first pipe, or the end. */
export function filterEnd(q: string): number {
  let at = 0;
  for (const t of tokens(q)) {
    if (t.kind === 'pipe') return at;
    at += t.text.length;
  }
  return q.length;
}

export function filterOf(q: string): string {
  return q.slice(0, filterEnd(q)).trim();
}

export function pipesOf(q: string): string {
  return q.slice(filterEnd(q)).trim();
}

/** The pipes of a query, each without its bar. */
export function pipeParts(q: string): string[] {
  const out: string[] = [];
  for (const t of tokens(pipesOf(q))) {
    if (t.kind === 'pipe') out.push('');
    else out[out.length - 1] += t.text;
  }
  return out.map((p) => p.trim());
}

/** Adds a pipe, or takes it away when it is there; `behind`, which it works on, comes and goes with it. */
export function togglePipe(q: string, behind: string, pipe: string): string {
  const parts = pipeParts(q),
    filter = filterOf(q);
  let next = !pipe
    ? parts
    : parts.includes(pipe)
      ? parts.filter((p) => p !== pipe)
      : [...parts, ...(parts.includes(behind) ? [] : [behind]), pipe];
  if (next[next.length - 1] === behind) next = next.slice(0, -1);
  if (!next.length) return filter === '*' ? '' : filter;
  return [filter || '*', ...next].join(' | ');
}

const BARE = /^[\p{L}\p{N}_][\p{L}\p{N}_.@-]*$/u;

export function quote(s: string): string {
  return (
    '"' +
    s
      .replace(/[\\"]/g, '\\$&')
      .replace(/\n/g, '\\n')
      .replace(/\t/g, '\\t')
      .replace(/[\u0000-\u001f\u007f]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0')) +
    '"'
  );
}

function ticked(key: string): string {
  return (
    '`' +
    key.replace(/[\\`]/g, '\\$&').replace(new RegExp(`[${HIDDEN}]`, 'g'), (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0')) +
    '`'
  );
}

/** The key at these steps of an entry as a query names it. */
export function pathName(steps: string[]): string {
  const whole = steps.join('.');
  if (NAME.test(whole) && !RESERVED.has(whole)) return whole;
  return steps.map((s, i) => (steps.length > 1 && NAME.test(i ? 'x' + s : s) && s && !s.includes('.') ? s : ticked(s))).join('.');
}

/** What pathName wrote, as steps again; null: without backticks, a dot may be one in a key. */
export function nameSteps(name: string): string[] | null {
  if (!name.includes('`')) return null;
  const out: string[] = [];
  for (let rest = name; rest;) {
    const m = /^(?:`((?:\\[^]|[^`\\])*)`|([^`.]*))(?:\.|$)/.exec(rest);
    if (!m) return null;
    const key =
      m[2] ??
      (m[1] as string).replace(/\\(?:u([0-9a-f]{4})|([^]))/g, (_, hex: string | undefined, c: string) =>
        hex ? String.fromCharCode(parseInt(hex, 16)) : c === 'n' ? '\n' : c === 't' ? '\t' : c,
      );
    if (out.length || m[2] !== 'attributes') out.push(key);
    rest = rest.slice(m[0].length);
  }
  return out;
}

/** `field=value`, exactly; null: the field is missing. `name`: as a query writes it. */
export function term(name: string, value: Json): string {
  if (value === null) return `-${name}:*`;
  if (typeof value === 'string')
    return `${name}=${BARE.test(value) && !KEYWORDS.has(value) && !/^(true|false|\d)/.test(value) ? value : quote(value)}`;
  return `${name}=${typeof value === 'object' ? quote(JSON.stringify(value)) : String(value)}`;
}

/** The messages of a pattern, `read <text> in <int> ms`. */
export function patternTerm(pattern: string): string {
  const text = pattern.split(/<[a-z0-9_]+>/).map((part) => part.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&').replace(/\n/g, '\\n'));
  return `message:/^${text.join('.+')}$/s`;
}

function withFilter(q: string, filter: string): string {
  const pipes = pipesOf(q);
  return (filter + (pipes ? ' ' + pipes : '')).trim();
}

/** Adds a term to the filter, or takes it away when it is there already. */
export function toggle(q: string, wanted: string, negate = false): string {
  const what = negate ? (wanted.startsWith('-') ? wanted.slice(1) : '-' + wanted) : wanted;
  const other = what.startsWith('-') ? what.slice(1) : '-' + what;
  const filter = whole(q),
    parts = single(q);
  if (parts.includes(what)) return withFilter(q, parts.filter((t) => t !== what).join(' '));
  if (parts.includes(other)) return withFilter(q, parts.map((t) => (t === other ? what : t)).join(' '));
  return withFilter(q, filter ? `${filter} ${what}` : what);
}

export function hasTerm(q: string, wanted: string): boolean {
  return single(q).includes(wanted);
}

/** Are there words between the terms, which one term cannot be taken out of? */
function joined(filter: string): boolean {
  let depth = 0;
  for (const t of tokens(filter)) {
    if (t.kind === 'paren') depth += '([{'.includes(t.text) ? 1 : -1;
    if (t.kind === 'keyword' && ['AND', 'OR', 'NOT'].includes(t.text) && depth === 0) return true;
  }
  return false;
}

/** The terms that can be taken away one by one. */
function single(q: string): string[] {
  const filter = filterOf(q);
  return joined(filter) ? [] : terms(filter);
}

/** The filter as something that a term can follow. */
function whole(q: string): string {
  const filter = filterOf(q);
  return filter === '*' ? '' : joined(filter) ? `(${filter})` : filter;
}

/** The terms of a conjunction, split at blanks outside of quotes and parentheses. */
export function terms(filter: string): string[] {
  const out: string[] = [];
  let depth = 0,
    now = '';
  for (const t of tokens(filter)) {
    if (t.kind === 'paren') depth += '([{'.includes(t.text) ? 1 : -1;
    if (t.kind === 'text' && /^\s+$/.test(t.text) && depth <= 0) {
      if (now) out.push(now);
      now = '';
    } else now += t.text;
  }
  if (now) out.push(now);
  return out;
}

/** The values of a field that the filter asks for (or, with '-', rules out) as terms of its own. */
export function chosen(q: string, name: string, sign: '' | '-' = ''): string[] {
  return single(q).filter((t) => t.startsWith(`${sign}${name}=`));
}

/** The filter without what it says about a field in terms of their own: what else could be chosen there. */
export function filterWithout(q: string, name: string): string {
  const own = [...chosen(q, name), ...chosen(q, name, '-')];
  return own.length
    ? single(q)
        .filter((t) => !own.includes(t))
        .join(' ')
    : filterOf(q);
}

/** Only this value of the field: takes the place of another that was chosen. */
export function only(q: string, name: string, wanted: string): string {
  const others = chosen(q, name).filter((t) => t !== wanted);
  return toggle(
    others.reduce((to, t) => toggle(to, t), q),
    wanted,
  );
}

/** The least and the greatest value that the filter lets a number have, as they are written. */
export function bounds(q: string, name: string): [string, string] {
  const of = (start: string) =>
    single(q)
      .find((t) => t.startsWith(start))
      ?.slice(start.length) ?? '';
  return [of(`${name}>=`), of(`${name}<=`)];
}

export function withBounds(q: string, name: string, least: string, most: string): string {
  const [a, b] = bounds(q, name);
  const kept =
    a || b
      ? single(q)
          .filter((t) => t !== `${name}>=${a}` && t !== `${name}<=${b}`)
          .join(' ')
      : whole(q);
  return withFilter(q, [kept, least && `${name}>=${least}`, most && `${name}<=${most}`].filter(Boolean).join(' '));
}

const TEXTS = new Set(['message', 'input', 'output', 'error']);

/** What the filter looks for in texts: words, phrases, parts of words. To be marked where it was found; undefined
 *  when there is nothing, or only what a browser had better not look for. */
export function sought(q: string): RegExp | undefined {
  const all = tokens(filterOf(q)),
    out: string[] = [];
  let skip = false; /* what comes next is taken away, or is about another field */
  for (let i = 0; i < all.length; i++) {
    const t = all[i] as Token,
      before = all[i - 1],
      after = all[i + 1];
    if (t.kind === 'text' && !t.text.trim()) continue;
    if (t.kind === 'keyword') {
      if (t.text === 'in') out.pop(); /* `agent in (a, b)`: that was a field */
      skip = t.text === 'NOT' || t.text === 'in';
    } else if (t.kind === 'field' && after) {
      skip ||= !TEXTS.has(t.text);
      while (all[i + 1]?.kind === 'operator' || (all[i + 1]?.kind === 'text' && !all[i + 1]?.text.trim())) i++;
    } else if (t.kind === 'operator') {
      if (t.text === '-' && (!before || /[\s(]$/.test(before.text))) skip = true;
    } else if (t.kind === 'paren') {
      if (skip && t.text !== ')') {
        for (let depth = 1; depth && ++i < all.length;)
          if (all[i]?.kind === 'paren') depth += '([{'.includes((all[i] as Token).text) ? 1 : -1;
      }
      skip = false;
    } else {
      const part = skip ? undefined : pieceOf(t, before?.text === '*');
      if (part) out.push(part);
      skip = false;
    }
  }
  if (!out.length) return undefined;
  try {
    return new RegExp(out.join('|'), 'giu');
  } catch {
    return undefined; /* a regular expression of another dialect, or a browser without lookbehind */
  }
}

const LETTER = '[\\p{L}\\p{N}]';

function pieceOf(t: Token, open: boolean): string | undefined {
  const literal = (s: string) => s.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  if (t.kind === 'regex') {
    const inside = t.text.replace(/^\//, '').replace(/\/[ims]*$/, '');
    /* one that could take for ever is not tried */
    return /\)[*+{?]/.test(inside) || (inside.match(/[*+}]/g)?.length ?? 0) > 2 ? undefined : inside;
  }
  let text = t.text,
    front = !open,
    back = true;
  if (t.kind === 'string') {
    front = !text.startsWith('*');
    back = !text.endsWith('*');
    text = text.replace(/^\*?"|"?\*?$/g, '').replace(/\\(.)/g, '$1');
    const words = text.match(/[\p{L}\p{N}]+/gu);
    if (front && back) text = '';
    if (!text && !words) return undefined;
    if (!text) return `(?<!${LETTER})${(words ?? []).join('[^\\p{L}\\p{N}]+')}(?!${LETTER})`;
  } else if (text.endsWith('*')) {
    back = false;
    text = text.slice(0, -1);
  }
  if (!/[\p{L}\p{N}]/u.test(text)) return undefined;
  const spaced = /^[\x20-\x7e]+$/.test(text); /* scripts without blanks have no ends of words */
  const more = !back && t.kind !== 'string' ? `${LETTER}*` : '';
  return (front && spaced ? `(?<!${LETTER})` : '') + literal(text) + (back && spaced ? `(?!${LETTER})` : more);
}
