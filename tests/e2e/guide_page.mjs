// A page with a lane per agent, fed by /logs/ws, in a real browser: node guide_page.mjs URL
//
// The page below is ours and behaves as the local-assistant guide describes: a lane appears with an
// agent's first event and each event is a line "[timestamp] event: content". GUIDE_PAGE=FILE uses
// that page instead, as it is. Either is served under the server's own origin (the page asks
// location.host for its WebSocket), everything else is the running server.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

const OWN_PAGE = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>lanes</title></head>
<body>
<script>
const lanes = new Map();
new WebSocket('ws://' + location.host + '/logs/ws').onmessage = ({ data }) => {
  const entry = JSON.parse(data);
  const agent = entry.agent || 'unknown';
  if (!lanes.has(agent)) {
    const lane = document.createElement('section');
    lane.id = agent;
    lane.append(Object.assign(document.createElement('h3'), { textContent: agent }));
    document.body.append(lane);
    lanes.set(agent, lane);
  }
  lanes.get(agent).append(Object.assign(document.createElement('p'), {
    className: 'event',
    textContent: '[' + entry.timestamp + '] ' + entry.event + ': ' + (entry.content || ''),
  }));
};
</script>
</body>
</html>`;

const base = process.argv[2];
assert.ok(base, 'usage: node guide_page.mjs URL');
const html = process.env.GUIDE_PAGE ? await readFile(process.env.GUIDE_PAGE, 'utf8') : OWN_PAGE;

async function log(event) {
  const answer = await fetch(base + '/log', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(event),
  });
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), { status: 'logged' });
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  // a page that the test supplies counts as one from the network; it must reach loopback all the same
  args: ['--no-sandbox',
    '--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets'],
});
try {
  const page = await browser.newPage();
  const errors = [];
  let greeting;
  page.on('pageerror', (e) => errors.push(String(e)));
  page.on('websocket', (ws) => ws.once('framereceived', (frame) => { greeting ??= frame; }));
  await page.route(base + '/logs', (route) => route.fulfill({ contentType: 'text/html', body: html }));

  // the first frame says the stream is open; no event may be sent before it
  const opened = page.waitForEvent('websocket', { timeout: 15000 });
  await page.goto(base + '/logs');
  const socket = await opened;
  assert.equal(socket.url(), base.replace('http', 'ws') + '/logs/ws');
  const first = greeting ?? await socket.waitForEvent('framereceived', { timeout: 15000 });
  assert.deepEqual(JSON.parse(first.payload), { message: 'Connected to log stream' });

  const events = [
    { timestamp: '2025-12-24T14:37:52Z', agent: 'PlannerAgent', event: 'user_message',
      content: 'Schedule a meeting tomorrow at 10am.' },
    { timestamp: '2025-12-24T14:37:53Z', agent: 'CoderAgent', event: 'tool_invocation',
      tool: 'Editor', content: 'open main.c' },
    { timestamp: '2025-12-24T14:37:54Z', agent: 'PlannerAgent', event: 'agent_response',
      content: 'Done: 10 o’clock ✓' },
  ];
  for (const event of events) await log(event);
  await log({ event: 'error', content: 'nobody said who' });

  const lane = (agent) => page.evaluate((id) => {
    const e = document.getElementById(id);
    return e ? [...e.querySelectorAll('.event')].map((x) => x.textContent) : [];
  }, agent);
  await page.waitForFunction(() => {
    const e = document.getElementById('unknown');
    return e && [...e.querySelectorAll('.event')].some((x) => x.textContent.includes('nobody said who'));
  }, null, { timeout: 15000 });

  for (const agent of ['PlannerAgent', 'CoderAgent']) {
    const want = events.filter((e) => e.agent === agent);
    const shown = await lane(agent);
    assert.equal(shown.length, want.length, agent + ': ' + JSON.stringify(shown));
    want.forEach((e, i) => {
      const second = e.timestamp.slice(0, 19);
      assert.ok(shown[i].startsWith('[' + second), shown[i]);
      assert.ok(shown[i].includes(e.event + ':') && shown[i].includes(e.content), shown[i]);
    });
  }

  // what another dialect brings appears in its agent's lane too
  const answer = await fetch(base + '/ingest', {
    method: 'POST',
    body: JSON.stringify({ timestamp: Date.now() / 1000, agent: 'svc-db', level: 'ERROR',
      message: 'connection refused' }),
  });
  assert.equal(answer.status, 200);
  await page.waitForFunction(() => {
    const e = document.getElementById('svc-db');
    return e && e.textContent.includes('connection refused');
  }, null, { timeout: 15000 });

  assert.deepEqual(errors, []);
  console.log('lanes:', await page.evaluate(() => [...document.querySelectorAll('h3')].map((h) => h.textContent)));
} finally {
  await browser.close();
}
