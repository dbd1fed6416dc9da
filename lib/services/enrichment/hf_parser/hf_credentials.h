#pragma once

/* The Hub's access token, found where the Hub's own tools keep it. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"

/* The token, or STR_NULL for anonymous work.
 *
 * configured  the setting (HF_TOKEN, HUGGING_FACE_HUB_TOKEN, trawl.yaml); wins when not empty
 * get_env     NULL = getenv
 *
 * Else the token file: $HF_TOKEN_PATH, $HF_HOME/token, $XDG_CACHE_HOME/huggingface/token,
 * ~/.cache/huggingface/token; unless HF_HUB_DISABLE_IMPLICIT_TOKEN is 1, ON, YES or TRUE.
 * Errors: ERR_AUTH (a token with bytes that no header may carry), ERR_IO, ERR_NOMEM. */
MUST_CHECK int hf_credentials_find(struct str configured, const char *(*get_env)(const char *name),
                                   struct arena *arena, struct str *out, struct error *err);
