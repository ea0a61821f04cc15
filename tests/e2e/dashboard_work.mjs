// Agents, issues, alerts, dashboards, health and keys in a real browser:
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

  // ---- agents ----
  await check('agents: entries, errors, percentiles as the server reckons them, tokens and cost', async () => {
    await at(page, 'agents');
    await row('researcher').waitFor();
    const truth = await call('POST', '/api/v1/query', { q: 'agent=coder | stats count() as n, count() if (level:error) as e, sum(cost_usd) as cost', start: 'now-24h' });
    await becomes(async () => (await column('Entries'))[(await column('Agent')).indexOf('coder')], truth.rows[0].n.toLocaleString('en-US'));
    const i = (await column('Agent')).indexOf('coder');
    assert.equal((await column('Errors'))[i], String(truth.rows[0].e));
    await until(async () => /^\$/.test((await column('Cost'))[i]), 'cost');
    for (const p of ['p50', 'p95', 'p99']) assert.match((await column(p))[i], /\d (ms|s)$/);
    assert.ok(await row('coder').locator('svg.spark rect').count() > 3, 'a trend');
  });
  await check('a click on a header sorts', async () => {
    await page.getByRole('columnheader', { name: 'Errors' }).getByRole('button').click();
    const e = (await column('Errors')).map(Number);
    assert.deepEqual(e, [...e].sort((a, b) => b - a));
  });
  await check('tools and models', async () => {
    await page.getByRole('tab', { name: 'Tools' }).click();
    await row('read_file').waitFor();
    assert.equal(where(page), 'tools');
    await page.getByRole('tab', { name: 'Models' }).click();
    await row('gpt-5-mini').waitFor();
    await until(async () => (await column('Cost')).every((x) => /^\$/.test(x)), 'cost of each model');
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

  await check('an agent: figures over time, what it did last, its issues, where it comes from', async () => {
    await at(page, 'agents/coder', { from: 'now-24h' });
    await page.getByRole('img', { name: 'Entries over time' }).waitFor();
    await page.getByRole('img', { name: 'Durations over time' }).waitFor();
    const section = (name) => page.locator('section', { has: page.getByRole('heading', { name, exact: true }) });
    const newest = (await call('POST', '/api/v1/query', { q: 'agent=coder -kind:span_start', limit: 1 })).rows[0];
    await section('Now').locator(`a[href="#/entry/${newest.id}"]`).waitFor();
    await section('Open issues').locator('li', { hasText: 'timed out' }).waitFor();
    await section('Lineage').getByRole('link', { name: 'planner' }).waitFor();
    await section('Newest sessions').locator('a[href="#/sessions/s-talk-2"]').waitFor();
  });
  await check('an agent: what has begun and not ended is shown as running', async () => {
    await at(page, 'agents/mailer', { from: 'now-24h' });
    await page.locator('.briefly .pulse', { hasText: 'send the digest' }).waitFor();
  });
  await check('a tool and a model have a page of their own, with who calls them', async () => {
    await at(page, 'tools');
    await row('grep').click();
    await becomes(async () => where(page), 'tools/grep');
    const truth = await call('POST', '/api/v1/query', { q: 'tool=grep agent=researcher | stats count() as n', start: 'now-24h' });
    await becomes(async () => (await column('Entries', page.getByRole('table', { name: 'Agents' })))[(await column('Agent', page.getByRole('table', { name: 'Agents' }))).indexOf('researcher')], String(truth.rows[0].n));
    await page.getByRole('table', { name: 'Agents' }).locator('tr', { hasText: 'researcher' }).click();
    await becomes(async () => where(page), 'agents/researcher');
    await at(page, 'models/gpt-5-mini');
    await page.getByRole('heading', { name: 'Who uses it' }).waitFor();
  });
  await check('the sum of what is listed, and finding by a part of the name', async () => {
    await at(page, 'agents', { from: 'now-24h' });
    const truth = await call('POST', '/api/v1/query', { q: 'agent:* | stats count() as n, count_distinct(agent) as agents', start: 'now-24h' });
    await page.locator('.total', { hasText: `${truth.rows[0].agents} agents · ${truth.rows[0].n.toLocaleString('en-US')} entries` }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('RESEARCH');
    await becomes(async () => await column('Agent'), ['researcher']);
    await page.locator('.total', { hasText: '1 agent ·' }).waitFor();
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
    assert.match(await timeouts.innerText(), /fetch/);
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
    await page.getByLabel('Why').fill('known, being worked on');
    await page.getByLabel('Ignore').selectOption({ label: 'for ever' });
    await page.locator('.state-ignored').waitFor();
    await page.getByRole('button', { name: 'Reopen' }).click();
    await page.locator('.state-open').waitFor();
    await until(async () => /ignored by dashboard known, being worked on/.test((await page.locator('.plainlist').last().innerText()).replace(/\s+/g, ' ')), 'the history');
  });
  await check('an issue leads to an example', async () => {
    await page.getByRole('link', { name: 'An example' }).click();
    await page.locator('.single .detail .message').waitFor();
    await page.goBack();
  });
  await check('an issue: how it came over time, who has it, what happened before it, what is like it', async () => {
    await put({ agent: 'coder', level: 'error', error_type: 'TimeoutError', tool: 'fetch', session_id: 's-3', message: 'request to 10.0.0.9 timed out after 5 ms' });
    const told = (await call('GET', '/api/v1/issues?state=all')).issues.find((x) => /timed out/.test(x.title));
    await at(page, 'issues');
    await issues.first().waitFor();
    await at(page, `issues/${told.id}`);
    await page.getByRole('img', { name: 'Over time' }).waitFor();
    await page.locator('.briefly li', { hasText: 'researcher' }).filter({ hasText: `${told.by_agent.researcher}×` }).waitFor();
    await page.locator(`a.line.on[href="#/entry/${told.latest}"]`).waitFor();
    const session = (await call('GET', `/api/v1/entries/${told.latest}`)).session_id;
    assert.equal(await page.getByRole('link', { name: 'Its session' }).getAttribute('href'), `#/sessions/${session}?at=${told.latest}`);
    await page.getByRole('button', { name: 'Copy as prompt' }).click();
    const prompt = await until(async () => await page.evaluate(() => navigator.clipboard.readText()), 'a prompt');
    assert.match(prompt, /timed out/);
    assert.match(prompt, /"error_type": "TimeoutError"/);
    await page.getByRole('link', { name: 'Entries like it' }).click();
    await page.locator('.row', { hasText: 'timed out' }).first().waitFor();
  });
  await check('issues are found by a tool, all are picked at once and ignored until they came ten more times', async () => {
    await at(page, 'issues');
    await issues.first().waitFor();
    const n = await issues.count();
    await page.keyboard.press('/');
    await page.keyboard.type('timed out fetch');
    await becomes(async () => await issues.count(), 1);
    await page.getByLabel('Pick all').check();
    await page.getByLabel('Ignore').selectOption({ label: 'until 10 more' });
    await page.locator('.pad', { hasText: 'No issue has' }).waitFor();
    await page.getByLabel('Find issues').fill('');
    await becomes(async () => await issues.count(), n - 1);
    const { issues: ignored } = await call('GET', '/api/v1/issues?state=ignored');
    assert.equal(ignored.length, 1);
    await call('POST', '/api/v1/issues', { ids: [ignored[0].id], state: 'open', by: 'test' });
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

  await check('a rule is made with a view of what it would have done', async () => {
    await at(page, 'alerts');
    await page.getByRole('button', { name: 'New rule' }).click();
    await page.getByLabel('Name', { exact: true }).fill('made-here');
    await page.getByLabel('Query', { exact: true }).fill('level:error');
    await page.getByLabel('For each').fill('agent');
    await page.getByLabel('In the last').fill('7d');
    await page.getByLabel('Than', { exact: true }).fill('2');
    const preview = page.getByLabel('Preview');
    const truth = (await call('POST', '/api/v1/query', { q: 'level:error | stats count() as n by agent | where n > 2', start: 'now-7d' })).rows.length;
    await preview.locator('b', { hasText: `Now it would fire for ${truth}.` }).waitFor();
    await preview.locator('tr', { hasText: 'coder' }).locator('td', { hasText: 'yes' }).waitFor();
    await page.getByLabel('Than', { exact: true }).fill('1000000');
    await preview.getByText('Now it would be quiet.').waitFor();
    await page.getByRole('button', { name: 'Save' }).click();
    await becomes(async () => where(page), 'alerts/made-here');
    const rule = await call('GET', '/api/v1/alerts/made-here');
    assert.deepEqual([rule.query, rule.by, rule.window, rule.when, rule.send], ['level:error', ['agent'], '7d', { above: 1000000 }, [{ log: true }]]);
  });
  await check('the last day of a rule: how often its windows were past the limit', async () => {
    await at(page, 'alerts', { edit: '1', q: 'level:critical' });
    await page.getByLabel('In the last').fill('1d');
    await page.getByLabel('Than', { exact: true }).fill('0');
    await page.getByLabel('Preview').locator('p', { hasText: /it would have fired 1 time\b/ }).waitFor();
    await page.getByRole('img', { name: 'The last 24 hours' }).waitFor();
  });
  await check('a mistake in the query of a rule is told while it is written', async () => {
    await page.getByLabel('Query', { exact: true }).fill('level:error |');
    await page.getByLabel('Preview').locator('.problem').waitFor();
  });
  await check('a rule is changed, paused, resumed and deleted', async () => {
    await at(page, 'alerts/made-here');
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('About').fill('so many errors');
    await page.getByRole('button', { name: 'Add a webhook' }).click();
    await page.getByLabel('Webhook').fill('https://hooks.example.com/abc');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.locator('p', { hasText: 'so many errors' }).waitFor();
    assert.deepEqual((await call('GET', '/api/v1/alerts/made-here')).send, [{ log: true }, { webhook: 'https://hooks.example.com/abc', timeout: '10s' }]);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.locator('.alert-disabled').waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await until(async () => (await call('GET', '/api/v1/alerts/made-here')).enabled, 'watched again');
    expected.push(undefined);
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.locator('.alerts li', { hasText: 'calm' }).waitFor();
    assert.equal(await page.locator('.alerts li', { hasText: 'made-here' }).count(), 0);
  });
  await check('the last day of each rule is a strip, red while it fired', async () => {
    await page.locator('.alerts li', { hasText: 'many-errors' }).locator('.firings .fired').first().waitFor({ state: 'attached' });
    assert.equal(await page.locator('.alerts li', { hasText: 'calm' }).locator('.firings .fired').count(), 0);
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
  await check('a view of one trace, one agent is saved from the commands and leads back to it', async () => {
    const trace = (await call('GET', '/api/v1/traces')).traces[0].trace_id;
    for (const [kind, id] of [['traces', trace], ['agents', 'coder']]) {
      const before = (await call('GET', '/api/v1/saved')).saved.length;
      await at(page, `${kind}/${encodeURIComponent(id)}`);
      await page.getByText(id).first().waitFor();
      answer(`one of ${kind}`);
      await page.keyboard.press('Control+k');
      await page.getByLabel('Go to', { exact: true }).last().fill('save this view');
      await page.keyboard.press('Enter');
      await until(async () => (await call('GET', '/api/v1/saved')).saved.length > before, 'saved');
      await at(page, 'dashboards');
      await page.getByRole('tab', { name: 'Saved views' }).click();
      await page.getByRole('link', { name: `one of ${kind}` }).click();
      await becomes(async () => where(page), `${kind}/${id}`);
    }
    for (const d of (await call('GET', '/api/v1/saved')).saved) await call('DELETE', `/api/v1/saved/${d.name}`);
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

  await check('a panel that is empty says why', async () => {
    await at(page, 'dashboards/security-audit');
    await page.locator('.panel', { hasText: 'Access patterns by user' }).locator('.why', { hasText: 'audit.user_id' }).waitFor();
    const why = await page.locator('.panel', { hasText: 'Access patterns by user' }).locator('.why').boundingBox();
    const title = await page.locator('.panel', { hasText: 'Access patterns by user' }).locator('h3').boundingBox();
    assert.ok(why.y > title.y + title.height, 'below the title');
  });
  await check('a step of time that does not suit the range is changed, and the panel says so', async () => {
    const panel = page.locator('.panel', { hasText: 'Durations over time' });
    await at(page, 'dashboards/performance', { from: 'now-24h' });
    await panel.locator('header', { hasText: 'per 30m' }).waitFor();
    await at(page, 'dashboards/performance', { from: 'now-1h' });
    await panel.locator('header', { hasText: 'per 1m' }).waitFor();
  });
  await check('a chart: values by pointer and keys, a legend that hides, dragging zooms the board', async () => {
    const panel = page.locator('.panel', { hasText: 'Durations over time' });
    await at(page, 'dashboards/performance', { from: 'now-6h' });
    const plot = panel.locator('.plot');
    await plot.waitFor();
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + 40);
    await panel.locator('.tip', { hasText: 'p95' }).waitFor();
    await panel.getByRole('button', { name: 'p99' }).click();
    await page.mouse.move(box.x + box.width / 2, box.y + 40);
    await until(async () => !/p99/.test(await panel.locator('.tip').innerText()), 'p99 is hidden');
    await plot.focus();
    await page.keyboard.press('ArrowLeft');
    await panel.locator('.tip', { hasText: 'p50' }).waitFor();
    await page.mouse.move(box.x + box.width * 0.4, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 60, { steps: 4 });
    await page.mouse.up();
    await until(async () => params(page).to && Date.parse(params(page).to) - Date.parse(params(page).from) < 2 * 3600e3, 'a shorter range');
  });
  await check('zoom to data: only the time that has entries', async () => {
    await at(page, 'dashboards/performance', { from: 'now-7d' });
    await page.getByRole('button', { name: 'Zoom to data' }).waitFor();
    await page.locator('main').focus();
    await page.keyboard.press('z');
    await until(async () => params(page).to && Date.parse(params(page).to) - Date.parse(params(page).from) < 7 * 3600e3, 'the six hours');
  });
  await check('panels are duplicated, moved and sized by keys, and taken away; leaving undoes it', async () => {
    await at(page, 'dashboards/mine');
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    const panels = page.locator('.panel'), grip = (i) => panels.nth(i).locator('.grip');
    await panels.nth(0).getByRole('button', { name: 'Duplicate' }).click();
    await becomes(async () => await panels.count(), 2);
    await page.getByLabel('Title', { exact: true }).fill('Another');
    await becomes(async () => await grip(1).innerText(), 'Another');
    await grip(1).focus();
    await page.keyboard.press('ArrowLeft');
    await becomes(async () => await grip(0).innerText(), 'Another');
    const width = (await panels.nth(0).boundingBox()).width;
    await grip(0).focus();
    await page.keyboard.press('Shift+ArrowRight');
    await until(async () => (await panels.nth(0).boundingBox()).width > width + 20, 'wider');
    await panels.nth(1).getByRole('button', { name: 'Remove' }).click();
    await becomes(async () => await panels.count(), 1);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('heading', { name: 'Entries of each agent' }).waitFor();
    assert.equal((await call('GET', '/api/v1/dashboards/mine')).panels.length, 1);
  });
  await check('a panel is dragged to another place and its corner makes it larger', async () => {
    await call('PUT', '/api/v1/dashboards/mine', { title: 'mine', panels: ['a', 'b'].map((title) => ({ title, type: 'number', q: '* | stats count() as n', w: 4, h: 3 })) });
    await page.reload();
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    const panels = page.locator('.panel');
    const to = await panels.nth(1).boundingBox();
    await panels.nth(0).locator('.grip').hover();
    await page.mouse.down();
    await page.mouse.move(to.x + 60, to.y + 60, { steps: 5 });
    await page.mouse.up();
    await becomes(async () => await page.locator('.grip').allInnerTexts(), ['b', 'a']);
    const was = await panels.nth(0).boundingBox(), corner = await panels.nth(0).locator('.corner').boundingBox();
    await page.mouse.move(corner.x + 8, corner.y + 8);
    await page.mouse.down();
    await page.mouse.move(corner.x + 8 + was.width / 2, corner.y + 8 + 75, { steps: 5 });
    await page.mouse.up();
    await page.locator('.tools').getByRole('button', { name: 'Save' }).click();
    await until(async () => {
      const [p] = (await call('GET', '/api/v1/dashboards/mine')).panels;
      return p.title === 'b' && p.w === 6 && p.h === 4;
    }, 'six wide, four high, the first');
  });
  await check('a saved view gets another title where it stands', async () => {
    await call('POST', '/api/v1/saved', { title: 'old title', params: { q: 'level:error' } });
    await at(page, 'saved');
    await page.getByRole('button', { name: 'Rename old title' }).click();
    await page.getByLabel('New title').fill('new title');
    await page.keyboard.press('Enter');
    await page.getByRole('table', { name: 'Saved views' }).getByRole('link', { name: 'new title' }).waitFor();
    await call('DELETE', '/api/v1/saved/old-title');
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
  await check('health says first whether all is well, and what is to do', async () => {
    await page.locator('.verdict.warn', { hasText: 'refused' }).waitFor();
    await page.getByRole('table', { name: 'Refusals' }).locator('tr', { hasText: 'timestamp' }).waitFor();
    await page.getByRole('img', { name: 'Entries stored per second' }).waitFor();
    await page.getByRole('img', { name: 'Entries of the last hour' }).waitFor();
  });
  await check('health follows by itself', async () => {
    const before = await figure('stored').innerText();
    await put({ agent: 'x', message: 'one more' });
    await until(async () => await figure('stored').innerText() !== before, 'another number');
  });
  await check('nobody answers: one line says so, what is shown stays, and it goes on by itself', async () => {
    const other = await browser.newContext({ viewport: { width: 1300, height: 800 } }), p = await other.newPage();
    await p.goto(`${base}/#/dashboards/overview`);
    await p.locator('.panel', { hasText: 'Errors by agent' }).locator('.shown', { hasText: 'coder' }).waitFor();
    await p.route('**/*', (r) => r.abort());
    await p.getByRole('button', { name: 'Refresh' }).click();
    await p.locator('.unreached', { hasText: 'cannot be reached' }).waitFor();
    await p.locator('.panel', { hasText: 'Errors by agent' }).locator('.shown', { hasText: 'coder' }).waitFor();
    assert.equal(await p.locator('.problem').count(), 0);
    await p.unroute('**/*');
    await becomes(async () => await p.locator('.unreached').count(), 0);
    await other.close();
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
    await p.locator('form input[name=name]').fill('viewer');
    await p.getByLabel('Expires').selectOption('30');
    await p.getByRole('button', { name: 'Make a key' }).click();
    const viewer = await until(async () => {
      const text = await p.locator('.warning code').innerText();
      return text !== secret && text;
    }, 'another key');
    await p.getByRole('table', { name: 'Keys' }).locator('tr', { hasText: 'viewer' }).filter({ hasText: 'in 29d' }).waitFor();
    await mine.close();
    const theirs = await browser.newContext({ httpCredentials: { username: 'any', password: viewer }, viewport: { width: 1300, height: 800 } });
    const v = await theirs.newPage();
    await v.goto(`${base}/#/keys`);
    await v.locator('.problem', { hasText: 'private window' }).waitFor();
    assert.equal(await v.getByRole('button', { name: 'Make a key' }).count(), 0);
    await theirs.close();
  });
  const unexpected = wrong.filter((w) => !/status of 401/.test(w));
  await check('no error of a script, nothing that the policy refused', async () => assert.deepEqual(unexpected, []));
} finally {
  await browser.close();
  rmSync(dir, { recursive: true, force: true });
}
done(45);
