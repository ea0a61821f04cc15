import { render } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { typing, useKeys } from './hooks';
import { Palette, place, visited } from './palette';
import { Gone } from './parts/common';
import { Icon } from './parts/icon';
import { Agents } from './pages/agents';
import { Alerts } from './pages/alerts';
import { Dashboards, saveView } from './pages/dashboards';
import { Entry } from './pages/entry';
import { Explore } from './pages/explore';
import { Health } from './pages/health';
import { Issues } from './pages/issues';
import { Live } from './pages/live';
import { Sessions } from './pages/sessions';
import { Traces } from './pages/traces';
import { notes, q, settle, theme } from './state';
import { go, href, route } from './url';
import { visible } from './format';

interface Page {
  name: string;
  title: string;
  key: string; /* g, then this one */
  view: () => preact.JSX.Element;
}

const PAGES: Page[] = [
  { name: 'live', title: 'Live', key: 'l', view: Live },
  { name: 'explore', title: 'Explore', key: 'e', view: Explore },
  { name: 'sessions', title: 'Sessions', key: 's', view: Sessions },
  { name: 'traces', title: 'Traces', key: 't', view: Traces },
  { name: 'agents', title: 'Agents', key: 'a', view: Agents },
  { name: 'issues', title: 'Issues', key: 'i', view: Issues },
  { name: 'alerts', title: 'Alerts', key: 'n', view: Alerts },
  { name: 'dashboards', title: 'Boards', key: 'd', view: Dashboards },
  { name: 'health', title: 'Health', key: 'h', view: Health },
];
/* parts of those, with an address of their own */
const PARTS: (Page & { of: string })[] = [
  { name: 'tools', title: 'Tools', key: 'o', view: Agents, of: 'agents' },
  { name: 'models', title: 'Models', key: 'm', view: Agents, of: 'agents' },
  { name: 'saved', title: 'Saved views', key: 'v', view: Dashboards, of: 'dashboards' },
  { name: 'retention', title: 'Retention', key: 'r', view: Health, of: 'health' },
  { name: 'keys', title: 'Keys', key: 'k', view: Health, of: 'health' },
];
/* reached by links alone */
const ENTRY: Page = { name: 'entry', title: 'Entry', key: '', view: Entry };

function Shell() {
  const [help, setHelp] = useState(false);
  const [palette, setPalette] = useState(false);
  useKeys({
    '/': () => (document.getElementById('q') as HTMLElement | null)?.focus(),
    '?': () => setHelp(true),
  });
  useEffect(() => {
    let jump = -Infinity; /* when g was pressed: the key after it is no page's own */
    const on = (e: KeyboardEvent) => {
      const page = e.timeStamp - jump < 1500 ? [...PAGES, ...PARTS].find((p) => p.key === e.key) : undefined;
      jump = -Infinity;
      if (!e.ctrlKey && !e.metaKey && !e.altKey && !typing(e.target) && !document.querySelector('dialog[open]')) {
        if (page) {
          e.preventDefault();
          e.stopPropagation();
          go(page.name);
          return;
        }
        if (e.key === 'g') jump = e.timeStamp;
      }
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') {
        e.preventDefault();
        setPalette(true);
      } else if (e.key === 'Escape') {
        setHelp(false);
        setPalette(false);
      }
    };
    addEventListener('keydown', on, true);
    return () => removeEventListener('keydown', on, true);
  }, []);
  const { page: wanted, id } = route.value,
    part = PARTS.find((p) => p.name === wanted);
  const page = part ?? [...PAGES, ENTRY].find((p) => p.name === wanted) ?? (PAGES[1] as Page);
  useEffect(() => {
    document.title = `${id ? `${visible(id)} · ` : ''}${page.title} · fleetlog`;
    if (page !== ENTRY) visited(id || page.title, id ? page.title : 'page');
  }, [page, id]);
  const View = page.view;
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault();
          document.getElementById('main')?.focus();
        }}
      >
        To the content
      </a>
      <nav class="rail" aria-label="Pages">
        <a class="brand" href={href('explore')} aria-label="fl: fleetlog">
          fl
        </a>
        {PAGES.map((p) => (
          <a
            key={p.name}
            href={href(p.name)}
            class={p === page || p.name === part?.of ? 'on' : ''}
            aria-current={p === page ? 'page' : undefined}
            title={`${p.title} (g ${p.key})`}
          >
            <Icon name={p.name} />
            <span class="label">{p.title}</span>
          </a>
        ))}
        <span class="fill" />
        <button
          type="button"
          title="Theme"
          aria-label={`Theme: ${theme.value}`}
          onClick={() => {
            theme.value = theme.value === 'system' ? 'dark' : theme.value === 'dark' ? 'light' : 'system';
          }}
        >
          <Icon name={theme.value} />
        </button>
        <button type="button" title="Keys (?)" aria-label="Keys" onClick={() => setHelp(true)}>
          ?
        </button>
      </nav>
      <main id="main" tabIndex={-1}>
        <View key={(part?.of ?? page.name) + id} />
      </main>
      {help && <Help onClose={() => setHelp(false)} />}
      {palette && (
        <Dialog title="Go to" onClose={() => setPalette(false)}>
          <Palette
            pages={[...PAGES, ...PARTS]
              .map((p) => place(p.name, p.title))
              .concat(
                ['entry', 'dashboards', 'saved'].includes(wanted)
                  ? []
                  : [
                      { kind: 'command', name: 'Save this view', run: () => void saveView() },
                      {
                        kind: 'command',
                        name: 'Alert when this query has many entries',
                        run: () => go('alerts', '', { edit: '1', q: q.value }),
                      },
                    ],
              )}
            onClose={() => setPalette(false)}
          />
        </Dialog>
      )}
      <Gone />
      <div class="notes" role="status">
        {notes.value.map((n) => (
          <div key={n.id} class={n.bad ? 'bad' : ''}>
            {visible(n.text)}
          </div>
        ))}
      </div>
    </>
  );
}

const KEYS: [string, string][] = [
  ['/', 'write a query, search the list'],
  ['Enter', 'run it; in a list: open the row'],
  ['Tab', 'take the suggestion'],
  ['Ctrl Space', 'suggest'],
  ['↑', 'in a query: the one before it'],
  ['j k', 'next and previous row'],
  ['e E', 'in a session: next and previous error'],
  ['d D', 'of two sessions: next and previous difference'],
  ['+ - 0', 'in a trace, on lanes: closer, further, all of it'],
  ['← →', 'on lanes: back and forth in time'],
  ['Space', 'live: pause, go on'],
  ['Esc', 'close'],
  ['[ ]', 'previous, next trace, session, issue'],
  ['f', 'fields'],
  ['t', 'time range'],
  ['z', 'zoom to the data'],
  ['Z', 'zoom out'],
  ['x', 'pick an issue'],
  ['e i o', 'resolve, ignore, reopen issues'],
  ['e', 'in a board: edit it'],
  ['r', 'refresh'],
  ['w', 'wrap lines'],
  ['d', 'lines closer together'],
  ['c', 'copy the entry'],
  ['Ctrl K', 'go anywhere'],
  ['?', 'these keys'],
];

function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {[...KEYS, ...[...PAGES, ...PARTS].map((p) => [`g ${p.key}`, p.title] as [string, string])].map(([k, what]) => (
          <div key={k}>
            <dt>
              {k.split(' ').map((x) => (
                <kbd key={x}>{x}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: preact.ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    /* before another key is pressed */
    const d = ref.current;
    d?.showModal();
    d?.querySelector('input')?.focus();
    return () => d?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      aria-label={title}
      onCancel={(e) => {
        e.preventDefault();
        onClose();
      }}
      onClick={(e) => {
        if (e.target === ref.current) onClose();
      }}
    >
      <h2>{title}</h2>
      {children}
    </dialog>
  );
}

/* the first page is asked for once, in its range; a server that is slow to say it does not hold the page up */
const settled = settle(),
  shown = () => render(<Shell />, document.getElementById('app') as HTMLElement);
if (route.value.params.from) shown();
else void Promise.race([settled, new Promise((late) => setTimeout(late, 250))]).then(shown);
