#pragma once

/* Where people keep their Kaggle credentials.  The first place that has some wins:
 *
 *   1. the setting KAGGLE_API_TOKEN: the token, or a file that holds it        Bearer
 *   2. ~/.kaggle/access_token, then ~/.kaggle/access_token.txt                 Bearer
 *   3. the settings KAGGLE_USERNAME and KAGGLE_KEY                             Basic
 *   4. kaggle.json in $KAGGLE_CONFIG_DIR, else ~/.kaggle, else (where that is
 *      missing) $XDG_CONFIG_HOME/kaggle or ~/.config/kaggle                    Basic
 *
 * Source: Kaggle's own client (kagglesdk, kaggle_env and kaggle_creds). */

#include <stdbool.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"

/* What flags, environment, .env and trawl.yaml say; empty where they say nothing. */
struct kaggle_settings {
    struct str api_token;
    struct str username;
    struct str key;
};

struct kaggle_credentials {
    struct str authorization; /* "Bearer ..." or "Basic ..."; absent: none were found */
    struct str origin;        /* the variable or the file they come from; safe to show */
    bool is_exposed;          /* that file can be read by others: worth a warning */
};

/* Find them.  Nothing found is success.  out lives as long as the arena.
 *
 * get_env  for HOME and the directories of place 4; NULL = getenv
 *
 * Errors: ERR_CONFIG (half a pair, a file that holds none, a token with white space in it: named,
 * never shown), ERR_IO, ERR_NOMEM. */
MUST_CHECK int kaggle_credentials_find(const struct kaggle_settings *settings,
                                       const char *(*get_env)(const char *name),
                                       struct arena *arena, struct kaggle_credentials *out,
                                       struct error *err);
