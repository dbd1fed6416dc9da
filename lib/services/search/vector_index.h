#pragma once

/* The vectors that are searched: a file beside the database, and in memory what has changed since.
 *
 * The database is the truth.  Its numbered changes say what the file lacks; where there is no file,
 * or one of another database or model, or a damaged one, it is made again.  Where none can be made
 * (disk full, directory read-only), all vectors are held in memory and a line in the log says so.
 * Any number of processes may search and keep up the same file.  Not thread-safe. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/search/fusion.h"

struct vector_index;

struct vector_index_options {
    struct dataset_repo *datasets; /* borrowed */
    const char *path;              /* of the file, copied; NULL = hold all in memory */
    size_t n_threads;              /* of a scan */
};

MUST_CHECK int vector_index_create(const struct vector_index_options *options,
                                   struct vector_index **out, struct error *err);
void vector_index_free(struct vector_index *index);

/* How much to do for the file while changes are taken in. */
enum vector_upkeep {
    VECTOR_UPKEEP_LAZY, /* write when it has fallen well behind: for a search */
    VECTOR_UPKEEP_WHOLE /* leave nothing to do for others: after a run that embedded rows */
};

/* Bring the index to the database's present state.
 *
 * model, dim  of the set to search: dataset_vector_state's active one
 *
 * Costs some microseconds when nothing has changed, and some for each row that has.
 * Errors: ERR_NOMEM, ERR_CORRUPT (a stored vector of another size), the database's. */
MUST_CHECK int vector_index_refresh(struct vector_index *index, struct str model, size_t dim,
                                    enum vector_upkeep upkeep, struct error *err);

size_t vector_index_size(const struct vector_index *index);

/* The k rows with the greatest inner product with query [dim], best first, in the arena; exactly
 * those that a scan of all f32 vectors gives.  A file that turns out to be damaged is made again.
 * allowed  [n_allowed] row ids, ascending; NULL = all rows */
MUST_CHECK int vector_index_search(struct vector_index *index, const float *query,
                                   const int64_t *allowed, size_t n_allowed, size_t k,
                                   struct arena *arena, struct fusion_list *out, struct error *err);
