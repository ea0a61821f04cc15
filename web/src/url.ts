/** The address is the state: `#/page/id?key=value`. Every view can be linked to and gone back to. */
import { signal } from '@preact/signals';

export interface Route {
  page: string;
  id: string;
  params: Record<string, string>;
}

function parse(hash: string): Route {
  const text = hash.replace(/^#\/?/, '');
  const cut = text.indexOf('?');
  const path = (cut < 0 ? text : text.slice(0, cut)).split('/').map(decode);
  const params: Record<string, string> = {};
  if (cut >= 0) for (const [key, value] of new URLSearchParams(text.slice(cut + 1))) params[key] = value;
  return { page: path[0] || 'explore', id: path.slice(1).join('/'), params };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal<Route>(parse(location.hash));
window.addEventListener('hashchange', () => {
  route.value = parse(location.hash);
});

/** Empty values are left out. */
export function href(page: string, id = '', params: Record<string, string | undefined> = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value) query.set(key, value);
  const tail = query.toString();
  return `#/${page}${id ? '/' + encodeURIComponent(id) : ''}${tail ? '?' + tail : ''}`;
}

export function go(page: string, id = '', params: Record<string, string | undefined> = {}): void {
  location.hash = href(page, id, params);
}

/** Changes parameters of the present page; `replace`: without a step in the history. */
export function setParams(changes: Record<string, string | undefined>, replace = false): void {
  const r = route.value;
  const to = href(r.page, r.id, { ...r.params, ...changes });
  if (to === location.hash) return;
  if (replace) {
    history.replaceState(null, '', to);
    route.value = parse(to);
  } else {
    location.hash = to;
  }
}
