/* seg_index.c: what of a block goes into the indexes of its segment.
 *
 * By the values of each text column:
 *   FF_TEXT, or more than FIELD_BYTES of distinct text   the text signatures
 *   identity fields        whole values into the map; their grams, if few, into the field signature
 *   many distinct values that look like ids              their id tokens into the map
 *   everything else                                      grams into the field signature
 *
 * When the block is complete its size is known, and with it the room, ROOM_PERCENT of it. It is
 * given in this order, and what does not fit is left out: values of identity fields, few first;
 * text grams; field grams; id tokens of other columns, few first; tokens of texts. A signature gets
 * the rows that leave three quarters of it empty, or as many as fit, or none when it were crowded.
 */
#include "store/columnar/index_int.h"

#include <stdlib.h>

#include "store/columnar/seg_format.h"

#define ROOM_PERCENT 9 /* checksums, lists and the footer's part take up to one more */
#define FIELD_BYTES (32u << 10)
#define ID_VALUES 64 /* fewer distinct values are no ids */
#define ID_LENGTH 96 /* bytes of a value on average; longer ones are texts */
#define ID_SAMPLE 16
#define LOAD_PERCENT 30    /* positions to rows of a signature, wanted: a quarter is then set */
#define CROWDED_PERCENT 72 /* of rows set, at most: above it a signature rules out too little */
#define ENTRY_BITS 21      /* of the map, about */

bool index_room(void *array, size_t n, size_t *cap, size_t size)
{
    void **v = array;
    if (n < *cap)
        return true;
    size_t more = *cap ? *cap * 2 : 64;
    void *p = mem_realloc(*v, more * size);
    if (!p)
        return false;
    *v = p;
    *cap = more;
    return true;
}

struct index_writer *index_writer_new(bool off)
{
    struct index_writer *x = mem_zalloc(sizeof *x);
    if (!x)
        return NULL;
    x->off = off;
    x->sink = gram_sink_new();
    if (!x->sink) {
        mem_free(x);
        return NULL;
    }
    return x;
}

void index_writer_free(struct index_writer *x)
{
    if (!x)
        return;
    for (uint32_t i = 0; i < x->nsigs; i++)
        for (int p = 0; p < GRAM__PARTS; p++)
            mem_free(x->sigs[i].bits[p]);
    for (uint32_t i = 0; i < x->nsources; i++) {
        mem_free(x->sources[i].to);
        seg_unref(x->sources[i].g);
    }
    gram_sink_free(x->sink);
    mem_free(x->sigs);
    mem_free(x->covers);
    mem_free(x->entries);
    mem_free(x->sources);
    mem_free(x->run);
    mem_free(x->runs);
    mem_free(x);
}

void index_block_begin(struct index_writer *x)
{
    gram_sink_reset(x->sink);
    x->nrun = x->nruns = 0;
    x->block_covers = x->ncovers;
}

bool index_cover_add(struct index_writer *x, uint32_t key, uint32_t block, uint8_t how)
{
    if (!index_room(&x->covers, x->ncovers, &x->cap_covers, sizeof *x->covers))
        return false;
    x->covers[x->ncovers++] = (struct column_cover){ key, block, how };
    return true;
}

/* ---- columns ---- */

static void run_add(void *arg, uint64_t hash)
{
    struct index_writer *x = arg;
    if (!index_room(&x->run, x->nrun, &x->cap_run, sizeof *x->run)) {
        x->failed = true;
        return;
    }
    x->run[x->nrun++] = map_hash(hash);
}

static void note_id(void *arg, uint64_t hash)
{
    (void)hash;
    *(bool *)arg = true;
}

/* Do the values look like ids: many, short, no spaces, an id token in each? */
static bool looks_like_ids(const struct page_meta *pm, size_t bytes)
{
    if (pm->ndistinct < ID_VALUES || bytes / pm->ndistinct > ID_LENGTH)
        return false;
    for (uint32_t i = 0; i < ID_SAMPLE; i++) {
        str v = pm->distinct[(uint64_t)i * pm->ndistinct / ID_SAMPLE];
        bool id = false;
        if (str_chr(v, ' ') == SIZE_MAX)
            gram_id_tokens(v, note_id, &id);
        if (!id)
            return false;
    }
    return true;
}

static bool put_run(struct index_writer *x, uint32_t key, const struct page_meta *pm, uint8_t how)
{
    uint32_t from = (uint32_t)x->nrun;
    for (uint32_t i = 0; i < pm->ndistinct; i++) {
        if (how == COVER_VALUES)
            run_add(x, pm->hashes[i]);
        else
            gram_id_tokens(pm->distinct[i], run_add, x);
    }
    size_t cap = x->cap_runs;
    if (x->failed || !index_room(&x->runs, x->nruns, &cap, sizeof *x->runs))
        return false;
    x->cap_runs = (uint32_t)cap;
    x->runs[x->nruns++] = (struct value_run){ key, from, (uint32_t)x->nrun - from, how };
    return true;
}

int index_column(struct index_writer *x, const struct seg_key *k, uint32_t key,
                 const struct page_meta *pm, struct err *err)
{
    enum field f = field_by_key(k->key);
    uint32_t flags = f == F_NONE ? 0 : field_table[f].flags;
    uint8_t how = 0;
    size_t bytes = 0;
    bool ok = true;
    if (x->off || k->type != V_STR || flags & FF_INTERNAL)
        return 0;
    for (uint32_t i = 0; i < pm->ndistinct; i++)
        bytes += pm->distinct[i].n;
    if (flags & FF_IDENTITY)
        ok = put_run(x, key, pm, COVER_VALUES);
    else if (!(flags & FF_TEXT) && looks_like_ids(pm, bytes))
        ok = put_run(x, key, pm, COVER_IDS);
    else if (flags & FF_TEXT || bytes > FIELD_BYTES)
        how = COVER_TEXT;
    if (how != COVER_TEXT && bytes <= FIELD_BYTES)
        how = COVER_FIELDS;
    for (uint32_t i = 0; i < pm->ndistinct && how; i++) {
        if (how == COVER_TEXT)
            gram_sink_text(x->sink, pm->distinct[i]);
        else
            gram_sink_field(x->sink, pm->distinct[i], column_salt(k->hash));
    }
    return ok && index_cover_add(x, key, 0, how) ? 0 : err_nomem(err);
}

/* ---- the end of a block ---- */

struct block_sigs *index_sigs_of(struct index_writer *x, uint32_t block)
{
    while (x->nsigs <= block) {
        size_t cap = x->cap_sigs;
        if (!index_room(&x->sigs, x->nsigs, &cap, sizeof *x->sigs))
            return NULL;
        x->cap_sigs = (uint32_t)cap;
        x->sigs[x->nsigs++] = (struct block_sigs){ 0 };
    }
    return &x->sigs[block];
}

bool index_sig_keep(struct index_writer *x, uint32_t block, enum gram_part part, unsigned log,
                    const uint8_t *bits)
{
    struct block_sigs *s = index_sigs_of(x, block);
    size_t n = (size_t)1 << (log - 3);
    if (!s)
        return false;
    if (x->sig_bytes + n > INDEX_SIG_BYTES)
        return true;
    s->bits[part] = mem_alloc(n);
    if (!s->bits[part])
        return false;
    memcpy(s->bits[part], bits, n);
    s->log[part] = (uint8_t)log;
    x->sig_bytes += n;
    return true;
}

/* Rows for n bits set in the widest signature, as a power of two: so many that few are set, or what
 * `room` bits have place for; 0: none. */
static unsigned choose_rows(uint32_t n, uint64_t room)
{
    unsigned log = GRAM_LOG_MIN;
    while (log < GRAM_LOG_MAX && (uint64_t)n * 100 > (uint64_t)LOAD_PERCENT << log)
        log++;
    while (log >= GRAM_LOG_MIN && 1ull << log > room)
        log--;
    return log >= GRAM_LOG_MIN ? log : 0;
}

static bool keep_signature(struct index_writer *x, uint32_t block, enum gram_part part,
                           uint64_t *room)
{
    uint32_t n = gram_sink_count(x->sink, part);
    unsigned log = choose_rows(n, *room);
    if (!n || !log)
        return true;
    const uint8_t *bits = gram_sink_fold(x->sink, part, log);
    uint64_t set = 0;
    for (size_t i = 0; i < (size_t)1 << (log - 3); i++)
        set += (unsigned)__builtin_popcount(bits[i]);
    if (set * 100 > (uint64_t)CROWDED_PERCENT << log)
        return true;
    *room -= 1ull << log;
    return index_sig_keep(x, block, part, log, bits);
}

static int fewest_first(const void *pa, const void *pb)
{
    const struct value_run *a = pa, *b = pb;
    return a->n != b->n ? (a->n > b->n) - (a->n < b->n) : (a->key > b->key) - (a->key < b->key);
}

static struct column_cover *cover_of(struct index_writer *x, uint32_t key)
{
    for (size_t i = x->block_covers; i < x->ncovers; i++)
        if (x->covers[i].key == key)
            return &x->covers[i];
    return NULL;
}

static bool keep_runs(struct index_writer *x, uint32_t block, uint8_t how, uint64_t *room)
{
    for (uint32_t i = 0; i < x->nruns; i++) {
        const struct value_run *r = &x->runs[i];
        uint64_t bits = (uint64_t)r->n * ENTRY_BITS;
        if (r->how != how || bits > *room)
            continue;
        *room -= bits;
        cover_of(x, r->key)->how |= how;
        for (uint32_t k = r->from; k < r->from + r->n; k++) {
            if (!index_room(&x->entries, x->nentries, &x->cap_entries, sizeof *x->entries))
                return false;
            x->entries[x->nentries++] = valmap_entry(x->run[k], block);
        }
    }
    return true;
}

int index_block_end(struct index_writer *x, uint32_t block, uint64_t bytes, struct err *err)
{
    uint64_t room = bytes * 8 / 100 * ROOM_PERCENT;
    if (x->off)
        return 0;
    if (block >= INDEX_BLOCKS_MAX)
        room = 0;
    if (x->nruns)
        qsort(x->runs, x->nruns, sizeof *x->runs, fewest_first);
    for (size_t i = x->block_covers; i < x->ncovers; i++)
        x->covers[i].block = block;
    bool ok = index_sigs_of(x, block) && keep_runs(x, block, COVER_VALUES, &room) &&
              keep_signature(x, block, GRAM_TEXT, &room) &&
              keep_signature(x, block, GRAM_FIELDS, &room) &&
              keep_runs(x, block, COVER_IDS, &room) && keep_signature(x, block, GRAM_TOKENS, &room);
    return ok ? 0 : err_nomem(err);
}
