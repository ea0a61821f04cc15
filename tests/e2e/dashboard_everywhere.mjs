// What holds on every page of the dashboard, in a real browser: node dashboard_everywhere.mjs URL [FOLDER]. Keys,
// themes, small screens, accessibility by axe-core, and text of strangers that wants to be a script.
// With FOLDER a picture of each page, dark and light, wide and narrow, is kept there.
import { createRequire } from 'node:module';
import { assert, at, base, becomes, call, check, done, open, params, put, quiet, shot, until, where } from './support.mjs';
import { fleet } from './fleet.mjs';

const axe = createRequire(import.meta.url)('axe-core');
const { browser, context, page, wrong } = await open();
const MARK = 'globalThis.owned=1';
const EVIL = [
  `<script>${MARK}</script>`, `<img src=x onerror="${MARK}">`, `"><svg onload=${MARK}>`, `'><iframe srcdoc="<script>parent.owned=1</script>">`,
  `javascript:${MARK}`, `</style></script><script>${MARK}</script>`, `{{constructor.constructor("${MARK}")()}}`, `\${${MARK}}`,
  `<a href="javascript:${MARK}">x</a>`, `<math><mtext></mtext><mglyph><style><!--</style><img title="--><img src=1 onerror=${MARK}>">`,
  '\u202egnp.exe\u2028\u0000\u001b[31m<b>bold</b>', 'data:text/html,<script>alert(1)</script>', `#/explore?q=<img src=x onerror=${MARK}>`,
  '__proto__', 'constructor', 'toString', '"; DROP TABLE logs; --', '`', '../../etc/passwd', '%2e%2e%2f', '|', 'a\nb\tc',
];

async function evil() {
  const out = [];
  for (const [i, x] of EVIL.entries()) {
    const id = `${x} ${i}`;
    out.push({ agent: x, level: i % 3 ? 'error' : 'info', message: x, event: x, operation: x, tool: x, model: x, status: x, error_type: x, session_id: id, trace_id: id,
      span_id: id, kind: 'span', duration_ms: 5 + i, category: x, source: x, component: x, user: x, host: x, service: x, env: x, tags: [x], input: x, output: { [x]: x },
      call_id: id, agent_id: id, 'tokens.input': 10, 'tokens.output': 5, cost_usd: 0.001, [x]: x, deep: { [x]: [x, { [x]: x }] } });
    out.push({ agent: x, event: 'user_message', session_id: id, message: x }, { agent: x, event: 'tool_result', tool: x, session_id: id, output: x, level: 'error', message: x });
  }
  const answer = await call('POST', '/api/v1/ingest', out);
  assert.ok(answer.accepted >= out.length - 6, JSON.stringify(answer).slice(0, 600));
  await call('POST', '/api/v1/saved', { title: EVIL[1], page: 'explore', params: { q: '"<script>"', cols: `${EVIL[2]}~90` } });
  await call('POST', '/api/v1/saved', { title: EVIL[8], page: 'live', params: { q: '"onerror"', view: EVIL[4] } });
  await call('POST', '/api/v1/dashboards', { title: `${EVIL[1]} board`, panels: ['table', 'bar', 'line', 'number', 'heatmap', 'logs'].map((type) => ({ title: EVIL[1], type,
    q: type === 'logs' ? '*' : type === 'line' ? '* | timeline by agent' : '* | stats count() as `<img src=x onerror=globalThis.owned=1>` by agent, tool', w: 6, h: 4 })) });
  await call('POST', '/api/v1/alerts', { name: 'evil', about: EVIL[1], query: `message:"${EVIL[1].replace(/"/g, '\\"')}"`, by: 'agent', window: '1d', every: '1s', when: { above: 0 }, labels: { a: EVIL[0] } });
}

await fleet();
await call('POST', '/api/v1/alerts', { name: 'many-errors', about: 'Many errors of one agent', query: 'level:error', window: '1d', every: '5s', when: { above: 3 }, by: 'agent', send: [{ log: true }] });
await call('POST', '/api/v1/alerts', { name: 'slow-tools', query: 'tool:* | stats p95(duration_ms) as p95 by tool', by: 'tool', value: 'p95', window: '1d', every: '5s', when: { above: 800 } });
const issue = (await call('GET', '/api/v1/issues?state=open')).issues[0];
const failed = (await call('POST', '/api/v1/query', { q: 'level:error', limit: 2 })).rows[1];
const board = (await call('GET', '/api/v1/dashboards')).dashboards.find((d) => d.builtin);

/** Every page: its name, where it is, and what is there once it has loaded. */
const PAGES = [
  ['explore', 'explore', {}, '.row:not(.loading)'],
  ['entry-open', 'explore', { q: 'level:error', open: failed.id, cols: 'timestamp~150!level~64!agent~110!tool~90!message~0' }, '.detail .node'],
  ['table', 'explore', { q: '* | stats count() as entries, p95(duration_ms) as p95 by agent, tool' }, 'td'],
  ['patterns', 'explore', { view: 'patterns' }, 'td'],
  ['mistake', 'explore', { q: 'level:error | stats cuont() by agent' }, '.wrongness'],
  ['nothing', 'explore', { q: 'agent:nobody' }, '.empty'],
  ['live', 'live', { span: '900' }, '.tail .line'],
  ['traces', 'traces', {}, 'td'],
  ['trace', 'traces/t-release', {}, '.span'],
  ['sessions', 'sessions', {}, 'td'],
  ['session', 'sessions/s-talk', {}, '.said'],
  ['compare', 'sessions/s-talk', { with: 's-talk-2' }, '.beside .said'],
  ['agents', 'agents', {}, 'td'],
  ['models', 'models', {}, 'td'],
  ['agent', 'agents/coder', {}, 'td'],
  ['issues', 'issues', {}, '.issues li'],
  ['issue', `issues/${issue.id}`, {}, '.briefly li'],
  ['alerts', 'alerts', {}, '.alerts li'],
  ['alert', 'alerts/many-errors', {}, 'td'],
  ['health', 'health', {}, 'dd'],
  ['entry', `entry/${issue.example}`, {}, '.detail .node'],
  ['boards', 'dashboards', {}, '.cards li'],
  ['board', `dashboards/${board.name}`, {}, '.panel .shown'],
];

async function see([, hash, query, ready]) {
  await at(page, hash, query);
  await page.locator(ready).first().waitFor();
  await quiet(page);
}

async function serious() {
  if (!await page.evaluate(() => 'axe' in globalThis)) await page.evaluate(axe.source);
  const found = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ['violations'] })).violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => `${n.target.join(' ')} ${(n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? '').slice(0, 130)}`).join('\n')}`));
  assert.deepEqual(found, [], found.join('\n'));
}

try {
  await page.goto(`${base}/`);
  await page.locator('.row').first().waitFor();

  // ---- keys ----
  await check('the first Tab leads past the pages to the content', async () => {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'To the content');
    await page.keyboard.press('Enter');
    await becomes(async () => await page.evaluate(() => document.activeElement.id), 'main');
    assert.equal(where(page), '', 'the address stays');
  });
  await check('what has the focus can be seen', async () => {
    for (let i = 0; i < 3; i++) await page.keyboard.press('Tab');
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none');
  });
  await check('? shows the keys, Esc closes them', async () => {
    await page.keyboard.press('?');
    const help = page.getByRole('dialog', { name: 'Keys' });
    await help.waitFor();
    assert.match(await help.innerText(), /write a query[\s\S]*go anywhere/);
    await shot(page, 'keys');
    await page.keyboard.press('Escape');
    await becomes(async () => await help.count(), 0);
  });
  await check('g and a letter lead to each page', async () => {
    for (const [key, name] of [['l', 'live'], ['s', 'sessions'], ['t', 'traces'], ['a', 'agents'], ['i', 'issues'], ['n', 'alerts'], ['h', 'health'], ['e', 'explore']]) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await becomes(async () => where(page), name);
      await becomes(async () => await page.title(), `${name[0].toUpperCase()}${name.slice(1)} · fleetlog`);
    }
  });
  await check('g and t on a page with a time picker goes, and opens nothing', async () => {
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await becomes(async () => where(page), 'traces');
    assert.equal(await page.getByRole('dialog').count(), 0);
  });
  await check('Ctrl-K goes anywhere: a page by a part of its name', async () => {
    await page.keyboard.press('Control+k');
    await page.getByRole('dialog', { name: 'Go to' }).waitFor();
    await page.keyboard.type('heal');
    await page.keyboard.press('Enter');
    await becomes(async () => where(page), 'health');
    assert.equal(await page.getByRole('dialog').count(), 0);
  });
  await check('Ctrl-K: arrows choose, anything else is searched for', async () => {
    await page.keyboard.press('Control+k');
    await page.keyboard.type('theme');
    await page.keyboard.press('ArrowDown');
    assert.match(await page.locator('.palette .on').innerText(), /light/);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.keyboard.type('timed out');
    await page.keyboard.press('Enter');
    await becomes(async () => [where(page), params(page).q], ['explore', 'timed out']);
  });
  await check('Ctrl-K knows agents, tools, boards, issues and sessions by their names', async () => {
    for (const [typed, kind, to] of [['coder', 'agent', /^agents\/coder$/], ['grep', 'tool', /^tools\/grep$/], ['performance', 'board', /^dashboards\/performance$/],
      ['timed out', 'issue', /^issues\/[0-9a-f]{16}$/], ['s-talk-2', 'session', /^sessions\/s-talk-2$/], ['retention', 'page', /^retention$/]]) {
      await page.keyboard.press('Control+k');
      await page.keyboard.type(typed);
      await page.locator('.palette li', { has: page.locator('.kind', { hasText: kind }) }).first().click();
      await until(async () => to.test(where(page)), `${typed}: ${to}`);
    }
  });
  await check('Ctrl-K offers what was looked at before', async () => {
    await at(page, 'explore');
    await page.keyboard.press('Control+k');
    await page.locator('.palette li', { hasText: 's-talk-2' }).click();
    await becomes(async () => where(page), 'sessions/s-talk-2');
    await at(page, 'explore');
  });
  await check('keys do nothing to the page behind a dialog', async () => {
    await page.locator('.row').first().waitFor();
    await page.locator('main').focus();
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    for (const key of ['f', 'j', 't']) await page.keyboard.press(key);
    await page.keyboard.press('Escape');
    await becomes(async () => await page.getByRole('dialog').count(), 0);
    assert.equal(await page.locator('.facets').count(), 1);
    assert.equal(await page.locator('.row.on').count(), 0);
  });
  await check('back and forward walk through pages and queries', async () => {
    await at(page, 'explore', { q: 'level:warn' });
    await at(page, 'traces', { q: 'agent:coder' });
    await page.locator('td').first().waitFor();
    await page.goBack();
    await becomes(async () => await page.locator('#q').inputValue(), 'level:warn');
    await page.goForward();
    await becomes(async () => [where(page), await page.locator('#q').inputValue()], ['traces', 'agent:coder']);
  });
  await check('an address that means nothing shows a page, not an error', async () => {
    await at(page, 'no-such-page/%E0%A4%A', {});
    await page.locator('#q').waitFor();
    await at(page, 'explore', { from: 'nonsense', cols: '!!~~!', open: 'x', by: '' });
    await page.locator('main .problem, main .row, main .empty, main [role=alert]').first().waitFor();
  });

  // ---- themes ----
  const ground = async () => await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await check('the theme follows the system', async () => {
    await at(page, 'explore');
    await page.emulateMedia({ colorScheme: 'light' });
    await becomes(ground, 'rgb(251, 251, 252)');
    await page.emulateMedia({ colorScheme: 'dark' });
    await becomes(ground, 'rgb(18, 21, 26)');
  });
  await check('the theme can be chosen, and the choice is kept', async () => {
    await page.emulateMedia({ colorScheme: 'light' });
    await page.getByRole('button', { name: 'Theme: system' }).click();
    await becomes(ground, 'rgb(18, 21, 26)');
    await page.reload();
    await becomes(ground, 'rgb(18, 21, 26)');
    await page.getByRole('button', { name: 'Theme: dark' }).click();
    await page.emulateMedia({ colorScheme: 'dark' });
    await becomes(ground, 'rgb(251, 251, 252)');
    await page.getByRole('button', { name: 'Theme: light' }).click();
    await becomes(ground, 'rgb(18, 21, 26)');
  });
  await check('what is drawn changes its colours with the theme', async () => {
    await page.getByRole('button', { name: 'Theme: system' }).waitFor();
    const figures = async () => await page.locator('.plot canvas').evaluate((c) => {
      const d = c.getContext('2d').getImageData(0, 0, 40, c.height).data;
      let most = 0;
      for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 200) most = Math.max(most, d[i] + d[i + 1] + d[i + 2]);
      return most > 350 ? 'light' : 'dark';
    });
    await becomes(figures, 'light');
    await page.emulateMedia({ colorScheme: 'light' });
    await becomes(figures, 'dark');
  });
  await check('nothing moves for those who asked for it', async () => {
    const moving = await page.evaluate(() => document.getAnimations().length);
    assert.equal(moving, 0);
  });

  // ---- every page, dark and light ----
  for (const scheme of ['light', 'dark'])
    for (const p of PAGES)
      await check(`${p[0]}, ${scheme}: usable by everyone (axe-core)`, async () => {
        await page.emulateMedia({ colorScheme: scheme });
        await see(p);
        await shot(page, `${p[0]}-${scheme}`);
        await serious();
      });
  await check('the dialogs: usable by everyone (axe-core)', async () => {
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    await serious();
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.getByRole('dialog').waitFor();
    await serious();
    await page.keyboard.press('Escape');
    await at(page, 'explore');
    await page.locator('#time').click();
    await page.getByRole('dialog').waitFor();
    await shot(page, 'time-dark');
    await serious();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('dialog').waitFor();
    await serious();
    await page.keyboard.press('Escape');
    await page.locator('.head .title').first().click();
    await page.getByRole('dialog').waitFor();
    await page.locator('.facet h3 button', { hasText: 'duration_ms' }).first().click();
    await page.getByLabel('At least duration_ms').waitFor();
    await page.locator('.row').first().click();
    await page.locator('.detail').getByRole('button', { name: 'Values of agent', exact: true }).click();
    await page.locator('.stats .pick').first().waitFor();
    await serious();
    await page.keyboard.press('Escape');
  });

  // ---- a telephone ----
  await page.setViewportSize({ width: 390, height: 800 });
  await page.reload();
  for (const p of PAGES)
    await check(`${p[0]} on a telephone: nothing is wider than the screen`, async () => {
      await see(p);
      await shot(page, `${p[0]}-narrow`);
      const wide = await page.evaluate(() => {
        if (document.documentElement.scrollWidth > innerWidth) return ['the page'];
        // what sticks out and is in nothing that scrolls
        return [...document.querySelectorAll('main *')].filter((e) => {
          const r = e.getBoundingClientRect();
          if (!r.width || !r.height || r.right <= innerWidth + 1) return false;
          for (let up = e.parentElement; up && up.id !== 'main'; up = up.parentElement)
            if (/auto|scroll|hidden/.test(getComputedStyle(up).overflowX)) return false;
          return true;
        }).slice(0, 5).map((e) => `${e.tagName}.${e.className} ${Math.round(e.getBoundingClientRect().right)}`);
      });
      assert.deepEqual(wide, []);
    });
  await check('on a telephone every page can be reached and an entry opened and closed', async () => {
    await at(page, 'explore', { q: 'level:error' });
    await page.locator('.row:not(.loading)').first().click();
    await page.locator('.detail .node').first().waitFor();
    await page.getByRole('button', { name: 'Close' }).click();
    await becomes(async () => await page.locator('.detail').count(), 0);
    await page.getByRole('button', { name: 'Fields' }).click();
    await page.locator('.facet li button', { hasText: 'coder' }).click();
    await becomes(async () => params(page).q, 'level:error agent=coder');
    await page.getByRole('button', { name: 'Fields' }).click();
    const nav = page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Health' });
    await nav.click();
    await becomes(async () => where(page), 'health');
  });
  await page.setViewportSize({ width: 1300, height: 800 });
  await page.reload();

  // ---- text of strangers ----
  await evil();
  const evilIssue = (await call('GET', '/api/v1/issues?state=open&sort=last&limit=1000')).issues.filter((x) => /onerror|script/.test(x.title))[0];
  const evilBoard = (await call('GET', '/api/v1/dashboards')).dashboards.find((d) => d.title.includes('onerror'));
  const evilEntry = (await call('POST', '/api/v1/query', { q: 'operation:*onerror*', limit: 1 })).rows[0];
  const id = `${EVIL[1]} 1`;
  const e = encodeURIComponent;
  const HOSTILE = [
    ['the list of explore', 'explore', {}, '.row:not(.loading)', 'onerror'],
    ['columns of hostile names', 'explore', { cols: `timestamp~100!${EVIL[1]}~150!${EVIL[0]}~150!message~0` }, '.row:not(.loading)', 'onerror'],
    ['an open entry', 'explore', { q: 'operation:*onerror*', open: evilEntry.id }, '.detail .node', 'onerror'],
    ['a table of hostile groups', 'explore', { q: '* | stats count() as `<img src=x onerror=globalThis.owned=1>` by agent, tool | limit 500' }, 'td', 'onerror'],
    ['patterns', 'explore', { view: 'patterns' }, 'td', ''],
    ['a histogram by a hostile field', 'explore', { by: 'agent' }, '.legend button', 'onerror'],
    ['a query that is hostile', 'explore', { q: `${EVIL[1]} | ${EVIL[0]}` }, '.wrongness', ''],
    ['live', 'live', { span: '900' }, '.tail .line', 'onerror'],
    ['traces', 'traces', {}, 'td', 'onerror'],
    ['a trace', `traces/${e(id)}`, {}, '.span', 'onerror'],
    ['sessions', 'sessions', {}, 'td', 'onerror'],
    ['a session', `sessions/${e(id)}`, {}, '.said', 'onerror'],
    ['agents', 'agents', {}, 'td', 'onerror'],
    ['tools', 'tools', {}, 'td', 'onerror'],
    ['models', 'models', {}, 'td', 'onerror'],
    ['an agent', `agents/${e(EVIL[1])}`, {}, 'td', 'onerror'],
    ['issues', 'issues', {}, '.issues li', 'onerror'],
    ['an issue', `issues/${evilIssue?.id}`, {}, '.briefly li', ''],
    ['alerts', 'alerts', {}, '.alerts li', 'onerror'],
    ['an alert with hostile groups', 'alerts/evil', {}, 'td', 'onerror'],
    ['health', 'health', {}, 'td', 'onerror'],
    ['dashboards', 'dashboards', {}, '.cards li', 'onerror'],
    ['a dashboard', `dashboards/${e(evilBoard.name)}`, {}, '.panel .shown', 'onerror'],
    ['an entry', `entry/${evilEntry?.id}`, {}, '.detail .node', 'onerror'],
  ];
  for (const p of HOSTILE)
    await check(`hostile text in ${p[0]} stays text`, async () => {
      await see(p);
      if (p[4]) await until(async () => (await page.locator('main').innerText()).includes(p[4]), 'the text itself is shown');
      const found = await page.evaluate(() => ({
        owned: globalThis.owned, proto: ({}).owned,
        elements: [...document.querySelectorAll('#app script, #app img, #app iframe, #app object, #app embed, #app style, #app link, #app math, #app svg[onload], #app [onerror], #app [onload]')].map((x) => x.outerHTML.slice(0, 80)),
        links: [...document.querySelectorAll('#app a[href]')].map((x) => x.getAttribute('href')).filter((h) => !/^(#\/|#main$|\/api\/v1\/)/.test(h)),
        obeyed: /[\u202e\u2028\u0000\u001b]/.test(document.getElementById('main').innerText),
        title: document.title.includes('fleetlog'),
      }));
      assert.deepEqual(found, { owned: undefined, proto: undefined, elements: [], links: [], obeyed: false, title: true });
    });
  await check('hostile titles of saved views stay text and lead to pages only', async () => {
    await at(page, 'dashboards');
    await page.getByRole('tab', { name: 'Saved views' }).click();
    const titles = page.getByRole('table', { name: 'Saved views' }).locator('a');
    await until(async () => await titles.count() === 2, 'both');
    for (const link of await titles.all()) assert.match(await link.getAttribute('href'), /^#\//);
    for (let i = 0; i < 2; i++) {
      await at(page, 'dashboards');
      await page.getByRole('tab', { name: 'Saved views' }).click();
      await titles.nth(i).click();
      await page.locator('#q').waitFor();
      assert.equal(await page.evaluate(() => globalThis.owned), undefined);
    }
  });
  await check('every facet of hostile names opens, and filtering by a value of one works', async () => {
    await at(page, 'explore', { q: 'operation:*onerror*' });
    await page.locator('.facet').first().waitFor();
    await quiet(page);
    const closed = page.locator('.facet h3 button[aria-expanded=false]');
    for (let n = await closed.count(); n > 0; n = await closed.count()) {
      await closed.first().click();
      if (await closed.count() >= n) break;
    }
    await quiet(page);
    const value = page.locator('.facet li button', { hasText: '<img src=x' }).first();
    await value.click();
    await until(async () => params(page).q !== 'operation:*onerror*', 'a filter');
    await page.locator('.row:not(.loading)').first().waitFor();
    assert.equal(await page.locator('.wrongness').count(), 0);
    assert.equal(await page.evaluate(() => globalThis.owned), undefined);
  });
  await check('completions of hostile values stay text', async () => {
    await page.locator('#q').fill('');
    await page.keyboard.type('agent:');
    await page.locator('.completions li').first().waitFor();
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('.completions img, .completions script').count(), 0);
  });
  await check('durations without end and centuries of entries: pages open, axes end, lanes go on', async () => {
    await put({ agent: 'eon', trace_id: 't-eon', span_id: 'e1', kind: 'span', duration_ms: 1e300, session_id: 's-eon' },
      { agent: 'eon', trace_id: 't-eon', span_id: 'e2', parent_id: 'e1', kind: 'span', duration_ms: -5, session_id: 's-eon' },
      { agent: 'eon', message: 'long ago', timestamp: '1701-01-01T00:00:00Z' }, { agent: 'eon', message: 'yet to come', timestamp: '2199-01-01T00:00:00Z' });
    const other = await context.newPage();
    await at(other, 'traces/t-eon');
    await other.locator('.span').nth(1).waitFor();
    await other.getByRole('button', { name: 'Press gaps together' }).click();
    await at(other, 'agents', { from: 'all' });
    await other.locator('tbody tr', { hasText: 'eon' }).waitFor();
    await at(other, 'explore', { from: 'all', q: 'agent:eon' });
    await other.locator('.row', { hasText: 'yet to come' }).waitFor();
    await at(other, 'live', { q: 'agent:eon' });
    await other.locator('.lane[data-agent=eon]').waitFor();
    await other.close();
  });
  await check('no error of a script, nothing that the policy refused, no dialog', async () => assert.deepEqual(wrong, []));
} finally {
  await browser.close();
}
done(14 + 2 * PAGES.length + 1 + PAGES.length + 1 + 27 + 4);
