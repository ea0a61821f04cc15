/** A text, one that can be shown as it is, with what was searched for marked in it: what an expression finds, or a word
 *  in any case. */
const MOST = 200;

export function Marked({ text, sought }: { text: string; sought: RegExp | string | undefined }) {
  if (!sought) return <>{text}</>;
  const all = typeof sought === 'string' ? new RegExp(sought.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'gi') : sought;
  const out: preact.ComponentChildren[] = [];
  let from = 0;
  for (const m of text.matchAll(all)) {
    if (!m[0]) continue;
    out.push(text.slice(from, m.index), <mark key={m.index}>{m[0]}</mark>);
    from = m.index + m[0].length;
    if (out.length > 2 * MOST) break;
  }
  return (
    <>
      {out}
      {text.slice(from)}
    </>
  );
}
