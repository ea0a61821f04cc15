// The server's own live page in a real browser: node live_page.mjs URL [SCREENSHOT]
//
// History, live entries, filters, pause; and entries that try to be HTML or script.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const base = process.argv[2], shot = process.argv[3];
assert.ok(base, 'usage: node live_page.mjs URL [SCREENSHOT]');

async function put(...entries) {
  const answer = await fetch(base + '/api/v1/ingest', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(entries),
  });
  assert.equal(answer.status, 200, await answer.text());
}

const EVIL = [
  '<script>document.title="owned"</script>',
  '<img src=x onerror="document.title=\'owned\'">',
  '"><svg/onload=document.title="owned">',
  'javascript:document.title="owned"',
  '</script><script>document.title="owned"</script>',
  '{{constructor.constructor("document.title=1")()}}',
  '\u202Egnp.exe\u2028\u0000<b>bold</b>',
];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
try {
  await put({ agent: 'planner', level: 'info', message: 'from before' });
  const page = await browser.newPage({ viewport: { width: 1100, height: 620 } });
  const errors = [], violations = [];
  page.on('pageerror', (e) => errors.push(String(e)));
  page.on('console', (m) => {
    if (m.type() === 'error')
      violations.push(m.text());
  });
  await page.goto(base + '/');
  const rows = (text) => page.locator('.row', { hasText: text });
  await page.locator('#state.live').waitFor();
  await rows('from before').waitFor();

  await put({ agent: 'coder', level: 'error', message: 'it broke', tool: 'bash', n: 1 },
    { agent: 'planner', level: 'warn', message: 'second look' },
    { agent: 'researcher', level: 'critical', message: 'on fire' });
  await rows('it broke').waitFor();
  assert.ok(await page.locator('.row.error', { hasText: 'it broke' }).count());
  assert.ok(await page.locator('.row.critical', { hasText: 'on fire' }).count());

  // what strangers write stays text, wherever it stands
  await put(...EVIL.map((text, i) => ({ agent: i % 2 ? text : 'evil', message: text, event: text,
    level: 'info', [text]: text })));
  await rows('constructor.constructor').first().waitFor();
  await page.locator('.row', { hasText: 'constructor.constructor' }).first().click();
  await page.locator('.detail').waitFor();
  await page.locator('.row .detail').click(); // a click inside keeps it open
  assert.equal(await page.locator('.detail').count(), 1);
  if (shot)
    await page.screenshot({ path: shot });
  await page.waitForTimeout(200);
  assert.equal(await page.title(), 'fleetlog');
  assert.ok(!(await page.locator('main').innerText()).includes('\u202E'));
  assert.equal(await page.locator('main script, main img, main svg, main b').count(), 0);

  // a telephone: nothing lies on anything else, nothing is wider than the screen
  const wide = page.viewportSize();
  await page.setViewportSize({ width: 400, height: 700 });
  const over = await page.locator('.row .time, .row .level').evaluateAll(
    (all) => all.filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent));
  assert.deepEqual(over, [], 'a time or a level runs into what stands beside it');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  const header = await page.locator('header').boundingBox();
  assert.ok(header.height < 140, `the controls are ${header.height} high`);
  await page.setViewportSize(wide);

  // filters
  await page.fill('#agent', 'coder');
  await rows('it broke').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.row').length === 1);
  await page.fill('#agent', '');
  await page.selectOption('#level', 'critical');
  await page.waitForFunction(() => document.querySelectorAll('.row').length === 1);
  await page.selectOption('#level', '');
  await page.fill('#search', 'broke OR look');
  await page.waitForFunction(() => document.querySelectorAll('.row').length === 2);
  await page.locator('#state.live').waitFor();
  await put({ agent: 'x', message: 'nothing of interest' }, { agent: 'x', message: 'broke again' });
  await rows('broke again').waitFor();
  assert.equal(await rows('nothing of interest').count(), 0);
  await page.fill('#search', '(');
  await page.locator('#error:not([hidden])').waitFor();
  await page.fill('#search', '');
  await page.locator('#state.live').waitFor();
  assert.ok(await page.locator('#error').isHidden());

  // pause keeps the view, resume brings what came meanwhile
  await page.click('#pause');
  await put({ agent: 'p', message: 'while paused' });
  await page.waitForFunction(() => document.getElementById('count').textContent.includes('waiting'));
  assert.equal(await rows('while paused').count(), 0);
  await page.click('#pause');
  await rows('while paused').waitFor();

  // no more rows than the page promises to hold
  for (let i = 0; i < 4; i++)
    await put(...Array.from({ length: 400 }, (_, k) => ({ agent: 'bulk', message: 'b' + (i * 400 + k) })));
  await rows('b1599').waitFor();
  assert.equal(await page.locator('.row').count(), 1000);

  assert.deepEqual(errors, []);
  assert.deepEqual(violations.filter((v) => !/400/.test(v)), []); // the bad search was one 400
} finally {
  await browser.close();
}
console.log('ok');
