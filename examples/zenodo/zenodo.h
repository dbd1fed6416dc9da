#pragma once

/* Zenodo's records as datasets: what the files of this source share. */

#include <trawl/source.h>

#define ZENODO_ENDPOINT       STR("https://zenodo.org")
#define ZENODO_PAGE_ROWS      25    /* that anonymous clients may ask for */
#define ZENODO_WINDOW_RESULTS 10000 /* that one search shows */

/* A stretch of creation times, both ends included; SOURCE_UNKNOWN = open. */
struct zenodo_span {
    int64_t from_us;
    int64_t to_us;
};

/* Lives until the next fetch. */
struct zenodo_page {
    const struct json *rows; /* an array, newest first */
    size_t n_rows;
};

/* client_zenodo.c: page 1, 2, ... of the records of a span.  A body that is no listing is asked for
 * again, three times in all.  Errors: source_fetch's. */
MUST_CHECK int zenodo_client_fetch(struct source *source, const struct zenodo_span *span,
                                   size_t page_number, struct zenodo_page *out, struct error *err);

/* mapper.c: one record.  NULL, or why it cannot be used.  What it makes lives until the next fetch.
 */
MUST_CHECK const char *zenodo_mapper_map(struct source *source, const struct json *record,
                                         struct source_dataset *out);

/* When a record was created; SOURCE_UNKNOWN where it does not say. */
int64_t zenodo_mapper_created_at_us(const struct json *record);

/* walk.c: fetch up to limit rows (0 = all): what is new, then what is older.  Errors: those of
 * fetching and of the catalogue; ERR_CANCELLED.  What was committed before stays. */
MUST_CHECK int zenodo_walk_run(struct celery_call *call, struct source *source, int64_t limit,
                               struct error *err);
