#pragma once

/* Which prompts a model directory asks for. */

#include <trawl/encoder.h>

#include "encoder/model_config.h"

/* Read config_sentence_transformers.json, and where that says nothing, the names that config.json
 * (_name_or_path) and the head of README.md (model-index) give the model.
 *
 * dir     of the whole model, not of its transformer
 * config  the pooling must be the family's, else a name is not believed
 * arena   holds the strings
 *
 * Errors: ERR_INVALID (which file, which field), ERR_NOMEM. */
MUST_CHECK int prompts_load(const char *dir, const struct model_config *config, struct arena *arena,
                            struct encoder_prompts *out, struct error *err);
