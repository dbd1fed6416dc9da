#pragma once

/* What the files of the SQLite result backend share; nobody else includes it, except its own tests.
 */

#include "base/database.h"
#include "celery/backend/chord.h"
#include "celery/backend/watch_list.h"
#include "celery/broker/sqlite_live.h"

struct sqlite_backend {
    struct backend base;
    struct backend_options options; /* with the defaults filled in */
    struct database *database;
    struct live_file live; /* beside the file, as the broker has it: only its wake-up is used */

    struct watch_list watched; /* mark: the result_id that was told last */
    int64_t last_id;           /* every result_id up to here is told or not watched */
    int64_t pass_id;           /* becomes last_id when the pass over the watched ids is done */
    size_t pass_idx;           /* where it stands; watched.n_items = there is none */
    bool has_more;             /* the last call stopped before it had seen everything */
    int64_t look_at_us;        /* monotonic: a wake-up may have been missed by then */
};

static inline struct sqlite_backend *
sqlite_backend_from(struct backend *backend)
{
    return (struct sqlite_backend *)backend;
}

/* The statements of the ways that must stay quick; a test asks SQLite for their plans. */
extern const char sqlite_find_sql[];
extern const char sqlite_get_sql[];
extern const char sqlite_changes_sql[];
extern const char sqlite_clean_sql[];

/* sqlite_read.c */
int sqlite_read_get(struct backend *backend, const struct str *ids, size_t n_ids,
                    struct arena *arena, struct backend_record_list *out, struct error *err);

/* sqlite_watch.c */
int sqlite_watch_set(struct backend *backend, const struct str *ids, size_t n_ids,
                     struct error *err);
void sqlite_watch_get_wait(const struct backend *backend, struct backend_wait *out);
int sqlite_watch_take(struct backend *backend, struct arena *arena, struct backend_record_list *out,
                      struct error *err);

/* sqlite_chord.c */
int sqlite_chord_begin(struct backend *backend, struct str group_id, int64_t size,
                       struct str saved, struct error *err);
int sqlite_chord_count(struct backend *backend, const struct backend_chord_part *parts,
                       size_t n_parts, struct arena *arena, struct backend_chord_count *counts,
                       struct error *err);
int sqlite_chord_end(struct backend *backend, struct str group_id, struct error *err);
/* Remove expired ones, within a transaction. */
MUST_CHECK int sqlite_chord_clean(struct sqlite_backend *self, int64_t limit, int64_t *n_removed,
                                  struct error *err);

/* sqlite_read.c: a row of the columns of sqlite_get_sql as a record of the arena. */
#define RECORD_COLUMNS "result_id, task_id, status, run, expires_at, document"
MUST_CHECK int sqlite_read_record(const struct statement *row, struct arena *arena,
                                  struct backend_record *out, struct error *err);
bool sqlite_read_is_expired(const struct sqlite_backend *self, const struct statement *row);

/* 1 with the row of this id in *row (reset it), 0 where there is none; expired ones are none. */
MUST_CHECK int sqlite_read_find(struct sqlite_backend *self, struct str id, struct statement **row,
                                struct error *err);
