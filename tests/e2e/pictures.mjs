// The pictures of the README: node pictures.mjs URL FOLDER, with URL a running `fleetlog demo --seed 7 --speed 4`.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const base = process.argv[2], folder = process.argv[3];
assert.ok(base && folder, 'usage: node pictures.mjs URL FOLDER');
const traces = await (await fetch(base + '/api/v1/traces?sort=spans&limit=1')).json();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox'] });
const PAGES = [
  ['explore', '#/explore?from=now-15m', 'light', '.row'],
  ['live', '#/live', 'dark', '.tail .line'],
  ['trace', `#/traces/${traces.traces[0].trace_id}`, 'light', '.span'],
];
for (const [name, hash, colorScheme, there] of PAGES) {
  const page = await browser.newPage({ viewport: { width: 1120, height: 640 }, colorScheme });
  await page.goto(`${base}/${hash}`);
  await page.locator(there).first().waitFor();
  await page.waitForLoadState('networkidle').catch(() => undefined);
  if (name === 'live') await page.waitForFunction(() => document.querySelectorAll('.tail .line').length > 300);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await page.close();
}
await browser.close();
