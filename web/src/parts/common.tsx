import type { ComponentChildren } from 'preact';
import { type ApiError, get, gone } from '../api';
import { copy, now } from '../state';
import { useEvery, useLoad } from '../hooks';
import { Icon } from './icon';
import { LEVELS, visible } from '../format';

export function Problem({ error }: { error: ApiError | undefined }) {
  if (!error || (!error.status && gone.value)) return null; /* one line at the top says so for all */
  return (
    <div class="problem" role="alert">
      <strong>{visible(error.message)}</strong>
      {error.hint && <span> {visible(error.hint)}</span>}
      {error.status === 403 && (
        <span> The key you signed in with may not do this: open the page in a private window to sign in with another.</span>
      )}
      {error.status === 429 && !error.hint && <span> Wait a minute and try again.</span>}
      {error.status === 401 && (
        <>
          {' '}
          <button type="button" onClick={() => location.reload()}>
            Sign in
          </button>
        </>
      )}
    </div>
  );
}

/** While nobody answers: that it is so, and that it is tried again. What is shown stays, and is asked anew afterwards. */
export function Gone() {
  const out = gone.value;
  const again = () => {
    fetch('/ready', { cache: 'no-store' }).then(
      () => {
        gone.value = false;
        now.value = Date.now();
      },
      () => undefined,
    );
  };
  useEvery(out ? 2000 : 1e9, () => {
    if (out) again();
  });
  if (!out) return null;
  return (
    <div class="unreached" role="alert">
      <span>
        <strong>The server cannot be reached.</strong> Is fleetlog running? Trying again every two seconds.
      </span>
      <button type="button" onClick={again}>
        Try now
      </button>
    </div>
  );
}

/** The command that sends an entry to this server, with a key where it asks for one. */
export function Send({ entry }: { entry: string }) {
  const { data } = useLoad('open', (s) => get<{ open?: boolean }>('/health', {}, s));
  const key = data?.open === false ? '-H "Authorization: Bearer $FLEETLOG_API_KEY" ' : '';
  return <Code text={`curl ${location.origin}/api/v1/ingest ${key}-d '${entry}'`} />;
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
      <pre class="code">
        <code>{text}</code>
      </pre>
      <button type="button" title="Copy" aria-label="Copy" onClick={() => void copy(text)}>
        <Icon name="copy" />
      </button>
    </div>
  );
}

export function Bar({ share, kind = '' }: { share: number; kind?: string }) {
  return (
    <span class={`bar ${kind}`} aria-hidden="true">
      <span style={{ width: `${Math.min(100, share * 100)}%` }} />
    </span>
  );
}

/** Counts over time, those of `bad` in red at the foot of each. */
export function Spark({ values, bad, label }: { values: number[]; bad?: number[]; label: string }) {
  const most = Math.max(1, ...values),
    w = 4,
    h = 22;
  const high = (v: number) => (v > 0 ? Math.max(1.5, (v / most) * h) : 0);
  return (
    <svg class="spark" width={values.length * w} height={h} role="img" aria-label={label}>
      <line x1="0" x2={values.length * w} y1={h - 0.5} y2={h - 0.5} />
      {values.map((v, i) => v > 0 && <rect key={i} x={i * w} width={w - 1} y={h - high(v)} height={high(v)} />)}
      {bad?.map((v, i) => v > 0 && <rect key={-i - 1} class="bad" x={i * w} width={w - 1} y={h - high(v)} height={high(v)} />)}
    </svg>
  );
}

export function Tabs<T extends string>({
  value,
  options,
  onPick,
  label,
}: {
  value: T;
  options: [T, string][];
  onPick: (v: T) => void;
  label: string;
}) {
  return (
    <div class="tabs" role="tablist" aria-label={label}>
      {options.map(([v, text]) => (
        <button key={v} role="tab" type="button" aria-selected={v === value} class={v === value ? 'on' : ''} onClick={() => onPick(v)}>
          {text}
        </button>
      ))}
    </div>
  );
}

/** To the one before and after this in the list it was opened from (usePeers). */
export function Peers({ step }: { step: (by: number) => void }) {
  return (
    <span class="steps">
      <button type="button" title="Before it in the list ([)" aria-label="Before it in the list" onClick={() => step(-1)}>
        ‹
      </button>
      <button type="button" title="After it in the list (])" aria-label="After it in the list" onClick={() => step(1)}>
        ›
      </button>
    </span>
  );
}
