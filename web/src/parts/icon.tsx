/** Small pictures that no font has to know. */
const PATHS: Record<string, string> = {
  live: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM3.5 3.5a6.4 6.4 0 0 0 0 9M12.5 3.5a6.4 6.4 0 0 1 0 9',
  explore: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM10.5 10.5 14 14',
  sessions: 'M2 3h9v6H6l-2.5 2V9H2ZM13 6h1.5v5H13v2l-2.5-2H8',
  traces: 'M2 3.5h12M4 8h7M6 12.5h5',
  agents:
    'M5.5 2.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4ZM11 4.5a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2ZM2 13c0-3 1.5-4.5 3.5-4.5S9 10 9 13M10 9.5c2 0 3.5 1 4 3.5',
  issues: 'M8 2 14.5 13.5h-13ZM8 6v4M8 11.6v.4',
  alerts: 'M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3ZM6.5 14h3',
  dashboards: 'M2 2.5h5v6H2ZM9 2.5h5v3H9ZM9 7.5h5v6H9ZM2 10.5h5v3H2Z',
  health: 'M1.5 8h3l2-5 3 10 2-5h3',
  copy: 'M5.5 5.5h8v8h-8ZM3 10.5H2.5v-8h8V3',
  dark: 'M12.5 10A5.5 5.5 0 0 1 6 3.5a5.5 5.5 0 1 0 6.5 6.5Z',
  light: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6 13 13M13 3l-1.4 1.4M4.4 11.6 3 13',
  system: 'M2 3h12v8H2ZM6 13.5h4',
  stats: 'M3 13.5V8M8 13.5v-11M13 13.5V6',
  link: 'M6.5 9.5 9.5 6.5M7.5 4.5l1-1a2.8 2.8 0 0 1 4 4l-1 1M8.5 11.5l-1 1a2.8 2.8 0 0 1-4-4l1-1',
  full: 'M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10',
  column: 'M2.5 2.5h11v11h-11ZM6 2.5v11',
};

export function Icon({ name }: { name: string }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={PATHS[name] ?? ''} fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
