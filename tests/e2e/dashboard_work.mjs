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
done(25);
