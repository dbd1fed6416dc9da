#pragma once

/* What the tests of the Kaggle services share: a catalogue in a file of its own, a clock that
 * stands still until it is moved, and a Kaggle of tables. */

#include <trawl/error.h>

#include "base/database.h"
#include "lib/core/catalogue_schema.h"
#include "lib/models/run_context.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/enrichment/kaggle_parser/client_kaggle.h"
#include "tests/unit/check.h"

#define FIXTURE_NOW_US    INT64_C(1700000000000000)
#define FIXTURE_MAX_CALLS 64

/* What the fake answers to a view (or metadata) of ref; the first row that fits counts. */
struct fixture_answer {
    const char *ref;
    int rc; /* < 0: this error */
    enum kaggle_verdict verdict;
    const char *body; /* JSON of the dataset, or of the metadata */
};

/* One page of a list; pages follow each other as in the table. */
struct fixture_page {
    int rc;
    const char *body;
};

struct fixture {
    struct kaggle_client client; /* first: the fake's functions get its address */
    char directory[64];
    struct database *database;
    struct dataset_repo *datasets;
    struct clock clock;
    struct progress progress;
    struct run_context ctx;
    struct arena arena;

    const struct fixture_answer *views;
    size_t n_views;
    const struct fixture_answer *metadata;
    size_t n_metadata;
    const struct fixture_page *pages;
    size_t n_pages;
    char calls[FIXTURE_MAX_CALLS][100]; /* "view a/b", "list 1 updated", "list 1 hottest words" */
    size_t n_calls;

    size_t n_until_cancel; /* > 0: is_cancelled says yes at that question */
    size_t n_asked;
    int64_t progress_done;
    int64_t progress_total;
};

int fixture_open(void **state); /* *state becomes a struct fixture */
int fixture_close(void **state);

/* The clock of every fixture, in UTC and monotonic. */
extern int64_t fixture_now_us;

/* The row of a reference, id or URL; fails the test when there is none. */
struct dataset fixture_find(struct fixture *self, const char *ref);
bool fixture_has(struct fixture *self, const char *ref);

/* Rows of the source "kaggle" in all, and of a status. */
int64_t fixture_count(struct fixture *self);
int64_t fixture_count_status(struct fixture *self, enum dataset_status status);

/* Upsert a row with reference, id and status, and a title. */
void fixture_add(struct fixture *self, const char *external_id, const char *source_key,
                 enum dataset_status status);

/* Write a file below the fixture's directory, which is made. */
void fixture_write(struct fixture *self, const char *name, const char *text);

/* A path below the fixture's directory, in its arena. */
struct str fixture_path(struct fixture *self, const char *name);
