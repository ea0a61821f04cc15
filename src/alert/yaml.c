/* yaml.c: a YAML file as a tree, by libyaml's events.
 *
 * Aliases and anchors are refused, so nothing can be blown up by them; so are tags, which could
 * only change what a plain word means. A file holds one document. */
#include <yaml.h>

#include "alert/tree.h"

static uint32_t line_of(yaml_mark_t m)
{
    return m.line < UINT32_MAX - 1 ? (uint32_t)m.line + 1 : UINT32_MAX;
}

static uint32_t col_of(yaml_mark_t m)
{
    return m.column < UINT32_MAX - 1 ? (uint32_t)m.column + 1 : UINT32_MAX;
}

static int parse_error(const yaml_parser_t *p, struct err *err)
{
    if (p->error == YAML_MEMORY_ERROR)
        return err_nomem(err);
    yaml_mark_t at = p->problem_mark;
    if (!at.line && !at.column && p->context)
        at = p->context_mark;
    tree_err(err, ERR_INVALID, line_of(at), col_of(at), "not YAML: %.300s",
             p->problem ? p->problem : "it cannot be read");
    if (p->context)
        err_hint(err, "%.80s that began in line %u", p->context, line_of(p->context_mark));
    else
        err_hint(err, "texts with ':', '#' or quotes in them stand in 'single quotes'");
    return ERR_INVALID;
}

static int scalar(struct tree_builder *b, const yaml_event_t *e, struct err *err)
{
    str text = str_n((const char *)e->data.scalar.value, e->data.scalar.length);
    uint32_t line = line_of(e->start_mark), col = col_of(e->start_mark);
    if (text.n && memchr(text.p, 0, text.n))
        return tree_err(err, ERR_INVALID, line, col, "a text has a zero byte in it");
    return tree_add(b, TREE_TEXT, text, e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE, line, col,
                    err);
}

static bool has_tag(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT: return e->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT: return e->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT: return e->data.mapping_start.tag != NULL;
    default: return false;
    }
}

static bool has_anchor(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT: return true;
    case YAML_SCALAR_EVENT: return e->data.scalar.anchor != NULL;
    case YAML_SEQUENCE_START_EVENT: return e->data.sequence_start.anchor != NULL;
    case YAML_MAPPING_START_EVENT: return e->data.mapping_start.anchor != NULL;
    default: return false;
    }
}

static int take(struct tree_builder *b, const yaml_event_t *e, struct err *err)
{
    uint32_t line = line_of(e->start_mark), col = col_of(e->start_mark);
    if (has_anchor(e)) {
        tree_err(err, ERR_INVALID, line, col, "anchors and aliases (&x, *x) are not taken");
        err_hint(err, "write it out, or quote a text that begins with & or *");
        return ERR_INVALID;
    }
    if (has_tag(e)) {
        tree_err(err, ERR_INVALID, line, col, "tags (!x) are not taken");
        err_hint(err, "leave it out, or quote a text that begins with !");
        return ERR_INVALID;
    }
    switch (e->type) {
    case YAML_SCALAR_EVENT: return scalar(b, e, err);
    case YAML_SEQUENCE_START_EVENT: return tree_add(b, TREE_LIST, STR_NULL, true, line, col, err);
    case YAML_MAPPING_START_EVENT: return tree_add(b, TREE_MAP, STR_NULL, true, line, col, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: tree_close(b); return 0;
    default: return 0;
    }
}

static int read_events(struct tree_builder *b, yaml_parser_t *p, struct err *err)
{
    for (bool end = false; !end;) {
        yaml_event_t e;
        if (!yaml_parser_parse(p, &e))
            return parse_error(p, err);
        end = e.type == YAML_STREAM_END_EVENT;
        int rc = take(b, &e, err);
        yaml_event_delete(&e);
        if (rc < 0)
            return rc;
    }
    if (b->root)
        return 0;
    tree_err(err, ERR_INVALID, 1, 1, "there is nothing in it");
    err_hint(err, "a file of rules begins with 'alerts:'");
    return ERR_INVALID;
}

int tree_from_yaml(struct tree **ret, struct arena *a, str text, struct err *err)
{
    struct tree_builder b = { .a = a };
    yaml_parser_t p;
    if (text.n > TREE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "larger than %zu KiB", TREE_BYTES_MAX >> 10);
    if (!yaml_parser_initialize(&p))
        return err_nomem(err);
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)(text.n ? text.p : ""), text.n);
    int rc = read_events(&b, &p, err);
    yaml_parser_delete(&p);
    if (rc == 0)
        *ret = b.root;
    return rc;
}
