#pragma once

/* What has become of tasks: finished ones, their attempts, and what each said in the log.
 *
 * Knows nothing of brokers, results or workers.  A handle belongs to one thread of one process and
 * is opened after fork; any number of processes of one host may have one on the same store. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "celery/history/record.h"

struct history;

enum history_access {
    HISTORY_WRITES, /* make the store where it is missing */
    HISTORY_READS,  /* it must be there, also to note retries */
};

/* Which tasks.  Absent texts and unknown times match all. */
struct history_filter {
    struct str name; /* or a pattern with * or ?, as in a shell */
    struct str state;
    struct str queue;
    struct str worker;
    struct str text;  /* somewhere in the arguments, as JSON writes them */
    int64_t since_us; /* UTC, ended at or after */
    int64_t until_us; /* UTC, ended before */
    size_t limit;
};

/* clang-format off */
#define HISTORY_FILTER_INIT {.since_us = INT64_MIN, .until_us = INT64_MIN, .limit = 50}
/* clang-format on */

/* A search for text looks at so many tasks at most, the newest that the other filters let
 * through. */
#define HISTORY_SEARCH_MAX ((size_t)250000)

struct history_list {
    struct history_record *items; /* newest first; traceback and lines are absent */
    size_t n_items;
    int64_t searched_to_us; /* INT64_MIN, or: a text was looked for only in newer tasks than this */
};

/* All that is known of a task. */
struct history_task {
    struct history_record *attempts; /* oldest first; the last one is the task's present state */
    size_t n_attempts;
    struct str retry_of;    /* the task whose arguments these are; absent = none */
    struct str *retried_as; /* its later copies */
    size_t n_retried_as;
};

struct history_limits {
    int64_t oldest_us; /* UTC: what ended before goes; INT64_MIN = nothing */
    int64_t max_rows;  /* 0 = no limit */
    size_t n_most;     /* tasks removed by one call */
};

/* An implementation.  Meaning and errors: at the functions below. */
struct history_ops {
    const char *scheme;
    int (*open)(struct str url, enum history_access access, struct history **out,
                struct error *err);
    void (*close)(struct history *history);
    int (*put)(struct history *history, const struct history_record *records, size_t n_records,
               struct error *err);
    int (*clean)(struct history *history, const struct history_limits *limits, size_t *n_removed,
                 struct error *err);
    int (*list)(struct history *history, const struct history_filter *filter, struct arena *arena,
                struct history_list *out, struct error *err);
    int (*find)(struct history *history, struct str id, struct arena *arena, struct str *out,
                struct error *err);
    int (*get)(struct history *history, struct str id, struct arena *arena,
               struct history_task *out, struct error *err);
    int (*note_retry)(struct history *history, struct str id, struct str retry_of, int64_t at_us,
                      struct error *err);
};

extern const struct history_ops history_sqlite;

/* Every implementation's struct begins with this one. */
struct history {
    const struct history_ops *ops;
};

/* Is this a URL that history_open may take?  Opens nothing.  Errors: ERR_CONFIG. */
MUST_CHECK int history_check_url(struct str url, struct error *err);

/* By the URL's scheme: "sqlite:///path".  Errors: ERR_CONFIG (scheme, a file that holds something
 * else), ERR_NOT_FOUND (HISTORY_READS: no worker has written one), those of the database. */
MUST_CHECK int history_open(struct str url, enum history_access access, struct history **out,
                            struct error *err);
void history_close(struct history *history); /* NULL is fine */
void history_closep(struct history **history);

/* Write records down, all or none.  A record of a task that is known is a new attempt, the same one
 * again (it replaces what was said), or one that comes late.  Errors: ERR_BUSY, ERR_DISK_FULL and
 * so on; trying again is always right. */
MUST_CHECK int history_put(struct history *history, const struct history_record *records,
                           size_t n_records, struct error *err);

/* Remove what the limits do not allow, oldest first, n_most at a time: *n_removed == n_most says
 * that there may be more. */
MUST_CHECK int history_clean(struct history *history, const struct history_limits *limits,
                             size_t *n_removed, struct error *err);

/* Into the arena. */
MUST_CHECK int history_list(struct history *history, const struct history_filter *filter,
                            struct arena *arena, struct history_list *out, struct error *err);

/* The one id that begins with these characters.  Errors: ERR_NOT_FOUND; ERR_ARGS (several do, with
 * their beginnings). */
MUST_CHECK int history_find(struct history *history, struct str id, struct arena *arena,
                            struct str *out, struct error *err);

/* By the whole id.  Errors: ERR_NOT_FOUND. */
MUST_CHECK int history_get(struct history *history, struct str id, struct arena *arena,
                           struct history_task *out, struct error *err);

/* Task id was sent with the arguments of another one. */
MUST_CHECK int history_note_retry(struct history *history, struct str id, struct str retry_of,
                                  int64_t at_us, struct error *err);
