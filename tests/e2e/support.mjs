// What the dashboard's files share: a browser, named checks, conditions to wait for, a server to write to.
//
// A check that fails is printed and the file goes on; done() says how many there were and sets the status.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const base = process.argv[2];
export const shots = process.argv[3]; // a folder for screenshots
if (!base) throw new Error(`usage: node ${process.argv[1]} URL [FOLDER FOR SCREENSHOTS]`);
if (shots) mkdirSync(shots, { recursive: true });

const LONG = 10000;
let passed = 0;
const failures = [];

export async function check(name, what) {
  const started = Date.now();
  try {
    await what();
    passed++;
    console.log(`ok ${passed + failures.length} ${name} (${Date.now() - started} ms)`);
  } catch (e) {
    failures.push(name);
    console.log(`not ok ${passed + failures.length} ${name}\n    ${String(e?.message ?? e).split('\n').slice(0, 14).join('\n    ')}`);
  }
}

/** Prints the sum; with fewer checks than there should be something did not run. */
export function done(least) {
  console.log(`${passed + failures.length} checks, ${failures.length} failed`);
  if (passed + failures.length < least) {
    console.log(`there should be ${least}`);
    process.exitCode = 1;
  }
  if (failures.length) process.exitCode = 1;
}

/** Waits until what `f` gives is truthy (polled here, not in the page) and returns it. */
export async function until(f, what, ms = LONG) {
  const end = Date.now() + ms;
  for (let last; ;) {
    try {
      last = await f();
      if (last) return last;
    } catch (e) {
      last = e;
    }
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
    await new Promise((ready) => setTimeout(ready, 15));
  }
}

/** Waits until `f` gives something equal to `wanted`. */
export async function becomes(f, wanted, what = 'a value', ms = LONG) {
  let last;
  await until(async () => {
    last = await f();
    try {
      assert.deepEqual(last, wanted);
      return true;
    } catch {
      return false;
    }
  }, what, ms).catch(() => assert.deepEqual(last, wanted, what));
}

export async function call(method, path, body, ok = true) {
  const answer = await fetch(base + path, {
    method, headers: body === undefined ? {} : { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (ok) assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text.slice(0, 400)}`);
  return text ? JSON.parse(text) : null;
}

export async function put(...entries) {
  const answer = await call('POST', '/api/v1/ingest', entries);
  assert.equal(answer.rejected ?? 0, 0, JSON.stringify(answer.errors));
  return answer;
}

/** A browser with one context; what went wrong in any of its pages is kept in `wrong`. */
export async function open(options = {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox'] });
  const context = await browser.newContext({ viewport: { width: 1300, height: 800 }, reducedMotion: 'reduce', acceptDownloads: true, ...options });
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: base });
  context.setDefaultTimeout(LONG);
  const wrong = [], expected = []; /* answers to dialogs to come */
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) =>
      console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
  });
  context.on('weberror', (e) => wrong.push(`script: ${e.error()?.stack ?? e.error()}`));
  context.on('console', (m) => {
    // an answer of 400 or 404 that a check provokes is one line of the browser's own
    if (m.type() === 'error' && !/^Failed to load resource: the server responded with a status of (400|404)/.test(m.text()))
      wrong.push(`console: ${m.text()}`);
  });
  context.on('dialog', (d) => {
    if (expected.length) return void d.accept(expected.shift());
    wrong.push(`dialog: ${d.message()}`);
    return void d.dismiss();
  });
  const page = await context.newPage();
  return { browser, context, page, wrong, expected };
}

/** Goes to a place of the dashboard: `at(page, 'explore', { q: 'level:error' })`. */
export async function at(page, where, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, v]) => v !== undefined)).toString();
  const hash = `#/${where}${query ? '?' + query : ''}`;
  if (page.url().startsWith(base + '/')) await page.evaluate((to) => { location.hash = to; }, hash);
  else await page.goto(`${base}/${hash}`);
}

export const params = (page) => {
  const hash = new URL(page.url()).hash;
  return Object.fromEntries(new URLSearchParams(hash.includes('?') ? hash.slice(hash.indexOf('?') + 1) : ''));
};

export const where = (page) => decodeURIComponent(new URL(page.url()).hash.replace(/^#\//, '').replace(/\?.*$/, ''));

/** Nothing is being asked for and the page has drawn what came. */
export async function quiet(page) {
  await page.waitForLoadState('load');
  await until(async () => await page.evaluate(() => new Promise((ready) => {
    const before = performance.getEntriesByType('resource').length;
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() =>
      ready(performance.getEntriesByType('resource').length === before && !document.querySelector('[aria-busy="true"], .row.loading')), 60)));
  })), 'a page at rest');
}

export async function shot(page, name) {
  if (shots) await page.screenshot({ path: join(shots, name + '.png') });
}

export { assert };
