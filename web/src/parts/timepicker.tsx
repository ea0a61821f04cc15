import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { from, now, to } from '../state';
import { PRESETS, instant, label } from '../time';
import { setParams } from '../url';

const local = (text: string) => {
  const t = instant(text);
  if (t === undefined) return '';
  const d = new Date(t - new Date(t).getTimezoneOffset() * 60e3);
  return d.toISOString().slice(0, 19);
};

export function setRange(start: string | undefined, end: string | undefined): void {
  now.value = Date.now();
  setParams({ from: start || 'all', to: end });
}

export function TimePicker() {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const shownFrom = from.value === 'all' ? '' : from.value;
  useLayoutEffect(() => { /* before another key is pressed */
    if (!open) return undefined;
    const away = (e: Event) => { if (!box.current?.contains(e.target as Node)) setOpen(false); };
    const esc = (e: KeyboardEvent) => { if (e.key === 'Escape') setOpen(false); };
    addEventListener('mousedown', away);
    addEventListener('keydown', esc);
    return () => {
      removeEventListener('mousedown', away);
      removeEventListener('keydown', esc);
    };
  }, [open]);
  const pick = (start: string) => {
    setOpen(false);
    setRange(start, undefined);
  };
  const apply = (e: Event) => {
    e.preventDefault();
    const data = new FormData(e.currentTarget as HTMLFormElement);
    const at = (name: string) => {
      const text = String(data.get(name) ?? '');
      return text ? new Date(text).toISOString() : undefined;
    };
    setOpen(false);
    setRange(at('from'), at('to'));
  };
  return (
    <div class="timepicker" ref={box}>
      <button type="button" id="time" aria-haspopup="dialog" aria-expanded={open} onClick={() => setOpen(!open)}>
        {label(shownFrom, to.value)}
      </button>
      <button type="button" title="Refresh (r)" aria-label="Refresh" onClick={() => { now.value = Date.now(); }}>↻</button>
      {open && (
        <div class="menu" role="dialog" aria-label="Time range">
          <ul>
            {PRESETS.map(([value, text]) => (
              <li key={value}>
                <button type="button" class={value === shownFrom && !to.value ? 'on' : ''} onClick={() => pick(value)}>
                  {text}
                </button>
              </li>
            ))}
          </ul>
          <form onSubmit={apply}>
            <label>From <input type="datetime-local" name="from" step="1" defaultValue={local(shownFrom)} /></label>
            <label>To <input type="datetime-local" name="to" step="1" defaultValue={local(to.value)} /></label>
            <button type="submit">Apply</button>
          </form>
        </div>
      )}
    </div>
  );
}
