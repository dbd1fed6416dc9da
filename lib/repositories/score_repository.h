#pragma once

/* Which datasets wait for a static score, what it is made of, and where it is kept: the tables
 * `score_queue`, `dataset_scores`, `score_knots`, and the column static_score of `datasets`.
 *
 * Transactions belong to the caller. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/database.h"
#include "lib/models/score.h"

/* One active row's counters; source_name is borrowed for the call. */
struct score_counters {
    struct str source_name;
    int64_t created_at_us;
    int64_t values[SCORE_N_COUNTERS];
};
typedef int (*score_counters_fn)(void *context, const struct score_counters *row,
                                 struct error *err);

/* Whose table it is. */
struct score_table_key {
    struct str source_name;
    enum score_age age;
    enum score_counter counter;
};
typedef int (*score_knot_fn)(void *context, const struct score_table_key *key,
                             const struct score_knot *knot, struct error *err);

/* Every active row, in no order. */
MUST_CHECK int score_repo_each_counters(struct database *database, score_counters_fn fn,
                                        void *context, struct error *err);

/* Every stored knot, ordered by source, age class, counter and value.  Errors: ERR_CORRUPT (an age
 * class or counter that is none), the database's, and fn's. */
MUST_CHECK int score_repo_each_knot(struct database *database, score_knot_fn fn, void *context,
                                    struct error *err);

/* Replace a whole table. */
MUST_CHECK int score_repo_save_table(struct database *database, const struct score_table_key *key,
                                     const struct score_knot *knots, size_t n_knots,
                                     struct error *err);

/* Put rows in line: those without a score, those of another formula, those whose time has come. */
MUST_CHECK int score_repo_queue_due(struct database *database, int64_t formula, int64_t now_us,
                                    struct error *err);
/* Those that were scored by the tables of a source and age class. */
MUST_CHECK int score_repo_queue_class(struct database *database, struct str source_name,
                                      enum score_age age, struct error *err);

MUST_CHECK int score_repo_count_queue(struct database *database, int64_t *out, struct error *err);

struct score_inputs_list {
    struct score_inputs *items;
    size_t n_items;
};

/* The first limit rows in line behind after_row_id, ascending, in the arena. */
MUST_CHECK int score_repo_list_queue(struct database *database, int64_t after_row_id, int64_t limit,
                                     struct arena *arena, struct score_inputs_list *out,
                                     struct error *err);

/* Store a score and take its row out of the line. */
MUST_CHECK int score_repo_save(struct database *database, const struct score_inputs *row,
                               enum score_age age, const struct static_score *score,
                               int64_t next_at_us, struct error *err);

/* A row's score; all zero, formula 0, where it has none. */
MUST_CHECK int score_repo_find(struct database *database, int64_t row_id, struct static_score *out,
                               struct error *err);
