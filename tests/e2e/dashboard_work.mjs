// Traces, sessions, agents, issues, alerts, dashboards, health and keys in a real browser:
// node dashboard_work.mjs URL [FOLDER FOR SCREENSHOTS]. The server has to be empty.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert, at, base, becomes, call, check, done, open, params, put, until, where } from './support.mjs';
import { fleet } from './fleet.mjs';

const program = process.env.FLEETLOG_BIN;
const { browser, page, wrong, expected } = await open();
const row = (text) => page.locator('tbody tr', { hasText: text });
const column = async (name, table = page.locator('table').first()) => {
  const names = (await table.locator('th').allInnerTexts()).map((x) => x.replace(/[ ↑↓]+$/, ''));
  return (await table.locator(`td:nth-child(${names.indexOf(name) + 1})`).allInnerTexts()).map((x) => x.trim());
};
const figure = (name) => page.locator('dl div').filter({ has: page.locator('dt', { hasText: new RegExp(`^${name}$`) }) }).locator('dd').first();
const dir = mkdtempSync(join(tmpdir(), 'fleetlog-e2e-'));

/** The parts of the canvas in the line of span `i` that are drawn, right of the names: [from, to, ...] */
async function bar(i) {
  return await page.locator('.waterfall').evaluate((e, n) => {
    const c = e.querySelector('canvas'), k = devicePixelRatio, w = e.clientWidth, names = Math.min(360, Math.max(180, w * 0.32));
    const d = c.getContext('2d').getImageData(0, Math.round((n * 24 + 12 - e.scrollTop) * k), c.width, 1).data;
    let first = -1, last = -1, changes = 0, was = false;
    for (let x = Math.round(names * k); x < (w - 86) * k; x++) {
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
const span = (text) => page.locator('.span', { hasText: text });

try {
  // ---- alerts, before there is any ----
  await check('no alert rules: the rule that is shown can be applied as it stands', async () => {
    await at(page, 'alerts');
    await page.getByRole('heading', { name: 'No alert rules' }).waitFor();
    const text = await page.locator('.code').innerText(), file = join(dir, 'alerts.yaml');
    const command = text.trim().split('\n').at(-1);
    assert.match(command, /^fleetlog alerts apply/);
    writeFileSync(file, text.replace(command, ''));
    execFileSync(program, ['alerts', 'apply', file, '--url', base], { stdio: 'pipe' });
    await page.locator('.alerts li', { hasText: 'level:error' }).waitFor();
    await call('DELETE', '/api/v1/alerts/errors');
  });

  await fleet();

  // ---- traces ----
  await check('traces: all of them, the newest first', async () => {
    await at(page, 'traces');
    const truth = await call('GET', '/api/v1/traces?start=now-24h&limit=500');
    await becomes(async () => await page.locator('tbody tr').count(), truth.traces.length);
    assert.equal(truth.traces.length, 34);
    assert.deepEqual((await column('name')).slice(0, 5), truth.traces.slice(0, 5).map((t) => t.name));
  });
  await check('traces: ordered by cost and by duration', async () => {
    await page.locator('select').selectOption('cost_usd');
    await becomes(async () => (await column('name'))[0], 'ship the release');
    assert.equal(params(page).sort, 'cost_usd');
    assert.equal((await column('cost_usd'))[0], '$0.34');
    await page.locator('select').selectOption('duration_ms');
    await until(async () => (await column('duration_ms'))[0] === '7m 0s' || (await column('duration_ms'))[1] === '7m 0s', 'the longest');
  });
  await check('traces: a query leaves some; a mistake in it is explained', async () => {
    await page.locator('#q').fill('agent:reviewer');
    await page.keyboard.press('Enter');
    await becomes(async () => [...new Set(await column('agent'))], ['reviewer']);
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
    assert.deepEqual(all.map((s) => /ship|chat|research|grep|run the tests/.exec(s.text)?.[0]), ['ship', 'chat', 'research', 'grep', 'run the tests', 'chat']);
    assert.ok(all[1].inset > all[0].inset && all[3].inset > all[2].inset && all[4].inset === all[1].inset);
    const edge = await page.locator('.span .name').evaluateAll((e) => new Set(e.map((x) => Math.round(x.getBoundingClientRect().right))).size);
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
    await until(async () => { const got = []; for (let i = 0; i < truth.length; i++) got.push(await lined(i)); return JSON.stringify(got) === JSON.stringify(truth); }, `${truth}`);
  });
  await check('a failed span is marked; a click shows all of it', async () => {
    await span('run the tests').locator('.mark[title=Failed]').waitFor();
    await span('run the tests').click();
    await page.locator('.detail .message', { hasText: '3 tests failed' }).waitFor();
    assert.match(await page.locator('.detail .body').innerText(), /self_ms/);
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
    await page.mouse.move(box.x + Math.min(360, box.width * 0.32) + 8, box.y + 200);
    await page.keyboard.down('Control');
    for (let i = 0; i < 6; i++) await page.mouse.wheel(0, -100);
    await page.keyboard.up('Control');
    await until(async () => (await bar(3)).width > before.width * 2, 'wider');
    await page.mouse.dblclick(box.x + box.width - 200, box.y + 200);
    await becomes(async () => (await bar(3)).width, before.width);
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
    await becomes(async () => (await column('name'))[0], 'ship the release');
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
    await row('s-talk-2').waitFor();
    const truth = (await call('GET', '/api/v1/sessions?start=now-24h&limit=500')).sessions;
    assert.equal(await page.locator('tbody tr').count(), truth.length);
    assert.match(await row('s-talk-2').innerText(), /Please fix the failing test in part 8\./);
  });
  await check('sessions: the one with most errors first', async () => {
    await page.locator('select').selectOption('errors');
    const most = (await call('GET', '/api/v1/sessions?start=now-24h&sort=errors')).sessions[0];
    await becomes(async () => (await column('session_id'))[0], most.session_id);
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
    const tools = page.getByRole('table', { name: 'Tools' });
    await tools.locator('tr', { hasText: 'bash' }).first().waitFor();
    await page.getByRole('table', { name: 'Models' }).locator('tr', { hasText: 'claude-sonnet-4' }).waitFor();
  });
  await check('two sessions beside each other', async () => {
    await at(page, 'sessions');
    const button = (id) => page.locator('tbody tr').filter({ has: page.locator('td', { hasText: new RegExp(`^${id}$`) }) }).getByRole('button', { name: 'compare' });
    await button('s-talk').click();
    await page.locator('.tools', { hasText: 'comparing s-talk' }).waitFor();
    await button('s-talk-2').click();
    await becomes(async () => params(page).with, 's-talk-2');
    const said = page.locator('.beside > .page');
    await becomes(async () => await said.count(), 2);
    await said.nth(0).locator('.said', { hasText: 'part 7' }).first().waitFor();
    await said.nth(1).locator('.said', { hasText: 'part 8' }).first().waitFor();
    const [a, b] = [await said.nth(0).boundingBox(), await said.nth(1).boundingBox()];
    assert.ok(Math.abs(a.y - b.y) < 2 && b.x >= a.x + a.width - 2);
  });

  // ---- agents ----
  await check('agents: entries, errors, percentiles as the server reckons them, tokens and cost', async () => {
    await at(page, 'agents');
    await row('researcher').waitFor();
    const truth = await call('POST', '/api/v1/query', { q: 'agent=coder | stats count() as n, count() if (level:error) as e, sum(cost_usd) as cost', start: 'now-24h' });
    await becomes(async () => (await column('entries'))[(await column('agent')).indexOf('coder')], truth.rows[0].n.toLocaleString('en-US'));
    const i = (await column('agent')).indexOf('coder');
    assert.equal((await column('errors'))[i], String(truth.rows[0].e));
    await until(async () => /^\$/.test((await column('cost_usd'))[i]), 'cost');
    for (const p of ['p50', 'p95', 'p99']) assert.match((await column(p))[i], /\d (ms|s)$/);
    assert.ok(await row('coder').locator('svg.spark rect').count() > 3, 'a trend');
  });
  await check('a click on a header sorts', async () => {
    await page.getByRole('columnheader', { name: 'errors' }).getByRole('button').click();
    const e = (await column('errors')).map(Number);
    assert.deepEqual(e, [...e].sort((a, b) => b - a));
  });
  await check('tools and models', async () => {
    await page.getByRole('tab', { name: 'Tools' }).click();
    await row('read_file').waitFor();
    assert.equal(params(page).kind, 'tool');
    await page.getByRole('tab', { name: 'Models' }).click();
    await row('gpt-5-mini').waitFor();
    await until(async () => (await column('cost_usd')).every((x) => /^\$/.test(x)), 'cost of each model');
  });
  await check('an agent: its tools, models, slowest calls, ways on', async () => {
    await page.getByRole('tab', { name: 'Agents' }).click();
    await row('coder').click();
    await becomes(async () => where(page), 'agents/coder');
    await page.getByRole('table', { name: 'Tools' }).locator('tr', { hasText: 'fetch' }).waitFor();
    await page.getByRole('table', { name: 'Models' }).locator('tr', { hasText: 'gpt-5-mini' }).waitFor();
    await page.getByRole('table', { name: 'Slowest' }).locator('tr', { hasText: 'run the tests' }).waitFor();
    await page.getByRole('link', { name: 'Its issues' }).click();
    await page.locator('.issues li').first().waitFor();
    await page.goBack();
    await page.getByRole('link', { name: 'Live', exact: true }).last().click();
    await page.locator('.state.live').waitFor();
  });

  // ---- issues ----
  const issues = page.locator('.issues li');
  const tab = (name) => page.getByRole('tab', { name: new RegExp(`^${name}`) });
  await check('issues: errors gathered, with how often, who, since when and a spark line', async () => {
    await at(page, 'issues');
    await issues.first().waitFor();
    const truth = await call('GET', '/api/v1/issues?state=open&start=now-24h');
    await becomes(async () => await issues.count(), truth.issues.length);
    const timeouts = issues.filter({ hasText: 'timed out' });
    assert.equal(await timeouts.count(), 1);
    const told = truth.issues.find((x) => /timed out/.test(x.title));
    assert.match(await timeouts.innerText(), new RegExp(`${told.count}\\s*times`));
    assert.match(await timeouts.innerText(), /5\s*agents/);
    assert.ok(await timeouts.locator('svg.spark rect').count() >= 2);
    assert.match(await tab('Open').innerText(), new RegExp(`${truth.issues.length}$`));
  });
  await check('j, x, j, x pick two and e resolves both', async () => {
    const n = await issues.count();
    for (const key of ['j', 'x', 'j', 'x']) await page.keyboard.press(key);
    await page.locator('.tools', { hasText: '2 picked' }).waitFor();
    await page.keyboard.press('e');
    await becomes(async () => await issues.count(), n - 2);
    assert.match(await tab('Resolved').innerText(), /2$/);
  });
  await check('g and a letter go to a page and do nothing to the issues', async () => {
    const before = await call('GET', '/api/v1/issues?state=open');
    await page.keyboard.press('j');
    await page.keyboard.press('g');
    await page.keyboard.press('e');
    await becomes(async () => where(page), 'explore');
    await page.keyboard.press('g');
    await page.keyboard.press('i');
    await becomes(async () => where(page), 'issues');
    await issues.first().waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('g');
    await page.keyboard.press('i');
    const after = await call('GET', '/api/v1/issues?state=open');
    assert.equal(after.total, before.total);
  });
  await check('a resolved issue that comes again is open again and says that it came back', async () => {
    await tab('Resolved').click();
    const resolved = (await call('GET', '/api/v1/issues?state=resolved')).issues.map((x) => x.title);
    assert.equal(resolved.length, 2);
    await becomes(async () => (await issues.locator('.what a').allInnerTexts()).sort(), resolved.sort());
    const title = await issues.first().locator('a').innerText(), id = decodeURIComponent((await issues.first().locator('a').getAttribute('href')).split('/').at(-1));
    const example = await call('GET', `/api/v1/entries/${(await call('GET', `/api/v1/issues/${id}`)).example}`);
    await put({ agent: example.agent, level: example.level, error_type: example.error_type, tool: example.tool ?? undefined, message: example.message });
    await tab('Open').click();
    await page.reload();
    const again = issues.filter({ hasText: title });
    await again.locator('.chip', { hasText: 'came back' }).waitFor();
  });
  await check('an issue can be ignored on its page and reopened; what happened to it is kept', async () => {
    await issues.first().locator('a').click();
    await page.getByRole('button', { name: 'Ignore' }).click();
    await page.locator('.summary', { hasText: 'ignored' }).waitFor();
    await page.getByRole('button', { name: 'Reopen' }).click();
    await page.locator('.summary', { hasText: /open ·|open,/ }).waitFor();
    await until(async () => /ignored by dashboard/.test(await page.locator('.plainlist').last().innerText()), 'the history');
  });
  await check('an issue leads to an example', async () => {
    await page.getByRole('link', { name: 'An example' }).click();
    await page.locator('.single .detail .message').waitFor();
    await page.goBack();
  });
  await check('nothing resolved, nothing ignored: it says what that means', async () => {
    await at(page, 'issues', { state: 'ignored' });
    await page.getByRole('heading', { name: 'Nothing is ignored' }).waitFor();
  });

  // ---- alerts ----
  await check('alerts: a rule that fires says so by itself', async () => {
    await at(page, 'alerts');
    await call('POST', '/api/v1/alerts', { name: 'many-errors', query: 'level:error', window: '1d', every: '1s', when: { above: 3 }, by: 'agent', send: [{ log: true }] });
    await call('POST', '/api/v1/alerts', { name: 'calm', query: 'level:critical agent:nobody', window: '5m', every: '1s', when: { above: 1000 } });
    await page.locator('.alerts li', { hasText: 'many-errors' }).locator('.alert-firing').waitFor();
    await page.locator('.alerts li', { hasText: 'calm' }).locator('.alert-ok').waitFor();
  });
  await check('a rule can be snoozed and woken', async () => {
    const item = page.locator('.alerts li', { hasText: 'many-errors' });
    await item.locator('select').selectOption('2h');
    await item.getByRole('button', { name: /Snoozed/ }).waitFor();
    const until_ = (await call('GET', '/api/v1/alerts/many-errors')).snoozed_until;
    assert.ok(Math.abs(Date.parse(until_) - Date.now() - 2 * 3600e3) < 60e3, until_);
    await item.getByRole('button', { name: /Snoozed/ }).click();
    await item.locator('select').waitFor();
  });
  await check('a rule can be tried, and has its groups and history', async () => {
    await page.getByRole('link', { name: 'many-errors' }).click();
    await page.getByRole('button', { name: 'Try it now' }).click();
    const tried = page.getByRole('table', { name: 'Tried' });
    await tried.locator('tr', { hasText: 'true' }).first().waitFor();
    await page.getByRole('table', { name: 'Groups' }).locator('tr', { hasText: 'firing' }).first().waitFor();
    await page.getByRole('table', { name: 'History' }).locator('tr', { hasText: 'firing' }).first().waitFor();
  });
  await check('the history of all rules', async () => {
    await at(page, 'alerts');
    await page.getByRole('tab', { name: 'History' }).click();
    await page.getByRole('table', { name: 'History' }).locator('tr', { hasText: 'many-errors' }).first().waitFor();
    await page.getByRole('table', { name: 'History' }).locator('tr', { hasText: 'coder' }).first().waitFor();
  });

  // ---- saved views, dashboards ----
  const answer = (text) => expected.push(text);
  await check('a view is saved with its query and columns, found again and deleted', async () => {
    await at(page, 'explore', { q: 'level:warn', cols: 'timestamp~150!env~90!message~0', from: 'now-6h' });
    await page.locator('.row:not(.loading)').first().waitFor();
    answer('warnings by env');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await until(async () => (await call('GET', '/api/v1/saved')).saved.length === 1, 'saved');
    await at(page, 'dashboards');
    await page.getByRole('tab', { name: 'Saved views' }).click();
    await page.getByRole('link', { name: 'warnings by env' }).click();
    await becomes(async () => await page.locator('.head .name').allInnerTexts(), ['time', 'env', 'message']);
    assert.deepEqual([params(page).q, params(page).from], ['level:warn', 'now-6h']);
    await at(page, 'dashboards');
    await page.getByRole('tab', { name: 'Saved views' }).click();
    answer();
    await page.getByRole('button', { name: 'Delete warnings by env' }).click();
    await page.getByRole('heading', { name: 'No saved views' }).waitFor();
  });
  await check('the dashboards that come with it show figures in every panel', async () => {
    const all = (await call('GET', '/api/v1/dashboards')).dashboards.filter((d) => d.builtin);
    assert.ok(all.length >= 3, `${all.length}`);
    for (const d of all) {
      await at(page, `dashboards/${d.name}`);
      await page.locator('.panel .shown').first().waitFor();
      const n = await page.locator('.panel').count();
      await becomes(async () => await page.locator('.panel .shown').count(), n, d.title);
      assert.equal(await page.locator('.panel .problem').count(), 0, d.title);
    }
  });
  await check('a dashboard of one\'s own: a panel is added, changed, saved and there after a reload', async () => {
    await at(page, 'dashboards');
    answer('mine');
    await page.getByRole('button', { name: 'New dashboard' }).click();
    await page.getByRole('button', { name: 'Add a panel' }).click();
    await page.getByLabel('Title', { exact: true }).fill('Entries of each agent');
    await page.getByLabel('Query', { exact: true }).fill('* | stats count() as entries by agent');
    await page.getByLabel('Shown as').selectOption('bar');
    await page.locator('.panel .shown', { hasText: 'researcher' }).waitFor();
    await page.locator('.tools').getByRole('button', { name: 'Save' }).click();
    await page.getByRole('button', { name: 'Edit' }).waitFor();
    await page.reload();
    await page.locator('.panel', { hasText: 'Entries of each agent' }).locator('.shown', { hasText: 'researcher' }).waitFor();
  });

  // ---- health, retention, keys ----
  await check('health: what came in, what was refused, where it lies, from whom', async () => {
    const answer = await fetch(`${base}/api/v1/ingest`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify([{ agent: 'x', timestamp: 'no time at all' }]) });
    assert.equal(answer.status, 400);
    await at(page, 'health');
    const truth = await call('GET', '/api/v1/status');
    await figure('stored').waitFor();
    await until(async () => Number((await figure('stored').innerText()).replace(/,/g, '')) >= truth.ingest.stored, 'stored');
    await until(async () => await figure('rejected').innerText() === '1', 'rejected');
    await page.getByRole('table', { name: 'Sources' }).locator('tr', { hasText: 'researcher' }).waitFor();
  });
  await check('health follows by itself', async () => {
    const before = await figure('stored').innerText();
    await put({ agent: 'x', message: 'one more' });
    await until(async () => await figure('stored').innerText() !== before, 'another number');
  });
  await check('retention: the classes and how long they keep', async () => {
    await page.getByRole('tab', { name: 'Retention' }).click();
    await page.getByRole('table', { name: 'Classes' }).locator('tbody tr').first().waitFor();
    assert.match(await page.getByRole('table', { name: 'Classes' }).innerText(), /for ever|\d+d/);
  });
  let secret = '';
  await check('keys: one is made and shown once; then the server wants it', async () => {
    await page.getByRole('tab', { name: 'Keys' }).click();
    await page.locator('form input[name=name]').fill('mine');
    await page.getByLabel('admin').check();
    await page.getByLabel('ingest').check();
    await page.getByRole('button', { name: 'Make a key' }).click();
    secret = await page.locator('.warning code').innerText();
    assert.ok(secret.length > 20);
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    assert.equal(await page.locator('.warning code').innerText(), secret, 'it is still there');
    const answer = await fetch(`${base}/api/v1/keys`);
    assert.equal(answer.status, 401);
  });
  await check('with the key as the password the whole page works, live entries too', async () => {
    const mine = await browser.newContext({ httpCredentials: { username: 'any', password: secret }, viewport: { width: 1300, height: 800 } });
    const p = await mine.newPage();
    await p.goto(`${base}/#/live`);
    await p.locator('.state.live').waitFor();
    await fetch(`${base}/api/v1/ingest`, { method: 'POST', headers: { authorization: `Bearer ${secret}` }, body: JSON.stringify({ agent: 'x', message: 'with a key' }) });
    await p.locator('.tail .line', { hasText: 'with a key' }).waitFor();
    await p.goto(`${base}/#/health`);
    await p.getByRole('tab', { name: 'Keys' }).click();
    await p.getByRole('table', { name: 'Keys' }).locator('tr', { hasText: 'mine' }).waitFor();
    await mine.close();
  });
  const unexpected = wrong.filter((w) => !/status of 401/.test(w));
  await check('no error of a script, nothing that the policy refused', async () => assert.deepEqual(unexpected, []));
} finally {
  await browser.close();
  rmSync(dir, { recursive: true, force: true });
}
done(51);
