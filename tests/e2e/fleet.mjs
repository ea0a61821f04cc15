// The fleet that the checks look at: five agents that work, fail and wait. The same every time, but for the
// moment it ends at, which is now.
import { put } from './support.mjs';

export const AGENTS = ['planner', 'researcher', 'coder', 'reviewer', 'mailer'];
export const LOG_LINES = 1200;

function random(seed) {
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

/** Lines over six hours: 75 % info, the rest debug, warn, error, critical. */
export function lines(now, n = LOG_LINES) {
  const r = random(7), out = [];
  for (let i = 0; i < n; i++) {
    const x = r(), agent = AGENTS[Math.floor(r() * AGENTS.length)];
    const level = x < 0.12 ? 'debug' : x < 0.87 ? 'info' : x < 0.95 ? 'warn' : x < 0.99 ? 'error' : 'critical';
    const ms = Math.round(20 + r() * r() * 900), file = `src/part_${Math.floor(r() * 40)}.ts`;
    const what = level === 'error' ? { message: `request to 10.0.0.${Math.floor(r() * 250)} timed out after ${ms} ms`, error_type: 'TimeoutError', tool: 'fetch' }
      : level === 'critical' ? { message: `out of context: ${100000 + Math.floor(r() * 9999)} tokens`, error_type: 'ContextOverflow' }
        : level === 'warn' ? { message: `retry ${1 + Math.floor(r() * 4)} of 4`, tool: 'fetch' }
          : { message: `read ${file} in ${ms} ms`, tool: 'read_file', duration_ms: ms };
    out.push({
      timestamp: new Date(now - 6 * 3600e3 + (i / n) * (6 * 3600e3 - 120e3)).toISOString(), agent, level, ...what,
      session_id: `s-${1 + (i % 12)}`, env: i % 3 ? 'production' : 'staging', region: { zone: `z${i % 4}`, 'host name': `box ${i % 7}` }, 'build name': `nightly "${i % 3}"`,
      tags: ['fleet', `batch-${i % 5}`],
    });
  }
  return out;
}

function span(trace, id, parent, agent, from, ms, more = {}) {
  return { trace_id: trace, span_id: id, parent_id: parent || undefined, agent, kind: 'span', timestamp: new Date(from).toISOString(), duration_ms: ms, ...more };
}

export function traces(now) {
  const t = now - 3600e3, out = [];
  out.push(
    span('t-release', 'r1', '', 'planner', t, 420e3, { operation: 'ship the release', session_id: 's-talk' }),
    span('t-release', 'r2', 'r1', 'planner', t + 500, 3000, { operation: 'chat', model: 'claude-sonnet-4', 'tokens.input': 5200, 'tokens.output': 800, cost_usd: 0.0276 }),
    span('t-release', 'r3', 'r1', 'researcher', t + 4000, 9000, { operation: 'research', parent_agent_id: 'planner', session_id: 's-talk' }),
    span('t-release', 'r4', 'r3', 'researcher', t + 4500, 7000, { tool: 'grep', operation: 'execute_tool', input: { pattern: 'TODO' }, output: '12 matches' }),
    // four minutes of nothing, then the tests
    span('t-release', 'r5', 'r1', 'coder', t + 260e3, 90e3, { operation: 'run the tests', tool: 'bash', status: 'error', level: 'error', error_type: 'ExitStatus', message: '3 tests failed', parent_agent_id: 'planner' }),
    span('t-release', 'r6', 'r1', 'coder', t + 352e3, 60e3, { operation: 'chat', model: 'gpt-5-mini', 'tokens.input': 91000, 'tokens.output': 2200, cost_usd: 0.31 }),
    { trace_id: 't-release', span_id: 'r5', agent: 'coder', timestamp: new Date(t + 300e3).toISOString(), level: 'warn', message: 'a slow test: 41 s' });
  out.push(
    { trace_id: 't-running', span_id: 'u1', kind: 'span_start', agent: 'mailer', operation: 'send the digest', timestamp: new Date(now - 90e3).toISOString() },
    span('t-running', 'u2', 'u1', 'mailer', now - 80e3, 20e3, { tool: 'smtp', operation: 'execute_tool' }));
  out.push({ trace_id: 't-lost', span_id: 'l1', kind: 'span_start', agent: 'reviewer', operation: 'review', timestamp: new Date(now - 3 * 3600e3).toISOString() });
  out.push(span('t-orphan', 'o2', 'o1-never-sent', 'reviewer', now - 1800e3, 1500, { operation: 'comment' }));
  for (let i = 0; i < 30; i++) {
    const from = now - 5 * 3600e3 + i * 500e3, agent = AGENTS[i % 5];
    out.push(span(`t-${i}`, `a${i}`, '', agent, from, 4000 + i * 100, { operation: `task ${i}`, session_id: `s-${1 + (i % 12)}` }),
      span(`t-${i}`, `b${i}`, `a${i}`, agent, from + 100, 1500, { operation: 'chat', model: i % 2 ? 'claude-sonnet-4' : 'gpt-5-mini', 'tokens.input': 1000 + i, 'tokens.output': 90, cost_usd: 0.004 + i / 10000 }),
      span(`t-${i}`, `c${i}`, `a${i}`, agent, from + 1700, 1800, { operation: 'execute_tool', tool: i % 3 ? 'grep' : 'bash' }));
  }
  return out;
}

export function talks(now) {
  const out = [];
  for (const [n, session] of ['s-talk', 's-talk-2'].entries()) {
    let t = now - 3500e3 + n * 600e3;
    const say = (more) => out.push({ session_id: session, timestamp: new Date(t += 4000).toISOString(), agent: 'coder', ...more });
    say({ agent: 'user', event: 'user_message', message: `Please fix the failing test in part ${n + 7}.` });
    say({ event: 'agent_response', message: 'I will look at it.\n\nFirst the file:', model: 'claude-sonnet-4', 'tokens.input': 900, 'tokens.output': 40, cost_usd: 0.003 });
    say({ event: 'tool_call', tool: 'read_file', call_id: `${session}-1`, input: { path: `src/part_${n + 7}.ts`, lines: [1, 40] } });
    say({ event: 'tool_result', tool: 'read_file', call_id: `${session}-1`, output: 'export const answer = 42;', duration_ms: 12 });
    say({ event: 'tool_call', tool: 'bash', call_id: `${session}-2`, input: { command: 'npm test' } });
    say({ event: 'tool_result', tool: 'bash', call_id: `${session}-2`, level: 'error', status: 'error', error_type: 'ExitStatus', output: 'expected 41, got 42', message: 'npm test ended with 1', duration_ms: 8300 });
    say({ event: 'heartbeat', message: 'still here' });
    say({ event: 'agent_response', message: `Fixed: the answer of part ${n + 7} was one too high.`, model: 'claude-sonnet-4', 'tokens.input': 1400, 'tokens.output': 60, cost_usd: 0.005 });
  }
  return out;
}

export async function fleet(now = Date.now()) {
  const all = [...lines(now), ...traces(now), ...talks(now)];
  for (let i = 0; i < all.length; i += 1000) await put(...all.slice(i, i + 1000));
  return all.length;
}
