#pragma once

/* The percentile tables of all sources and age classes. */

#include <trawl/error.h>

#include "base/arena.h"
#include "base/database.h"
#include "lib/services/scoring/score_table.h"

/* Beyond so many (sources times age classes) something is wrong. */
#define SCORE_CLASSES_MAX ((size_t)500)

struct score_values {
    int64_t *items;
    size_t n_items;
    size_t n_room;
};

struct score_class {
    struct str source_name;
    enum score_age age;
    struct score_table tables[SCORE_N_COUNTERS];
    struct score_values values[SCORE_N_COUNTERS]; /* while tables are made */
};

struct score_book {
    struct arena arena;
    struct score_class *classes[SCORE_CLASSES_MAX];
    size_t n_classes;
};

void score_book_init(struct score_book *self);
void score_book_fini(struct score_book *self);

/* NULL where no row of that class has been seen. */
struct score_class *score_book_find(const struct score_book *self, struct str source_name,
                                    enum score_age age);

/* As above, made with empty tables where it is not there.  Errors: ERR_NOMEM, ERR_TOO_LARGE. */
MUST_CHECK int score_book_get(struct score_book *self, struct str source_name, enum score_age age,
                              struct score_class **out, struct error *err);

/* Make the tables of the catalogue as it is, by one pass over its active rows (32 bytes of memory
 * for each).  Errors: ERR_NOMEM, the database's. */
MUST_CHECK int score_book_make(struct score_book *self, struct database *database, int64_t now_us,
                               struct error *err);

/* Read the tables that are stored.  Errors: ERR_CORRUPT, ERR_NOMEM, the database's. */
MUST_CHECK int score_book_load(struct score_book *self, struct database *database,
                               struct error *err);
