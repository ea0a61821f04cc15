"""The bugs: what planted.py puts into the store, one at a time. Each is a promise broken in the smallest way
that someone in a hurry might think of, or a bug that was there once (marked "was"): its return would be
noticed."""
from collections import namedtuple

Bug = namedtuple("Bug", "name what judges changes")
S = "src/store/columnar/"


def bug(name, what, judges, *changes):
    return Bug(name, what, judges.split(), [(S + f if "/" not in f else f, old, new) for f, old, new in changes])


BUGS = [
    # ---- acknowledging ----
    bug("ack-before-sync", "callers hear of success before the sync", "sim",
        ("columnar.c", "    s->cfg = *cfg;\n", "    s->cfg = *cfg;\n    s->cfg.ack_early = true;\n")),
    bug("sync-skipped", "the log is written and not synced", "sim fault",
        ("writer.c", "    if (!s->cfg.no_fsync)\n", "    if (s->cfg.no_fsync)\n")),
    bug("sync-error-ignored", "a failed sync of the log counts as done", "sim",
        ("writer.c", "        rc = w->f->io->ops->sync(w->f, err);\n",
         "        (void)w->f->io->ops->sync(w->f, err);\n")),
    bug("sync-tried-again", "a failed sync of the log is repeated, and the second one believed", "sim",
        ("writer.c", "        rc = w->f->io->ops->sync(w->f, err);\n",
         "        rc = w->f->io->ops->sync(w->f, err) ? w->f->io->ops->sync(w->f, err) : 0;\n")),
    bug("visible-before-durable", "a batch can be read before its sync", "sim",
        ("writer.c",
         "    rc = s->cfg.ack_early ? 0 : commit(s, g, chain, err);\n    if (rc)\n        return rc;\n"
         "    s->next_seq = g->seq;\n    s->last_received = g->now;\n    rc = late_apply(s, g, err);\n"
         "    if (!rc)\n        rc = publish(s, g, err);\n",
         "    rc = publish(s, g, err);\n    if (!rc)\n        rc = commit(s, g, chain, err);\n    if (rc)\n"
         "        return rc;\n    s->next_seq = g->seq;\n    s->last_received = g->now;\n"
         "    rc = late_apply(s, g, err);\n")),
    bug("log-file-not-in-directory", "a new log file's directory is not synced", "sim",
        ("wal.c", "        rc = w.f->io->ops->sync(w.f, err);\n    if (!rc)\n"
                  "        rc = io->ops->sync_dir(io, \"wal\", err);\n",
         "        rc = w.f->io->ops->sync(w.f, err);\n")),
    bug("large-batch-not-synced", "a batch's own file is not synced before its reference is", "sim",
        ("big.c", "    if (!rc && !s->cfg.no_fsync) {\n", "    if (!rc && s->cfg.no_fsync) {\n")),
    bug("large-batch-not-in-directory", "nor the directory that holds it", "sim",
        ("big.c", "        rc = s->io->ops->sync_dir(s->io, \"wal\", err);\n", "")),
    # ---- flushing ----
    bug("log-trimmed-first", "log files go before the manifest's record is on disk", "sim",
        ("flush.c", "    if (rc)\n        segments_unlink(s, metas, nmetas);\n",
         "    if (!rc && all)\n        remove_wals(s, wal_from, wal_to);\n    if (rc)\n"
         "        segments_unlink(s, metas, nmetas);\n")),
    bug("segment-not-synced", "a segment's bytes are not synced before the manifest names it", "sim",
        ("seg_finish.c", "    if (!rc)\n        rc = w->f->io->ops->sync(w->f, err);\n    if (rc)\n        return rc;\n",
         "    if (rc)\n        return rc;\n")),
    bug("segment-not-in-directory", "the directory is not synced after the rename", "sim",
        ("seg_finish.c", "        rc = io->ops->sync_dir(io, dir, err);\n    if (!rc)\n"
                        "        rc = io->ops->sync_dir(io, \"p\", err);\n    if (!rc)\n"
                        "        rc = io->ops->sync_dir(io, \".\", err);\n", "        rc = 0;\n")),
    bug("manifest-not-synced", "an edit counts once it is written", "sim",
        ("manifest.c", "    if (!rc)\n        rc = f->io->ops->sync(f, err);\n    if (!rc)\n        *size += b.n;\n",
         "    if (!rc)\n        *size += b.n;\n")),
    bug("rename-not-synced", "CURRENT and STATE change by a rename that is not synced", "sim",
        ("src/io/io.c", "    return io->ops->sync_dir(io, dir, err);\n", "    (void)dir;\n    return 0;\n")),
    bug("doubt-ignored", "after a failed edit that may be on disk all the same its files are removed", "sim",
        ("manifest.c", "        *ret_doubtful = rc != 0;\n", "        *ret_doubtful = false;\n")),
    bug("state-not-saved", "marks and keys are not written when their log goes", "sim",
        ("flush.c", "    if (!rc && all)\n        rc = save_state(s, &state, err);\n", "    (void)save_state;\n")),
    # ---- merging, deleting ----
    bug("removed-first", "segments are unlinked before the manifest forgets them", "sim",
        ("background.c", "    int rc = news_make(&w, s, e, flushed, err);\n",
         "    int rc = news_make(&w, s, e, flushed, err);\n    for (uint32_t i = 0; i < old->n && !rc; i++)\n"
         "        if (listed(e->remove, e->nremove, old->v[i]->m.id))\n"
         "            segments_unlink(s, &old->v[i]->m, 1);\n")),
    bug("merge-in-two-edits", "merged rows are added by one edit, the old ones taken away by another", "sim",
        ("merge.c", "        rc = version_install(\n            s, &(struct edit){ .add = m, .nadd = 1, .remove = ids, "
                    ".nremove = r->n }, 0, err);\n",
         "        rc = version_install(s, &(struct edit){ .add = m, .nadd = 1 }, 0, err);\n"
         "        if (!rc)\n            rc = version_install(s, &(struct edit){ .remove = ids, .nremove = r->n }, 0, err);\n")),
    bug("delete-not-logged", "a deletion is not in the manifest", "sim",
        ("manifest.c", "    for (uint32_t i = 0; i < e->nremove; i++)\n        put_tag_u64(&b, TAG_REMOVE, e->remove[i]);\n", "")),
    # ---- starting ----
    bug("flushed-read-again", "rows that are in segments are read from the log as well", "sim",
        ("wal.c", "    if (f->base_seq + f->n - 1 <= s->mf.flushed_seq)", "    if (f->base_seq + f->n - 1 < 1)")),
    bug("last-frame-dropped", "the last good frame is taken for the torn tail", "sim",
        ("wal.c", "        int rc = replay_frame(s, &f, p + at + WAL_FRAME, rep, err);\n",
         "        struct wal_frame after;\n"
         "        int rc = f.type != WAL_CLOCK && !frame_at(s, p, n, number, at + WAL_FRAME + f.length, &after)\n"
         "                     ? 0\n                     : replay_frame(s, &f, p + at + WAL_FRAME, rep, err);\n")),
    bug("torn-tail-read", "frames behind a torn one count, if they are whole", "sim",
        ("wal.c", "            if (known <= at) {",
         "            if (known <= at && resync(s, p, n, number, at + 1, &f) == UINT64_MAX) {")),
    bug("numbers-used-again", "after a torn tail numbers go on as if it had not been", "sim",
        ("columnar.c", "        s->next_seq += SEQ_SKIP;\n", "        (void)SEQ_SKIP;\n")),
    bug("old-log-written-on", "the old file's torn tail is written over by the next start", "sim",
        ("wal.c", "    return wal_create(s, s->wal.number + 1, s->wal.prev, s->wal.prev_end, &s->wal, err);\n",
         "    uint64_t number = s->wal.number > s->mf.wal_min ? s->wal.number : s->mf.wal_min;\n"
         "    return wal_create(s, number, s->wal.prev, s->wal.prev_end, &s->wal, err);\n")),
    bug("keys-not-read", "idempotency keys in the log are not read", "sim",
        ("wal.c", "    if (!idem)\n        return 0;\n", "    if (idem || !idem)\n        return 0;\n")),
    bug("marks-not-read", "marks in the log are not read", "sim",
        ("wal.c", "    case WAL_MARK: rc = marks_decode(s->late, str_n(p, f->length), &changed, err); break;\n",
         "    case WAL_MARK: changed = 0; (void)changed; break;\n")),
    # ---- checksums ----
    bug("log-payload-unchecked", "a frame's payload is not compared with its checksum", "flips",
        ("wal.c", "           f->length <= n - at - WAL_FRAME &&\n"
                  "           !crc_differs(f->payload_crc, crc32c(0, p + at + WAL_FRAME, f->length));\n",
         "           f->length <= n - at - WAL_FRAME;\n")),
    bug("log-header-unchecked", "nor its header", "flips tails",
        ("wal.c", "    if (get_le32(p) != WAL_FRAME_MAGIC ||\n        crc_differs(get_le32(p + 84), crc32c(0, p, WAL_FRAME - 4)))\n",
         "    if (get_le32(p) != WAL_FRAME_MAGIC)\n")),
    bug("log-address-unchecked", "a frame of another file or place counts", "tails",
        ("wal.c", "    return get_le64(p + 64) == s->tag && f->file_no == file_no && f->offset == at;\n",
         "    (void)file_no, (void)at;\n    return get_le64(p + 64) == s->tag;\n")),
    bug("log-chain-unchecked", "a frame that does not follow the one before it counts", "tails",
        ("wal.c", "                  (skipped || f.prev_crc == prev);\n", "                  (skipped || prev == prev);\n")),
    bug("page-unchecked", "pages are not compared with their checksums", "flips",
        ("sblock.c", "    if (crc_differs(crc, addr_crc(sb->g->s, sb->g->m.id, off, p, n)))\n",
         "    if (crc == 0 && crc_differs(crc, addr_crc(sb->g->s, sb->g->m.id, off, p, n)))\n")),
    bug("state-unchecked", "STATE is not compared with its checksum", "flips",
        ("late.c", "        crc_differs(get_le32(p + n - 4), addr_crc(s, number, 0, p, n - 4))) {\n",
         "        number == UINT64_MAX) {\n")),
    bug("large-batch-unchecked", "nor a batch's own file", "flips",
        ("big.c", "        crc_differs(ref->crc, addr_crc(s, ref->number, BIG_HEADER, p, (size_t)ref->stored)))\n",
         "        ref->number == UINT64_MAX)\n")),
    # ---- what was there once ----
    bug("was-made-over", "a start that cannot open CURRENT makes a new store over the old one", "sim",
        ("manifest.c", "    *ret = rc == ERR_NOTFOUND; /* one that cannot be opened may well be there */\n",
         "    *ret = rc != 0;\n    if (rc)\n        return 0;\n")),
    bug("was-current-not-synced", "a rename of CURRENT that was seen and never synced is relied on", "sim",
        ("manifest.c", "    int rc = s->cfg.read_only ? 0 : s->io->ops->sync_dir(s->io, \".\", err);\n", "    int rc = 0;\n")),
    bug("was-log-from-memory", "frames whose sync failed are shown by the next start", "sim",
        ("wal.c", "        f->io->ops->drop_cache(f);\n", "")),
    bug("was-state-forgotten", "when the edit fails that names STATE, marks are not saved again", "sim",
        ("flush.c", "    if (rc && state)\n        late_unsaved(s->late);\n", "")),
    bug("was-tail-overlooked", "a torn tail counts only in the very last file", "sim",
        ("wal.c", "        if (heads[i].begun) /* what was written after it knew of the tail before */\n            rep->torn_bytes = 0;\n",
         "        rep->torn_bytes = 0;\n")),
    bug("was-emptied-log", "a log file that the manifest begins with may be empty", "damage",
        ("wal.c", "    bool begun = number > 1 && number == s->mf.wal_min;\n", "    bool begun = false;\n")),
    # ---- the query language ----
    bug("query-above", "`>` of an integer includes it", "asked",
        ("src/model/pred_num.c", "            r->ilo = b->inclusive ? b->i : b->i + 1;\n", "            r->ilo = b->i;\n")),
    bug("query-word-inside", "a word is found inside another", "asked",
        ("src/model/pred_text.c", "    *p = (struct textpat){ .left = left, .right = right };\n",
         "    *p = (struct textpat){ .left = false, .right = right };\n")),
    bug("query-not-prunes", "what no row of a block is, none of NOT it is either", "asked",
        ("src/model/pred_prune.c", "return v == NONE ? ALL : v == ALL ? NONE : MAYBE;\n", "return v;\n")),
    bug("query-kinds-order", "values of two kinds are compared by what is in them", "asked",
        ("src/query/expr.c", "    bool same = kind_of(&v[0]) == kind_of(&v[1]), yes = false;\n",
         "    bool same = kind_of(&v[0]) >= 0, yes = false;\n")),
    bug("query-or-unknown", "OR with an unknown side is unknown", "asked",
        ("src/query/expr.c", "        if (v.t == V_BOOL && v.b == decides) {\n",
         "        if (v.t == V_BOOL && v.b == decides && !unknown) {\n")),
    bug("query-one-number", "5 and 5.0 are two groups", "asked",
        ("src/query/order.c", "    if (v.t == V_F64 && v.d == floor(v.d) && fabs(v.d) < 9223372036854775808.0)\n",
         "    if (v.t == V_F64 && v.d == floor(v.d) && v.d == 0.5)\n")),
    bug("query-rank", "a percentile counts ranks from 1", "asked",
        ("src/query/agg_numbers.c", "(unsigned __int128)a->q * (n - 1);\n", "(unsigned __int128)a->q * (n > 1 ? n - 2 : 0);\n")),
    bug("query-descending", "only the first key of a sort may go down", "asked",
        ("src/query/pipe_sort.c", "            return a->keys[i].desc ? -c : c;\n",
         "            return i == 0 && a->keys[i].desc ? -c : c;\n")),
    bug("query-limit", "a limit lets one more through", "asked",
        ("src/query/pipe_limit.c", "        bool first = seen++ < n;\n", "        bool first = seen++ <= n;\n")),
    bug("query-dedup-oldest", "dedup keeps the oldest where rows come newest first", "asked",
        ("src/query/pipe_dedup.c", "        return d->oldest ? t < k->t : t > k->t;\n", "        return t < k->t;\n")),
    bug("query-top-rarest", "top gives the rarest", "asked",
        ("src/query/pipe_top.c", "        return (t->counts[i] > t->counts[k]) != args->rare ? -1 : 1;\n",
         "        return (t->counts[i] > t->counts[k]) == args->rare ? -1 : 1;\n")),
]
