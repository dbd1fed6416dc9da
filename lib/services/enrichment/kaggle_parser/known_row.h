#pragma once

/* What the catalogue already has of a Kaggle dataset. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/models/dataset.h"
#include "lib/repositories/dataset_repository.h"

/* The row of a source_key, whatever its reference is today; it lives in the arena.
 * Errors: ERR_NOT_FOUND (it is new), those of the repository. */
MUST_CHECK int kaggle_known_find(struct dataset_repo *datasets, struct str source_key,
                                 struct arena *arena, struct dataset *out, struct error *err);
