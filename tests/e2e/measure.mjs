// Figures of the dashboard in a real browser: node measure.mjs URL [NAME...]; ./dev bench dashboard starts it on a
// server of its own. Prints a line each and, last, all of them as JSON. Nothing is asserted: bench/README.md has the bars.
//
//   paint     first paint and interactive (the first rows can be clicked), median of five loads
//   trace     a trace of 50,000 spans, from the click to the bars
//   rows      1,000,000 rows, scrolled from top to bottom and back: the longest frame
//   live      2,000 entries a second for 20 s: from a key or click to the next frame
import { gzipSync } from 'node:zlib';
import { assert, at, base, becomes, call, open, until } from './support.mjs';

const only = process.argv.slice(3);
const wanted = (name) => !only.length || only.includes(name);
const figures = {};
const say = (name, value, unit) => {
  figures[name] = Math.round(value * 100) / 100;
  console.log(`${name.padEnd(34)} ${String(figures[name]).padStart(12)} ${unit}`);
};
const median = (all) => [...all].sort((a, b) => a - b)[all.length >> 1];

async function ndjson(lines) {
  const answer = await fetch(`${base}/api/v1/ingest`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body: lines });
  assert.ok(answer.ok, await answer.text());
}

const { browser, context, page, wrong } = await open({ reducedMotion: 'no-preference' });
try {
  const html = await (await fetch(`${base}/`, { headers: { accept: 'text/html' } })).text();
  say('page', html.length / 1024, 'KB');
  say('page, gzip', gzipSync(html, { level: 9 }).length / 1024, 'KB');
  const now = Date.now();

  if (wanted('paint')) {
    for (let i = 0; i < 10; i++)
      await ndjson(Array.from({ length: 500 }, (_, k) => JSON.stringify({ agent: `agent-${k % 9}`, level: k % 20 ? 'info' : 'error', message: `step ${i * 500 + k} took ${k} ms`, timestamp: new Date(now - k * 60e3).toISOString() })).join('\n'));
    const paints = [], ready = [];
    for (let i = 0; i < 5; i++) {
      const p = await context.newPage();
      await p.addInitScript(() => {
        new MutationObserver((_, o) => {
          if (!document.querySelector('.row:not(.loading)')) return;
          o.disconnect();
          requestAnimationFrame(() => { globalThis.ready = performance.now(); });
        }).observe(document, { subtree: true, childList: true, attributes: true });
      });
      await p.goto(`${base}/`);
      await p.waitForFunction(() => globalThis.ready && performance.getEntriesByName('first-contentful-paint').length);
      const t = await p.evaluate(() => [performance.getEntriesByName('first-contentful-paint')[0].startTime, globalThis.ready]);
      paints.push(t[0]);
      ready.push(t[1]);
      await p.close();
    }
    say('first paint', median(paints), 'ms');
    say('interactive', median(ready), 'ms');
  }

  if (wanted('trace')) {
    const n = 50000, all = [];
    for (let i = 0; i < n; i++)
      all.push(JSON.stringify({ trace_id: 'big', span_id: `s${i}`, parent_id: i ? `s${Math.floor((i - 1) / 4)}` : undefined, kind: 'span', agent: `agent-${i % 7}`, operation: `step ${i}`, timestamp: new Date(now - 3600e3 + i * 20).toISOString(), duration_ms: Math.max(5, 900e3 - i * 17) }));
    for (let i = 0; i < n; i += 5000) await ndjson(all.slice(i, i + 5000).join('\n'));
    const times = [];
    for (let i = 0; i < 3; i++) {
      await at(page, 'traces');
      await page.locator('tbody tr').first().waitFor();
      times.push(await page.evaluate(() => new Promise((done) => {
        const from = performance.now();
        const look = () => (document.querySelectorAll('.span').length > 10 ? requestAnimationFrame(() => done(performance.now() - from)) : requestAnimationFrame(look));
        location.hash = '#/traces/big';
        look();
      })));
    }
    say('trace of 50,000 spans', median(times), 'ms');
    const server = [];
    for (let i = 0; i < 3; i++) {
      const from = performance.now();
      await (await fetch(`${base}/api/v1/traces/big`)).text();
      server.push(performance.now() - from);
    }
    say('  of which the server', median(server), 'ms');
    say('  longest frame while it scrolls', await scroll('.waterfall', 60), 'ms');
  }

  if (wanted('live')) {
    await at(page, 'live');
    await page.locator('.state.live').waitFor();
    let stop = false, sent = 0;
    const feed = (async () => {
      const from = Date.now();
      while (!stop) {
        const due = Math.floor((Date.now() - from) * 2) - sent;
        if (due < 100) { await new Promise((f) => setTimeout(f, 20)); continue; }
        await ndjson(Array.from({ length: due }, (_, k) => JSON.stringify({ agent: `agent-${(sent + k) % 12}`, level: k % 50 ? 'info' : 'warn', message: `step ${sent + k} of a busy fleet`, tool: k % 3 ? 'grep' : undefined, duration_ms: k % 3 ? 30 : undefined })).join('\n'));
        sent += due;
      }
      return sent / ((Date.now() - from) / 1000);
    })();
    await page.evaluate(() => {
      globalThis.frames = [];
      let last = performance.now();
      const tick = (t) => { globalThis.frames.push(t - last); last = t; globalThis.going = requestAnimationFrame(tick); };
      globalThis.going = requestAnimationFrame(tick);
      globalThis.delays = [];
      for (const kind of ['pointerdown', 'keydown'])
        addEventListener(kind, (e) => { const at = e.timeStamp; requestAnimationFrame(() => setTimeout(() => globalThis.delays.push(performance.now() - at))); }, true);
    });
    const end = Date.now() + 20e3;
    for (let i = 0; Date.now() < end; i++) {
      if (i % 2) await page.keyboard.press('Shift');
      else await page.mouse.click(700, 60);
      await new Promise((f) => setTimeout(f, 230));
    }
    stop = true;
    const rate = await feed, got = await page.evaluate(() => { cancelAnimationFrame(globalThis.going); return { frames: globalThis.frames.slice(5), delays: globalThis.delays }; });
    say('live: entries sent a second', rate, '');
    say('live: input to frame, median', median(got.delays), 'ms');
    say('live: input to frame, longest', Math.max(...got.delays), 'ms');
    say('live: longest frame', Math.max(...got.frames), 'ms');
    say('live: frames a second', got.frames.length / 20, '');
    const told = /([\d,]+) skipped/.exec(await page.locator('.tools').innerText());
    say('live: dropped and counted', told ? Number(told[1].replace(/,/g, '')) : 0, 'entries');
    say('live: inputs measured', got.delays.length, '');
  }

  if (wanted('rows')) {
    const n = 1000000, have = (await call('GET', '/api/v1/status')).ingest.stored;
    for (let i = 0; i < n - have; i += 20000)
      await ndjson(Array.from({ length: 20000 }, (_, k) => JSON.stringify({ agent: `agent-${k % 11}`, level: k % 30 ? 'info' : 'warn', message: `row ${i + k}`, timestamp: new Date(now - 3600e3 - (i + k) * 50).toISOString() })).join('\n'));
    await at(page, 'explore', { from: 'all' });
    await until(async () => Number(await page.locator('.rows').getAttribute('aria-rowcount')) >= n, 'a million rows', 60000);
    say('rows', Number(await page.locator('.rows').getAttribute('aria-rowcount')), '');
    await page.locator('.row:not(.loading)').first().waitFor();
    say('longest frame while they scroll', await scroll('.rows', 120), 'ms');
    for (const [name, part] of [['a third', 1 / 3], ['the end', 1]]) {
      const wanted_ = await page.locator('.rows').evaluate((e, p) => { e.scrollTop = (e.scrollHeight - e.clientHeight) * p; return performance.now(); }, part);
      const there = await page.waitForFunction((p) => {
        const e = document.querySelector('.rows'), i = Math.floor(((e.scrollHeight - e.clientHeight) * p) / 22) + 3;
        return document.querySelector(`.row[aria-rowindex="${i}"]:not(.loading)`) && performance.now();
      }, part, { timeout: 60000 });
      say(`jump to ${name}, until rows are there`, await there.jsonValue() - wanted_, 'ms');
    }
    assert.match(await page.locator('.row').last().innerText(), /row 9\d{5}/);
  }
  await becomes(() => wrong.filter((w) => !/status of 4/.test(w)), []);
} finally {
  await browser.close();
}

/** Scrolls from top to bottom and back in steps of a frame each; the longest frame. */
async function scroll(what, steps) {
  return await page.locator(what).evaluate((e, n) => new Promise((done) => {
    let i = 0, last = performance.now(), longest = 0;
    const tick = (t) => {
      if (i > 1) longest = Math.max(longest, t - last);
      last = t;
      if (i > 2 * n) return done(longest);
      e.scrollTop = (e.scrollHeight - e.clientHeight) * (i <= n ? i / n : 2 - i / n);
      i++;
      return requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }), steps);
}
console.log(JSON.stringify(figures));
