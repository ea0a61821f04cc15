// What pages of other origins can do to the server from a browser in which the dashboard is open:
// node dashboard_foreign.mjs URL. One on another port (same site), one under another name (cross-site).
import { createServer } from 'node:http';
import { assert, at, base, becomes, call, check, done, open, put, until } from './support.mjs';

const { browser, context, page } = await open();
const foreign = createServer((req, res) => { // a page that says and allows whatever its address asks for
  res.setHeader('content-type', 'text/html');
  res.end('<!doctype html><title>foreign</title><body>');
});
await new Promise((ready) => foreign.listen(0, '127.0.0.1', ready));
const port = foreign.address().port;
const total = async (q) => (await call('POST', '/api/v1/query', { q, limit: 1, total: true })).total;
const refused = async () => Number(/^fleetlog_foreign_requests_total (\d+)$/m.exec(await (await fetch(`${base}/metrics`)).text())[1]);

try {
  await put({ agent: 'a', message: 'private', trace_id: 't', session_id: 's' });
  await at(page, 'explore');
  await page.locator('.row', { hasText: 'private' }).waitFor();
  for (const [what, origin] of [['another port', `http://127.0.0.1:${port}`], ['another site', `http://localhost:${port}`]]) {
    const evil = await context.newPage();
    await evil.goto(origin);
    await check(`${what}: no request of a script is answered, read or not`, async () => {
      const before = await refused();
      const got = await evil.evaluate(async (to) => {
        const out = {};
        const tried = async (name, f) => { out[name] = await f().then((x) => String(x), () => 'failed'); };
        await tried('cors', async () => (await fetch(`${to}/api/v1/query?q=*`)).text());
        await tried('opaque', async () => (await fetch(`${to}/api/v1/query?q=*`, { mode: 'no-cors' })).type);
        await tried('keys', async () => (await fetch(`${to}/api/v1/keys`, { credentials: 'include' })).text());
        const event = (make, good) => new Promise((ready, fail) => {
          const x = make();
          x.onerror = () => fail();
          x[good] = () => ready(good);
        });
        await tried('stream', () => event(() => new EventSource(`${to}/api/v1/tail?q=*`), 'onopen'));
        await tried('socket', () => event(() => new WebSocket(`${to.replace('http', 'ws')}/logs/ws`), 'onopen'));
        const element = (tag) => event(() => {
          const e = document.createElement(tag);
          e.src = `${to}/api/v1/query?q=*`;
          document.body.append(e);
          return e;
        }, 'onload');
        await tried('script', () => element('script'));
        await tried('image', () => element('img'));
        return out;
      }, base);
      assert.deepEqual(got, { cors: 'failed', opaque: 'failed', keys: 'failed', stream: 'failed', socket: 'failed', script: 'failed', image: 'failed' });
      assert.ok(await refused() >= before + 7, 'refused before anything is done');
    });
    await check(`${what}: nothing can be written`, async () => {
      const before = await total('*'), refusals = await refused();
      await evil.evaluate(async (to) => {
        const entry = JSON.stringify({ agent: 'forged', message: 'forged' });
        for (const path of ['/api/v1/ingest', '/ingest', '/log', '/logs', '/events', '/api/v1/saved', '/api/v1/keys', '/api/v1/resolve'])
          for (const type of ['text/plain', 'application/x-www-form-urlencoded'])
            await fetch(to + path, { method: 'POST', mode: 'no-cors', body: entry, headers: { 'content-type': type } }).catch(() => {});
        navigator.sendBeacon(`${to}/api/v1/ingest`, entry);
        const form = document.createElement('form'), frame = document.createElement('iframe'), field = document.createElement('input');
        frame.name = 'into';
        field.name = '{"agent":"forged","message":"';
        field.value = '"}';
        Object.assign(form, { method: 'POST', enctype: 'text/plain', action: `${to}/api/v1/ingest`, target: 'into' });
        form.append(field);
        document.body.append(frame, form);
        form.submit();
      }, base);
      await until(async () => await refused() >= refusals + 18, 'all of it refused');
      assert.equal(await total('*'), before);
      assert.equal((await call('GET', '/api/v1/saved')).saved.length, 0);
      assert.equal((await call('GET', '/api/v1/keys')).keys.length, 0);
    });
    await check(`${what}: no page of the server stands in a frame`, async () => {
      for (const path of ['/', '/api/v1/report', '/api/v1/query?q=*&format=text', '/api/v1/status']) {
        const before = await refused();
        await evil.evaluate((to) => {
          const frame = document.createElement('iframe');
          frame.src = to;
          document.body.append(frame);
        }, base + path);
        await until(async () => await refused() > before, path);
      }
      await until(async () => (await Promise.all(evil.frames().map((f) => f.content().catch(() => ''))))
        .every((text) => !/private|fleetlog<\/title>/.test(text)), 'nothing of it in a frame');
    });
    await check(`${what}: a link leads to the dashboard, which the other page has no hold on`, async () => {
      const [opened] = await Promise.all([context.waitForEvent('page'), evil.evaluate((to) => {
        const a = document.createElement('a');
        Object.assign(a, { href: to, target: '_blank', rel: 'opener' });
        document.body.append(a);
        a.click();
      }, `${base}/#/explore`)]);
      await opened.locator('.row', { hasText: 'private' }).waitFor();
      assert.equal(await opened.evaluate(() => window.opener), null);
      assert.equal(await opened.evaluate(() => document.referrer.includes('/api') || performance.getEntriesByType('resource').some((r) => !r.name.startsWith(location.origin))), false);
      const held = await evil.evaluate((to) => {
        window.held = window.open(`${to}/#/explore`);
        return window.held !== null;
      }, base);
      assert.ok(held);
      await until(async () => await evil.evaluate(() => window.held.closed), 'the handle says it is gone');
      await opened.close();
    });
    await evil.close();
  }
  await check('an address made by somebody else runs no script and leaves no other trace', async () => {
    for (const hash of ['#/javascript:alert(1)', '#/traces/javascript%3Aalert(1)', '#/explore?q=%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E',
      '#//evil.example/', '#/explore?cols=%3Cb%3E~9!__proto__~5&view=constructor&from=x', '#/__proto__', '#/constructor/x?__proto__=1',
      '#/dashboards/..%2F..%2Fkeys', '#/sessions/..%2f..%2fkeys', '#/live?span=1e99', '#/issues/%00']) {
      await page.goto(`${base}/${hash}`);
      await page.locator('main').waitFor();
      await until(async () => (await page.locator('main').innerText()).length > 0, hash);
      assert.equal(new URL(page.url()).origin, base);
      assert.equal(await page.locator('img, iframe, script[src], a[href^="javascript"], a[href^="//"]').count(), 0, hash);
      assert.deepEqual(await page.evaluate(() => Object.keys(Object.prototype)), []);
    }
    assert.equal((await call('GET', '/api/v1/keys')).keys.length, 0);
  });
  await check('what others saved leads nowhere but to pages of the dashboard', async () => {
    const odd = ['javascript:alert(1)', '//evil.example/', '"><img src=x onerror=alert(1)>', '../../api/v1/keys', '?q=*#/keys'];
    for (const [i, id] of odd.entries())
      await call('POST', '/api/v1/saved', { title: `${id} ${i}`, page: 'traces', id, params: { q: id.includes('"') ? '"x"' : '*', from: 'now-1h', view: id } });
    await at(page, 'explore');
    await at(page, 'dashboards');
    await page.getByRole('tab', { name: 'Saved views' }).click();
    await becomes(async () => await page.locator('tbody a').count(), odd.length);
    for (const to of await page.locator('tbody a').evaluateAll((all) => all.map((a) => a.href)))
      assert.ok(to.startsWith(`${base}/#/traces/`), to);
    for (let i = 0; i < odd.length; i++) {
      await page.locator('tbody a', { hasText: `${odd[i]} ${i}` }).click();
      await until(async () => new URL(page.url()).hash.startsWith('#/traces/'), odd[i]);
      assert.equal(await page.locator('img, iframe, script[src]').count(), 0);
      await at(page, 'dashboards');
      await page.getByRole('tab', { name: 'Saved views' }).click();
    }
  });

  // ---- from here on with keys ----
  const asked = async (key, method, path, body) => await (await fetch(base + path, {
    method, body: body && JSON.stringify(body), headers: { authorization: `Bearer ${key}`, ...(body ? { 'content-type': 'application/json' } : {}) },
  })).json();
  const lines = (p) => p.locator('.tail .line').allInnerTexts();
  let admin;
  await check('a page that was open when the first key is made is shown nothing that comes after', async () => {
    await at(page, 'live');
    await page.locator('.tail .line', { hasText: 'private' }).waitFor();
    admin = (await call('POST', '/api/v1/keys', { name: 'admin', scopes: ['ingest', 'read', 'write-marks', 'admin'] })).secret;
    await asked(admin, 'POST', '/api/v1/ingest', [{ agent: 'a', message: 'behind the key' }]);
    await page.locator('.state', { hasText: 'stopped' }).waitFor();
    await page.getByRole('alert').first().waitFor();
    assert.ok(!(await lines(page)).some((x) => x.includes('behind the key')));
  });
  await check('a page whose key is revoked says so and is shown nothing more', async () => {
    const key = await asked(admin, 'POST', '/api/v1/keys', { name: 'page', scopes: ['read'] });
    const own = await browser.newContext({ httpCredentials: { username: 'me', password: key.secret } });
    const mine = await own.newPage();
    await mine.goto(`${base}/#/live`);
    await mine.locator('.tail .line', { hasText: 'behind the key' }).waitFor();
    await mine.locator('.state', { hasText: 'live' }).waitFor();
    await asked(admin, 'POST', '/api/v1/ingest', [{ agent: 'a', message: 'for the key' }]);
    await mine.locator('.tail .line', { hasText: 'for the key' }).waitFor();
    await asked(admin, 'DELETE', `/api/v1/keys/${key.id}`);
    await asked(admin, 'POST', '/api/v1/ingest', [{ agent: 'a', message: 'after it' }]);
    await mine.locator('.state', { hasText: 'stopped' }).waitFor();
    await mine.getByRole('alert').first().waitFor();
    assert.ok(!(await lines(mine)).some((x) => x.includes('after it')));
    await own.close();
  });
} finally {
  foreign.close();
  await browser.close();
}
done(12);
