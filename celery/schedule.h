#pragma once

/* What beat sends, and when: one row per entry.
 *
 *     const struct celery_schedule worker_schedule[] = {
 *         {"generate-embeddings-every-30min", "enrich.generate_embeddings", .every_s = 1800,
 * "[100]"},
 *         {"cleanup-nightly", "cleanup.remove_old_cache", .crontab = "0 3 * * *",
 *          .time_zone = "Europe/Berlin"},
 *         CELERY_SCHEDULE_END,
 *     };
 *
 * Rows are data: nothing here sends or waits.  schedule_timing.h tells when a row is due. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>

#define CELERY_SCHEDULE_NAME_BYTES  200
#define CELERY_SCHEDULE_ARGS_BYTES  ((size_t)64 << 10)      /* of args, and of kwargs */
#define CELERY_SCHEDULE_EVERY_MAX_S (INT64_C(3660) * 86400) /* ten years */

/* The four fields up to args may be given by position.  NULL and 0 mean "not given". */
struct celery_schedule {
    const char *name; /* unique; part of every slot's key */
    const char *task;
    int64_t every_s;       /* either this: a fixed span, 1 s to ten years ... */
    const char *args;      /* a JSON array; NULL = "[]" */
    const char *crontab;   /* ... or this: "minute hour day_of_month month_of_year day_of_week" */
    const char *kwargs;    /* a JSON object; NULL = "{}" */
    const char *time_zone; /* IANA name, for crontab and relative; NULL = the default zone */
    bool is_relative;      /* every_s cut to whole days, hours or minutes, as its size is */
    int64_t starting_deadline_s; /* a crontab run missed by more than this is skipped; 0 = none */
    const char *queue;           /* NULL = CELERY_DEFAULT_QUEUE */
    int priority;                /* 0 to 9; 0 is served first */
    int64_t expires_s; /* after the send, so that missed work does not pile up; 0 = never */
};

/* clang-format off */
#define CELERY_SCHEDULE_END {.name = NULL}
/* clang-format on */

/* What holds for all rows; all zero is a good choice. */
struct celery_schedule_options {
    const char *time_zone;    /* of rows that have none of their own; NULL = UTC */
    const char *zoneinfo_dir; /* NULL = CELERY_ZONEINFO_DIR */
};

/* Check rows without knowing the tasks: names, either every_s or crontab, texts that parse, zones
 * that exist (where the system has no zone data at all, this is no error: see celery_timing_init).
 *
 * rows     ended by CELERY_SCHEDULE_END
 * options  NULL = all defaults
 *
 * Errors: ERR_INVALID or ERR_NOT_FOUND (a zone), naming row, field, value and the way out;
 * ERR_NOMEM. */
MUST_CHECK int celery_schedule_check(const struct celery_schedule *rows,
                                     const struct celery_schedule_options *options,
                                     struct error *err);
