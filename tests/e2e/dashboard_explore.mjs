// Explore in a real browser: node dashboard_explore.mjs URL [FOLDER FOR SCREENSHOTS]. The server has to be empty.
import { readFileSync } from 'node:fs';
import { assert, at, base, becomes, call, check, done, open, params, put, quiet, until, where } from './support.mjs';
import { fleet } from './fleet.mjs';

const { browser, context, page, wrong } = await open({ reducedMotion: 'no-preference' });
const empty = await context.newPage();
const total = async (p = page) => Number((await p.locator('.tools [role=tab]').first().innerText()).replace(/[^0-9]/g, ''));
const rows = page.locator('.rows .row:not(.loading)');
const heads = () => page.locator('.head .name').allInnerTexts();
const cells = (name, p = page) => p.locator(`.rows .row:not(.loading) .${name}`).allInnerTexts();
const run = async (q) => {
  await page.locator('#q').fill(q);
  await page.keyboard.press('Enter');
};
const ask = async (q, more = {}) => await call('POST', '/api/v1/query', { q, start: 'now-24h', limit: 1, total: true, ...more });

try {
  await check('an empty server says how to send something, with commands that hold its own address', async () => {
    await at(empty, 'explore');
    await empty.getByRole('heading', { name: 'Waiting for the first entry' }).waitFor();
    const text = await empty.locator('.code').first().innerText();
    assert.match(text, /^curl .*\/api\/v1\/ingest$/);
    assert.ok(text.includes(base));
  });
  await check('the command it shows works as it stands, and the page fills by itself', async () => {
    const { execFileSync } = await import('node:child_process');
    const commands = await empty.locator('.code').allInnerTexts();
    assert.ok(commands.some((c) => c.includes(`--server-url ${base}/events`)) && commands.some((c) => c.includes(`fleetlog demo --url ${base}`)));
    execFileSync('sh', ['-c', commands[0]], { stdio: 'pipe' });
    await empty.locator('.row', { hasText: 'hello' }).waitFor();
    assert.equal(await empty.locator('.empty').count(), 0);
  });
  await check('the range at first is the shortest one that holds what there is', async () => {
    await empty.reload();
    await becomes(async () => (await empty.locator('#time').innerText()).trim(), 'Last 15 minutes');
    await empty.locator('.row', { hasText: 'hello' }).waitFor();
    const old = new Date(Date.now() - 10 * 86400e3).toISOString();
    await empty.route('**/api/v1/query', async (r) => { /* a server on which nothing came for ten days */
      const b = r.request().postDataJSON();
      if (b.limit !== 1) return r.continue();
      return r.fulfill({ json: { rows: b.start ? [] : [{ timestamp: old }], columns: [], warnings: [] } });
    });
    await empty.reload();
    await becomes(async () => (await empty.locator('#time').innerText()).trim(), 'Last 30 days');
    await empty.close();
  });

  const sent = await fleet() + 1;
  await check('the number of entries is what was sent', async () => {
    await at(page, 'explore');
    await becomes(total, sent);
    assert.equal(await page.title(), 'Explore · fleetlog');
  });
  await check('rows: only those in sight are elements, the newest first', async () => {
    await rows.first().waitFor();
    const n = await page.locator('.row').count();
    assert.ok(n > 10 && n < 100, `${n} elements`);
    assert.equal(Number(await page.locator('.rows').getAttribute('aria-rowcount')), sent);
    const times = await page.locator('.row time').evaluateAll((all) => all.map((e) => [e.closest('.row').ariaRowIndex ?? e.closest('.row').getAttribute('aria-rowindex'), e.title]));
    const sorted = times.sort((a, b) => a[0] - b[0]).map((x) => Date.parse(x[1]));
    assert.deepEqual(sorted, [...sorted].sort((a, b) => b - a));
  });
  await check('scrolled to the end, the oldest entry is there', async () => {
    await page.locator('.rows').evaluate((e) => { e.scrollTop = e.scrollHeight; });
    const oldest = (await ask('*', { order: 'asc' })).rows[0];
    await page.locator(`.row time[title="${oldest.timestamp}"]`).first().waitFor();
    await page.locator('.rows').evaluate((e) => { e.scrollTop = 0; });
  });
  await check('the histogram is drawn in the colours of the levels and its legend names them', async () => {
    await becomes(async () => await page.locator('.legend .pick .what').allInnerTexts(), ['debug', 'info', 'warn', 'error', 'critical'], 'the legend');
    const colours = await page.locator('.plot canvas').evaluate((c) => {
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();
      for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) seen.add(`${d[i]},${d[i + 1]},${d[i + 2]}`);
      const s = getComputedStyle(c), rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.trim().slice(k, k + 2), 16)).join(',');
      return ['info', 'warn', 'error'].map((l) => seen.has(rgb(s.getPropertyValue(`--level-${l}`))));
    });
    assert.deepEqual(colours, [true, true, true]);
  });
  await check('a click in the legend takes only that level, another one all of them', async () => {
    const info = page.locator('.legend .pick', { hasText: 'info' });
    await info.click();
    await becomes(async () => params(page).q, 'level=info');
    await becomes(total, (await ask('level=info')).total);
    await becomes(async () => await page.locator('.legend .pick .what').allInnerTexts(), ['info']);
    assert.equal(await info.getAttribute('aria-pressed'), 'true');
    await info.click();
    await becomes(total, sent);
  });
  await check('a level that is taken out stays in the legend, struck through, to come back; by mouse and by keyboard', async () => {
    await page.locator('.legend .pick', { hasText: 'info' }).click({ modifiers: ['Alt'] });
    await becomes(async () => params(page).q, '-level=info');
    await becomes(total, (await ask('-level=info')).total);
    await page.getByRole('button', { name: 'Without warn', exact: true }).first().focus();
    await page.keyboard.press('Enter');
    await becomes(async () => await page.locator('.legend .off').allInnerTexts(), ['info', 'warn']);
    await page.locator('.legend .off', { hasText: 'info' }).click();
    await page.locator('.legend .off', { hasText: 'warn' }).click();
    await becomes(total, sent);
  });
  await check('the axis has round numbers, and the count of a bar is that of its time', async () => {
    await at(page, 'explore', { from: 'now-24h' });
    await becomes(async () => (await page.locator('#time').innerText()).trim(), 'Last 24 hours');
    await quiet(page);
    const t = await call('GET', '/api/v1/timeline?start=now-24h&by=level'), most = Math.max(...t.buckets.map((b) => b.count));
    const texts = await page.locator('.plot canvas').evaluate((c, most) => {
      /* what is written on the canvas: drawn once more with an ear on it */
      const g = c.getContext('2d'), said = [], fill = g.fillText.bind(g);
      g.fillText = (text, x, y) => { if (x < 60 && !text.includes(':')) said.push(text); fill(text, x, y); };
      dispatchEvent(new Event('resize'));
      c.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: c.getBoundingClientRect().left + 300, clientY: c.getBoundingClientRect().top + 20 }));
      return new Promise((ready) => {
        let frames = 0;
        const look = () => {
          if (said.length < 3 && ++frames < 300) return requestAnimationFrame(look);
          delete g.fillText;
          return ready({ said, most });
        };
        look();
      });
    }, most);
    const numbers = [...new Set(texts.said)].map(Number);
    assert.ok(numbers.length >= 3, JSON.stringify(texts));
    assert.ok(numbers.every((n) => /^(0|[125]0*|[1-9][05]?0*)$/.test(String(n))), numbers.join(' '));
    assert.ok(Math.max(...numbers) <= most * 1.05 && Math.max(...numbers) > most / 2, `${numbers} of ${most}`);
    await page.mouse.move(5, 700);
  });
  await check('over a bar its time and counts are told', async () => {
    const box = await page.locator('.plot').boundingBox();
    await page.mouse.move(box.x + box.width * 0.9, box.y + 40);
    await page.locator('.tip').waitFor();
    assert.match(await page.locator('.tip').innerText(), /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[\s\S]*info/);
    await page.mouse.move(5, 700);
  });

  await check('the time goes on to the present, though no entry came since', async () => {
    await page.route('**/api/v1/timeline?*', async (r) => { /* a server that fell silent an hour ago */
      const answer = await r.fetch(), t = await answer.json();
      const buckets = t.buckets.filter((b) => Date.parse(b.time) < Date.now() - 3600e3);
      await r.fulfill({ json: { ...t, buckets, end: new Date(Date.parse(buckets[buckets.length - 1].time) + t.step_ms).toISOString(), total: 4321 } });
    });
    await at(page, 'explore', { q: 'agent:*', from: 'now-24h' });
    await becomes(total, 4321);
    const box = await page.locator('.plot').boundingBox(), over = async (part) => {
      await page.mouse.move(box.x + 44 + (box.width - 48) * part, box.y + 40);
      return await page.evaluate(() => new Promise((ready) => requestAnimationFrame(() => requestAnimationFrame(() => ready(document.querySelectorAll('.tip').length)))));
    };
    await becomes(async () => await over(0.995), 0, 'nothing is there now');
    await becomes(async () => await over(1 - 5400 / 86400), 1, 'an hour and a half ago it was');
    await page.mouse.move(5, 700);
    await page.unroute('**/api/v1/timeline?*');
  });
  await check('a range that is mostly empty: one click, or z, goes to the time that has entries, Z back out', async () => {
    await at(page, 'explore', { from: 'now-30d' });
    await page.getByRole('button', { name: 'Zoom to data' }).click();
    const ends = [await ask('*', { order: 'asc' }), await ask('*')].map((a) => Date.parse(a.rows[0].timestamp));
    const span = async () => ['from', 'to'].map((k) => Date.parse(params(page)[k]));
    await until(async () => (await span())[0] <= ends[0] && (await span())[1] >= ends[1], 'all of it');
    const [a, b] = await span();
    assert.ok(b - a < (ends[1] - ends[0]) * 1.1, `${b - a} ms`);
    await becomes(total, sent);
    await becomes(async () => await page.getByRole('button', { name: 'Zoom to data' }).count(), 0);
    await page.keyboard.press('Z');
    await until(async () => (await span())[0] < a, 'wider');
    await at(page, 'explore', { from: 'now-7d' });
    await page.getByRole('button', { name: 'Zoom to data' }).waitFor();
    await page.keyboard.press('z');
    await becomes(async () => (await span())[0], a, 'the same place');
    await at(page, 'explore');
  });

  // ---- the query ----
  await check('a query is coloured while it is typed', async () => {
    await page.locator('#q').fill('level:error "timed out" | stats count() by agent');
    for (const [kind, text] of [['field', 'level'], ['string', '"timed out"'], ['pipe', '|'], ['pipename', 'stats'], ['keyword', 'by']])
      await page.locator(`.query pre .t-${kind}`, { hasText: text }).first().waitFor();
    await page.keyboard.press('Escape');
  });
  await check('Enter runs it: the address has it, the rows match, the count is the server\'s', async () => {
    await run('level=error');
    await becomes(async () => params(page).q, 'level=error');
    await becomes(total, (await ask('level=error')).total);
    await until(async () => (await page.locator('.row .level').allInnerTexts()).every((x) => x.toLowerCase() === 'error'), 'only errors');
  });
  await check('a mistake is marked in its place and explained below, with a hint', async () => {
    await run('level:error | stats cuont() by agent');
    await page.locator('.wrongness').waitFor();
    const said = await page.locator('.wrongness').innerText();
    assert.match(said, /cuont/);
    assert.match(said, /count/, 'what was meant');
    assert.equal(await page.locator('.query pre .bad').innerText(), 'cuont');
  });
  await check('a mistake in a filter is marked after text that takes several bytes', async () => {
    await run('agent:Grüße (level:error');
    await page.locator('.query pre .bad').waitFor();
    assert.equal(await page.locator('.query pre .bad').innerText(), '(');
  });
  await check('a mistake at the very end has a mark as well', async () => {
    await run('level:error |');
    await page.locator('.wrongness').waitFor();
    await page.locator('.query pre .bad').waitFor();
  });
  await check('beside a mistake stand queries that work, each a click away', async () => {
    const n = await page.locator('.examples button').count();
    assert.ok(n >= 5, `${n} examples`);
    for (let i = 0; i < n; i++) {
      const text = await page.locator('.examples button').nth(i).innerText();
      await call('POST', '/api/v1/query', { q: text, limit: 1 });
    }
    await page.locator('.examples button', { hasText: 'level:error agent:coder' }).click();
    await becomes(total, (await ask('level:error agent:coder')).total);
    await run('level:error |');
    await page.locator('.wrongness').waitFor();
  });
  await check('Tab takes the completion of a field, then of a value', async () => {
    await page.locator('#q').fill('');
    await page.keyboard.type('lev');
    await page.locator('.completions li.on', { hasText: 'level' }).waitFor();
    await page.keyboard.press('Tab');
    await until(async () => (await page.locator('#q').inputValue()).startsWith('level'), 'completed');
    await page.locator('#q').fill('');
    await page.keyboard.type('agent:rese');
    await page.locator('.completions li.on', { hasText: 'researcher' }).waitFor();
    await page.keyboard.press('Tab');
    await becomes(async () => await page.locator('#q').inputValue(), 'agent:researcher');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'q', 'still in the query');
  });
  await check('completions: arrows choose, Esc closes the list and then leaves the query', async () => {
    await page.locator('#q').fill('');
    await page.keyboard.type('* | s');
    const names = page.locator('.completions .what');
    await until(async () => await names.count() > 1 && (await names.allInnerTexts()).every((t) => t.startsWith('s')), 'the list of all that was typed');
    const first = await page.locator('.completions li.on').innerText();
    await page.keyboard.press('ArrowDown');
    await until(async () => await page.locator('.completions li.on').innerText() !== first, 'another one');
    assert.equal(await page.locator('#q').getAttribute('aria-activedescendant'), 'c1');
    await page.keyboard.press('Escape');
    await becomes(async () => await page.locator('.completions').count(), 0);
    await page.keyboard.press('Escape');
    await until(async () => await page.evaluate(() => document.activeElement.id !== 'q'), 'left');
  });

  await check('the arrow up brings earlier queries, the arrow down what was being written', async () => {
    await run('level=warn');
    await run('level=critical');
    await page.locator('#q').fill('');
    await page.keyboard.press('Escape');
    await page.locator('#q').focus();
    await page.keyboard.press('ArrowUp');
    await becomes(async () => await page.locator('#q').inputValue(), 'level=critical');
    await page.keyboard.press('ArrowUp');
    await becomes(async () => await page.locator('#q').inputValue(), 'level=warn');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await becomes(async () => await page.locator('#q').inputValue(), '');
    await page.keyboard.press('Escape');
  });
  await check('what was searched for is marked in the rows and in the entry, what was excluded is not', async () => {
    const marks = async () => [...new Set((await page.locator('.row mark').allInnerTexts()).map((x) => x.toLowerCase()))].sort();
    await run('*imed* "after 12*" OR retry -read tool:fetch');
    await run('TIMED -retry');
    await becomes(total, (await ask('TIMED -retry')).total);
    await becomes(marks, ['timed']);
    await run('"timed out" OR ret*');
    await becomes(marks, ['retry', 'timed out']);
    await page.keyboard.press('Escape');
    await rows.first().click();
    await page.locator('.detail .message mark').waitFor();
    await run('message:/part_1\\d/');
    await until(async () => (await marks()).length && (await marks()).every((m) => /^part_1\d$/.test(m)), 'those of a regular expression');
    await at(page, 'explore');
    await becomes(marks, []);
  });

  // ---- time ----
  await check('a drag on the histogram zooms: the range is in the address and fewer entries are left', async () => {
    await at(page, 'explore', { from: 'now-24h' });
    await becomes(total, sent);
    const box = await page.locator('.plot').boundingBox();
    await page.mouse.move(box.x + box.width * 0.84, box.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.90, box.y + 50, { steps: 4 });
    await page.mouse.up();
    await until(async () => params(page).to, 'a range');
    const span = Date.parse(params(page).to) - Date.parse(params(page).from);
    assert.ok(span > 3600e3 && span < 3 * 3600e3, `${span} ms`);
    await until(async () => { const n = await total(); return n > 0 && n < sent; }, 'fewer');
  });
  await check('back and forward walk through the ranges', async () => {
    const zoomed = params(page);
    await page.goBack();
    await becomes(total, sent);
    await page.goForward();
    await becomes(async () => params(page), zoomed);
    await until(async () => await total() < sent, 'zoomed again');
  });
  await check('a double click on it widens the range around the same middle', async () => {
    const before = params(page), middle = (Date.parse(before.from) + Date.parse(before.to)) / 2;
    const box = await page.locator('.plot').boundingBox();
    await page.mouse.dblclick(box.x + box.width / 2, box.y + 50);
    await until(async () => params(page).from !== before.from, 'another range');
    const p = params(page), span = Date.parse(p.to) - Date.parse(p.from), was = Date.parse(before.to) - Date.parse(before.from);
    assert.ok(span > was * 1.5, `${was} -> ${span}`);
    assert.ok(Math.abs((Date.parse(p.from) + Date.parse(p.to)) / 2 - middle) < was, 'the same middle');
  });
  await check('the time picker: a preset', async () => {
    await page.locator('#time').click();
    await page.getByRole('button', { name: 'Last hour', exact: true }).click();
    await becomes(async () => params(page).from, 'now-1h');
    assert.equal(params(page).to, undefined);
    await becomes(async () => (await page.locator('#time').innerText()).trim(), 'Last hour');
    await until(async () => Math.abs(await total() - (await ask('*', { start: 'now-1h' })).total) <= 1, 'an hour, which goes on');
  });
  await check('the time picker: from and to', async () => {
    await page.locator('#time').click();
    await page.locator('input[name=from]').fill('2020-01-02T03:04:05');
    await page.locator('input[name=to]').fill('2020-01-03T00:00:01');
    await page.getByRole('button', { name: 'Apply' }).click();
    await becomes(async () => params(page).from, new Date(2020, 0, 2, 3, 4, 5).toISOString());
    assert.match(await page.locator('#time').innerText(), /2020-01-02 03:04:05 → 2020-01-03 00:00:01/);
  });
  await check('nothing in the range: the newest entry that matches is one click away', async () => {
    await page.getByRole('heading', { name: 'Nothing in this range' }).waitFor();
    await page.locator('.empty .link').click();
    await rows.first().waitFor();
  });
  await check('nothing matches at all: it says so and offers to clear the query', async () => {
    await at(page, 'explore', { q: 'agent:nobody-is-called-so' });
    await page.getByRole('heading', { name: 'Nothing matches' }).waitFor();
    await page.getByRole('button', { name: 'Clear the query' }).click();
    await becomes(total, sent);
  });

  // ---- fields ----
  const facet = (name) => page.locator('.facet').filter({ has: page.locator('h3 button[aria-expanded]', { hasText: new RegExp(`[▸▾] ${name}$`) }) }).first();
  const value = (field, text) => facet(field).locator('li button').filter({ has: page.locator('.what', { hasText: new RegExp(`^${text}$`) }) });
  await check('fields with the counts of their values, most frequent first', async () => {
    await value('agent', 'coder').waitFor();
    const shown = await facet('level').locator('li .pick').evaluateAll((all) => all.map((e) => [e.querySelector('.what').textContent, e.querySelector('.n').textContent]));
    const truth = (await call('GET', '/api/v1/fields/level/values?start=now-24h')).values.map((v) => [v.value, v.count < 1000 ? String(v.count) : `${(v.count / 1000).toFixed(1).replace(/\.0$/, '')}k`]);
    assert.deepEqual(shown, truth);
  });
  await check('a click on a value includes it', async () => {
    await value('agent', 'coder').click();
    await becomes(async () => params(page).q, 'agent=coder');
    await becomes(total, (await ask('agent=coder')).total);
    await page.locator('.facet li.on', { hasText: 'coder' }).waitFor();
  });
  await check('with Alt it is excluded', async () => {
    await value('level', 'info').click({ modifiers: ['Alt'] });
    await becomes(async () => params(page).q, 'agent=coder -level=info');
    await becomes(total, (await ask('agent=coder -level=info')).total);
  });
  await check('another click takes it away again', async () => {
    await value('agent', 'coder').click();
    await becomes(async () => params(page).q, '-level=info');
  });
  await check('a field is found by a part of its name and opened', async () => {
    await at(page, 'explore');
    await page.getByRole('searchbox', { name: 'Find a field' }).fill('zone');
    await becomes(async () => await page.locator('.facet').count(), 1);
    await page.locator('.facet h3 button').first().click();
    await page.locator('.facet li button', { hasText: 'z1' }).waitFor();
  });
  await check('a value of a nested field with dots filters', async () => {
    await page.locator('.facet li button', { hasText: 'z1' }).click();
    await becomes(async () => params(page).q, 'region.zone=z1');
    await becomes(total, (await ask('region.zone=z1')).total);
    assert.ok(await total() > 100);
  });

  await check('values have their share; plus and minus are there for the keyboard', async () => {
    await at(page, 'explore');
    await page.getByRole('searchbox', { name: 'Find a field' }).fill('');
    const truth = await call('GET', '/api/v1/fields/agent/values?start=now-24h');
    await value('agent', 'coder').waitFor();
    const n = truth.values.find((v) => v.value === 'coder').count;
    assert.equal(await value('agent', 'coder').locator('.share').innerText(), `${Math.round((n / truth.present) * 100)}%`);
    await facet('agent').getByRole('button', { name: 'Without coder', exact: true }).focus();
    await page.keyboard.press('Enter');
    await becomes(async () => params(page).q, '-agent=coder');
    await facet('agent').locator('li.out', { hasText: 'coder' }).waitFor();
    await facet('agent').getByRole('button', { name: 'Only planner', exact: true }).focus();
    await page.keyboard.press('Enter');
    await becomes(async () => params(page).q, '-agent=coder agent=planner');
  });
  await check('another value of the same field takes the place of the one that was chosen', async () => {
    await at(page, 'explore', { q: 'agent=planner' });
    await value('agent', 'reviewer').click();
    await becomes(async () => params(page).q, 'agent=reviewer');
    await becomes(total, (await ask('agent=reviewer')).total);
    await value('agent', 'coder').waitFor();
  });
  await check('next to OR, AND and NOT a value is added to the whole, and nothing breaks', async () => {
    for (const q of ['agent=coder OR agent=planner', 'NOT agent=coder', 'level:warn AND agent=planner']) {
      await at(page, 'explore', { q });
      await value('agent', 'planner').click();
      await becomes(async () => params(page).q, `(${q}) agent=planner`);
      await becomes(total, (await ask(`(${q}) agent=planner`)).total);
      await value('agent', 'planner').click();
      await becomes(async () => params(page).q, `(${q})`);
      assert.equal(await page.locator('.wrongness').count(), 0);
    }
  });
  await check('the rest of the values can be opened', async () => {
    await at(page, 'explore');
    await facet('session_id').locator('h3 button').first().click();
    const list = facet('session_id').locator('.pick');
    await until(async () => await list.count() === 8, 'the first ones');
    await facet('session_id').getByRole('button', { name: /more values/ }).click();
    await until(async () => await list.count() === 14, 'all of them');
  });
  await check('a number has a range: from, to, and its percentiles', async () => {
    await facet('duration_ms').locator('h3 button').first().click();
    await page.locator('.facet .many', { hasText: /\d+ different values/ }).waitFor();
    await page.getByLabel('At least duration_ms').fill('500');
    await page.getByLabel('At least duration_ms').press('Enter');
    await becomes(async () => params(page).q, 'duration_ms>=500');
    await becomes(total, (await ask('duration_ms>=500')).total);
    await page.getByLabel('At most duration_ms').fill('800');
    await page.getByLabel('At most duration_ms').press('Enter');
    await becomes(async () => params(page).q, 'duration_ms>=500 duration_ms<=800');
    await page.getByRole('button', { name: 'Any duration_ms' }).click();
    await becomes(async () => params(page).q, undefined);
    await facet('duration_ms').getByRole('button', { name: /^p95/ }).click();
    await until(async () => { const n = await total(), all = (await ask('duration_ms:*')).total; return n > all * 0.03 && n < all * 0.07; }, 'one in twenty');
  });

  // ---- columns ----
  await check('a column is added from the fields and kept in the address', async () => {
    await at(page, 'explore');
    await page.getByRole('searchbox', { name: 'Find a field' }).fill('env');
    await page.getByRole('button', { name: 'Column env', exact: true }).click();
    await becomes(heads, ['time', 'level', 'agent', 'env', 'message']);
    assert.match(params(page).cols, /env~\d+/);
    await page.locator('.row .c-x', { hasText: 'production' }).first().waitFor();
  });
  await check('the border of a column can be dragged', async () => {
    const head = page.locator('[role=columnheader]', { hasText: 'env' }), before = (await head.boundingBox()).width;
    const grip = await head.locator('.grip').boundingBox();
    await page.mouse.move(grip.x + 4, grip.y + 10);
    await page.mouse.down();
    await page.mouse.move(grip.x + 94, grip.y + 10, { steps: 5 });
    await page.mouse.up();
    const after = (await head.boundingBox()).width;
    assert.ok(Math.abs(after - before - 90) < 3, `${before} -> ${after}`);
    assert.equal(Number(/env~(\d+)/.exec(params(page).cols)[1]), Math.round(after));
  });
  await check('a column can be dragged before another', async () => {
    await page.locator('[role=columnheader]', { hasText: 'env' }).dragTo(page.locator('[role=columnheader]', { hasText: 'level' }));
    await becomes(heads, ['time', 'env', 'level', 'agent', 'message']);
    assert.match(params(page).cols, /timestamp~\d+!env~\d+!level/);
  });
  await check('the same address in another tab shows the same columns and rows', async () => {
    const other = await context.newPage();
    await other.goto(page.url());
    await other.locator('.row:not(.loading)').first().waitFor();
    assert.deepEqual(await other.locator('.head .name').allInnerTexts(), ['time', 'env', 'level', 'agent', 'message']);
    assert.deepEqual((await cells('c-message', other)).slice(0, 10), (await cells('c-message')).slice(0, 10));
    await other.close();
  });
  await check('a column is taken away', async () => {
    await page.locator('[role=columnheader]', { hasText: 'env' }).hover();
    await page.getByRole('button', { name: 'Take the column env away' }).click();
    await becomes(heads, ['time', 'level', 'agent', 'message']);
    assert.equal(params(page).cols, undefined);
  });

  const headOf = (name) => page.locator('[role=columnheader]').filter({ has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }) });
  await check('columns by keyboard: moved, sized, taken away', async () => {
    await at(page, 'explore', { cols: 'timestamp~98!level~56!env~90!agent~110!message~0' });
    await headOf('env').locator('.title').focus();
    await page.keyboard.press('Shift+ArrowLeft');
    await becomes(heads, ['time', 'env', 'level', 'agent', 'message']);
    await headOf('env').getByRole('separator').focus();
    await page.keyboard.press('ArrowRight');
    await becomes(async () => /env~(\d+)/.exec(params(page).cols)[1], '100');
    await headOf('env').locator('.title').focus();
    await page.keyboard.press('Delete');
    await becomes(heads, ['time', 'level', 'agent', 'message']);
  });
  await check('a pinned column stays when the rows are scrolled sideways', async () => {
    await at(page, 'explore', { cols: 'timestamp~98!level~56!agent~600!env~600!message~0' });
    await headOf('level').locator('.title').click();
    await page.getByRole('button', { name: 'Pin', exact: true }).click();
    await becomes(heads, ['level', 'time', 'agent', 'env', 'message']);
    assert.match(params(page).cols, /^level~56p!/);
    const x = async (what) => Math.round((await what.boundingBox()).x);
    const level = page.locator('.row:not(.loading) .pinned').first(), time = page.locator('.row:not(.loading) .c-time').first();
    const [a, b] = [await x(level), await x(time)];
    await page.locator('.rows').evaluate((e) => { e.scrollLeft = 300; });
    await until(async () => await x(time) === b - 300, 'scrolled');
    assert.ok(Math.abs(await x(level) - a) <= 15, 'only its margin is gone');
    await at(page, 'explore');
  });
  await check('oldest first', async () => {
    await headOf('time').locator('.title').click();
    await page.getByRole('button', { name: 'Oldest first' }).click();
    await becomes(async () => params(page).order, 'asc');
    const first = (await ask('*', { order: 'asc' })).rows[0].timestamp;
    await becomes(async () => await page.locator('.row time').first().getAttribute('title'), first);
    assert.equal(await headOf('time').getAttribute('aria-sort'), 'ascending');
    await headOf('time').locator('.title').click();
    await page.keyboard.press('Enter');
    await becomes(async () => params(page).order, undefined);
  });
  await check('a wrapped row is as tall as its text, and no two lie over each other', async () => {
    await put({ agent: 'wordy', message: Array.from({ length: 6 }, (_, i) => `line ${i} of a text`).join('\n') }, { agent: 'wordy', message: 'short' });
    await at(page, 'explore', { q: 'agent:wordy OR level=critical' });
    await page.keyboard.press('w');
    await page.locator('.row.wrap', { hasText: 'line 0' }).waitFor();
    const boxes = async () => (await page.locator('.row:not(.loading)').evaluateAll((all) => all.map((e) => [Number(e.getAttribute('aria-rowindex')), e.getBoundingClientRect().top, e.offsetHeight])))
      .sort((a, b) => a[0] - b[0]);
    await until(async () => {
      const all = await boxes();
      return Math.max(...all.map((b) => b[2])) >= 6 * 17 && Math.min(...all.map((b) => b[2])) < 30
        && all.every((b, i) => !i || Math.abs(all[i - 1][1] + all[i - 1][2] - b[1]) < 1);
    }, 'one below the other');
    await page.keyboard.press('w');
    await until(async () => new Set((await boxes()).map((b) => b[2])).size === 1, 'all alike again');
  });
  await check('d: more room between the lines, and less', async () => {
    const height = async () => await rows.first().evaluate((e) => e.offsetHeight);
    const before = await height();
    await page.keyboard.press('d');
    await until(async () => await height() > before, 'more room');
    await page.getByRole('button', { name: 'Compact' }).click();
    await becomes(height, before);
    await page.getByRole('button', { name: 'Compact' }).blur();
  });
  await check('c copies the entry that is chosen, the button in a row that one', async () => {
    const clip = async () => { try { return JSON.parse(await page.evaluate(() => navigator.clipboard.readText())); } catch { return {}; } };
    await at(page, 'explore', { q: 'level=critical' });
    await becomes(total, (await ask('level=critical')).total);
    await rows.first().waitFor();
    await page.keyboard.press('j');
    await page.locator('.row.on').waitFor();
    await page.keyboard.press('c');
    const list = (await call('POST', '/api/v1/query', { q: 'level=critical', start: 'now-24h', limit: 3 })).rows;
    await becomes(async () => (await clip()).id, list[0].id);
    await rows.nth(2).hover();
    await rows.nth(2).getByRole('button', { name: 'Copy the entry as JSON' }).click();
    await becomes(async () => (await clip()).id, list[2].id);
    assert.equal(await page.locator('.detail').count(), 0, 'and opens nothing');
  });

  // ---- an entry ----
  const detail = page.locator('.detail');
  const key = (name) => detail.locator('.node').filter({ has: page.locator('.key', { hasText: new RegExp(`^${name}$`) }) });
  await check('a click on a row opens it as a tree, nested values and all', async () => {
    await at(page, 'explore', { q: 'region.zone=z2 level:info' });
    await rows.first().click();
    await key('zone').waitFor();
    assert.match(await key('zone').innerText(), /z2/);
    assert.match(await key('host name').innerText(), /box \d/);
    assert.match(await key('tags').innerText(), /\[2\]/);
    assert.equal(params(page).open, (await ask('region.zone=z2 level:info')).rows[0].id);
  });
  await check('a key folds and opens', async () => {
    await key('region').getByRole('button', { name: 'Fold region' }).click();
    await becomes(async () => await key('zone').count(), 0);
    await key('region').getByRole('button', { name: 'Open region' }).click();
    await key('zone').waitFor();
  });
  await check('copy on a key puts its value on the clipboard', async () => {
    await key('zone').hover();
    await key('zone').getByRole('button', { name: 'Copy region.zone' }).click();
    await becomes(async () => await page.evaluate(() => navigator.clipboard.readText()), 'z2');
  });
  await check('a key as a column', async () => {
    await key('zone').hover();
    await key('zone').getByRole('button', { name: 'Column region.zone' }).click();
    await becomes(heads, ['time', 'level', 'agent', 'region.zone', 'message']);
    await page.locator('.row .c-x', { hasText: 'z2' }).first().waitFor();
  });
  await check('filter on a key with a blank in its name, and a value with quotes', async () => {
    await key('build name').hover();
    await key('build name').getByRole('button', { name: 'Only build name with this value' }).click();
    await until(async () => params(page).q.includes('nightly'), 'the term');
    await becomes(total, (await ask(params(page).q)).total);
    assert.ok(await total() > 0, params(page).q);
    assert.equal(await page.locator('.wrongness').count(), 0);
  });
  await check('exclude on a key', async () => {
    await at(page, 'explore', { q: 'level:warn' });
    await rows.first().click();
    const env = /production|staging/.exec(await key('env').innerText())[0];
    await key('env').hover();
    await key('env').getByRole('button', { name: 'Without this value of env' }).click();
    await becomes(async () => params(page).q, `level:warn -env=${env}`);
    await becomes(total, (await ask(`level:warn -env=${env}`)).total);
  });
  await check('around it: the entries before and after in the same session, more on demand', async () => {
    await at(page, 'explore', { q: 'event:heartbeat session_id:s-talk' });
    await rows.first().click();
    await detail.getByRole('tab', { name: 'Around it' }).click();
    const lines = detail.locator('.context .line');
    await detail.locator('.context .line.on', { hasText: 'still here' }).waitFor();
    const n = await lines.count();
    assert.ok(n >= 8, `${n} lines`);
    assert.match((await lines.allInnerTexts()).join('\n'), /Please fix the failing test[\s\S]*still here[\s\S]*one too high/);
    await at(page, 'explore', { q: 'session_id:s-3 level:warn' });
    await rows.first().click();
    await detail.getByRole('tab', { name: 'Around it' }).click();
    await lines.first().waitFor();
    const few = await lines.count();
    await detail.getByRole('button', { name: 'More around it' }).click();
    await until(async () => await lines.count() > few, 'more');
  });
  await check('the entry as JSON', async () => {
    await detail.getByRole('tab', { name: 'JSON' }).click();
    const parsed = JSON.parse(await detail.locator('pre.json').innerText());
    assert.equal(parsed.level, 'warn');
    assert.equal(parsed.session_id, 's-3');
  });
  await check('its link leads to it, for anybody', async () => {
    await detail.getByRole('button', { name: 'Copy a link' }).click();
    const link = await until(async () => { const t = await page.evaluate(() => navigator.clipboard.readText()); return t.includes('#/entry/') && t; }, 'a link');
    const other = await context.newPage();
    await other.goto(link);
    await other.locator('.detail .message').waitFor();
    assert.equal(await other.locator('.detail .message').innerText(), await detail.locator('.message').innerText());
    await other.close();
  });
  await check('links to its trace and its session', async () => {
    await at(page, 'explore', { q: 'operation:research' });
    await rows.first().click();
    assert.equal(await detail.getByRole('link', { name: 'Trace' }).getAttribute('href'), '#/traces/t-release');
    assert.equal(await detail.getByRole('link', { name: 'Session' }).getAttribute('href'), '#/sessions/s-talk');
    await detail.getByRole('link', { name: 'Trace' }).click();
    await page.locator('.waterfall').waitFor();
    await page.goBack();
    await rows.first().waitFor();
  });

  await check('the values of a key, with their shares, where it stands', async () => {
    await at(page, 'explore', { q: 'level=warn' });
    await rows.first().click();
    await key('tool').hover();
    await key('tool').getByRole('button', { name: 'Values of tool' }).click();
    await becomes(async () => await detail.locator('.stats .what').allInnerTexts(), ['fetch']);
    assert.equal(await detail.locator('.stats .share').innerText(), '100%');
  });
  await check('JSON that was sent as a text is a tree, or the text; a long array and a long text are opened by parts', async () => {
    await put({ agent: 'nester', message: '{"step":{"name":"deep"},"ok":true}', output: JSON.stringify({ found: [1, 2, { at: 'line 7' }] }),
      many: Array.from({ length: 300 }, (_, i) => i), long: 'x'.repeat(5000) });
    await at(page, 'explore', { q: 'agent:nester' });
    await rows.first().click();
    await detail.locator('.message .key', { hasText: 'step' }).waitFor();
    await detail.locator('.message').getByRole('button', { name: 'as text' }).click();
    await detail.locator('.message', { hasText: '{"step"' }).waitFor();
    await detail.locator('.body .key', { hasText: 'found' }).waitFor();
    await detail.getByRole('button', { name: '3,000 more characters' }).waitFor();
    await key('many').getByRole('button', { name: 'Open many' }).click();
    await detail.getByRole('button', { name: '200 more', exact: true }).click();
    await becomes(async () => await detail.locator('.index', { hasText: /^299$/ }).count(), 1);
  });
  await check('around it: by session, trace or agent, and in the list', async () => {
    await at(page, 'explore', { q: 'event:heartbeat session_id:s-talk' });
    await rows.first().click();
    await detail.getByRole('tab', { name: 'Around it' }).click();
    await detail.getByLabel('Around it in the same').selectOption('agent');
    await until(async () => { const all = await detail.locator('.context .line b').allInnerTexts(); return all.length > 10 && all.every((x) => x === 'coder'); }, 'the same agent');
    const n = await detail.locator('.context .line').count();
    await detail.getByRole('link', { name: 'Show in the list' }).click();
    await becomes(async () => params(page).q, 'agent=coder');
    await becomes(total, n);
  });

  // ---- keys ----
  await check('j and k walk, Enter opens, Esc closes', async () => {
    await at(page, 'explore', { q: 'level:error' });
    await becomes(total, (await ask('level:error')).total);
    await quiet(page);
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    await becomes(async () => await page.locator('.row.on').getAttribute('aria-rowindex'), '2');
    await page.keyboard.press('Enter');
    await detail.waitFor();
    const id = params(page).open;
    assert.equal(id, (await ask('level:error', { limit: 2 })).rows[1].id);
    const first = await detail.locator('.message').innerText();
    await page.keyboard.press('j');
    await until(async () => await detail.locator('.message').innerText() !== first, 'the next entry');
    await page.keyboard.press('Escape');
    await becomes(async () => await detail.count(), 0);
    await put({ agent: 'late', level: 'error', message: 'one more' });
    await at(page, 'explore', { q: 'level:error', open: id });
    await page.reload();
    await becomes(async () => await page.locator('.row.on').getAttribute('aria-rowindex'), '3', 'the same entry, one further down');
    await at(page, 'explore', { q: 'level:warn -level:error', open: id });
    await detail.locator('.message', { hasText: first }).waitFor();
    assert.equal(await page.locator('.row.on').count(), 0, 'it is none of these');
    await at(page, 'explore', { q: 'level:error' });
    await becomes(async () => await detail.count(), 0);
    await rows.first().waitFor();
  });
  await check('Enter on a button that has the focus presses that button', async () => {
    const wrapping = page.getByRole('button', { name: 'Wrap' });
    await wrapping.focus();
    await page.keyboard.press('Enter');
    await becomes(async () => await wrapping.getAttribute('aria-pressed'), 'true');
    assert.equal(await detail.count(), 0);
    await page.keyboard.press('Enter');
    await becomes(async () => await wrapping.getAttribute('aria-pressed'), 'false');
    await wrapping.blur();
  });
  await check('w wraps, f hides the fields, t opens the time, / goes to the query', async () => {
    await page.keyboard.press('w');
    await page.locator('.row.wrap').first().waitFor();
    await page.keyboard.press('w');
    await page.keyboard.press('f');
    await becomes(async () => await page.locator('.facets').count(), 0);
    await page.keyboard.press('f');
    await page.locator('.facets').waitFor();
    await page.keyboard.press('t');
    await page.getByRole('dialog', { name: 'Time range' }).waitFor();
    await page.keyboard.press('Escape');
    await becomes(async () => await page.getByRole('dialog', { name: 'Time range' }).count(), 0);
    await page.keyboard.press('/');
    await becomes(async () => await page.evaluate(() => document.activeElement.id), 'q');
    await page.keyboard.press('Escape');
  });
  await check('r brings what came since', async () => {
    const before = await total();
    await put({ agent: 'late', level: 'error', message: 'a late one' });
    await page.keyboard.press('r');
    await becomes(total, before + 1);
    await page.locator('.row', { hasText: 'a late one' }).waitFor();
  });

  // ---- tables, patterns, export ----
  await check('a query with pipes is a table; a click on a header sorts it', async () => {
    await run('level:info | stats count() as n, p95(duration_ms) as p95 by agent | sort by agent');
    const column = async (i) => await page.locator(`td:nth-child(${i})`).allInnerTexts();
    await page.locator('td').first().waitFor();
    const names = await column(1);
    assert.deepEqual(names, [...names].sort());
    assert.ok(names.includes('researcher'));
    await page.getByRole('columnheader', { name: 'n', exact: true }).getByRole('button').click();
    const counts = (await column(2)).map((x) => Number(x.replace(/,/g, '')));
    assert.deepEqual(counts, [...counts].sort((a, b) => b - a));
    assert.equal(await page.locator('th').nth(1).getAttribute('aria-sort'), 'descending');
  });
  await check('patterns: a few lines for all entries, with their shares', async () => {
    await at(page, 'explore', { q: 'level:info tool:read_file' });
    await page.getByRole('tab', { name: 'Patterns' }).click();
    await until(async () => (await page.locator('td').allInnerTexts()).some((x) => /read .* in /.test(x)), 'a pattern');
    const n = await page.locator('tbody tr').count();
    assert.ok(n < 20, `${n} patterns`);
    assert.equal(params(page).view, 'patterns');
    const first = page.locator('tbody tr').first();
    assert.match(await first.locator('.part').innerText(), /^\d+\.\d %$/);
    await first.locator('.spark rect').first().waitFor();
    assert.match(await first.locator('.levels').getAttribute('aria-label'), /^info \d/);
  });
  await check('a pattern leads to its entries', async () => {
    await page.locator('tbody tr').first().click();
    await until(async () => params(page).view === undefined, 'rows again');
    await rows.first().waitFor();
    assert.ok(await total() > 100, `${await total()} entries of ${params(page).q}`);
  });
  await check('the histogram can be split by any field, attributes too, in the same colours as before', async () => {
    await at(page, 'explore');
    const by = page.getByLabel('Split the histogram by');
    await by.selectOption('agent');
    await becomes(async () => params(page).by, 'agent');
    const colour = async (name) => await page.locator('.legend .key', { hasText: name }).first().locator('.dot').evaluate((e) => e.style.background);
    await page.locator('.legend .pick', { hasText: 'researcher' }).waitFor();
    const before = await colour('researcher');
    await page.locator('.legend .pick', { hasText: 'coder' }).click({ modifiers: ['Alt'] });
    await becomes(async () => params(page).q, '-agent=coder');
    await page.locator('.legend .off', { hasText: 'coder' }).waitFor();
    assert.equal(await colour('researcher'), before);
    await at(page, 'explore');
    await by.selectOption('region.zone');
    await until(async () => (await page.locator('.legend .what').allInnerTexts()).includes('z3'), 'the zones');
    assert.equal(await page.locator('.legend .key', { hasText: 'without' }).count(), 1, 'and the entries that have none');
  });
  await check('a timeline is drawn above its table, other tables when asked for', async () => {
    await at(page, 'explore', { q: '* | timeline 1h by level' });
    await page.locator('.above .chart canvas').waitFor();
    await page.locator('.tabular td').first().waitFor();
    await page.getByRole('button', { name: 'Chart' }).click();
    await becomes(async () => await page.locator('.above').count(), 0);
    assert.equal(params(page).chart, 'no');
    await at(page, 'explore', { q: '* | stats count() as n by agent' });
    await page.getByRole('button', { name: 'Chart' }).click();
    await page.locator('.above .bars li', { hasText: 'coder' }).waitFor();
    assert.equal(params(page).chart, 'yes');
  });
  await check('entries that pipes picked are rows that can be opened', async () => {
    await at(page, 'explore', { q: 'duration_ms:* | sort by duration_ms desc | limit 7' });
    await becomes(async () => await page.locator('.found').innerText(), '7 entries');
    await becomes(async () => await rows.count(), 7);
    await rows.first().click();
    await key('duration_ms').waitFor();
    assert.match(await key('duration_ms').innerText(), /420000/);
  });
  const saved = async (name) => {
    const [download] = await Promise.all([page.waitForEvent('download'), (async () => {
      await page.getByRole('button', { name: 'Export' }).click();
      await page.getByRole('link', { name }).click();
    })()]);
    return readFileSync(await download.path(), 'utf8');
  };
  await check('export says how many rows; the query as a command for curl and for fleetlog does the same', async () => {
    const { execFileSync } = await import('node:child_process');
    await at(page, 'explore', { q: "level=error OR agent:\"it's\"" });
    const n = (await ask('level=error')).total;
    await becomes(total, n);
    const clip = async (what) => {
      await page.getByRole('button', { name: 'Export' }).click();
      await page.locator('.export .menu', { hasText: `${n} rows` }).waitFor();
      await page.getByRole('button', { name: `Copy as ${what}` }).click();
      return await until(async () => { const t = await page.evaluate(() => navigator.clipboard.readText()); return t.startsWith(what.split(' ')[0]) && t; }, what);
    };
    const sh = (text) => execFileSync('sh', ['-c', text], { encoding: 'utf8' });
    const answer = JSON.parse(sh(await clip('curl')));
    assert.ok(answer.rows.length > 10 && answer.rows.every((r) => r.level === 'error'), JSON.stringify(answer).slice(0, 200));
    const bin = process.env.FLEETLOG_BIN;
    const command = await clip('fleetlog command');
    if (bin) assert.match(sh(command.replace(/^fleetlog/, bin)), /ERROR/i);
  });
  await check('export as NDJSON: every entry of the query and range', async () => {
    await at(page, 'explore', { q: 'level=error' });
    await becomes(total, (await ask('level=error')).total);
    const lines = (await saved('NDJSON')).trim().split('\n').map((x) => JSON.parse(x));
    assert.equal(lines.length, await total());
    assert.ok(lines.every((x) => x.level === 'error'));
  });
  await check('export as CSV', async () => {
    const lines = (await saved('CSV')).trim().split(/\r?\n/);
    assert.match(lines[0], /timestamp/);
    assert.ok(lines.length >= await total());
  });
  await check('a server that goes away is told, not hidden', async () => {
    await context.route('**/api/v1/**', (r) => r.abort());
    await run('level:warn');
    await page.getByRole('alert').filter({ hasText: 'cannot be reached' }).first().waitFor();
    await context.unroute('**/api/v1/**');
    await page.keyboard.press('Escape');
    await run('level:critical');
    await becomes(total, (await ask('level:critical')).total);
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  // ---- keys of any name ----
  const odd = { 'host name': 'h1', 'a.b': 'h2', '': 'h3', '`': 'h4', 'back\\slash': 'h5', 'new\nline': 'h6', 'größe': 'h7', '\u202eturn': 'h8',
    '5k': 'h9', after: 'h10', '~!%': 'h11', agent: 'h12', '| count': 'h13' };
  const all = Object.values(odd);
  await check('each odd key of an object is filtered by and shown as a column', async () => {
    await put({ message: 'odd keys', agent: 'odd', deep: odd }, { message: 'flat keys', agent: 'odd', 'deep.a.b': 'no', ...odd, agent: 'odd' });
    for (const value of all) {
      await at(page, 'explore', { q: 'agent:odd "odd keys"' });
      await rows.first().click();
      const node = detail.locator('.node', { has: page.locator('.v', { hasText: new RegExp(`^${value}$`) }) });
      await node.hover();
      await node.getByRole('button', { name: /^Column/ }).click();
      await page.locator('.row .c-x', { hasText: new RegExp(`^${value}$`) }).first().waitFor();
      await node.getByRole('button', { name: /^Only/ }).click();
      await until(async () => params(page).q.includes(value), `the term of ${value}`);
      await becomes(total, 1, params(page).q);
      assert.equal(await page.locator('.wrongness').count(), 0, params(page).q);
      await page.reload();
      await page.locator('.row .c-x', { hasText: new RegExp(`^${value}$`) }).first().waitFor();
    }
  });
  await check('a key that cannot be seen in the query is written as an escape', async () => {
    await at(page, 'explore', { q: 'agent:odd "odd keys"' });
    await rows.first().click();
    const node = detail.locator('.node', { has: page.locator('.v', { hasText: /^h8$/ }) });
    await node.hover();
    await node.getByRole('button', { name: /^Only/ }).click();
    await until(async () => (await page.locator('#q').inputValue()).includes('deep.`\\u202eturn`=h8'), 'the escape');
  });
  await check('the fields beside the rows name such keys, and their values filter', async () => {
    await at(page, 'explore', { q: 'agent:odd' });
    const side = page.locator('.facets');
    await side.getByLabel('Find a field').fill('host name');
    const facet = side.locator('.facet', { hasText: 'deep.`host name`' });
    await facet.getByRole('button').first().click();
    await facet.locator('li button', { hasText: 'h1' }).click();
    await becomes(async () => params(page).q, 'agent:odd deep.`host name`=h1');
    await becomes(total, 1);
    await facet.locator('li.on .pick').click();
    await becomes(async () => params(page).q, 'agent:odd');
  });
  await check('a key inside an array of objects: any element counts', async () => {
    await put({ message: 'steps', agent: 'odd', steps: [{ tool: 'grep', ms: 3 }, { tool: 'sed run', ms: null }] });
    await at(page, 'explore', { q: 'agent:odd steps' });
    await rows.first().click();
    const node = (text) => detail.locator('.node', { has: page.locator('.v', { hasText: new RegExp(`^${text}$`) }) });
    await node('sed run').hover();
    await node('sed run').getByRole('button', { name: /^Column/ }).click();
    await page.locator('.row .c-x', { hasText: 'grep' }).first().waitFor();
    assert.equal(await node('null').getByRole('button', { name: /^Only/ }).count(), 0);
    await node('sed run').getByRole('button', { name: /^Only/ }).click();
    await becomes(async () => params(page).q, 'agent:odd steps steps.tool="sed run"');
    await becomes(total, 1);
  });
  await quiet(page);
  const unexpected = wrong.filter((w) => !/net::ERR_FAILED/.test(w));
  await check('no error of a script, nothing that the policy refused', async () => assert.deepEqual(unexpected, []));
  assert.ok(where(page));
} finally {
  await browser.close();
}
done(84);
