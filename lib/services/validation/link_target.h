#pragma once

/* What is asked for to learn whether a dataset is there: by its source.
 *
 *   huggingface  the Hub's API, /api/datasets/{id}; never /resolve/, which counts as a download
 *   kaggle       the page, /datasets/{owner}/{slug}: the API's 403 leaves open what it means
 *   any other    the row's URL */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/models/link.h"
#include "lib/services/validation/link_classify.h"

/* Where the sources are; all borrowed. */
struct link_sites {
    struct str hf_endpoint;      /* "https://huggingface.co", without a final "/" */
    struct str hf_authorization; /* "Bearer hf_..."; absent = anonymous */
    struct str kaggle_endpoint;
    int64_t kaggle_interval_ms; /* between two requests to Kaggle */
};

/* At least this long lies between two requests to any host. */
#define LINK_INTERVAL_MS INT64_C(250)

struct link_target {
    enum link_site site;
    struct str url;
    struct str origin; /* key of its host, "https://example.org:443" */
    struct str authorization;
    int64_t min_interval_ms;
    bool is_get_first;   /* HEAD is not to be relied on */
    const char *refusal; /* static: why there is nothing to ask for; NULL where there is */
};

/* out is in the arena, or borrowed from link and sites.  Errors: ERR_NOMEM. */
MUST_CHECK int link_target_make(const struct link_sites *sites, const struct link *link,
                                struct arena *arena, struct link_target *out, struct error *err);
