// Sessions and traces in a real browser: node dashboard_sessions.mjs URL [FOLDER FOR SCREENSHOTS]. The server has to
// be empty.
import { assert, at, becomes, call, check, done, open, params, put, until, where } from './support.mjs';
import { fleet } from './fleet.mjs';

const { browser, page, wrong } = await open();
const row = (text) => page.locator('tbody tr', { hasText: text });
const column = async (name, table = page.locator('table').first()) => {
  const names = (await table.locator('th').allInnerTexts()).map((x) => x.replace(/[ ↑↓]+$/, ''));
  return (await table.locator(`td:nth-child(${names.indexOf(name) + 1})`).allInnerTexts()).map((x) => x.trim());
};
const figure = (name) => page.locator('dl div').filter({ has: page.locator('dt',
  { hasText: new RegExp(`^${name}$`) }) }).locator('dd').first();
const titles = async () => await page.locator('td .titled > .text').allInnerTexts();
const rowOf = (id) => page.locator('tbody tr').filter({ has: page.locator(`.titled > [title="${id}"]`) });
const order = page.getByRole('combobox', { name: 'order' });

/** The parts of the canvas in the line of span `i` that are drawn, right of the names: [from, to, ...] */
async function bar(i) {
  return await page.locator('.waterfall').evaluate((e, n) => {
    const c = e.querySelector('canvas'), k = devicePixelRatio, w = e.clientWidth,
      names = parseFloat(getComputedStyle(e).getPropertyValue('--names'));
    const d = c.getContext('2d').getImageData(0, Math.round((n * 24 + 12 - e.scrollTop) * k), c.width, 1).data;
    let first = -1, last = -1, changes = 0, was = false;
    for (let x = Math.round(names * k); x < (w - 8) * k; x++) {
      const on = d[x * 4 + 3] > 200;
      if (on && first < 0) first = x;
      if (on) last = x;
      if (on !== was) changes++;
      was = on;
    }
    return { from: first - names * k, width: first < 0 ? 0 : last - first + 1, changes };
  }, i);
}
const spans = async () => await page.locator('.span .name').evaluateAll((all) => all.map((e) => ({
  text: e.innerText.trim(), y: e.closest('.span').getBoundingClientRect().y, inset: parseFloat(getComputedStyle(e).paddingLeft) }))
  .sort((a, b) => a.y - b.y));
const names = async () => await page.locator('.waterfall').evaluate((e) => parseFloat(getComputedStyle(e).getPropertyValue('--names')));
const span = (text) => page.locator('.span', { hasText: text });

try {
  await fleet();

  // ---- traces ----
  await check('traces: all of them, the newest first', async () => {
    await at(page, 'traces');
    const truth = await call('GET', '/api/v1/traces?start=now-24h&limit=500');
    await becomes(async () => await page.locator('tbody tr').count(), truth.traces.length);
    assert.equal(truth.traces.length, 34);
    assert.deepEqual((await titles()).slice(0, 5), truth.traces.slice(0, 5).map((t) => t.name));
  });
  await check('traces: ordered by cost and by duration', async () => {
    await order.selectOption('cost_usd');
    await becomes(async () => (await titles())[0], 'ship the release');
    assert.equal(params(page).sort, 'cost_usd');
    assert.equal((await column('Cost'))[0], '$0.34');
    await order.selectOption('duration_ms');
    await until(async () => (await column('Took'))[0] === '7m 0s' || (await column('Took'))[1] === '7m 0s', 'the longest');
  });
  await check('traces: a query leaves some; a mistake in it is explained', async () => {
    await page.locator('#q').fill('agent:reviewer');
    await page.keyboard.press('Enter');
    await becomes(async () => [...new Set(await column('Agents'))], ['reviewer']);
    await page.locator('#q').fill('agent:reviewer AND');
    await page.keyboard.press('Enter');
    await page.locator('.wrongness').waitFor();
  });
  await check('a row of a table is opened from the keyboard', async () => {
    await at(page, 'traces', { q: 'trace_id=t-release' });
    await row('ship the release').focus();
    await page.keyboard.press('Enter');
    await becomes(async () => where(page), 'traces/t-release');
  });
  await check('a trace: its spans depth first, children further in, names in a column of their own', async () => {
    await page.locator('.span').nth(5).waitFor();
    const all = await spans();
    assert.deepEqual(all.map((s) => /ship|chat|research|grep|run the tests/.exec(s.text)?.[0]),
      ['ship', 'chat', 'research', 'grep', 'run the tests', 'chat']);
    assert.ok(all[1].inset > all[0].inset && all[3].inset > all[2].inset && all[4].inset === all[1].inset);
    const edge = await page.locator('.span .name')
      .evaluateAll((e) => new Set(e.map((x) => Math.round(x.getBoundingClientRect().right))).size);
    assert.equal(edge, 1);
  });
  await check('a trace: what it took and cost', async () => {
    assert.equal(await figure('took').innerText(), '7m 0s');
    assert.equal(await figure('spans').innerText(), '6');
    assert.equal(await figure('agents').innerText(), '3');
    assert.equal(await figure('cost').innerText(), '$0.34');
    assert.equal(await figure('tokens').innerText(), '99k');
  });
  await check('bars stand where and as long as the spans were', async () => {
    await until(async () => (await bar(0)).width > 300, 'a bar');
    const root = await bar(0), tests = await bar(4);
    assert.ok(Math.abs(tests.width / root.width - 90 / 420) < 0.02, `${tests.width} of ${root.width}`);
    assert.ok(Math.abs(tests.from / root.width - 260 / 420) < 0.02);
    assert.ok((await bar(1)).width >= 2, 'the shortest can be seen');
  });
  await check('gaps pressed together: what happened gets the room', async () => {
    const before = (await bar(3)).width;
    await page.getByRole('button', { name: 'Press gaps together' }).click();
    await becomes(async () => params(page).gaps, '1');
    await until(async () => (await bar(3)).width > before * 1.8, 'a wider bar');
    await page.getByRole('button', { name: 'Press gaps together' }).click();
  });
  await check('bars by tokens and by cost', async () => {
    await page.getByRole('tab', { name: 'Tokens' }).click();
    await until(async () => (await bar(4)).width <= 3, 'no tokens for the tests');
    const a = await bar(1), b = await bar(5);
    assert.ok(Math.abs(a.width / b.width - 6000 / 93200) < 0.02);
    await page.getByRole('tab', { name: 'Cost' }).click();
    await becomes(async () => params(page).by, 'cost');
    await until(async () => Math.abs((await bar(1)).width / (await bar(5)).width - 0.0276 / 0.31) < 0.02, 'cost');
    await page.getByRole('tab', { name: 'Time' }).click();
  });
  await check('the critical path has a line above its bars', async () => {
    const lined = async (i) => await page.locator('.waterfall').evaluate((e, n) => {
      const c = e.querySelector('canvas'), k = devicePixelRatio, ink = getComputedStyle(c).getPropertyValue('--ink').trim();
      const [r, g, b] = [1, 3, 5].map((x) => parseInt(ink.slice(x, x + 2), 16));
      const d = c.getContext('2d').getImageData(0, Math.round((n * 24 + 3 - e.scrollTop) * k), c.width, 1).data;
      for (let x = 0; x < d.length; x += 4) if (d[x + 3] > 240 && d[x] === r && d[x + 1] === g && d[x + 2] === b) return true;
      return false;
    }, i);
    const truth = (await call('GET', '/api/v1/traces/t-release')).spans.map((s) => s.critical);
    assert.ok(truth.includes(true));
    await becomes(async () => await Promise.all(truth.map((_, i) => lined(i))), truth);
  });
  await check('a failed span is marked; a click shows all of it', async () => {
    await span('run the tests').locator('.mark[title=Failed]').waitFor();
    await span('run the tests').click();
    await page.locator('.detail .message', { hasText: '3 tests failed' }).waitFor();
    const text = await page.locator('.detail .body').innerText();
    assert.match(text, /state\s+failed[\s\S]*took\s+1m 30s/);
    assert.match(text, /ExitStatus/);
    assert.doesNotMatch(text, /null/);
    await page.locator('.detail .line', { hasText: 'a slow test: 41 s' }).waitFor();
    assert.ok(params(page).span === 'r5', 'the address says which');
  });
  await check('j and k step through spans, arrows fold and open them', async () => {
    await span('research').locator('.name').first().click();
    await page.keyboard.press('j');
    await becomes(async () => await page.locator('.span.on').innerText().then((x) => /grep/.test(x)), true);
    await page.keyboard.press('k');
    await page.keyboard.press('ArrowLeft');
    await becomes(async () => await page.locator('.span').count(), 5);
    assert.match(await page.locator('.span.on').innerText(), /\+1/);
    await page.keyboard.press('ArrowRight');
    await becomes(async () => await page.locator('.span').count(), 6);
  });
  await check('log lines of a span on demand', async () => {
    await page.getByRole('button', { name: 'Log lines' }).click();
    await span('a slow test').waitFor();
    assert.equal(params(page).logs, '1');
  });
  await check('the wheel with Ctrl zooms, a double click shows all again', async () => {
    await page.getByRole('button', { name: 'Log lines' }).click();
    await becomes(async () => await page.locator('.span').count(), 6);
    const before = await bar(3), box = await page.locator('.waterfall').boundingBox();
    await page.mouse.move(box.x + await names() + 8, box.y + 200);
    await page.keyboard.down('Control');
    for (let i = 0; i < 6; i++) await page.mouse.wheel(0, -100);
    await page.keyboard.up('Control');
    await until(async () => (await bar(3)).width > before.width * 2, 'wider');
    await page.mouse.dblclick(box.x + box.width - 200, box.y + 200);
    await becomes(async () => (await bar(3)).width, before.width);
  });
  await check('round times above the bars, and a line at the pointer that says when', async () => {
    const marks = page.locator('.axis .marks span');
    await becomes(async () => (await marks.allInnerTexts()).slice(0, 3), ['0', '1m', '2m']);
    const root = await bar(0), tests = await bar(4), box = await page.locator('.waterfall').boundingBox();
    const minute = (await marks.nth(1).boundingBox()).x - (await marks.nth(0).boundingBox()).x;
    assert.ok(Math.abs(minute / root.width - 60 / 420) < 0.01);
    await page.mouse.move(box.x + await names() + tests.from + 2, box.y + 60);
    await until(async () => /^\+4m (19|20|21)s$/.test(await page.locator('.pointer').evaluate((e) => e.dataset.time)),
      'the time at the pointer');
  });
  await check('a drag above the bars zooms, + and - do, 0 shows all', async () => {
    const before = await bar(4), small = await page.locator('.small-trace').boundingBox();
    await page.mouse.move(small.x + small.width * 0.6, small.y + 10);
    await page.mouse.down();
    await page.mouse.move(small.x + small.width * 0.8, small.y + 10, { steps: 4 });
    await page.mouse.up();
    await until(async () => (await bar(4)).width > before.width * 3, 'zoomed');
    const zoomed = (await bar(4)).width;
    await page.keyboard.press('0');
    await becomes(async () => (await bar(4)).width, before.width);
    await page.keyboard.press('+');
    await until(async () => (await bar(4)).width > before.width * 1.4, 'closer');
    assert.ok((await bar(4)).width < zoomed);
    await page.keyboard.press('-');
    await until(async () => Math.abs((await bar(4)).width - before.width) < 3, 'as before');
    await page.keyboard.press('0');
  });
  await check('how long stands beside the bars; tokens and cost as chips beside the names; marks are explained', async () => {
    const length = await span('run the tests').locator('.length').boundingBox(), box = await page.locator('.waterfall').boundingBox(),
      b = await bar(4);
    assert.equal(await span('run the tests').locator('.length').innerText(), '1m 30s');
    assert.ok(Math.abs(length.x - (box.x + await names() + b.from + b.width)) < 12, `${length.x}`);
    assert.deepEqual(await page.locator('.span').nth(5).locator('.heatchip').allInnerTexts(), ['93k', '$0.31']);
    assert.match(await page.locator('.marks-legend').innerText(), /critical path[\s\S]*error/);
  });
  await check('a gap that is left out is torn out and says how long it was', async () => {
    await page.getByRole('button', { name: 'Press gaps together' }).click();
    await becomes(async () => await page.locator('.axis .marks em').allInnerTexts(), ['4m 8s']);
    await page.locator('.marks-legend', { hasText: 'idle time left out' }).waitFor();
    await page.getByRole('button', { name: 'Log lines' }).click(); /* a log line in a span leaves it at work */
    await span('a slow test').waitFor();
    assert.deepEqual(await page.locator('.axis .marks em').allInnerTexts(), ['4m 8s']);
    await page.getByRole('button', { name: 'Log lines' }).click();
    await page.getByRole('button', { name: 'Press gaps together' }).click();
  });
  await check('Esc closes the span, Enter opens the first one', async () => {
    await span('run the tests').click();
    await page.locator('.detail').waitFor();
    await page.keyboard.press('Escape');
    await becomes(async () => await page.locator('.detail').count(), 0);
    await page.keyboard.press('Enter');
    await page.locator('.detail', { hasText: 'ship the release' }).waitFor();
    await page.keyboard.press('Escape');
  });
  await check('a trace without spans is a conversation, and its calls are bars', async () => {
    const t = Date.now() - 40e3, one = (n, more) => ({ trace_id: 't-flat', session_id: 's-flat', agent: 'assistant',
      timestamp: new Date(t + n * 1000).toISOString(), ...more });
    await put(one(0, { agent: 'user', event: 'user_message', message: 'Which flights are there?' }),
      one(1, { event: 'tool_call', tool: 'search', call_id: 'f1', input: { from: 'SFO' } }),
        one(5, { event: 'tool_result', tool: 'search', call_id: 'f1', output: 'two flights', duration_ms: 4000 }),
      one(6, { event: 'tool_call', tool: 'book', call_id: 'f2', input: { flight: 7 } }),
        one(8, { event: 'tool_result', tool: 'book', call_id: 'f2', status: 'error', level: 'error', output: 'sold out',
          duration_ms: 2000 }),
      one(10, { event: 'assistant_message', message: 'The second is sold out.' }));
    await at(page, 'traces', { q: 'trace_id=t-flat' });
    await row('Which flights').waitFor();
    await row('Which flights').click();
    await page.locator('.said.user', { hasText: 'Which flights are there?' }).waitFor();
    await page.locator('.toolcall.bad', { hasText: 'sold out' }).waitFor();
    assert.ok(await page.locator('.strip').isHidden());
    await page.getByRole('tab', { name: 'Waterfall' }).click();
    await page.locator('.span').nth(3).waitFor();
    await until(async () => (await bar(1)).width > 20, 'a bar');
    const search = await bar(1), book = await bar(2);
    assert.ok(Math.abs(search.width / book.width - 2) < 0.1, `${search.width} ${book.width}`);
    await span('book').locator('.mark[title=Failed]').waitFor();
    await span('book').click();
    await page.locator('.detail', { hasText: 'sold out' }).waitFor();
    await page.goBack();
    await page.goBack();
    await at(page, 'traces/t-release');
    await page.locator('.span').nth(5).waitFor();
  });
  await check('a running span: marked, hatched up to now, no duration', async () => {
    await at(page, 'traces/t-running');
    await span('send the digest').locator('.mark.live').waitFor();
    await until(async () => (await bar(0)).changes > 20, 'stripes');
    assert.ok((await bar(0)).width > (await bar(1)).width * 2);
  });
  await check('a span whose end was never told, and one whose parent is missing', async () => {
    await at(page, 'traces/t-lost');
    await span('review').locator('.mark[title="Its end was never told"]').waitFor();
    await at(page, 'traces/t-orphan');
    await span('comment').locator('.mark[title="Its parent is not among the entries"]').waitFor();
  });
  await check('a trace leads to its session and its entries', async () => {
    await at(page, 'traces/t-release');
    await page.getByRole('link', { name: 'Its session' }).click();
    await becomes(async () => where(page), 'sessions/s-talk');
    await page.goBack();
    await page.getByRole('link', { name: 'Its entries' }).click();
    await page.locator('.row:not(.loading)').first().waitFor();
    await becomes(async () => Number((await page.locator('.tools [role=tab]').first().innerText()).replace(/\D/g, '')), 7);
  });
  await check('[ and ] lead to the trace before and after in the list, and say where it ends', async () => {
    await at(page, 'traces', { sort: 'cost_usd' });
    await becomes(async () => (await titles())[0], 'ship the release');
    const second = (await call('GET', '/api/v1/traces?start=now-24h&sort=cost_usd&limit=500')).traces[1].trace_id;
    await row('ship the release').click();
    await page.locator('.span').first().waitFor();
    await page.keyboard.press(']');
    await becomes(async () => where(page), `traces/${second}`);
    await page.locator('.summary h2', { hasText: second }).waitFor();
    await page.keyboard.press('[');
    await becomes(async () => where(page), 'traces/t-release');
    await page.locator('.summary h2', { hasText: 't-release' }).waitFor();
    await page.keyboard.press('[');
    await page.locator('.notes', { hasText: 'Nothing before it' }).waitFor();
  });
  await check('a trace that does not exist says so', async () => {
    await at(page, 'traces/never-was');
    await page.locator('.empty, .problem').waitFor();
  });

  // ---- sessions ----
  await check('sessions: what the user asked first, and figures', async () => {
    await at(page, 'sessions');
    await rowOf('s-talk-2').waitFor();
    const truth = (await call('GET', '/api/v1/sessions?start=now-24h&limit=500')).sessions;
    assert.equal(await page.locator('tbody tr').count(), truth.length);
    assert.match(await rowOf('s-talk-2').innerText(), /Please fix the failing test in part 8\./);
  });
  await check('sessions: the one with most errors first', async () => {
    await order.selectOption('errors');
    const most = (await call('GET', '/api/v1/sessions?start=now-24h&sort=errors')).sessions[0];
    await becomes(async () => await page.locator('tbody .titled > .mono').first().getAttribute('title'), most.session_id);
  });
  await check('the columns of a list have words for people, and the field in the title', async () => {
    const heads = page.locator('thead th button');
    assert.deepEqual((await heads.allInnerTexts()).slice(0, 5), ['Prompt', 'Agents', 'Started', 'Took', 'Entries']);
    assert.deepEqual((await heads.evaluateAll((all) => all.map((e) => e.title))).slice(0, 4),
      ['first_user', 'agent_names', 'start', 'duration_ms']);
    const widths = await page.locator('thead th').evaluateAll((all) => all.map((e) => e.clientWidth));
    assert.equal(Math.max(...widths), widths[0]);
  });
  await check('buttons narrow the list by what they write into the query', async () => {
    const count = async (q) => (await call('POST', '/api/v1/query', { q: `${q} | stats count() as n`, start: 'now-24h' })).rows[0].n;
    const shown = async () => Number((await page.locator('.tools strong').innerText()).replace(/\D/g, ''));
    await at(page, 'sessions');
    await becomes(shown, await count('* | sessions'));
    await page.getByRole('button', { name: 'With errors' }).click();
    await becomes(async () => params(page).q, '* | sessions | where errors > 0');
    const bad = await count('* | sessions | where errors > 0');
    await becomes(shown, bad);
    await page.getByRole('combobox', { name: 'Agent' }).selectOption({ label: 'user' });
    await becomes(async () => params(page).q, '* | sessions | where errors > 0 | where agent_names=user');
    await becomes(shown, 3);
    assert.ok(bad > 3);
    await page.getByRole('button', { name: 'With errors' }).click();
    await page.getByRole('combobox', { name: 'Agent' }).selectOption('');
    await becomes(async () => params(page).q, undefined);
    await page.getByRole('combobox', { name: 'Tool' }).selectOption({ label: 'read_file' });
    await becomes(async () => params(page).q, 'tool=read_file');
    const whole = (await call('GET', '/api/v1/sessions?start=now-24h&q=session_id=s-talk')).sessions[0];
    await rowOf('s-talk').getByText(whole.first_user).waitFor(); /* all of its entries count, not the calls of the tool alone */
    assert.equal(await rowOf('s-talk').locator('td').nth((await page.locator('th').allInnerTexts()).indexOf('Entries')).innerText(),
      String(whole.entries));
    await page.getByRole('combobox', { name: 'Took' }).selectOption({ label: '10 min or more' });
    await becomes(async () => params(page).q, 'tool=read_file | sessions | where duration_ms >= 600000');
    await becomes(shown, await count('tool=read_file | sessions | where duration_ms >= 600000'));
  });
  await check('j, k and Enter in a list', async () => {
    await at(page, 'sessions');
    await rowOf('s-talk').waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    await page.keyboard.press('j');
    const id = await page.locator('tbody tr').nth(1).locator('.titled > .mono').getAttribute('title');
    await page.keyboard.press('Enter');
    await becomes(async () => where(page), `sessions/${id}`);
  });
  await check('a session as a conversation: who said what, in order', async () => {
    await at(page, 'sessions/s-talk');
    await page.locator('.said').first().waitFor();
    const said = await page.locator('.said').allInnerTexts();
    assert.ok(said.length >= 3);
    assert.match(said[0], /user[\s\S]*Please fix the failing test in part 7\./);
    assert.match(await page.locator('.said.user').first().innerText(), /Please fix/);
    assert.match(said.at(-1), /Fixed: the answer of part 7/);
    assert.match(said[1], /claude-sonnet-4/);
  });
  await check('a tool call and its result are one, folded; a click shows input and output', async () => {
    const tool = page.locator('.toolcall', { hasText: 'read_file' });
    assert.equal(await tool.count(), 1);
    assert.equal(await tool.locator('.inout').count(), 0);
    await tool.getByRole('button').first().click();
    assert.match(await tool.locator('.inout').innerText(), /src\/part_7\.ts[\s\S]*export const answer = 42/);
  });
  await check('a tool call that failed stands open and says so', async () => {
    const tool = page.locator('.toolcall.bad', { hasText: 'npm test' });
    assert.match(await tool.locator('.inout').innerText(), /expected 41, got 42/);
    assert.match(await tool.innerText(), /failed/);
  });
  await check('a session as a timeline, and its tools and models', async () => {
    await page.getByRole('tab', { name: 'Timeline' }).click();
    await page.locator('.lines .line', { hasText: 'still here' }).waitFor();
    await page.getByRole('tab', { name: 'Tools and models' }).click();
    await becomes(async () => params(page).view, 'figures');
    const tools = page.getByRole('table', { name: 'Tools' });
    await tools.locator('tr', { hasText: 'bash' }).first().waitFor();
    await page.getByRole('table', { name: 'Models' }).locator('tr', { hasText: 'claude-sonnet-4' }).waitFor();
  });
  await check('agents that others started stand further in, with when they began and came back', async () => {
    const t = Date.now() - 60e3, span = (n, id, parent, agent,
      more) => ({ session_id: 's-nest', trace_id: 't-nest', span_id: id, parent_id: parent, agent,
        timestamp: new Date(t + n * 100).toISOString(), ...more });
    const run = (agent) => ({ operation: `invoke_agent ${agent}` });
    await put({ session_id: 's-nest', trace_id: 't-nest', agent: 'lead', event: 'user_message', message: 'Look into it',
      timestamp: new Date(t).toISOString() },
      span(1, 'n1', undefined, 'lead', { kind: 'span_start', ...run('lead'), message: 'Look into it' }),
      span(2, 'n2', 'n1', 'helper', { kind: 'span_start', ...run('helper'), message: 'count the lines' }),
      span(3, 'n3', 'n2', 'helper', { kind: 'span_start', tool: 'bash', call_id: 'cn', input: { command: 'wc -l *.c' } }),
      span(4, 'n3', 'n2', 'helper', { kind: 'span_end', tool: 'bash', call_id: 'cn', output: '812 total', duration_ms: 100 }),
      span(5, 'n4', 'n2', 'helper', { kind: 'span', operation: 'chat', model: 'gpt-5-mini', output: 'There are 812 lines.',
        message: 'There are 812 lines.', input: 'How many lines?', duration_ms: 80, 'tokens.input': 1200, 'tokens.output': 60 }),
      span(6, 'n2', 'n1', 'helper', { event: 'agent_response', message: 'There are 812 lines.' }),
      span(7, 'n2', 'n1', 'helper', { kind: 'span_end', ...run('helper'), message: 'counted', duration_ms: 500 }),
      span(8, 'n1', undefined, 'lead', { event: 'rate_limit', level: 'warn', message: 'waiting' }),
      span(9, 'n1', undefined, 'lead', { event: 'rate_limit', level: 'warn', message: 'waiting' }),
      span(300, 'n1', undefined, 'lead', { kind: 'span_end', ...run('lead'), message: 'done', duration_ms: 29900 }),
      { session_id: 's-nest', trace_id: 't-nest-2', agent: 'lead', event: 'user_message', message: 'Again, please',
        timestamp: new Date(t + 40e3).toISOString() });
    await at(page, 'sessions/s-nest');
    await page.locator('.handed', { hasText: 'lead started helper: count the lines' }).waitFor();
    await page.locator('.handed', { hasText: 'helper returned to lead after 500 ms: counted' }).waitFor();
    const x = async (what) => (await what.boundingBox()).x;
    const inner = page.locator('.said.agent', { hasText: '812 lines' });
    assert.ok(await x(inner) > await x(page.locator('.aside', { hasText: 'waiting' })) + 10);
    assert.match(await page.locator('.toolcall', { hasText: 'bash' }).innerText(), /wc -l \*\.c[\s\S]*helper[\s\S]*100 ms/);
    assert.match(await inner.innerText(), /gpt-5-mini[\s\S]*1\.2k → 60 tokens/);
  });
  await check('what a model was asked stands above its answer and can be searched', async () => {
    await page.locator('.said.agent .asked', { hasText: 'How many lines?' }).waitFor();
    await page.locator('#q').fill('how many');
    await page.locator('.asked mark', { hasText: 'How many' }).waitFor();
    await page.locator('#q').fill('');
    await page.locator('#q').blur();
  });
  await check('what a span and a log say both stands there once; what comes again and again is counted', async () => {
    assert.equal(await page.locator('.said', { hasText: 'There are 812 lines.' }).count(), 1);
    assert.equal(await page.locator('.said', { hasText: 'Look into it' }).count(), 1);
    assert.match(await page.locator('.aside', { hasText: 'rate_limit' }).innerText(), /×2/);
  });
  await check('traces whose root spans are called the same are told apart by what was asked', async () => {
    await at(page, 'traces', { q: 'trace_id=t-nest' });
    await becomes(titles, ['Look into it invoke_agent lead']);
    await row('Look into it').click();
    await page.locator('.summary h2', { hasText: 'Look into it' }).filter({ hasText: 'invoke_agent lead' }).waitFor();
    await page.goBack();
    await at(page, 'sessions/s-nest');
  });
  await check('pauses are told, and where another trace of the session begins', async () => {
    await page.locator('.pause', { hasText: '29.1 s later' }).waitFor();
    assert.equal(await page.locator('.newrun').count(), 2);
    assert.equal(await page.locator('.newrun a').nth(1).getAttribute('href'), '#/traces/t-nest-2');
  });
  await check('/ searches in the conversation, Enter goes on, Esc leaves it', async () => {
    await at(page, 'sessions/s-talk');
    await page.locator('.said').first().waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('part');
    await becomes(async () => await page.getByRole('status').filter({ hasText: 'of' }).innerText(), '1 of 3');
    await page.locator('.said mark', { hasText: 'part' }).first().waitFor();
    await page.keyboard.press('Enter');
    await becomes(async () => await page.getByRole('status').filter({ hasText: 'of' }).innerText(), '2 of 3');
    await page.locator('.turn.on .toolcall mark', { hasText: 'part' }).first().waitFor();
    await page.keyboard.press('Escape');
    await becomes(async () => await page.locator('mark').count(), 0);
  });
  await check('e goes to the next error, j to the turn after it, Enter folds it', async () => {
    await page.keyboard.press('e');
    await page.locator('.turn.on .toolcall.bad').waitFor();
    await page.locator('.turn.on .inout').waitFor();
    await page.keyboard.press('Enter');
    await becomes(async () => await page.locator('.turn.on .inout').count(), 0);
    await page.keyboard.press('j');
    await page.locator('.turn.on .aside', { hasText: 'still here' }).waitFor();
    await page.reload(); /* the address says which turn it was */
    await page.locator('.turn.on .aside', { hasText: 'still here' }).waitFor();
  });
  await check('a long session: the strip shows all of it and leads into it, the rest comes with scrolling', async () => {
    const t = Date.now() - 3000e3;
    await put(...Array.from({ length: 600 }, (_, i) => ({ session_id: 's-long', agent: 'coder',
      timestamp: new Date(t + i * 1000).toISOString(),
      ...(i === 580 ? { event: 'note', level: 'error', message: 'here it broke' }
        : { event: i % 6 ? 'agent_response' : 'user_message', message: `line ${i}` }) })));
    await at(page, 'sessions/s-long');
    await page.locator('.said').first().waitFor();
    assert.ok(await page.locator('.turn').count() < 300);
    const strip = await page.locator('.strip').boundingBox();
    await until(async () => await page.locator('.strip canvas').evaluate((c) => c.getContext('2d').getImageData(0, 0, c.width,
      c.height).data.some((x) => x)), 'something in the strip');
    await page.mouse.click(strip.x + strip.width * (500.5 / 600), strip.y + 20);
    await until(async () => await page.locator('.said',
      { hasText: /line 500$/ }).evaluate((e) => { const r = e.getBoundingClientRect(); return r.top > 0 && r.bottom < innerHeight; }),
        'turn 500 in sight');
    await page.getByRole('button', { name: 'Next error' }).click();
    await page.locator('.turn.on', { hasText: 'here it broke' }).waitFor();
  });
  await check('two sessions beside each other', async () => {
    await at(page, 'sessions');
    const button = (id) => rowOf(id).getByRole('button', { name: 'compare' });
    await button('s-talk').click();
    await page.locator('.tools', { hasText: 'comparing s-talk' }).waitFor();
    await button('s-talk-2').click();
    await becomes(async () => params(page).with, 's-talk-2');
    await page.locator('.pair').first().waitFor();
    const half = async (i, text) => await page.locator('.pair').filter({ has: page.locator('.half',
      { hasText: text }) }).first().locator('.half').nth(i).boundingBox();
    const [a, b] = [await half(0, 'in part 7'), await half(1, 'in part 8')];
    assert.ok(Math.abs(a.y - b.y) < 2 && b.x >= a.x + a.width - 2, 'what both users asked is one line');
    assert.equal(await page.locator('.pair').filter({ hasText: 'in part 7' }).first().getAttribute('class'), 'pair differs');
    assert.match(await page.locator('.pair', { hasText: 'npm test' }).first().getAttribute('class'), /same/);
  });
  await check('two runs: what the second has more of, what only one did, difference by difference', async () => {
    const t = Date.now() - 20e3;
    for (const [n, id] of ['trial-1', 'trial-2'].entries()) {
      const steps = [{ event: 'user_message', agent: 'user', message: 'Book me a flight' },
        ...['find', ...(n ? ['pay', 'pay'] : []), 'book'].flatMap((tool, i) => [
        { event: 'tool_call', tool, call_id: `${id}${i}`, input: { n: 1 } },
          { event: 'tool_result', tool, call_id: `${id}${i}`, output: 'ok',
            ...(tool === 'pay' ? { status: 'error', level: 'error' } : {}) }]),
      { event: 'assistant_message', message: n ? 'Booked at last.' : 'Booked.' }];
      await put(...steps.map((s, i) => ({ session_id: id, agent: 'clerk', timestamp: new Date(t + n * 9000 + i * 100).toISOString(),
        ...s })));
    }
    await at(page, 'sessions/trial-1');
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByRole('combobox', { name: 'Compare with' }).selectOption('trial-2');
    await becomes(async () => params(page).with, 'trial-2');
    await becomes(async () => await page.locator('.pair').evaluateAll((all) => all.map((e) => e.className.slice(5))),
      ['same', 'same', 'right', 'right', 'same', 'differs']);
    const figures = await page.getByRole('table', { name: 'Differences' }).locator('tbody tr').allInnerTexts();
    assert.ok(figures.some((x) => /tool calls\s+2\s+4\s+\+2 \(\+100 %\)/.test(x)), figures.join('|'));
    assert.ok(figures.some((x) => /errors\s+0\s+2\s+\+2/.test(x)));
    await page.getByRole('button', { name: 'Only differences' }).click();
    await becomes(async () => await page.locator('.pair').count(), 3);
    await page.getByRole('button', { name: 'Swap' }).click();
    await becomes(async () => [where(page), params(page).with], ['sessions/trial-2', 'trial-1']);
  });
  await check('two runs whose agents worked at the same time are compared agent by agent', async () => {
    const t = Date.now() - 15e3, agents = ['left hand', 'right hand'];
    for (const [n, id] of ['pair-1', 'pair-2'].entries()) {
      const one = (i, span, agent, more) => ({ session_id: id, trace_id: `t-${id}`, span_id: `${id}${span}`, agent,
        parent_id: span ? `${id}0` : undefined, timestamp: new Date(t + i * 100).toISOString(), ...more });
      const steps = agents.map((agent, k) => [0, 1, 2].map((i) => (at_) => one(at_, k + 1, agent,
        { event: `step ${i}`, message: `${agent} ${i}` })));
      const order = n ? [0, 0, 0, 1, 1, 1] : [0, 1, 0, 1, 0, 1], taken = [0, 0];
      await put(one(0, 0, 'body', { kind: 'span_start', operation: 'work', message: 'clap' }),
        ...agents.map((agent, k) => one(1 + k, k + 1, agent, { kind: 'span_start', operation: agent, message: 'move' })),
        ...order.map((k, i) => steps[k][taken[k]++](3 + i)));
    }
    await at(page, 'sessions/pair-1', { with: 'pair-2' });
    await becomes(async () => await page.locator('.pair').evaluateAll((all) => all.map((e) => e.className.slice(5))),
      Array(9).fill('same'));
  });
  await check('no error of a script, nothing that the policy refused', async () => assert.deepEqual(wrong, []));
} finally {
  await browser.close();
}
done(46);
