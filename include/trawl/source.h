#pragma once

/* What a data source needs: pages through the program's HTTP client, rows into the catalogue.
 *
 *     struct source *source;
 *     rc = source_open(call, &(struct source_options){.bytes = sizeof(struct source_options),
 *                                                     .name = STR("zenodo")}, &source, err);
 *     rc = source_load_place(source, STR("listing"), &place, err);
 *     while (...) {
 *         rc = source_fetch(source, &request, &answer, err);
 *         rc = source_parse(source, answer.body, &page, err);
 *         rc = source_begin_page(source, err);
 *         for each row: source_put(...) or source_reject(...)
 *         rc = source_commit_page(source, STR("listing"), &place, err);
 *     }
 *     source_return_ledger(source);
 *     source_close(source);
 *
 * A page is one transaction: its rows, the place to go on and the counts.  Killed anywhere, the
 * next run goes on behind the last page that was committed.
 *
 * Records that begin with `bytes` may grow at their end: set it to sizeof the record; what the
 * program does not know is not read, what the plug-in does not know keeps its default.
 *
 * One source serves one call, on the thread of the call. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>
#include <trawl/json.h>
#include <trawl/str.h>
#include <trawl/task.h>

struct source;

/* A number that the source did not send. */
#define SOURCE_UNKNOWN INT64_MIN

struct source_options {
    size_t bytes;
    struct str name;         /* of the catalogue's source_name: "zenodo"; a-z, 0-9 and _ */
    int64_t min_interval_ms; /* between two requests to one host, beside what it asks for itself;
                                the setting of that name (source_setting) goes before */
    size_t max_answer_bytes; /* 0 = 64 MiB */
};

/* Opens nothing yet.  Errors: ERR_INVALID (name), ERR_UNSUPPORTED (a program without a catalogue),
 * ERR_NOMEM. */
MUST_CHECK TRAWL_API int source_open(struct celery_call *call, const struct source_options *options,
                                     struct source **out, struct error *err);
TRAWL_API void source_close(struct source *source); /* NULL is fine; undoes an open page */
TRAWL_API void source_closep(struct source **source);

/* `plugins.NAME.KEY` of trawl.yaml, or TRAWL_PLUGINS_NAME_KEY of the environment, NAME being the
 * source's; fallback where it is not set. */
TRAWL_API struct str source_setting(const struct source *source, const char *key,
                                    struct str fallback);

/* The same as a whole number; fallback also where it is none, or not from min to max, which is
 * logged. */
TRAWL_API int64_t source_setting_int(const struct source *source, const char *key, int64_t fallback,
                                     int64_t min, int64_t max);

/* --- the network --- */

struct source_request {
    size_t bytes;
    struct str url;           /* http or https, to a public address; others need a trusted origin */
    struct str authorization; /* "Bearer ..."; sent to this url's origin only; absent = none */
    struct str accept;        /* absent = "application/json" */
    struct str etag;          /* for If-None-Match: then the answer may have status 304 */
};

struct source_answer {
    int status;           /* 200 to 299, or 304 */
    struct str body;      /* decoded; as everything here until the next source_fetch */
    struct str etag;      /* absent where there was none */
    struct str final_url; /* after redirects */
};

/* Get a page: paced by the host's own rate-limit headers, repeated where that can help, capped.
 *
 * Errors: ERR_RATE_LIMIT (err->retry_after_ms; the worker tries the task again then), ERR_AUTH
 * (401, 403), ERR_NOT_FOUND (404, 410), ERR_NETWORK (5xx to the end, no connection), ERR_TIMEOUT,
 * ERR_TOO_LARGE, ERR_CANCELLED, ERR_INVALID (url, any other status; the beginning of the body is in
 * the message), ERR_NOMEM. */
MUST_CHECK TRAWL_API int source_fetch(struct source *source, const struct source_request *request,
                                      struct source_answer *out, struct error *err);

/* Read JSON; out lives until the next source_fetch.  Errors: ERR_INVALID, ERR_TOO_LARGE, ERR_NOMEM.
 */
MUST_CHECK TRAWL_API int source_parse(struct source *source, struct str text,
                                      const struct json **out, struct error *err);

/* Memory until the next source_fetch; NULL and ERR_NOMEM at the next source_put without any. */
MUST_CHECK TRAWL_API void *source_alloc(struct source *source, size_t n_bytes);

/* A formatted text, NUL-terminated, until the next source_fetch; NULL as source_alloc. */
MUST_CHECK TRAWL_API char *source_printf(struct source *source, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

/* HTML made plain: tags and comments go, entities become their character, breaks become lines. */
TRAWL_API struct str source_plain_text(struct source *source, struct str html);

/* text as it stands in a URL's query: "a b" gives "a%20b"; absent for lack of memory. */
TRAWL_API struct str source_escape_query(struct source *source, struct str text);

/* --- the catalogue --- */

/* One row.  A text or list whose pointer is NULL and a number that is SOURCE_UNKNOWN mean "the
 * source did not send it": the catalogue keeps what it has.  Texts are borrowed for source_put. */
struct source_dataset {
    size_t bytes;
    struct str external_id; /* the reference as people write it; required */
    struct str source_key;  /* the source's stable id, which outlives renames; required */
    struct str title;
    struct str url;
    struct str description; /* plain text */
    struct str license;     /* the source's id, in lower case: "cc-by-4.0" */
    struct str_list tags;
    struct str_list file_formats; /* "csv", "zip" */
    struct str_list column_names;
    int64_t total_size_bytes;
    int64_t row_count;
    int64_t download_count;
    int64_t view_count;
    int64_t like_count;
    int64_t created_at_us; /* at the source, UTC */
    int64_t updated_at_us;
    struct str meta;  /* one JSON object: what has no column of its own; source_format_meta */
    int is_minimal;   /* 1: known, its text still has to be fetched */
    int is_withdrawn; /* 1: the source knows it and does not show it */
};

/* clang-format off */
#define SOURCE_DATASET_INIT                                                                        \
    {.bytes = sizeof(struct source_dataset), .total_size_bytes = SOURCE_UNKNOWN,                   \
     .row_count = SOURCE_UNKNOWN, .download_count = SOURCE_UNKNOWN,                                \
     .view_count = SOURCE_UNKNOWN, .like_count = SOURCE_UNKNOWN,                                   \
     .created_at_us = SOURCE_UNKNOWN, .updated_at_us = SOURCE_UNKNOWN}
/* clang-format on */

/* One member of a row's `meta`: a value as the source sent it, or a text. */
struct source_meta {
    const char *name;
    const struct json *value; /* NULL: text */
    struct str text;          /* absent: the member is left out */
};

/* A JSON object of them, until the next source_fetch; absent for lack of memory. */
TRAWL_API struct str source_format_meta(struct source *source, const struct source_meta *members,
                                        size_t n_members);

/* Where a harvest stands; what is absent or SOURCE_UNKNOWN is none. */
struct source_place {
    size_t bytes;
    struct str cursor; /* where an interrupted walk goes on */
    struct str etag;
    struct str detail;    /* one JSON object, the source's own */
    int64_t watermark_us; /* everything up to here has been seen */
};

/* clang-format off */
#define SOURCE_PLACE_INIT {.bytes = sizeof(struct source_place), .watermark_us = SOURCE_UNKNOWN}
/* clang-format on */

/* The place that was stored last for a stream of the source ("listing"); of a new one, all absent.
 * Its texts live as long as the source.  Errors: those of the database. */
MUST_CHECK TRAWL_API int source_load_place(struct source *source, struct str stream,
                                           struct source_place *out, struct error *err);

/* Begin a page's transaction.  Errors: those of the database; ERR_INVALID (one is open). */
MUST_CHECK TRAWL_API int source_begin_page(struct source *source, struct error *err);

/* Insert a row, or merge it into the one with the same source_key.  A row that cannot be stored is
 * undone alone, logged and counted as failed: 0.  One without external_id or source_key is
 * rejected. Errors: those of the database, which would meet the next row, too; ERR_NOMEM. */
MUST_CHECK TRAWL_API int source_put(struct source *source, const struct source_dataset *row,
                                    struct error *err);

/* A record that cannot be used: logged, listed under the run, counted.
 *
 * record_idx  of the page, from 0
 * why         without the record's own text
 */
MUST_CHECK TRAWL_API int source_reject(struct source *source, size_t record_idx, const char *why,
                                       struct error *err);

/* Rows, counts and place, or nothing of them.  place may be NULL: none is stored.  Tells the call's
 * progress.  Errors: those of the database; the page is undone then. */
MUST_CHECK TRAWL_API int source_commit_page(struct source *source, struct str stream,
                                            const struct source_place *place, struct error *err);

/* Drop an open page. */
TRAWL_API void source_abandon_page(struct source *source);

/* Rows of the committed pages: inserted, updated, unchanged, rejected and failed together. */
TRAWL_API int64_t source_n_fetched(const struct source *source);

/* For progress: how many rows this run wants; 0 = not known. */
TRAWL_API void source_expect(struct source *source, int64_t n_rows);

/* What became of an attempt on one row, for the catalogue's enrichment log. */
enum source_outcome { SOURCE_SUCCESS, SOURCE_FAILED, SOURCE_RATE_LIMITED, SOURCE_SKIPPED };

/* Note it under the row with that external_id.  err_code (0 or negative) and message say why;
 * message may be NULL.  Errors: ERR_NOT_FOUND, those of the database. */
MUST_CHECK TRAWL_API int source_log_attempt(struct source *source, struct str external_id,
                                            enum source_outcome outcome, int64_t duration_ms,
                                            int err_code, const char *message, struct error *err);

/* The ledger into the call's result: total_fetched = total_inserted + total_updated +
 * total_unchanged + total_rejected + total_failed, and source.  After a failure, too: what was
 * committed before it counts. */
TRAWL_API void source_return_ledger(struct source *source);
