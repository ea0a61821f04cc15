// Live in a real browser: node dashboard_live.mjs URL [FOLDER FOR SCREENSHOTS]. The server has to be empty;
// a line `>restart` on the output asks for it to be killed and started again.
import { createInterface } from 'node:readline';
import { assert, at, becomes, call, check, done, open, params, put, shot, until } from './support.mjs';
import { fleet } from './fleet.mjs';

const { browser, context, page, wrong } = await open({ reducedMotion: 'no-preference' });
const lines = page.locator('.tail .line');
const state = page.locator('.state');
const tail = page.locator('.tail');
const texts = async () => await lines.allInnerTexts();
const line = (text) => page.locator('.tail .line', { hasText: text });
const atEnd = async () => await tail.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight < 4);
const many = (n, make) => Array.from({ length: n }, (_, i) => make(i));
const lanes = async () => await page.locator('.lane').evaluateAll((all) => all.map((e) => e.dataset.agent));
const pause = page.getByRole('button', { name: /^(Pause|Resume)$/ });

/** How many pixels of the lanes' canvas inside [x0, x1) x [y0, y1), CSS pixels, have a colour that `is` takes. */
async function pixels(x0, y0, x1, y1, is) {
  return await page.locator('.lanebox canvas').evaluate((c, [a, b, d, e, f]) => {
    const k = devicePixelRatio, data = c.getContext('2d').getImageData(a * k, b * k, (d - a) * k, (e - b) * k).data;
    const test = new Function('r', 'g', 'b', 'a', `return ${f}`);
    let n = 0;
    for (let i = 0; i < data.length; i += 4) if (test(data[i], data[i + 1], data[i + 2], data[i + 3])) n++;
    return n;
  }, [x0, y0, x1, y1, is]);
}

/** The strip of a lane on the canvas, right of the names: left, top, right, bottom. */
async function strip(agent) {
  const lane = await page.locator(`.lane[data-agent=${agent}]`).first().boundingBox(), canvas = await page.locator('.lanebox canvas').boundingBox();
  return [lane.width + 2, lane.y - canvas.y, canvas.width, lane.y - canvas.y + lane.height];
}

/** Along a line of pixels through a lane, `down` of its height: how often it changes between paint and ground, from
 *  where to where there is any, and the longest stretch that is wholly covered. */
async function across(agent, down) {
  const [left, top, , bottom] = await strip(agent);
  return await page.locator('.lanebox canvas').evaluate((c, [x0, y]) => {
    const k = devicePixelRatio, d = c.getContext('2d').getImageData(0, Math.round(y * k), c.width, 1).data;
    let changes = 0, last = -1, first = -1, end = -1, run = 0, most = 0;
    for (let x = Math.round(x0 * k); x < c.width; x++) {
      const a = d[x * 4 + 3], on = a > 200 ? 1 : 0;
      if (a > 20) { if (first < 0) first = x; end = x; }
      if (on !== last) changes++;
      last = on;
      run = on ? run + 1 : 0;
      most = Math.max(most, run);
    }
    return { changes, first, end, width: end - first, most };
  }, [left, top + (bottom - top) * down]);
}

const lane = (agent) => page.locator(`.lane[data-agent=${agent}]`);

try {
  await check('live on an empty server: how to send something, then the first entry', async () => {
    await at(page, 'live');
    await page.getByRole('heading', { name: 'Waiting for the first entry' }).waitFor();
    await put({ agent: 'planner', message: 'the very first' });
    await line('the very first').waitFor();
    await becomes(async () => await page.locator('.empty').count(), 0);
  });
  await fleet();
  await check('what was there before is shown, and it says that it is live', async () => {
    await page.reload();
    await becomes(async () => await state.innerText(), 'live');
    await becomes(async () => await lines.count(), 200);
    await until(atEnd, 'the newest in sight');
  });
  await check('entries come as they are written, the newest at the end and in sight', async () => {
    await put({ agent: 'coder', level: 'error', message: 'it broke' }, { agent: 'planner', level: 'warn', message: 'second look' });
    await line('second look').waitFor();
    assert.match((await texts()).at(-1), /second look/);
    assert.match(await line('it broke').getAttribute('class'), /error/);
    await until(atEnd, 'the newest in sight');
  });
  await check('scrolling up pauses; what comes meanwhile is counted in a pill and waits', async () => {
    await tail.hover();
    await page.mouse.wheel(0, -900);
    await becomes(async () => await pause.innerText(), 'Resume');
    await put(...many(7, (i) => ({ agent: 'coder', message: `while away ${i}` })));
    await page.locator('.pill', { hasText: '+7 new' }).waitFor();
    assert.equal(await line('while away').count(), 0);
    await put({ agent: 'coder', message: 'one more while away' });
    await page.locator('.pill', { hasText: '+8 new' }).waitFor();
  });
  await check('the place in the list stays while it is paused', async () => {
    const top = await tail.evaluate((e) => e.scrollTop);
    await put({ agent: 'coder', message: 'and another' });
    await page.locator('.pill', { hasText: '+9 new' }).waitFor();
    assert.equal(await tail.evaluate((e) => e.scrollTop), top);
  });
  await check('the pill resumes: all of it is there, in order, at the end', async () => {
    await page.locator('.pill').click();
    await line('while away 6').waitFor();
    const t = (await texts()).slice(-9).join('\n');
    assert.match(t, /while away 0[\s\S]*while away 6[\s\S]*one more while away[\s\S]*and another/);
    await until(atEnd, 'the newest in sight');
    assert.equal(await pause.innerText(), 'Pause');
    assert.equal(await page.locator('.pill').count(), 0);
  });
  await check('the blank pauses and resumes, but not when a button has the focus', async () => {
    await page.locator('main').focus();
    await page.keyboard.press(' ');
    await becomes(async () => await pause.innerText(), 'Resume');
    await page.keyboard.press(' ');
    await becomes(async () => await pause.innerText(), 'Pause');
    await page.getByRole('tab', { name: 'Lines' }).focus();
    await page.keyboard.press(' ');
    await becomes(async () => params(page).view, 'lines');
    assert.equal(await pause.innerText(), 'Pause');
    await page.getByRole('tab', { name: 'Both' }).click();
  });
  await check('a click on a line opens it and pauses; Esc closes it', async () => {
    await line('it broke').click();
    await page.locator('.detail .message', { hasText: 'it broke' }).waitFor();
    assert.equal(await pause.innerText(), 'Resume');
    await page.keyboard.press('Escape');
    await becomes(async () => await page.locator('.detail').count(), 0);
    await pause.click();
  });
  await check('k opens the newest line and j and k step through them', async () => {
    await page.locator('main').focus();
    await page.keyboard.press('k');
    await page.locator('.detail .message', { hasText: 'and another' }).waitFor();
    await page.keyboard.press('k');
    await page.locator('.detail .message', { hasText: 'one more while away' }).waitFor();
    await page.keyboard.press('j');
    await page.locator('.detail .message', { hasText: 'and another' }).waitFor();
    await page.keyboard.press('Escape');
    await pause.click();
  });
  await check('a query: only what matches, before and from now on', async () => {
    await page.locator('#q').fill('agent:mailer level:warn');
    await page.keyboard.press('Enter');
    await becomes(async () => await state.innerText(), 'live');
    await until(async () => await lines.count() > 0 && (await texts()).every((t) => /mailer/.test(t)), 'only the mailer');
    await put({ agent: 'coder', level: 'error', message: 'not this one' }, { agent: 'mailer', level: 'error', message: 'but this one' });
    await line('but this one').waitFor();
    assert.equal(await line('not this one').count(), 0);
  });
  await check('a mistake in the query is explained and nothing pretends to be live', async () => {
    await page.locator('#q').fill('agent:(');
    await page.keyboard.press('Enter');
    await page.locator('.wrongness').waitFor();
    assert.equal(await state.innerText(), 'stopped');
    await page.locator('#q').fill('');
    await page.keyboard.press('Enter');
    await becomes(async () => await state.innerText(), 'live');
  });

  // ---- lanes ----
  await check('a lane for each agent, with how much it did', async () => {
    await page.getByRole('button', { name: 'Clear' }).click();
    await becomes(lanes, []);
    await put({ agent: 'lead', agent_id: 'lead-1', event: 'UserPromptSubmit', message: 'build it' });
    await put({ agent: 'lead', agent_id: 'lead-1', kind: 'span_start', span_id: 'L1', trace_id: 'T1', operation: 'build' });
    await put({ agent: 'worker', agent_id: 'w-1', parent_agent_id: 'lead-1', kind: 'span_start', span_id: 'W1', parent_id: 'L1', trace_id: 'T1', tool: 'bash', operation: 'compile' });
    await put({ agent: 'other', level: 'error', message: 'nothing to do with it' });
    await becomes(lanes, ['lead', 'worker', 'other']);
    assert.match(await page.locator('.lane[data-agent=other]').innerText(), /1 err/);
    assert.match(await page.locator('.lane[data-agent=worker]').innerText(), /1 tools?/);
  });
  await check('an agent that another started stands below it, further in, with an arc between them', async () => {
    const inset = async (a) => parseFloat(await page.locator(`.lane[data-agent=${a}] button`).evaluate((e) => getComputedStyle(e).paddingLeft));
    assert.ok(await inset('worker') > await inset('lead'));
    // the arc begins in the lane of the lead, in the colour of the worker
    await until(async () => {
      const colour = await page.locator('.lane[data-agent=worker] .dot').evaluate((e) => getComputedStyle(e).backgroundColor.match(/\d+/g).map(Number));
      const near = `a > 100 && Math.abs(r-${colour[0]}) < 14 && Math.abs(g-${colour[1]}) < 14 && Math.abs(b-${colour[2]}) < 14`;
      return await pixels(...await strip('lead'), near) > 0;
    }, 'an arc');
  });
  await check('a call without an end is hatched, grows, and its lane says that something runs', async () => {
    await until(async () => (await across('worker', 0.25)).changes > 8, 'stripes');
    const before = await across('worker', 0.25);
    await until(async () => (await across('worker', 0.25)).width > before.width + 5, 'longer');
    assert.match(await lane('worker').getAttribute('class'), /running/);
    assert.doesNotMatch(await lane('other').getAttribute('class'), /running/);
  });
  await check('its end makes it a bar with a length', async () => {
    await put({ agent: 'worker', agent_id: 'w-1', kind: 'span_end', span_id: 'W1', trace_id: 'T1', tool: 'bash' });
    await until(async () => (await across('worker', 0.25)).most > 6, 'a full bar');
    await until(async () => !/running/.test(await lane('worker').getAttribute('class')), 'at rest');
  });
  await check('a call whose result another agent reports ends all the same', async () => {
    await put({ agent: 'caller', event: 'tool_call', tool: 'grep', call_id: 'call-1' });
    await until(async () => /running/.test(await lane('caller').getAttribute('class')), 'it runs');
    await put({ agent: 'toolbox', event: 'tool_result', tool: 'grep', call_id: 'call-1', output: '3 hits' });
    await until(async () => !/running/.test(await lane('caller').getAttribute('class')), 'at rest');
    assert.match(await lane('toolbox').innerText(), /^toolbox\s+1 /);
  });
  await check('a click on a lane leaves it and those it started; a crowd of others does not push them away', async () => {
    await page.locator('.lane[data-agent=lead] button').click();
    await becomes(lanes, ['lead', 'worker']);
    await put(...many(40, (i) => ({ agent: `crowd-${i}`, message: 'hello' })));
    await put({ agent: 'worker', agent_id: 'w-1', message: 'still here' });
    await line('still here').waitFor();
    assert.deepEqual(await lanes(), ['lead', 'worker']);
    await page.locator('.lane[data-agent=lead] button').click();
    await until(async () => (await lanes()).length === 45, 'all of them');
    assert.deepEqual((await lanes()).slice(0, 3), ['lead', 'worker', 'other']);
  });
  await check('a click on a mark opens its entry', async () => {
    await put({ agent: 'lead', agent_id: 'lead-1', level: 'error', message: 'a mark to click' });
    await line('a mark to click').waitFor();
    await page.locator('.lanes').evaluate((e) => { e.scrollTop = 0; });
    const box = await page.locator('.lanebox canvas').boundingBox(), [, , right, bottom] = await strip('lead');
    await until(async () => {
      await page.mouse.click(box.x + right - 6, box.y + bottom - 7);
      return await page.locator('.detail').count();
    }, 'an entry');
    await page.locator('.detail strong', { hasText: 'lead' }).waitFor();
    await page.keyboard.press('Escape');
    await pause.click();
  });
  await check('following an agent: its lines and those of its sub-agents, or its own alone', async () => {
    await lane('lead').locator('button').click();
    await until(async () => (await texts()).length && (await texts()).every((t) => /lead|worker/.test(t)), 'lines of the family');
    await put({ agent: 'crowd-1', message: 'from somebody else' }, { agent: 'worker', agent_id: 'w-1', message: 'from below' });
    await line('from below').waitFor();
    assert.equal(await line('from somebody else').count(), 0);
    await page.getByRole('button', { name: 'with sub-agents' }).click();
    await becomes(lanes, ['lead']);
    await until(async () => (await texts()).every((t) => !/worker/.test(t)), 'its own lines');
    assert.equal(params(page).alone, '1');
  });
  await check('a sub-agent that starts meanwhile takes nothing over', async () => {
    await put({ agent: 'upstart', agent_id: 'u-1', parent_agent_id: 'lead-1', kind: 'span_start', span_id: 'U1', parent_id: 'L1', message: 'look at me' });
    await put({ agent: 'lead', agent_id: 'lead-1', message: 'and on' });
    await line('and on').waitFor();
    assert.equal(await line('look at me').count(), 0);
    assert.deepEqual(await lanes(), ['lead']);
    await page.getByRole('button', { name: 'with sub-agents' }).click();
    await becomes(lanes, ['lead', 'worker', 'upstart']);
    await page.keyboard.press('Escape');
    await becomes(async () => params(page).lane, undefined);
    await line('from somebody else').waitFor();
  });
  await check('lanes that come above do not move the one that is looked at', async () => {
    const box = page.locator('.lanes');
    await box.evaluate((e) => { e.scrollTop = e.scrollHeight; });
    const name = (await lanes()).at(-2), top = async () => (await lane(name).boundingBox()).y;
    await until(async () => await box.evaluate((e) => e.scrollTop > 100), 'scrolled');
    const before = await top();
    await put({ agent: 'another', agent_id: 'n-1', parent_agent_id: 'lead-1', message: 'a lane above' });
    await lane('another').waitFor({ state: 'attached' });
    await becomes(async () => (await lanes()).indexOf('another') < (await lanes()).indexOf(name), true);
    assert.ok(Math.abs(await top() - before) < 2, `${before} -> ${await top()}`);
    await box.evaluate((e) => { e.scrollTop = 0; });
  });
  const span = () => Number(params(page).span ?? 60);
  const plot = async () => { const b = await page.locator('.lanebox canvas').boundingBox(); return { ...b, left: b.x + 200, right: b.x + b.width }; };
  await check('Ctrl and the wheel zoom, so do + and -, and 0 goes back', async () => {
    const b = await plot();
    await page.mouse.move((b.left + b.right) / 2, b.y + 80);
    await page.keyboard.down('Control');
    await page.mouse.wheel(0, -100);
    await page.keyboard.up('Control');
    await becomes(span, 48);
    await page.locator('main').focus();
    await page.keyboard.press('-');
    await becomes(span, 96);
    await page.keyboard.press('+');
    await page.keyboard.press('+');
    await becomes(span, 24);
    await page.keyboard.press('0');
    await becomes(async () => [params(page).span, params(page).at], [undefined, undefined]);
  });
  await check('dragging goes back in time and stays there, while entries come', async () => {
    const b = await plot();
    await page.mouse.move(b.left + 100, b.y + 90);
    await page.mouse.down();
    await page.mouse.move(b.left + 250, b.y + 90, { steps: 4 });
    await page.mouse.up();
    await page.getByRole('button', { name: 'Back to now' }).waitFor();
    await becomes(async () => Number(params(page).at) > 0, true);
    const at0 = params(page).at, entries = await lane('lead').innerText();
    await put({ agent: 'lead', agent_id: 'lead-1', message: 'while it looks back' });
    await line('while it looks back').waitFor();
    assert.equal(params(page).at, at0);
    assert.ok(entries);
    await page.getByRole('button', { name: 'Back to now' }).click();
    await becomes(async () => params(page).at, undefined);
  });
  await check('the pulse counts what is under the pointer; dragging over it zooms to that', async () => {
    await put(...many(30, (i) => ({ agent: 'drummer', level: i < 3 ? 'error' : 'info', message: 'beat' })));
    const b = await plot();
    await until(async () => {
      for (let x = b.right - 4; x > b.left + 4; x -= 8) {
        await page.mouse.move(x, b.y + 30);
        const tip = page.locator('.lanes .tip');
        if (await tip.count() && /30 drummer/.test(await tip.innerText()) && /3 failed/.test(await tip.innerText())) return true;
      }
      return false;
    }, 'thirty beats, three failed');
    await page.mouse.move(b.left + 200, b.y + 30);
    await page.mouse.down();
    await page.mouse.move(b.right - 100, b.y + 30, { steps: 4 });
    await page.mouse.up();
    await becomes(async () => Number(params(page).at) > 0 && span() < 60 && span() > 5, true);
    await page.locator('main').focus();
    await page.keyboard.press('0');
    await becomes(async () => params(page).at, undefined);
  });
  await check('a window further back shows what was there before the page was opened', async () => {
    const then = new Date(Date.now() - 10 * 60e3);
    await put(...many(40, (i) => ({ agent: 'yesterday', message: `old ${i}`, timestamp: new Date(then.getTime() + i * 100).toISOString() })));
    await put(...many(300, (i) => ({ agent: 'lead', agent_id: 'lead-1', message: `since ${i}` })));
    await page.reload();
    await lane('lead').waitFor();
    assert.equal(await lane('yesterday').count(), 0);
    await page.getByRole('tab', { name: '15 min', exact: true }).click();
    await until(async () => /^40 /m.test(await lane('yesterday').innerText()), 'forty entries of then');
    await page.getByRole('tab', { name: '1 min', exact: true }).click();
    await becomes(async () => params(page).span, undefined);
  });
  await check('a quiet minute: the last activity is a click away', async () => {
    const other = await context.newPage();
    await put({ agent: 'sleeper', message: 'good night', timestamp: new Date(Date.now() - 3600e3).toISOString() });
    await at(other, 'live', { q: 'agent:sleeper' });
    await other.getByRole('button', { name: /the last was 1h ago/ }).click();
    await until(async () => /^sleeper\s+1 /.test(await other.locator('.lane').innerText()) && Number(params(other).at) > 0, 'its lane, then');
    assert.equal(await other.getByRole('button', { name: /the last was/ }).count(), 0);
    await other.close();
  });
  await check('lanes by session: one for each conversation of an agent', async () => {
    await put({ agent: 'twin', session_id: 'morning', message: 'a' }, { agent: 'twin', session_id: 'evening', message: 'b' });
    await becomes(async () => await lane('twin').count(), 1);
    await page.getByLabel('lanes by').selectOption('session');
    await becomes(async () => await lane('twin').count(), 2);
    assert.match((await lane('twin').allInnerTexts()).join(), /evening[^]*morning/, 'the latest first');
    await page.getByLabel('lanes by').selectOption('agent');
    await becomes(async () => await lane('twin').count(), 1);
  });
  await check('the time shown: a minute, five, kept in the address', async () => {
    await page.getByRole('tab', { name: '5 min', exact: true }).click();
    await becomes(async () => params(page).span, '300');
    await page.reload();
    await page.locator('.lane').first().waitFor();
    assert.equal(await page.getByRole('tab', { name: '5 min', exact: true }).getAttribute('aria-selected'), 'true');
    await page.getByRole('tab', { name: '1 min', exact: true }).click();
  });
  await check('lanes alone, lines alone', async () => {
    await page.getByRole('tab', { name: 'Lanes' }).click();
    await becomes(async () => await page.locator('.tail').count(), 0);
    await page.getByRole('tab', { name: 'Lines' }).click();
    await becomes(async () => await page.locator('.lanes').count(), 0);
    await page.getByRole('tab', { name: 'Both' }).click();
    await page.locator('.lanes').waitFor();
  });
  await check('hooks as Claude Code sends them get lanes and tools without any configuration', async () => {
    for (const type of ['UserPromptSubmit', 'PreToolUse', 'PostToolUse'])
      await call('POST', '/events', { source_app: 'my-project', session_id: 'abc-1', hook_event_type: type, payload: { tool_name: type === 'UserPromptSubmit' ? undefined : 'Bash', tool_use_id: 'c1', tool_input: { command: 'ls' } }, timestamp: Date.now() });
    await page.locator('.lane[data-agent=my-project]').waitFor();
    await until(async () => /[1-9] tools?/.test(await page.locator('.lane[data-agent=my-project]').innerText()), 'a tool');
  });
  await shot(page, 'live-lanes');

  // ---- much at once ----
  await check('no more lines on the page than it promises, the latest ones', async () => {
    for (let i = 0; i < 6; i++) await put(...many(500, (k) => ({ agent: 'bulk', message: `b${i * 500 + k}.` })));
    await line('b2999.').waitFor();
    const n = await lines.count();
    assert.ok(n >= 400 && n <= 500, `${n} lines`);
    await until(atEnd, 'the newest in sight');
  });
  await check('what is held while paused has a limit, and the count is true', async () => {
    await pause.click();
    for (let i = 0; i < 6; i++) await put(...many(500, (k) => ({ agent: 'bulk', message: `c${i * 500 + k}.` })));
    await page.locator('.pill', { hasText: '+3,000 new' }).waitFor();
    await page.locator('.pill').click();
    await line('c2999.').waitFor();
    assert.ok(await lines.count() <= 500);
  });
  await check('the rate is told, and that only the latest are kept when it is high', async () => {
    let stop = false;
    const flood = (async () => { while (!stop) await put(...many(300, (k) => ({ agent: 'bulk', message: `d${k}` }))); })();
    await page.locator('.tools', { hasText: 'only the latest are kept' }).waitFor();
    stop = true;
    await flood;
    await put({ agent: 'bulk', message: 'the flood is over' });
    await line('the flood is over').waitFor({ timeout: 30000 });
    await until(async () => /^0 entries\/s/m.test(await page.locator('.tools').innerText()), 'quiet again');
  });
  await check('Clear empties lines and lanes', async () => {
    await page.getByRole('button', { name: 'Clear' }).click();
    await becomes(async () => await lines.count(), 0);
    await becomes(lanes, []);
    await put({ agent: 'after', message: 'after the clearing' });
    await line('after the clearing').waitFor();
    await page.getByRole('tab', { name: '5 min', exact: true }).click();
    await becomes(async () => params(page).span, '300');
    await until(async () => (await page.locator('.lane').count()) === 1 && (await lanes())[0] === 'after' || Promise.reject(new Error((await lanes()).join())), 'no lane comes back with a wider window');
    await page.getByRole('tab', { name: '1 min', exact: true }).click();
  });
  await check('after the server died and came back nothing is missing and nothing comes twice', async () => {
    await put({ agent: 'x', message: 'last before' });
    await line('last before').waitFor();
    const input = createInterface({ input: process.stdin });
    const again = new Promise((ready) => { input.once('line', ready); });
    console.log('>restart');
    await again;
    input.close();
    process.stdin.unref?.();
    await put(...many(5, (i) => ({ agent: 'x', message: `first after ${i}` })));
    await line('first after 4').waitFor({ timeout: 20000 });
    await becomes(async () => await state.innerText(), 'live');
    const t = (await texts()).filter((x) => /last before|first after/.test(x)).map((x) => x.replace(/^.*\bx\s+/, '').trim());
    assert.deepEqual(t, ['last before', ...many(5, (i) => `first after ${i}`)]);
  });
  await check('what the server skipped for a page that was too slow is counted', async () => {
    const other = await context.newPage();
    await other.route('**/api/v1/tail?*', (r) => r.fulfill({ contentType: 'text/event-stream', body: 'retry: 60000\n\nevent: dropped\ndata: {"dropped": 41}\n\nevent: dropped\ndata: {"dropped": 1}\n\n' }));
    await at(other, 'live');
    await other.locator('.tools', { hasText: '42 skipped' }).waitFor();
    await other.close();
  });
  const unexpected = wrong.filter((w) => !/ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(w));
  await check('no error of a script, nothing that the policy refused', async () => assert.deepEqual(unexpected, []));
} finally {
  await browser.close();
}
done(37);
