#pragma once

/* A model directory's tokenizer: tokenizer.json, else vocab.txt, with tokenizer_config.json's say.
 */

#include "encoder/tokenizer.h"

/* needs_json  refuse vocab.txt: MPNet's special tokens stand only in tokenizer.json
 * source      the file it was read from, static
 *
 * Errors: ERR_NOT_FOUND (neither file), and those of the parsers and of tokenizer_create. */
MUST_CHECK int tokenizer_load(const char *dir, bool needs_json, struct tokenizer **out,
                              const char **source, struct error *err);
