#pragma once

/* What the files of trawl/source.h share. */

#include <trawl/source.h>

#include "base/arena.h"
#include "base/database.h"
#include "lib/core/container.h"
#include "lib/core/http.h"
#include "lib/models/ledger.h"

#define SOURCE_NAME_BYTES  64
#define SOURCE_PAGE_BYTES  ((size_t)512 << 20) /* answer, its values, what is made of them */
#define SOURCE_PLACE_BYTES ((size_t)4 << 20)
#define SOURCE_ASKED_BYTES ((size_t)1 << 20)

struct source {
    struct celery_call *call;
    struct container *app;
    char name[SOURCE_NAME_BYTES];
    int64_t min_interval_ms;
    size_t max_answer_bytes;
    struct arena page;  /* until the next fetch */
    struct arena asked; /* what is fetched: it may have been written into the page before */
    struct arena place; /* for the source's life */
    bool is_out_of_memory;

    struct database *database; /* NULL until first asked for */
    struct dataset_repo *datasets;
    bool is_page_open;
    struct ledger page_counts;
    struct ledger ledger; /* of committed pages */
    int64_t n_expected;
};

/* Open the catalogue, once. */
MUST_CHECK int source_open_catalogue(struct source *self, struct error *err);

/* Copy what the plug-in's record has of ours, over the defaults in out.
 * min_bytes: without so much there is nothing to read.  Errors: ERR_INVALID. */
MUST_CHECK int source_read_record(const void *record, size_t record_bytes, void *out,
                                  size_t out_bytes, size_t min_bytes, const char *what,
                                  struct error *err);
