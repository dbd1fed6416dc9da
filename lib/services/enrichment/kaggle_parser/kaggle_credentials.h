#pragma once

/* Where people keep their Kaggle credentials.  The first place that has some wins:
 *
 *   1. KAGGLE_API_TOKEN: the token, or the path of a file that holds it        Bearer
 *   2. ~/.kaggle/access_token, then ~/.kaggle/access_token.txt                 Bearer
 *   3. KAGGLE_USERNAME and KAGGLE_KEY                                          Basic
 *   4. kaggle.json in $KAGGLE_CONFIG_DIR, else ~/.kaggle, else (where that is
 *      missing) $XDG_CONFIG_HOME/kaggle or ~/.config/kaggle                    Basic
 *
 * Source: Kaggle's own client (kagglesdk, kaggle_env and kaggle_creds). */

#include "base/arena.h"

#include <trawl/error.h>
#include <trawl/str.h>

#include <stdbool.h>

/* The value of a variable, or NULL; borrowed until the next change of the environment. */
struct kaggle_environment {
    const char *(*get)(void *context, const char *name);
    void *context;
};

struct kaggle_credentials {
    struct str authorization; /* "Bearer ..." or "Basic ..."; absent: none were found */
    struct str origin;        /* the variable or the file they come from; safe to show */
    bool is_exposed;          /* that file can be read by others: worth a warning */
};

/* Find them.  Nothing found is success.  out lives as long as the arena.
 * Errors: ERR_CONFIG (half a pair, a file that holds none, a token with white space in it: named, never
 * shown), ERR_IO, ERR_NOMEM. */
MUST_CHECK int kaggle_credentials_find(const struct kaggle_environment *environment,
                                       struct arena *arena, struct kaggle_credentials *out,
                                       struct error *err);
