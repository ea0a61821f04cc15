/** Numbers, times and texts as people read them. */
import type { Json } from './api';

export function count(n: number): string {
  return n.toLocaleString('en-US');
}

/** "1 row", "1,200 rows" */
export function counted(n: number, one: string, more = one + 's'): string {
  return `${count(n)} ${n === 1 ? one : more}`;
}

/** 1234567 -> "1.2M" */
export function short(n: number): string {
  const a = Math.abs(n);
  if (a < 1000) return Number.isInteger(n) ? String(n) : n.toPrecision(3).replace(/\.?0+$/, '');
  for (const [unit, size] of [
    ['T', 1e12],
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const)
    if (a >= size) return (n / size).toFixed(a / size < 10 ? 1 : 0).replace(/\.0$/, '') + unit;
  return String(n);
}

export function bytes(n: number): string {
  for (const [unit, size] of [
    ['TiB', 2 ** 40],
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 1024],
  ] as const)
    if (n >= size) return (n / size).toFixed(n / size < 10 ? 1 : 0) + ' ' + unit;
  return n + ' B';
}

export function duration(ms: number): string {
  if (ms < 1) return ms === 0 ? '0 ms' : (ms * 1000).toFixed(0) + ' µs';
  if (ms < 1000) return (ms < 10 ? ms.toFixed(1).replace(/\.0$/, '') : ms.toFixed(0)) + ' ms';
  const s = ms / 1000;
  if (s < 60) return s.toFixed(s < 10 ? 2 : 1).replace(/\.?0+$/, '') + ' s';
  if (s < 3600) return `${Math.floor(s / 60)}m ${Math.floor(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}

export function money(usd: number): string {
  if (usd === 0) return '$0';
  return '$' + (usd < 0.01 ? usd.toPrecision(2) : usd < 100 ? usd.toFixed(2) : count(Math.round(usd)));
}

const two = (n: number, width = 2) => String(n).padStart(width, '0');

/** 14:03:07.120, with the day in front when it is not today's. */
export function clock(iso: string, withDay = false): string {
  const t = new Date(iso);
  if (isNaN(t.getTime())) return iso;
  const time = `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${two(t.getMilliseconds(), 3)}`;
  return withDay ? `${two(t.getMonth() + 1)}-${two(t.getDate())} ${time}` : time;
}

export function moment(ms: number): string {
  const t = new Date(ms);
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

export function ago(iso: string, now = Date.now()): string {
  const ms = now - new Date(iso).getTime();
  if (isNaN(ms)) return iso;
  if (ms < 0) return 'in ' + duration(-ms);
  if (ms < 2000) return 'now';
  return (ms < 60000 ? `${Math.floor(ms / 1000)} s` : duration(ms).split(' ')[0]) + ' ago';
}

/** Control and direction characters are shown, never obeyed. */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'),
  );
}

/** What an object has itself: names come from strangers, and one of them is `constructor`. */
export function own<T>(o: Record<string, T> | undefined, name: string): T | undefined {
  return o && Object.hasOwn(o, name) ? o[name] : undefined;
}

/** One line of a value. */
export function plain(v: Json | undefined): string {
  if (v === undefined || v === null) return '';
  return visible((typeof v === 'string' ? v : JSON.stringify(v)).replace(/\s*\n\s*/g, ' ⏎ '));
}

/** A steady hue for a name, none of the reds: those say that something failed. Mixed, so that worker-1 and worker-2
 *  are told apart; the first number is one that keeps usual names apart. */
export function hue(name: string): number {
  let h = 3787;
  for (const c of name) h = (Math.imul(h, 33) + (c.codePointAt(0) as number)) | 0;
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return 35 + (((h ^ (h >>> 13)) >>> 0) % 270);
}

export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'critical'] as const;
