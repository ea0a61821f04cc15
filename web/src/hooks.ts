import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, aborted } from './api';
import { neighbour, note } from './state';
import { go } from './url';

export interface Loaded<T> {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
}

/** Loads whenever `key` changes; an older request is given up. Old data stays until the new is there. */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, set] = useState<Loaded<T>>({ data: undefined, error: undefined, loading: true });
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const control = new AbortController();
    set((s) => ({ ...s, loading: true }));
    latest.current(control.signal).then(
      (data) => {
        if (!control.signal.aborted) set({ data, error: undefined, loading: false });
      },
      (e: unknown) => {
        if (control.signal.aborted || aborted(e)) return;
        set((s) => ({ data: s.data, error: e instanceof ApiError ? e : new ApiError(String(e), 0), loading: false }));
      },
    );
    return () => control.abort();
  }, [key]);
  return state;
}

/** Runs `f` every `ms` while the page can be seen. */
export function useEvery(ms: number, f: () => void): void {
  const latest = useRef(f);
  latest.current = f;
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) latest.current();
    }, ms);
    return () => clearInterval(timer);
  }, [ms]);
}

/** The size of an element, in CSS pixels. */
export function useSize<T extends HTMLElement>(): [preact.RefObject<T>, { width: number; height: number }] {
  const ref = useRef<T>(null);
  const [size, set] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const e = ref.current;
    if (!e) return undefined;
    const watch = new ResizeObserver(() => set({ width: e.clientWidth, height: e.clientHeight }));
    watch.observe(e);
    return () => watch.disconnect();
  }, []);
  return [ref, size];
}

/** Keys of a page; not while something is being typed or a dialog is open, and a button or link that has the focus
 *  keeps Enter and the blank for itself. */
export function useKeys(keys: Record<string, (e: KeyboardEvent) => void>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const on = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target) || document.querySelector('dialog[open]')) return;
      if ((e.key === 'Enter' || e.key === ' ') && pressable(e.target)) return;
      const f = latest.current[e.key];
      if (!f) return;
      e.preventDefault();
      f(e);
    };
    addEventListener('keydown', on);
    return () => removeEventListener('keydown', on);
  }, []);
}

/** `[` and `]`: the one before and after this in the list it was opened from. */
export function usePeers(page: string, id: string): (by: number) => void {
  const step = (by: number) => {
    const to = neighbour(page, id, by);
    if (to !== undefined) go(page, to);
    else note(by < 0 ? 'Nothing before it in the list' : 'Nothing after it in the list');
  };
  useKeys({ '[': () => step(-1), ']': () => step(1) });
  return step;
}

function pressable(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('button, a[href], summary, tr[tabindex]') !== null;
}

export function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName));
}
