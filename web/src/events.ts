/** What senders call the steps of an agent, and where a hook has what others send as input and output. */
import type { Json, Row } from './api';

/* as src/query/pipe_sessions.c has it */
export const USER = new Set([
  'UserPromptSubmit',
  'user_prompt',
  'user_message',
  'user_input',
  'codex.user_prompt',
  'user',
  'prompt',
  'claude_code.user_prompt',
]);
export const ANSWER = new Set(['agent_response', 'assistant', 'assistant_message', 'llm_response', 'Stop']);
export const SYSTEM = new Set(['system_prompt', 'system']);
export const THINKING = new Set(['thinking', 'reasoning']);
export const CALL = new Set(['tool_invocation', 'tool_call', 'PreToolUse', 'tool_use']);
export const RESULT = new Set(['tool_result', 'PostToolUse', 'PostToolUseFailure']);

export const inputOf = (row: Row | undefined): Json | undefined => row?.input ?? attribute(row, 'tool_input');
export const outputOf = (row: Row | undefined): Json | undefined => row?.output ?? attribute(row, 'tool_response');

function attribute(row: Row | undefined, name: string): Json | undefined {
  const a = row?.attributes;
  return a && typeof a === 'object' && !Array.isArray(a) && Object.hasOwn(a, name) ? a[name] : undefined;
}
