/** One entry by its id: what a permalink leads to. */
import { type Row, get } from '../api';
import { useLoad } from '../hooks';
import { Problem } from '../parts/common';
import { Detail } from '../parts/detail';
import { term, toggle } from '../query';
import { go, route } from '../url';

export function Entry() {
  const id = route.value.id;
  const { data, error } = useLoad(`entry ${id}`, (s) => get<Row>(`/api/v1/entries/${encodeURIComponent(id)}`, {}, s));
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  return (
    <div class="page single">
      <Detail
        row={data}
        onClose={() => history.back()}
        actions={{
          include: (path, value) => go('explore', '', { q: term(path, value), from: 'all' }),
          exclude: (path, value) => go('explore', '', { q: toggle('', term(path, value), true), from: 'all' }),
        }}
      />
    </div>
  );
}
