/* field.c: the table of canonical fields, column keys and field references.
 *
 * Names and short names are found by one hash of the name in a table built at first use. The dotted
 * hash of a key is kept on disk by indexes: it is hash64 of the key with every inner PATH_SEP read
 * as
 * '.', taken in pieces of DOTTED_PIECE bytes, each seeded with the hash so far. */
#include "model/field.h"

#include <pthread.h>

#include "base/hash.h"

#define ID FF_IDENTITY
#define TEXT FF_TEXT
#define TIME FF_TIME
#define VIRT FF_VIRTUAL
#define NAME(n)                                                                                    \
    {                                                                                              \
        n, sizeof(n) - 1                                                                           \
    }
#define NONE                                                                                       \
    {                                                                                              \
        "", 0                                                                                      \
    }

const struct field_info field_table[F__COUNT] = {
    [F_ID] = { NAME("id"), NONE, ID },
    [F_SEQ] = { NAME("seq"), NONE, VIRT },
    [F_TIMESTAMP] = { NAME("timestamp"), NAME("time"), TIME },
    [F_RECEIVED_AT] = { NAME("received_at"), NONE, TIME | VIRT },
    [F_KIND] = { NAME("kind"), NONE, ID },
    [F_AGENT] = { NAME("agent"), NONE, ID },
    [F_AGENT_ID] = { NAME("agent_id"), NONE, ID },
    [F_PARENT_AGENT_ID] = { NAME("parent_agent_id"), NONE, ID },
    [F_LEVEL] = { NAME("level"), NONE, 0 },
    [F_MESSAGE] = { NAME("message"), NONE, TEXT },
    [F_EVENT] = { NAME("event"), NONE, ID },
    [F_OPERATION] = { NAME("operation"), NONE, ID },
    [F_STATUS] = { NAME("status"), NONE, ID },
    [F_ERROR_TYPE] = { NAME("error_type"), NONE, TEXT },
    [F_INPUT] = { NAME("input"), NONE, TEXT },
    [F_OUTPUT] = { NAME("output"), NONE, TEXT },
    [F_CATEGORY] = { NAME("category"), NONE, ID },
    [F_SOURCE] = { NAME("source"), NONE, ID },
    [F_COMPONENT] = { NAME("component"), NONE, ID },
    [F_SUBCOMPONENT] = { NAME("subcomponent"), NONE, ID },
    [F_CODE] = { NAME("code"), NONE, ID },
    [F_TAGS] = { NAME("tags"), NONE, ID },
    [F_SESSION_ID] = { NAME("session_id"), NAME("session"), ID },
    [F_TRACE_ID] = { NAME("trace_id"), NAME("trace"), ID },
    [F_SPAN_ID] = { NAME("span_id"), NAME("span"), ID },
    [F_PARENT_ID] = { NAME("parent_id"), NAME("parent"), ID },
    [F_PARENT_ENTRY] = { NAME("parent_entry"), NONE, ID },
    [F_DURATION_MS] = { NAME("duration_ms"), NONE, 0 },
    [F_TOOL] = { NAME("tool"), NONE, ID },
    [F_CALL_ID] = { NAME("call_id"), NAME("call"), ID },
    [F_MODEL] = { NAME("model"), NONE, ID },
    [F_TOKENS_INPUT] = { NAME("tokens.input"), NONE, 0 },
    [F_TOKENS_CACHE_READ] = { NAME("tokens.cache_read"), NONE, 0 },
    [F_TOKENS_CACHE_WRITE] = { NAME("tokens.cache_write"), NONE, 0 },
    [F_TOKENS_OUTPUT] = { NAME("tokens.output"), NONE, 0 },
    [F_TOKENS_REASONING] = { NAME("tokens.reasoning"), NONE, 0 },
    [F_COST_USD] = { NAME("cost_usd"), NONE, 0 },
    [F_STREAM] = { NAME("stream"), NONE, ID },
    [F_RUN] = { NAME("run"), NONE, ID },
    [F_LOGGER] = { NAME("logger"), NONE, 0 },
    [F_USER] = { NAME("user"), NONE, ID },
    [F_HOST] = { NAME("host"), NONE, ID },
    [F_SERVICE] = { NAME("service"), NONE, ID },
    [F_ENV] = { NAME("env"), NONE, ID },
    [F_KEY_ID] = { NAME("key_id"), NONE, 0 },
    [F_SHAPE] = { NAME("shape"), NONE, FF_INTERNAL },
    [F_REST] = { NAME("rest"), NONE, FF_INTERNAL },
    [F_RESOLVED] = { NAME("resolved"), NONE, VIRT },
    [F_RESOLVED_BY] = { NAME("resolved_by"), NONE, VIRT },
    [F_RESOLVED_AT] = { NAME("resolved_at"), NONE, TIME | VIRT },
    [F_NOTE] = { NAME("note"), NONE, TEXT | VIRT },
};
#undef ID
#undef TEXT
#undef TIME
#undef VIRT

#define SLOTS 256
static struct {
    str name;
    enum field field;
} names[SLOTS];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void names_add(str name, enum field f)
{
    size_t k = hash64(name.p, name.n) % SLOTS;
    while (names[k].name.n)
        k = (k + 1) % SLOTS;
    names[k].name = name;
    names[k].field = f;
}

static void names_make(void)
{
    for (int f = 0; f < F__COUNT; f++) {
        names_add(field_table[f].name, (enum field)f);
        if (field_table[f].short_name.n)
            names_add(field_table[f].short_name, (enum field)f);
    }
}

enum field field_by_name(str name)
{
    if (!name.n || name.n > 24)
        return F_NONE;
    pthread_once(&names_once, names_make);
    for (size_t k = hash64(name.p, name.n) % SLOTS; names[k].name.n; k = (k + 1) % SLOTS)
        if (str_eq(names[k].name, name))
            return names[k].field;
    return F_NONE;
}

enum field field_by_key(str key)
{
    enum field f = field_by_name(key);
    return f != F_NONE && field_table[f].name.n == key.n && str_eq(field_table[f].name, key)
               ? f
               : F_NONE;
}

#define DOTTED_PIECE 1024

uint64_t field_dotted_hash(str key)
{
    char piece[DOTTED_PIECE];
    uint64_t h = 0;
    size_t i = 0;
    do {
        size_t n = key.n - i < DOTTED_PIECE ? key.n - i : DOTTED_PIECE;
        for (size_t k = 0; k < n; k++)
            piece[k] = key.p[i + k] == PATH_SEP && i + k > 0 ? '.' : key.p[i + k];
        h = hash64_seed(piece, n, h);
        i += n;
    } while (i < key.n);
    return h;
}

bool fieldref_matches(const struct fieldref *f, str key, uint64_t key_hash)
{
    if (key_hash != f->hash || key.n != f->key.n)
        return false;
    if (f->field != F_NONE || f->exact)
        return str_eq(f->key, key);
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] != f->key.p[i] && !(i > 0 && key.p[i] == PATH_SEP && f->key.p[i] == '.'))
            return false;
    return true;
}

/* one step without its separator */
static size_t step_escape(str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == PATH_SEP || s.p[i] == PATH_ESC) {
            out[n++] = PATH_ESC;
            out[n++] = (char)(s.p[i] + 0x10);
        } else {
            out[n++] = s.p[i];
        }
    }
    return n;
}

static const str long_prefix = { "attributes.", 11 };

bool fieldref_make(struct arena *a, str name, bool literal, struct fieldref *ret)
{
    enum field f = literal ? F_NONE : field_by_name(name);
    *ret = (struct fieldref){ .field = f, .exact = literal };
    if (f != F_NONE) {
        ret->key = field_table[f].name;
    } else {
        if (!literal && str_starts(name, long_prefix))
            name = str_skip(name, long_prefix.n);
        char *p = arena_alloc(a, 2 * name.n + 2);
        if (!p)
            return false;
        p[0] = PATH_SEP;
        ret->key = (str){ p, 1 + step_escape(name, p + 1) };
    }
    ret->hash = field_dotted_hash(ret->key);
    return true;
}

struct fieldref fieldref_exact(str key)
{
    return (struct fieldref){
        .field = F_NONE, .key = key, .exact = true, .hash = field_dotted_hash(key)
    };
}

bool field_name_byte(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '@' || (c & 0x80))
        return true;
    return !first && ((c >= '0' && c <= '9') || c == '.' || c == '-' || c == '$');
}

void field_put_name(struct buf *b, str key)
{
    if (!key.n || key.p[0] != PATH_SEP) {
        buf_putstr(b, key);
        return;
    }
    for (size_t i = 1; i < key.n; i++) {
        if (key.p[i] == PATH_ESC && i + 1 < key.n)
            buf_putc(b, (char)(key.p[++i] - 0x10));
        else
            buf_putc(b, key.p[i] == PATH_SEP ? '.' : key.p[i]);
    }
}

/* a step between backticks; one byte at a time, as it comes out of a column key */
static void put_ticked(struct buf *b, char c)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char u = (unsigned char)c;
    if (c == '`' || c == '\\') {
        buf_putc(b, '\\');
        buf_putc(b, c);
    } else if (u < ' ' || u == 0x7f) {
        buf_puts(b, "\\u00");
        buf_putc(b, hex[u >> 4]);
        buf_putc(b, hex[u & 15]);
    } else {
        buf_putc(b, c);
    }
}

/* would this name without backticks be read as one, and as no other thing? */
static bool is_plain(str name)
{
    static const char *const words[] = { "after", "before", "on", "in" };
    for (size_t i = 0; i < name.n; i++)
        if (!field_name_byte(name.p[i], i == 0))
            return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(name, str_c(words[i])))
            return false;
    return name.n && !str_starts(name, long_prefix);
}

/* may the step at key[from..to) stand without backticks beside one with them? */
static bool plain_step(str key, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (!field_name_byte(key.p[i], i == 1) || key.p[i] == '.')
            return false;
    return to > from && !(from == 1 && str_eq(str_sub(key, 1, to - 1), STR("attributes")));
}

void field_put_query(struct buf *b, str key, bool all)
{
    size_t at = b->n;
    field_put_name(b, key);
    if (!buf_ok(b) || !key.n || key.p[0] != PATH_SEP)
        return;
    str name = { b->p + at, b->n - at };
    if (!all && is_plain(name)) {
        char own[32];
        if (field_by_name(name) == F_NONE)
            return;
        memcpy(own, name.p, name.n); /* no field's name is longer */
        buf_truncate(b, at);
        buf_putstr(b, long_prefix);
        buf_put(b, own, name.n);
        return;
    }
    buf_truncate(b, at);
    for (size_t i = 1, end; i <= key.n; i = end + 1) {
        end = i;
        while (end < key.n && key.p[end] != PATH_SEP)
            end++;
        bool plain = !all && end - i < key.n - 1 && plain_step(key, i, end);
        buf_puts(b, i > 1 ? "." : "");
        buf_puts(b, plain ? "" : "`");
        for (size_t k = i; k < end; k++) {
            bool escaped = key.p[k] == PATH_ESC && k + 1 < end;
            char c = escaped ? (char)(key.p[++k] - 0x10) : key.p[k];
            if (plain)
                buf_putc(b, c);
            else
                put_ticked(b, c);
        }
        buf_puts(b, plain ? "" : "`");
    }
}

void field_put_step(struct buf *b, str client_key)
{
    char *p = buf_reserve(b, 2 * client_key.n + 1);
    if (!p)
        return;
    p[0] = PATH_SEP;
    buf_advance(b, 1 + step_escape(client_key, p + 1));
}
