/** Time ranges: as they stand in the address (`now-1h`, an instant, or nothing) and as instants. */

const LONGEST = 100 * 365 * 86400e3; /* ms */
const UNITS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 };

export const PRESETS: [string, string][] = [
  ['now-5m', 'Last 5 minutes'],
  ['now-15m', 'Last 15 minutes'],
  ['now-30m', 'Last 30 minutes'],
  ['now-1h', 'Last hour'],
  ['now-3h', 'Last 3 hours'],
  ['now-6h', 'Last 6 hours'],
  ['now-12h', 'Last 12 hours'],
  ['now-24h', 'Last 24 hours'],
  ['now-7d', 'Last 7 days'],
  ['now-30d', 'Last 30 days'],
  ['', 'All time'],
];

/** Milliseconds since 1970, or undefined when it is open or makes no sense. */
export function instant(text: string | undefined, now = Date.now()): number | undefined {
  if (!text) return undefined;
  if (text === 'now') return now;
  const m = /^now-(\d+)([smhdw])$/.exec(text);
  if (m) return now - Number(m[1]) * (UNITS[m[2] as string] as number);
  const t = Date.parse(text);
  return isNaN(t) ? undefined : t;
}

export function label(from: string | undefined, to: string | undefined): string {
  if (!to) {
    const preset = PRESETS.find(([value]) => value === (from ?? ''));
    if (preset) return preset[1];
  }
  const nice = (t: string | undefined, open: string) => {
    if (!t) return open;
    const at = instant(t);
    return /^now/.test(t) || at === undefined ? t : new Date(at).toLocaleString('sv-SE');
  };
  return `${nice(from, 'beginning')} → ${nice(to, 'now')}`;
}

/** A duration as places on an axis can use it: senders say anything, and no axis goes on for ever. NaN: none. */
export function lasting(ms: unknown): number {
  return typeof ms === 'number' ? Math.max(0, Math.min(ms, LONGEST)) : NaN;
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** Round values for the marks of an axis from 0 to `most`: about `lines` of them, no closer than `least`. */
export function rounds(most: number, lines = 3, least = 0): number[] {
  const rough = most / lines,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, power * ([1, 2, 5].find((m) => m * power >= rough) ?? 10));
  const out: number[] = [];
  for (let i = 0; step > 0 && i * step <= most * 1.000001; i++) out.push(i * step);
  return out;
}

/** A width of buckets that makes about 60 of a span that is too short for whole seconds. */
export function fineStep(ms: number): string {
  const step = STEPS.find((s) => ms / s <= 80) ?? 1000;
  return `${step}ms`;
}

export const STEPS = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1e3,
  2e3,
  5e3,
  10e3,
  15e3,
  30e3,
  60e3,
  120e3,
  300e3,
  600e3,
  900e3,
  1800e3,
  3600e3,
  7200e3,
  3 * 3600e3,
  6 * 3600e3,
  12 * 3600e3,
  86400e3,
  2 * 86400e3,
  7 * 86400e3,
  14 * 86400e3,
  30 * 86400e3,
  91 * 86400e3,
  365 * 86400e3,
];

/** The shortest round step, not below `least`, of which a span has no more than `most`; of centuries whole years. */
export function stepOf(ms: number, most: number, least = 0): number {
  const year = 365 * 86400e3;
  return STEPS.find((s) => s >= least && ms / s <= most) ?? Math.ceil(ms / most / year) * year;
}

/** Round places for the marks of a time axis: [instant, text]. */
export function ticks(from: number, to: number, most: number): [number, string][] {
  const step = stepOf(to - from, most);
  const shift = new Date(from).getTimezoneOffset() * 60e3;
  const out: [number, string][] = [];
  const two = (n: number) => String(n).padStart(2, '0');
  for (let t = Math.ceil((from - shift) / step) * step + shift; t <= to; t += step) {
    const d = new Date(t);
    const hm = `${two(d.getHours())}:${two(d.getMinutes())}`;
    out.push([
      t,
      step >= 365 * 86400e3
        ? String(d.getFullYear())
        : step >= 86400e3
          ? `${two(d.getMonth() + 1)}-${two(d.getDate())}`
          : step >= 60e3
            ? hm
            : step >= 1e3
              ? `${hm}:${two(d.getSeconds())}`
              : `${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, '0')}`,
    ]);
  }
  return out;
}
