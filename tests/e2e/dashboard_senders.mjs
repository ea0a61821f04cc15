// Senders that know nothing of fleetlog light up lanes as they are, without any configuration: hooks as the multi-agent
// observability sender posts them, the events of a personal AI infrastructure, and the local-assistant guide's
// log_event. node dashboard_senders.mjs URL [FOLDER FOR SCREENSHOTS]; the server has to be empty.
import { assert, at, becomes, call, check, done, open, params, shot, until } from './support.mjs';

const { browser, page, wrong } = await open();
const SESSION = '3f2b8c1e-7d42-4b1f-8c55-0123456789ab';
const lane = (agent) => page.locator(`.lane[data-agent="${agent}"]`);
const line = (text) => page.locator('.tail .line', { hasText: text });

/** What send_event.py posts: the hook's input as payload, some of its keys once more beside it. */
async function hook(type, payload, more = {}) {
  const got = await call('POST', '/events', {
    source_app: 'webshop', session_id: SESSION, hook_event_type: type, timestamp: Date.now(), model_name: 'claude-sonnet-4-5-20250929',
    payload: { session_id: SESSION, hook_event_name: type, transcript_path: `/home/u/.claude/projects/x/${SESSION}.jsonl`, cwd: '/home/u/webshop', ...payload }, ...more,
  });
  assert.equal(got.hook_event_type, type);
}

const pai = (type, payload, more = {}) => call('POST', '/events', {
  source_app: 'pai', session_id: 'main', hook_event_type: type, payload, timestamp: Date.now(), timestamp_pst: '2026-11-30 12:00:00 PST', ...more,
});

try {
  await at(page, 'live');
  await page.getByRole('heading', { name: 'Waiting for the first entry' }).waitFor();
  await check('hooks: a session is a lane, its turn runs from the prompt on', async () => {
    await hook('SessionStart', { source: 'startup' });
    await hook('UserPromptSubmit', { prompt: 'The cart total is wrong for three thirds.' });
    await lane('webshop').waitFor();
    await until(async () => /running/.test(await lane('webshop').getAttribute('class')), 'a turn that runs');
    await line('The cart total is wrong for three thirds.').waitFor();
  });
  await check('hooks: a tool runs until its result comes, and is counted once', async () => {
    const input = { tool_name: 'Bash', tool_use_id: 'toolu_1', tool_input: { command: 'npm test -- cart' } };
    await hook('PreToolUse', input, { tool_name: 'Bash', tool_use_id: 'toolu_1' });
    await line('npm test -- cart').waitFor();
    await until(async () => /1 tool\b/.test(await lane('webshop').innerText()), 'one tool');
    await hook('PostToolUse', { ...input, tool_response: { stdout: '12 passed' } }, { tool_name: 'Bash', tool_use_id: 'toolu_1' });
    await line('12 passed').waitFor();
    assert.match(await lane('webshop').innerText(), /1 tool\b/);
  });
  await check('hooks: a failed tool is an error', async () => {
    await hook('PostToolUseFailure', { tool_name: 'Bash', tool_use_id: 'toolu_2', tool_input: { command: 'false' }, error: 'exit status 1' }, { error: 'exit status 1' });
    await until(async () => /1 err/.test(await lane('webshop').innerText()), 'an error');
    assert.match(await line('exit status 1').getAttribute('class'), /error/);
  });
  await check('hooks: a sub-agent has a lane of its own below, by its type, until it stops', async () => {
    await hook('PreToolUse', { tool_name: 'Task', tool_use_id: 'toolu_3', tool_input: { subagent_type: 'researcher', description: 'look it up', prompt: 'find' } });
    await hook('SubagentStart', { agent_id: 'a1b2c3', agent_type: 'researcher' }, { agent_id: 'a1b2c3', agent_type: 'researcher' });
    await hook('PreToolUse', { tool_name: 'Grep', tool_use_id: 'toolu_4', tool_input: { pattern: 'round(' }, agent_id: 'a1b2c3', agent_type: 'researcher' });
    const sub = page.locator('.lane', { hasText: 'researcher' });
    await sub.waitFor();
    assert.equal(await lane('webshop').count(), 2);
    const inset = async (e) => parseFloat(await e.locator('button').evaluate((b) => getComputedStyle(b).paddingLeft));
    assert.ok(await inset(sub) > await inset(lane('webshop').first()));
    await until(async () => /running/.test(await sub.getAttribute('class')), 'it runs');
    await hook('PostToolUse', { tool_name: 'Grep', tool_use_id: 'toolu_4', tool_input: {}, tool_response: 'cart.py:12', agent_id: 'a1b2c3', agent_type: 'researcher' });
    await hook('SubagentStop', { agent_id: 'a1b2c3', agent_type: 'researcher', last_assistant_message: 'cart.py rounds per line' });
    await until(async () => !/running/.test(await sub.getAttribute('class')), 'it has stopped');
  });
  await check('hooks: Stop ends the turn', async () => {
    await hook('PostToolUse', { tool_name: 'Task', tool_use_id: 'toolu_3', tool_input: {}, tool_response: {} });
    await hook('Stop', { stop_hook_active: false }, { summary: 'Rounds once now' });
    await line('Rounds once now').waitFor();
    await until(async () => !/running/.test(await lane('webshop').first().getAttribute('class')), 'at rest');
  });
  await check('a personal AI infrastructure: instances under the agent that asked for them', async () => {
    await pai('UserPromptSubmit', { prompt: 'Ship the newsletter' });
    await pai('PreToolUse', { tool_name: 'Task', tool_input: { subagent_type: 'engineer', description: 'write it' } });
    await pai('PreToolUse', { tool_name: 'Edit', tool_input: { file_path: '/srv/letter.md' } }, { source_app: 'engineer', agent_instance_id: 'engineer-1', agent_type: 'engineer', instance_number: 1, parent_session_id: 'main' });
    await lane('engineer').waitFor();
    const inset = async (a) => parseFloat(await lane(a).locator('button').evaluate((b) => getComputedStyle(b).paddingLeft));
    assert.ok(await inset('engineer') > await inset('pai'));
    await line('/srv/letter.md').waitFor();
    await pai('Completed', { task: 'write the letter' });
    await pai('Stop', {});
    await until(async () => /1 tool\b/.test(await lane('engineer').innerText()), 'its tool');
  });
  await check('the guide: log_event lines by POST /log, a lane for each agent, "unknown" without a name', async () => {
    const log = (e) => call('POST', '/log', { timestamp: new Date().toISOString(), ...e });
    await log({ agent: 'assistant', event: 'user_message', content: 'What is the weather?' });
    await log({ agent: 'assistant', event: 'tool_invocation', tool: 'weather', input: { city: 'Oslo' } });
    await until(async () => /running/.test(await lane('assistant').getAttribute('class')), 'the tool runs');
    await log({ agent: 'assistant', event: 'tool_result', tool: 'weather', output: '-4 C, snow' });
    await log({ agent: 'assistant', event: 'agent_response', content: 'It snows.' });
    await log({ event: 'error', content: 'nobody in particular' });
    await lane('unknown').waitFor();
    await until(async () => !/running/.test(await lane('assistant').getAttribute('class')), 'the result is there');
    await until(async () => /1 tool\b/.test(await lane('assistant').innerText()), 'one tool');
    await until(async () => /1 err/.test(await lane('unknown').innerText()), 'an error');
  });
  await check('all of it is there again for whoever opens the page later', async () => {
    await page.reload();
    await until(async () => (await page.locator('.lane').count()) === 6, 'six lanes');
    await until(async () => /researcher/.test((await page.locator('.lane').allInnerTexts()).join()), 'the sub-agent');
    assert.match(await lane('webshop').first().innerText(), /3 tools · 1 err/);
  });
  await shot(page, 'live-senders');
  await check('a session of hooks reads as a conversation', async () => {
    await at(page, `sessions/${SESSION}`);
    await page.locator('.said.user', { hasText: 'three thirds' }).waitFor();
    const tools = page.locator('.toolcall', { hasText: 'Bash' }).first();
    await tools.waitFor();
    assert.match(await tools.innerText(), /npm test -- cart/);
  });
  await check('its entries can be searched by what the tool was given', async () => {
    await at(page, 'explore?q=tool_input.command:cart&from=all');
    await becomes(async () => await page.locator('.row').count(), 2);
    assert.equal(params(page).q, 'tool_input.command:cart');
  });
  await check('no error of a script, nothing that the policy refused', async () => assert.deepEqual(wrong, []));
} finally {
  await browser.close();
}
done(11);
