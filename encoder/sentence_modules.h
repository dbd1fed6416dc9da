#pragma once

/* modules.json: which modules a sentence-transformers directory chains. */

#include "encoder/model_config.h"

/* Fill dir, pooling, pooling_width, modules and n_modules of *out.
 *
 * Errors as model_config_load's.  Source: the sentence-transformers directory layout. */
MUST_CHECK int sentence_modules_load(const char *dir, struct arena *arena, struct model_config *out,
                                     struct error *err);
