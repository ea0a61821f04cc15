// The live page on a machine that is too slow for what comes: node dashboard_slow.mjs URL. The server has to be empty.
import { assert, at, base, becomes, call, check, done, open, put, until } from './support.mjs';

const RATE = 2000, BATCH = 200;
const { browser, context, page, wrong } = await open();
const live = async () => (await call('GET', '/api/v1/status')).live;
const skipped = async () => {
  const text = (await page.locator('.tools .badnumber').allInnerTexts()).find((x) => x.includes('skipped')) ?? '0';
  return Number(text.replace(/[^0-9]/g, ''));
};
let sent = 0;
const send = async () => {
  const lines = Array.from({ length: BATCH }, (_, i) => JSON.stringify({ agent: `agent-${(sent + i) % 9}`, level: 'info', message: `n ${sent + i} ${'x'.repeat(2000)}`, n: sent + i }));
  const answer = await fetch(`${base}/api/v1/ingest`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body: lines.join('\n') });
  assert.ok(answer.ok, `${answer.status}`);
  sent += BATCH;
};

try {
  // what the page's stream hands to the page, counted beside it
  await context.addInitScript(() => {
    const Real = window.EventSource, got = { rows: 0, told: 0, last: -1, wrong: '', opened: 0 };
    window.got = got;
    window.EventSource = class extends Real {
      constructor(url) {
        super(url);
        let gap = 0;
        this.addEventListener('open', () => { got.opened++; });
        this.addEventListener('dropped', (e) => {
          const n = JSON.parse(e.data).dropped;
          got.told += n;
          gap += n;
        });
        this.addEventListener('message', (e) => {
          const n = JSON.parse(e.data).attributes.n;
          if (n !== got.last + 1 + gap) got.wrong ||= `${n} behind ${got.last} and a gap of ${gap}`;
          got.last = n;
          gap = 0;
          got.rows++;
        });
      }
    };
  });
  const got = async () => await page.evaluate(() => window.got);
  await put({ agent: 'agent-0', message: 'an empty server has a page of its own' });
  await at(page, 'live');
  await until(async () => (await live()).subscribers === 1, 'the page follows', 30000);
  const cdp = await context.newCDPSession(page);

  await check('a page that is 20 times slower is sent what it can take, and the rest is counted', async () => {
    await cdp.send('Emulation.setCPUThrottlingRate', { rate: 20 });
    const began = Date.now();
    await until(async () => {
      await send();
      const late = began + (sent * 1000) / RATE - Date.now();
      if (late > 0) await new Promise((ready) => setTimeout(ready, late));
      return (await live()).dropped > 1000;
    }, 'a page that is too slow', 120000);
    assert.ok(sent / ((Date.now() - began) / 1000) < RATE * 1.2, 'no faster than asked for');
  });
  await check('when it can read again it is told: rows and skipped ones are all that was written', async () => {
    await cdp.send('Emulation.setCPUThrottlingRate', { rate: 1 });
    await until(async () => {
      const g = await got();
      return g.rows + g.told === sent;
    }, `all of ${sent}`, 60000);
    const g = await got();
    assert.equal(g.wrong, '', 'a gap is told where it is');
    assert.equal(g.opened, 1, 'on one connection');
    const l = await live();
    assert.deepEqual([l.dropped, l.told, l.published], [g.told, g.told, sent]);
    const figures = await (await fetch(`${base}/metrics`)).text();
    assert.equal(Number(/^fleetlog_tail_dropped_told_total (\d+)$/m.exec(figures)[1]), g.told);
  });
  await check('the page says how many it skipped, and goes on', async () => {
    await becomes(skipped, (await got()).told);
    const before = await skipped();
    await send();
    await until(async () => (await got()).last === sent - 1, 'the newest line');
    await page.locator('.tail .line', { hasText: `n ${sent - 1} ` }).waitFor();
    assert.equal(await skipped(), before);
  });
  await check('another query begins to count anew', async () => {
    await page.locator('#q').fill('level:info');
    await page.keyboard.press('Enter');
    await becomes(skipped, 0);
  });
  await check('no error of a script, nothing that the policy refused', async () => assert.deepEqual(wrong, []));
} finally {
  await browser.close();
}
done(5);
