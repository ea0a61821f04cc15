/** What opens below a button: closed by Esc, by a press elsewhere, or by what was picked. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

export interface Menu<T> {
  open: boolean;
  box: preact.RefObject<T>; /* the button and what opens */
  list: preact.RefObject<never>; /* what opens; the button in use, or the first, takes the focus */
  toggle: () => void;
  close: () => void;
}

export function useMenu<T extends HTMLElement>(): Menu<T> {
  const [open, setOpen] = useState(false);
  const box = useRef<T>(null),
    list = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    /* before another key is pressed */
    if (!open) return undefined;
    const back = box.current?.querySelector<HTMLElement>('[aria-haspopup]');
    (list.current?.querySelector<HTMLElement>('.on') ?? list.current?.querySelector<HTMLElement>('button, a'))?.focus();
    const away = (e: Event) => {
      if (!box.current?.contains(e.target as Node)) setOpen(false);
    };
    const esc = (e: KeyboardEvent) => {
      if (e.key === 'Escape') {
        setOpen(false);
        back?.focus();
        e.stopPropagation();
      } else if ((e.key === 'ArrowDown' || e.key === 'ArrowUp') && list.current) {
        const all = [...list.current.querySelectorAll<HTMLElement>('button, a')];
        const i = all.indexOf(document.activeElement as HTMLElement);
        if (i < 0) return;
        e.preventDefault();
        all[(i + (e.key === 'ArrowDown' ? 1 : all.length - 1)) % all.length]?.focus();
      }
    };
    addEventListener('mousedown', away);
    addEventListener('keydown', esc, true);
    return () => {
      removeEventListener('mousedown', away);
      removeEventListener('keydown', esc, true);
    };
  }, [open]);
  return { open, box, list: list as preact.RefObject<never>, toggle: () => setOpen(!open), close: () => setOpen(false) };
}
