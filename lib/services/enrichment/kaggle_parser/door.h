#pragma once

/* The two forms in which a question to Kaggle is put.  Pure: they build requests, nothing is sent.
 */

#include <trawl/str.h>

#include "base/arena.h"
#include "lib/core/http.h"
#include "lib/services/enrichment/kaggle_parser/client_kaggle.h"

struct kaggle_door_ops {
    /* Fill method, url, body and content_type of a request; the rest is the client's.
     * Errors: ERR_INVALID (a reference that is none), ERR_NOMEM. */
    int (*ask_list)(struct str base_url, const struct kaggle_list_query *query, struct arena *arena,
                    struct http_request *out, struct error *err);
    int (*ask_view)(struct str base_url, struct str ref, struct arena *arena,
                    struct http_request *out, struct error *err);
    int (*ask_metadata)(struct str base_url, struct str ref, struct arena *arena,
                        struct http_request *out, struct error *err);
};

extern const struct kaggle_door_ops kaggle_door_rest; /* GET, parameters in the URL */
extern const struct kaggle_door_ops kaggle_door_rpc;  /* POST, parameters in a JSON body */
