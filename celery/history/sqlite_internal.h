#pragma once

/* What the files of the SQLite history share. */

#include "base/database.h"
#include "celery/history/history.h"

#define SQLITE_HISTORY_WORDS 64
#define SQLITE_HISTORY_LISTS 256 /* more than filters of different shapes */

/* A word and its number, as the store has them. */
struct sqlite_history_word {
    int64_t word_id; /* 0 = free */
    size_t n_text;
    char text[HISTORY_NAME_BYTES];
};

struct sqlite_history {
    struct history base;
    struct database *database;
    char *lists[SQLITE_HISTORY_LISTS]; /* prepared statements are known by the address of their text
                                        */
    size_t n_lists;
    struct sqlite_history_word words[SQLITE_HISTORY_WORDS];
};

static inline struct sqlite_history *
sqlite_history_from(struct history *history)
{
    return (struct sqlite_history *)history;
}

/* sqlite_write.c */
int sqlite_history_put(struct history *history, const struct history_record *records,
                       size_t n_records, struct error *err);
int sqlite_history_clean(struct history *history, const struct history_limits *limits,
                         size_t *n_removed, struct error *err);
int sqlite_history_note_retry(struct history *history, struct str id, struct str retry_of,
                              int64_t at_us, struct error *err);

/* sqlite_list.c */
int sqlite_history_list(struct history *history, const struct history_filter *filter,
                        struct arena *arena, struct history_list *out, struct error *err);

/* sqlite_read.c */
int sqlite_history_find(struct history *history, struct str id, struct arena *arena,
                        struct str *out, struct error *err);
int sqlite_history_get(struct history *history, struct str id, struct arena *arena,
                       struct history_task *out, struct error *err);
