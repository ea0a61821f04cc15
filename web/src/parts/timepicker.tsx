import { from, now, to } from '../state';
import { PRESETS, instant, label } from '../time';
import { setParams } from '../url';
import { useMenu } from './menu';

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

/** The way out of a range in which there is nothing. */
export function AllTime() {
  return (
    <button type="button" class="link" onClick={() => setRange('all', undefined)}>
      Look at all time
    </button>
  );
}

export function TimePicker() {
  const menu = useMenu<HTMLDivElement>();
  const shownFrom = from.value === 'all' ? '' : from.value;
  const pick = (start: string) => {
    menu.close();
    setRange(start, undefined);
  };
  const apply = (e: Event) => {
    e.preventDefault();
    const data = new FormData(e.currentTarget as HTMLFormElement);
    const at = (name: string) => {
      const text = String(data.get(name) ?? '');
      return text ? new Date(text).toISOString() : undefined;
    };
    menu.close();
    setRange(at('from'), at('to'));
  };
  return (
    <div class="timepicker" ref={menu.box}>
      <button type="button" id="time" aria-haspopup="dialog" aria-expanded={menu.open} onClick={menu.toggle}>
        {label(shownFrom, to.value)}
      </button>
      <button
        type="button"
        title="Refresh (r)"
        aria-label="Refresh"
        onClick={() => {
          now.value = Date.now();
        }}
      >
        ↻
      </button>
      {menu.open && (
        <div class="menu" role="dialog" aria-label="Time range" ref={menu.list}>
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
            <label>
              From <input type="datetime-local" name="from" step="1" defaultValue={local(shownFrom)} />
            </label>
            <label>
              To <input type="datetime-local" name="to" step="1" defaultValue={local(to.value)} />
            </label>
            <button type="submit">Apply</button>
          </form>
        </div>
      )}
    </div>
  );
}
