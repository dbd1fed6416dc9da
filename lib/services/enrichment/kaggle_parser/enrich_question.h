#pragma once

/* Everything that is asked about one dataset, and what comes of it.  Network only: nothing is
 * written. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/models/dataset.h"
#include "lib/services/enrichment/kaggle_parser/client_kaggle.h"

enum enrich_fate {
    ENRICH_FOUND,     /* row is filled */
    ENRICH_GONE,      /* the source says so, or there is nothing that could be asked for */
    ENRICH_FAILED,    /* undecidable, or an answer that is unusable: an attempt */
    ENRICH_TRANSIENT, /* the network or the service: not the dataset's fault */
};

struct enrich_result {
    enum enrich_fate fate;
    struct dataset row;   /* ENRICH_FOUND only */
    enum error_code code; /* otherwise: the kind, and the reason */
    struct str message;
};

/* Ask for the dataset of a claimed row (external_id, source_key, title and source_meta count).
 *
 * out lives as long as the arena and what known borrows from.
 * Errors: what concerns the run and not the row (ERR_RATE_LIMIT, ERR_AUTH, ERR_CANCELLED,
 * ERR_NOMEM ...). */
MUST_CHECK int kaggle_enrich_ask(struct kaggle_client *client, const struct dataset *known,
                                 struct arena *arena, struct enrich_result *out, struct error *err);
