/** What was found as a file, and the query as a command to go on with elsewhere. */
import { counted } from '../format';
import { copy, range } from '../state';
import { useMenu } from './menu';

const quoted = (s: string) => `'${s.replace(/'/g, `'\\''`)}'`;

/** The query with its range as it is asked for here, for a shell. */
function asCurl(q: string, start: string | undefined, end: string | undefined): string {
  const body = JSON.stringify({ q, start, end });
  return `curl -s ${location.origin}/api/v1/query -H 'content-type: application/json' -d ${quoted(body)}`;
}

function asCommand(q: string, start: string | undefined, end: string | undefined): string {
  const range = [...(start ? ['--since', start] : []), ...(end ? ['--until', end] : [])];
  return ['fleetlog search', '--url', location.origin, ...range, '--', quoted(q)].join(' ');
}

export function Export({ q, rows, from, to }: { q: string; rows: number | undefined; from: string; to: string }) {
  const menu = useMenu<HTMLSpanElement>();
  const { start, end } = range.value,
    text = q || '*';
  const link = (format: string) =>
    `/api/v1/query?${new URLSearchParams({
      q: text,
      format,
      all: 'true',
      ...(start ? { start } : {}),
      ...(end ? { end } : {}),
    }).toString()}`;
  /* a relative range stays one in a command: it is run later, too */
  const as = (f: typeof asCurl) => f(text, from === 'all' ? undefined : from, to || undefined);
  const pick = (what: string, run: () => string) => (
    <li>
      <button
        type="button"
        onClick={() => {
          menu.close();
          void copy(run(), `${what} copied`);
        }}
      >
        Copy as {what}
      </button>
    </li>
  );
  return (
    <span class="export" ref={menu.box}>
      <button type="button" aria-haspopup="dialog" aria-expanded={menu.open} onClick={menu.toggle}>
        Export ▾
      </button>
      {menu.open && (
        <div class="menu list" role="dialog" aria-label="Export" ref={menu.list}>
          <ul>
            <li class="dim">{rows === undefined ? 'All rows' : counted(rows, 'row')}, as a file</li>
            <li>
              <a href={link('ndjson')} download="fleetlog.ndjson" onClick={menu.close}>
                NDJSON
              </a>
            </li>
            <li>
              <a href={link('csv')} download="fleetlog.csv" onClick={menu.close}>
                CSV
              </a>
            </li>
            <li class="dim">The query, for a terminal</li>
            {pick('curl', () => as(asCurl))}
            {pick('fleetlog command', () => as(asCommand))}
            {pick('link', () => location.href)}
          </ul>
        </div>
      )}
    </span>
  );
}
