#pragma once

/* The vectors of one model in memory, in row order, for exact scans.
 *
 * The database is the truth; this is a copy of it as of vector_index_load.  Not thread-safe. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/search/fusion.h"

struct vector_index;

/* Errors: ERR_NOMEM (4 * dim bytes a row), ERR_CORRUPT (a vector of another size), the database's.
 */
MUST_CHECK int vector_index_load(struct dataset_repo *datasets, struct str model, size_t dim,
                                 struct vector_index **out, struct error *err);
void vector_index_free(struct vector_index *index);

size_t vector_index_size(const struct vector_index *index);

/* The k rows with the greatest inner product with query [dim], best first, in the arena.
 * allowed  [n_allowed] row ids, ascending; NULL = all rows */
MUST_CHECK int vector_index_search(const struct vector_index *index, const float *query,
                                   const int64_t *allowed, size_t n_allowed, size_t k,
                                   struct arena *arena, struct fusion_list *out, struct error *err);
