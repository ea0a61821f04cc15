// The pictures of the README: node pictures.mjs URL FOLDER, with URL a `fleetlog demo --seed 7 --rate 12` that
// has been running for some minutes.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const base = process.argv[2], folder = process.argv[3];
assert.ok(base && folder, 'usage: node pictures.mjs URL FOLDER');
const sessions = await (await fetch(base + '/api/v1/sessions?sort=start&limit=40')).json();
// one that is over, in which something failed and was mended
const session = sessions.sessions.find((s) => s.errors > 1 && s.entries > 25 && s.entries < 60 && s.duration_ms > 0) ?? sessions.sessions[0];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox'] });
const PAGES = [
  ['live', '#/live', 'dark', '.tail .line'],
  ['explore', '#/explore?from=now-5m', 'light', '.row'],
  ['session', `#/sessions/${encodeURIComponent(session.session_id)}`, 'light', '.toolcall'],
];
for (const [name, hash, colorScheme, there] of PAGES) {
  const page = await browser.newPage({ viewport: { width: 1120, height: 640 }, colorScheme });
  await page.goto(`${base}/${hash}`);
  await page.locator(there).first().waitFor();
  await page.waitForLoadState('networkidle').catch(() => undefined);
  if (name === 'live') await page.waitForFunction(() => document.querySelectorAll('.tail .line').length > 300 && document.querySelectorAll('.lane').length > 3);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await page.close();
}
await browser.close();
