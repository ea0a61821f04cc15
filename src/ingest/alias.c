/* alias.c: the names under which clients send the canonical fields (docs/data-model.md has the
 * table).
 *
 * One list, in order of precedence within a field; a hash table for each dialect is made of it at
 * first use. Names with a dot match the literal key and the nested path alike. */
#include <pthread.h>

#include "base/hash.h"
#include "ingest/decode.h"

#define N SET_NATIVE
#define F SET_FLEET
#define M SET_MALS
#define G SET_GUIDE
#define E SET_EVENTS
#define ALL (N | F | M | G | E)
#define NM(s)                                                                                      \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

static struct alias aliases[] = {
    { NM("id"), F_ID, N | F | G, 0, 0 },
    { NM("timestamp"), F_TIMESTAMP, F, AL_STRICT, 0 },
    { NM("timestamp"), F_TIMESTAMP, E, AL_STRICT, 0 },
    { NM("timestamp"), F_TIMESTAMP, N | G, 0, 0 },
    { NM("@timestamp"), F_TIMESTAMP, N | G, 0, 0 },
    { NM("time"), F_TIMESTAMP, N | G, 0, 0 },
    { NM("ts"), F_TIMESTAMP, N | G, 0, 0 },
    { NM("event_time"), F_TIMESTAMP, N | G, 0, 0 },
    { NM("kind"), F_KIND, N, 0, 0 },
    { NM("agent"), F_AGENT, F, AL_STRICT, 0 },
    { NM("agent_id"), F_AGENT, M, AL_STRICT, 0 },
    { NM("source_app"), F_AGENT, E, AL_STRICT, 0 },
    { NM("agent"), F_AGENT, N | G, 0, 0 },
    { NM("agent.name"), F_AGENT, N | G, 0, 0 },
    { NM("gen_ai.agent.name"), F_AGENT, N | G, 0, 0 },
    { NM("source_app"), F_AGENT, N | G, 0, 0 },
    { NM("agent_id"), F_AGENT_ID, N | F | G | E, 0, 0 },
    { NM("gen_ai.agent.id"), F_AGENT_ID, ALL, 0, 0 },
    { NM("agentId"), F_AGENT_ID, ALL, 0, 0 },
    { NM("payload.agent_id"), F_AGENT_ID, N | E, 0, 0 },
    { NM("agent_instance_id"), F_AGENT_ID, N | E, 0, 0 },
    { NM("parent_agent_id"), F_PARENT_AGENT_ID, ALL, 0, 0 },
    { NM("level"), F_LEVEL, F | M, AL_STRICT, 0 },
    { NM("level"), F_LEVEL, N | G | E, 0, 0 },
    { NM("severity"), F_LEVEL, N | G | E, 0, 0 },
    { NM("severityText"), F_LEVEL, N | G | E, 0, 0 },
    { NM("severityNumber"), F_LEVEL, N | G | E, AL_OTEL, 0 },
    { NM("levelname"), F_LEVEL, N | G | E, 0, 0 },
    { NM("log.level"), F_LEVEL, N | G | E, 0, 0 },
    { NM("message"), F_MESSAGE, F | M, AL_STRICT, 0 },
    { NM("content"), F_MESSAGE, G, 0, 0 },
    { NM("message"), F_MESSAGE, N | G | E, 0, 0 },
    { NM("msg"), F_MESSAGE, N | G | E, 0, 0 },
    { NM("body"), F_MESSAGE, N | G | E, 0, 0 },
    { NM("log"), F_MESSAGE, N | G | E, 0, 0 },
    { NM("summary"), F_MESSAGE, N | G | E, 0, 0 },
    { NM("payload.message"), F_MESSAGE, N | E, 0, 0 },
    { NM("payload.prompt"), F_MESSAGE, N | E, 0, 0 },
    { NM("payload.error"), F_MESSAGE, N | E, 0, 0 },
    { NM("payload.last_assistant_message"), F_MESSAGE, N | E, 0, 0 },
    { NM("hook_event_type"), F_EVENT, E, AL_STRICT, 0 },
    { NM("event"), F_EVENT, N | F | M | G, 0, 0 },
    { NM("event_type"), F_EVENT, N | F | M | G, 0, 0 },
    { NM("event.name"), F_EVENT, N | F | M | G, 0, 0 },
    { NM("hook_event_type"), F_EVENT, N | F | M | G, 0, 0 },
    { NM("hook_event_name"), F_EVENT, N | F | M | G, 0, 0 },
    { NM("type"), F_EVENT, N | F | M | G, 0, 0 },
    { NM("operation"), F_OPERATION, ALL, 0, 0 },
    { NM("gen_ai.operation.name"), F_OPERATION, ALL, 0, 0 },
    { NM("status"), F_STATUS, ALL, 0, 0 },
    { NM("error_type"), F_ERROR_TYPE, ALL, 0, 0 },
    { NM("error.type"), F_ERROR_TYPE, ALL, 0, 0 },
    { NM("exception.type"), F_ERROR_TYPE, ALL, 0, 0 },
    { NM("input"), F_INPUT, ALL, 0, 0 },
    { NM("output"), F_OUTPUT, ALL, 0, 0 },
    { NM("category"), F_CATEGORY, M, AL_STRICT, 0 },
    { NM("category"), F_CATEGORY, N | F | G | E, 0, 0 },
    { NM("source"), F_SOURCE, M, AL_STRICT, 0 },
    { NM("source"), F_SOURCE, N | F | G | E, 0, 0 },
    { NM("component"), F_COMPONENT, ALL, 0, 0 },
    { NM("subcomponent"), F_SUBCOMPONENT, ALL, 0, 0 },
    { NM("subcategory"), F_SUBCOMPONENT, ALL, 0, 0 },
    { NM("code"), F_CODE, ALL, 0, 0 },
    { NM("log_code"), F_CODE, ALL, 0, 0 },
    { NM("tags"), F_TAGS, ALL, 0, 0 },
    { NM("session_key"), F_SESSION_ID, M, AL_STRICT, 0 },
    { NM("session_id"), F_SESSION_ID, F | E, AL_STRICT, 0 },
    { NM("session_id"), F_SESSION_ID, N | G, 0, 0 },
    { NM("session_key"), F_SESSION_ID, N | G, 0, 0 },
    { NM("session.id"), F_SESSION_ID, N | G, 0, 0 },
    { NM("conversation.id"), F_SESSION_ID, N | G, 0, 0 },
    { NM("gen_ai.conversation.id"), F_SESSION_ID, N | G, 0, 0 },
    { NM("sessionId"), F_SESSION_ID, N | G, 0, 0 },
    { NM("group_id"), F_SESSION_ID, N | G, 0, 0 },
    { NM("payload.session_id"), F_SESSION_ID, N, 0, 0 },
    { NM("trace_id"), F_TRACE_ID, F | M, AL_STRICT, 0 },
    { NM("trace_id"), F_TRACE_ID, N | G | E, 0, 0 },
    { NM("traceId"), F_TRACE_ID, N | G | E, 0, 0 },
    { NM("trace.trace_id"), F_TRACE_ID, N | G | E, 0, 0 },
    { NM("span_id"), F_SPAN_ID, ALL, 0, 0 },
    { NM("spanId"), F_SPAN_ID, ALL, 0, 0 },
    { NM("observation_id"), F_SPAN_ID, ALL, 0, 0 },
    { NM("parent_id"), F_PARENT_ENTRY, M, AL_STRICT, 0 },
    { NM("parent_id"), F_PARENT_ID, N | F | G | E, 0, 0 },
    { NM("parent_span_id"), F_PARENT_ID, ALL, 0, 0 },
    { NM("parentSpanId"), F_PARENT_ID, ALL, 0, 0 },
    { NM("parent_span"), F_PARENT_ID, ALL, 0, 0 },
    { NM("parent_observation_id"), F_PARENT_ID, ALL, 0, 0 },
    { NM("parent_entry"), F_PARENT_ENTRY, N | F | G | E, 0, 0 },
    { NM("duration_ms"), F_DURATION_MS, ALL, 0, 0 },
    { NM("durationMs"), F_DURATION_MS, ALL, 0, 0 },
    { NM("latency_ms"), F_DURATION_MS, ALL, 0, 0 },
    { NM("metrics.duration_ms"), F_DURATION_MS, ALL, 0, 0 },
    { NM("payload.duration_ms"), F_DURATION_MS, N | E, 0, 0 },
    { NM("tool"), F_TOOL, ALL, 0, 0 },
    { NM("tool_name"), F_TOOL, ALL, 0, 0 },
    { NM("gen_ai.tool.name"), F_TOOL, ALL, 0, 0 },
    { NM("payload.tool_name"), F_TOOL, N | E, 0, 0 },
    { NM("tool_use_id"), F_CALL_ID, ALL, 0, 0 },
    { NM("call_id"), F_CALL_ID, ALL, 0, 0 },
    { NM("gen_ai.tool.call.id"), F_CALL_ID, ALL, 0, 0 },
    { NM("payload.tool_use_id"), F_CALL_ID, N | E, 0, 0 },
    { NM("model"), F_MODEL, ALL, 0, 0 },
    { NM("model_name"), F_MODEL, ALL, 0, 0 },
    { NM("gen_ai.response.model"), F_MODEL, ALL, 0, 0 },
    { NM("gen_ai.request.model"), F_MODEL, ALL, 0, 0 },
    { NM("llm.model_name"), F_MODEL, ALL, 0, 0 },
    { NM("ai.model.id"), F_MODEL, ALL, 0, 0 },
    { NM("payload.model"), F_MODEL, N | E, 0, 0 },
    { NM("tokens.input"), F_TOKENS_INPUT, ALL, 0, 0 },
    { NM("input_tokens"), F_TOKENS_INPUT, ALL, 0, 0 },
    { NM("usage.input_tokens"), F_TOKENS_INPUT, ALL, 0, 0 },
    { NM("gen_ai.usage.input_tokens"), F_TOKENS_INPUT, ALL, AL_INCLUSIVE, 0 },
    { NM("gen_ai.usage.prompt_tokens"), F_TOKENS_INPUT, ALL, AL_INCLUSIVE, 0 },
    { NM("llm.token_count.prompt"), F_TOKENS_INPUT, ALL, AL_INCLUSIVE, 0 },
    { NM("ai.usage.promptTokens"), F_TOKENS_INPUT, ALL, AL_INCLUSIVE, 0 },
    { NM("input_token_count"), F_TOKENS_INPUT, ALL, AL_INCLUSIVE, 0 },
    { NM("usage.prompt_tokens"), F_TOKENS_INPUT, ALL, AL_INCLUSIVE, 0 },
    { NM("prompt_tokens"), F_TOKENS_INPUT, ALL, AL_INCLUSIVE, 0 },
    { NM("tokens.cache_read"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("cache_read_tokens"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("cache_read_input_tokens"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("usage.cache_read_input_tokens"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("gen_ai.usage.cache_read.input_tokens"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("gen_ai.usage.cache_read_input_tokens"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("llm.token_count.prompt_details.cache_read"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("ai.usage.cachedInputTokens"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("cached_token_count"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("usage.prompt_tokens_details.cached_tokens"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    { NM("prompt_tokens_details.cached_tokens"), F_TOKENS_CACHE_READ, ALL, 0, 0 },
    /* OpenAI's Responses call them input_tokens as Anthropic does, but count these in */
    { NM("usage.input_tokens_details.cached_tokens"), F_TOKENS_CACHE_READ, ALL, AL_INCLUSIVE, 0 },
    { NM("input_tokens_details.cached_tokens"), F_TOKENS_CACHE_READ, ALL, AL_INCLUSIVE, 0 },
    { NM("tokens.cache_write"), F_TOKENS_CACHE_WRITE, ALL, 0, 0 },
    { NM("cache_creation_tokens"), F_TOKENS_CACHE_WRITE, ALL, 0, 0 },
    { NM("cache_creation_input_tokens"), F_TOKENS_CACHE_WRITE, ALL, 0, 0 },
    { NM("usage.cache_creation_input_tokens"), F_TOKENS_CACHE_WRITE, ALL, 0, 0 },
    { NM("gen_ai.usage.cache_write.input_tokens"), F_TOKENS_CACHE_WRITE, ALL, 0, 0 },
    { NM("gen_ai.usage.cache_creation.input_tokens"), F_TOKENS_CACHE_WRITE, ALL, 0, 0 },
    { NM("gen_ai.usage.cache_creation_input_tokens"), F_TOKENS_CACHE_WRITE, ALL, 0, 0 },
    { NM("llm.token_count.prompt_details.cache_write"), F_TOKENS_CACHE_WRITE, ALL, 0, 0 },
    { NM("cache_write_token_count"), F_TOKENS_CACHE_WRITE, ALL, 0, 0 },
    { NM("tokens.output"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("output_tokens"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("usage.output_tokens"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("gen_ai.usage.output_tokens"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("gen_ai.usage.completion_tokens"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("llm.token_count.completion"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("ai.usage.completionTokens"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("output_token_count"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("usage.completion_tokens"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("completion_tokens"), F_TOKENS_OUTPUT, ALL, 0, 0 },
    { NM("tokens.reasoning"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("reasoning_tokens"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("gen_ai.usage.reasoning.output_tokens"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("gen_ai.usage.reasoning_tokens"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("llm.token_count.completion_details.reasoning"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("ai.usage.reasoningTokens"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("reasoning_token_count"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("usage.completion_tokens_details.reasoning_tokens"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("completion_tokens_details.reasoning_tokens"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("usage.output_tokens_details.reasoning_tokens"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("output_tokens_details.reasoning_tokens"), F_TOKENS_REASONING, ALL, 0, 0 },
    { NM("cost_usd"), F_COST_USD, ALL, 0, 0 },
    { NM("gen_ai.usage.cost"), F_COST_USD, ALL, 0, 0 },
    { NM("llm.cost.total"), F_COST_USD, ALL, 0, 0 },
    { NM("operation.cost"), F_COST_USD, ALL, 0, 0 },
    { NM("operation.cost"), F_COST_USD, ALL, 0, 0 },
    { NM("stream"), F_STREAM, N, 0, 0 },
    { NM("run"), F_RUN, ALL, 0, 0 },
    { NM("run_id"), F_RUN, ALL, 0, 0 },
    { NM("logger"), F_LOGGER, ALL, 0, 0 },
    { NM("logger_name"), F_LOGGER, ALL, 0, 0 },
    { NM("user"), F_USER, ALL, 0, 0 },
    { NM("user.id"), F_USER, ALL, 0, 0 },
    { NM("user_id"), F_USER, ALL, 0, 0 },
    { NM("host"), F_HOST, ALL, 0, 0 },
    { NM("host.name"), F_HOST, ALL, 0, 0 },
    { NM("hostname"), F_HOST, ALL, 0, 0 },
    { NM("service"), F_SERVICE, ALL, 0, 0 },
    { NM("service.name"), F_SERVICE, ALL, 0,
      0 }, /* feeds agent too when nothing else does: row.c */
    { NM("env"), F_ENV, ALL, 0, 0 },
    { NM("environment"), F_ENV, ALL, 0, 0 },
    { NM("deployment.environment"), F_ENV, ALL, 0, 0 },
};

#define SETS 5
#define SLOTS 512
static const struct alias *slots[SETS][SLOTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void tables_make(void)
{
    uint8_t ranks[F__COUNT] = { 0 };
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        struct alias *al = &aliases[i];
        al->rank = ranks[al->field]++;
        for (int s = 0; s < SETS; s++) {
            if (!(al->sets >> s & 1))
                continue;
            size_t k = hash64(al->name.p, al->name.n) % SLOTS;
            while (slots[s][k])
                k = (k + 1) % SLOTS;
            slots[s][k] = al;
        }
    }
}

const struct alias *alias_find(enum alias_set set, str dotted)
{
    pthread_once(&once, tables_make);
    const struct alias *const *t = slots[__builtin_ctz((unsigned)set)];
    for (size_t k = hash64(dotted.p, dotted.n) % SLOTS; t[k]; k = (k + 1) % SLOTS)
        if (str_eq(t[k]->name, dotted))
            return t[k];
    return NULL;
}
