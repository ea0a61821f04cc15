/* node.c: the keys met in a request, as a tree of nodes found by guess or by hash.
 *
 * Keys and source texts of nodes are copied with room behind them, so that two short keys are
 * compared by words. When a request brings more than NODES_MAX different paths the tree is thrown
 * away between two entries and grown anew: memory stays bounded, only the guesses are lost. */
#include "base/hash.h"
#include "ingest/decode.h"

#define NODES_MAX 32768
#define NODE_MEM ((size_t)256 << 20)
#define DOTTED_MAX 64
#define KEY_PAD 16

static uint64_t node_hash(uint32_t parent, str key)
{
    return hash_mix(hash_keyed(key) + parent * 0x9e3779b97f4a7c15ull);
}

static str copy_padded(struct arena *a, str s)
{
    char *p = arena_alloc(a, s.n + KEY_PAD);
    if (!p)
        return STR_NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    memset(p + s.n, 0, KEY_PAD);
    return (str){ p, s.n };
}

bool node_table_init(struct dec *d)
{
    d->nnodes = 0;
    d->table_cap = 128;
    d->table = arena_zalloc(&d->node_mem, d->table_cap * sizeof *d->table);
    d->root = arena_zalloc(&d->node_mem, sizeof *d->root);
    if (!d->table || !d->root)
        return false;
    d->root->id = d->next_id++;
    return true;
}

static bool table_grow(struct dec *d)
{
    uint32_t cap = d->table_cap * 2;
    struct node **t = arena_zalloc(&d->node_mem, cap * sizeof *t);
    if (!t)
        return false;
    for (uint32_t i = 0; i < d->table_cap; i++) {
        struct node *n = d->table[i];
        if (!n)
            continue;
        uint32_t k = (uint32_t)node_hash(n->parent->id, n->key) & (cap - 1);
        while (t[k])
            k = (k + 1) & (cap - 1);
        t[k] = n;
    }
    d->table = t;
    d->table_cap = cap;
    return true;
}

static bool is_container(const struct dec *d, str key)
{
    for (const char *const *c = d->rules->containers; c && *c; c++)
        if (str_eq(key, str_c(*c)))
            return true;
    return false;
}

/* "a.b" of a node "b" in "a" */
static str dotted_of(struct dec *d, const struct node *parent, str key)
{
    if (parent == d->root)
        return key.n <= DOTTED_MAX ? key : STR_NULL;
    if (!parent->dotted.p || parent->dotted.n + 1 + key.n > DOTTED_MAX)
        return STR_NULL;
    char *p = arena_alloc(&d->node_mem, parent->dotted.n + 1 + key.n);
    if (!p) {
        d->nomem = true;
        return STR_NULL;
    }
    memcpy(p, parent->dotted.p, parent->dotted.n);
    p[parent->dotted.n] = '.';
    if (key.n)
        memcpy(p + parent->dotted.n + 1, key.p, key.n);
    return (str){ p, parent->dotted.n + 1 + key.n };
}

/* The column key: the parent's, PATH_SEP, the escaped key. */
static bool set_path(struct dec *d, struct node *n)
{
    buf_reset(&d->tmp);
    if (n->parent != d->root && n->parent != n->scope)
        buf_putstr(&d->tmp, n->parent->path);
    field_put_step(&d->tmp, n->key);
    if (!buf_ok(&d->tmp))
        return false;
    n->path = arena_dup(&d->node_mem, buf_str(&d->tmp));
    return n->path.p != NULL;
}

/* Names of the semantic conventions count inside `attributes` as they do at the top. */
static void set_alias(struct dec *d, struct node *n)
{
    static const str inside = { "attributes", 10 };
    if (!n->dotted.p)
        return;
    n->alias = alias_find(d->rules->set, n->dotted);
    n->rank = n->alias ? n->alias->rank : 0;
    if (n->alias || !n->scope || d->rules->set != SET_NATIVE || !str_eq(n->scope->key, inside))
        return;
    str name = str_skip(n->dotted, inside.n + 1);
    if (str_chr(name, '.') == SIZE_MAX)
        return;
    n->alias = alias_find(d->rules->set, name);
    n->rank = n->alias ? (uint8_t)(n->alias->rank + 128) : 0;
}

static struct node *node_make(struct dec *d, struct node *parent, str key, str raw, uint32_t slot)
{
    struct node *n = arena_zalloc(&d->node_mem, sizeof *n);
    if (!n)
        return NULL;
    n->parent = parent;
    n->key = copy_padded(&d->node_mem, key);
    n->raw = copy_padded(&d->node_mem, raw);
    n->scope = parent->container ? parent : parent->scope;
    n->top = parent == d->root || parent->container ? n : parent->top;
    n->id = d->next_id++;
    if (!n->key.p || !n->raw.p || !set_path(d, n))
        return NULL;
    n->dotted = dotted_of(d, parent, n->key);
    if (d->nomem)
        return NULL;
    n->own_name = parent == d->root ? field_by_key(n->key) : F_NONE;
    n->container = parent == d->root && is_container(d, n->key);
    set_alias(d, n);
    n->picky = n->alias && field_is_picky(n->alias->field);
    d->table[slot] = n;
    d->nnodes++;
    if (d->nnodes * 2 > d->table_cap && !table_grow(d))
        return NULL;
    if (parent->container) {
        n->twin = node_top(d, n->key);
        if (!n->twin)
            return NULL;
    }
    return n;
}

static struct node *node_find(struct dec *d, struct node *parent, str key, str raw)
{
    uint32_t k = (uint32_t)node_hash(parent->id, key) & (d->table_cap - 1);
    for (; d->table[k]; k = (k + 1) & (d->table_cap - 1))
        if (d->table[k]->parent == parent && str_eq(d->table[k]->key, key))
            return d->table[k];
    struct node *n = node_make(d, parent, key, raw, k);
    if (!n)
        d->nomem = true;
    return n;
}

struct node *node_top(struct dec *d, str key)
{
    return node_find(d, d->root, key, key);
}

struct node *node_child_slow(struct dec *d, struct node **guess, struct node *cur,
                             const struct json_tok *key)
{
    str plain = key->raw;
    if (key->escaped) {
        plain = json_unescape(key, d->a);
        if (!plain.p) {
            d->nomem = true;
            return NULL;
        }
    }
    if (plain.n > d->lim->key_bytes) {
        row_bad(d, str_sub(plain, 0, 64), "", STR_NULL,
                "a key of %zu bytes is longer than the limit of %zu", plain.n, d->lim->key_bytes);
        return NULL;
    }
    struct node *n = node_find(d, cur, plain, key->raw);
    if (n)
        *guess = n;
    return n;
}

bool node_table_trim(struct dec *d)
{
    if (d->nnodes <= NODES_MAX)
        return true;
    arena_reset(&d->node_mem);
    d->nlast = 0;
    memset(d->plans, 0, sizeof d->plans); /* they point to nodes */
    return node_table_init(d);
}

void node_mem_init(struct dec *d)
{
    arena_init(&d->node_mem, NODE_MEM);
}
