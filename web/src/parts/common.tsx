import type { ComponentChildren } from 'preact';
import type { ApiError } from '../api';
import { copy } from '../state';
import { Icon } from './icon';
import { LEVELS, visible } from '../format';

export function Problem({ error }: { error: ApiError | undefined }) {
  if (!error) return null;
  return (
    <div class="problem" role="alert">
      <strong>{visible(error.message)}</strong>
      {error.hint && <span> {visible(error.hint)}</span>}
      {error.status === 401 && <> <button type="button" onClick={() => location.reload()}>Sign in</button></>}
    </div>
  );
}

export function Level({ level }: { level: string }) {
  const known = (LEVELS as readonly string[]).includes(level) ? level : 'info';
  return <span class={`level ${known}`}>{known}</span>;
}

/** What an empty page says: what would be here, and how to get it here. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Code({ text }: { text: string }) {
  return (
    <div class="codebox">
      <pre class="code"><code>{text}</code></pre>
      <button type="button" title="Copy" aria-label="Copy" onClick={() => void copy(text)}><Icon name="copy" /></button>
    </div>
  );
}

export function Bar({ share, kind = '' }: { share: number; kind?: string }) {
  return <span class={`bar ${kind}`} aria-hidden="true"><span style={{ width: `${Math.min(100, share * 100)}%` }} /></span>;
}

/** Counts over time, those of `bad` in red at the foot of each. */
export function Spark({ values, bad, label }: { values: number[]; bad?: number[]; label: string }) {
  const most = Math.max(1, ...values), w = 4, h = 22;
  const high = (v: number) => (v > 0 ? Math.max(1.5, (v / most) * h) : 0);
  return (
    <svg class="spark" width={values.length * w} height={h} role="img" aria-label={label}>
      <line x1="0" x2={values.length * w} y1={h - 0.5} y2={h - 0.5} />
      {values.map((v, i) => v > 0 && <rect key={i} x={i * w} width={w - 1} y={h - high(v)} height={high(v)} />)}
      {bad?.map((v, i) => v > 0 && <rect key={-i - 1} class="bad" x={i * w} width={w - 1} y={h - high(v)} height={high(v)} />)}
    </svg>
  );
}

export function Tabs<T extends string>({ value, options, onPick, label }:
  { value: T; options: [T, string][]; onPick: (v: T) => void; label: string }) {
  return (
    <div class="tabs" role="tablist" aria-label={label}>
      {options.map(([v, text]) => (
        <button key={v} role="tab" type="button" aria-selected={v === value} class={v === value ? 'on' : ''}
                onClick={() => onPick(v)}>{text}</button>
      ))}
    </div>
  );
}

/** To the one before and after this in the list it was opened from (usePeers). */
export function Peers({ step }: { step: (by: number) => void }) {
  return (
    <span class="steps">
      <button type="button" title="Before it in the list ([)" aria-label="Before it in the list" onClick={() => step(-1)}>‹</button>
      <button type="button" title="After it in the list (])" aria-label="After it in the list" onClick={() => step(1)}>›</button>
    </span>
  );
}
