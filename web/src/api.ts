/** The server's native interface (docs/http-api.md), typed. */
import { signal } from '@preact/signals';

/** The last request found nobody to answer it. */
export const gone = signal(false);

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code = '',
    readonly hint = '',
    readonly position = -1,
  ) {
    super(message);
  }
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Row = { [key: string]: Json };

export interface Cost {
  segments_total: number;
  segments_pruned: number;
  blocks_total: number;
  blocks_pruned: number;
  rows_scanned: number;
  rows_matched: number;
  bytes_read: number;
  bytes_decoded: number;
  spilled_bytes: number;
}

export interface Answer {
  rows: Row[];
  columns: string[];
  count: number;
  total?: number;
  truncated: boolean;
  next_cursor: string | null;
  warnings: ({ code?: string; message: string } | string)[];
  incomplete: boolean;
  approx?: string[];
  elapsed_ms: number;
  watermark: number;
  cost: Cost;
}

export interface Bucket {
  time: string;
  count: number;
  by: Record<string, number>;
  missing?: number;
  other?: number;
}

export interface Timeline {
  start: string;
  end: string;
  step_ms: number;
  by: string;
  total: number;
  buckets: Bucket[];
}

export interface Field {
  name: string;
  query?: string; /* as a query writes it, where that is another */
  attribute: boolean;
  types: string[];
  entries: number;
}

export interface Values {
  field: string;
  values: { value: Json; count: number }[];
  distinct: number;
  present: number;
  truncated: boolean;
}

export type Params = Record<string, string | number | boolean | undefined>;

function search(params: Params): string {
  const q = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value !== undefined && value !== '') q.set(key, String(value));
  const text = q.toString();
  return text ? '?' + text : '';
}

async function read<T>(answer: Response): Promise<T> {
  const text = await answer.text();
  let body: unknown = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(`The server answered ${answer.status} with something that is not JSON`, answer.status);
  }
  if (answer.ok) return body as T;
  const e = (body as { error?: { message?: string; code?: string; hint?: string; position?: number } })?.error;
  throw new ApiError(e?.message ?? `The server answered ${answer.status}`, answer.status, e?.code, e?.hint, e?.position);
}

async function send(path: string, options: RequestInit): Promise<Response> {
  try {
    const answer = await fetch(path, { credentials: 'same-origin', ...options });
    gone.value = false;
    return answer;
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e;
    gone.value = true;
    throw new ApiError('The server cannot be reached', 0, 'unreachable', 'Is fleetlog running?');
  }
}

export async function get<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<T> {
  return read<T>(await send(path + search(params), { signal }));
}

export async function change<T>(
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<T> {
  return read<T>(
    await send(path, {
      method,
      signal,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    }),
  );
}

export type Range = {
  start?: string;
  end?: string;
};

export function query(q: string, options: Range & Params = {}, signal?: AbortSignal): Promise<Answer> {
  return change<Answer>('POST', '/api/v1/query', { q, tz: zone(), ...defined(options) }, signal);
}

function defined(o: Params): Params {
  return Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined && v !== ''));
}

/** The browser's offset as the server takes it. */
function zone(): string {
  const minutes = -new Date().getTimezoneOffset();
  const two = (n: number) => String(Math.floor(n)).padStart(2, '0');
  return (minutes < 0 ? '-' : '+') + two(Math.abs(minutes) / 60) + ':' + two(Math.abs(minutes) % 60);
}

export function timeline(q: string, by: string, range: Range, step?: string, signal?: AbortSignal) {
  return get<Timeline>('/api/v1/timeline', { q, by, step, ...range }, signal);
}

export function fields(q: string, range: Range, signal?: AbortSignal) {
  return get<{ fields: Field[] }>('/api/v1/fields', { q, limit: 200, ...range }, signal);
}

export function values(name: string, q: string, range: Range, limit: number, signal?: AbortSignal) {
  return get<Values>(`/api/v1/fields/${encodeURIComponent(name)}/values`, { q, limit, ...range }, signal);
}

export function aborted(e: unknown): boolean {
  return e instanceof DOMException && e.name === 'AbortError';
}
