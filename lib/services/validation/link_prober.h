#pragma once

/* One URL asked for, as gently as possible: HEAD, and GET of the beginning where that leaves
 * doubt. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/arena.h"
#include "base/clock.h"
#include "lib/core/http.h"
#include "lib/services/validation/link_classify.h"
#include "lib/services/validation/link_target.h"

/* Who carries a request: http_fetch in the program, a table in tests. */
struct link_transport {
    /* As http_fetch; *failure as http_client_last_failure says afterwards. */
    int (*fetch)(void *context, const struct http_request *request, struct arena *arena,
                 struct http_response *out, enum http_failure *failure, struct error *err);
    void *context;
};

struct link_transport link_transport_http(struct http_client *http);

struct link_probe_result {
    struct link_finding finding;
    int status;             /* of the last answer; 0 without one */
    int64_t retry_after_ms; /* that a PARKED host asks for; 0 = it did not say how long */
    int64_t duration_ms;
    bool has_head_lied; /* HEAD failed and GET went well */
};

/* Ask for a target (which has no refusal).  Nothing of the answers is kept.
 *
 * HEAD first, unless is_get_first; anything but success, a pause or a refusal of our own is asked
 * again with GET, of which 64 KiB are read at most.  20 s each; a GET without any answer is tried
 * once more with 45 s.  Pauses are not waited out.
 *
 * scratch  is emptied
 *
 * Errors: ERR_CANCELLED, ERR_NOMEM; whatever happens on the network is a result. */
MUST_CHECK int link_probe(const struct link_transport *transport, const struct link_target *target,
                          bool is_get_first, const struct clock *clock, struct arena *scratch,
                          struct link_probe_result *out, struct error *err);
