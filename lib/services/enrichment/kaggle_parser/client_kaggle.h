#pragma once

/* Kaggle's dataset API as an interface, and the client that speaks it over HTTP.
 *
 * Two doors lead to the same service: REST v1 (www.kaggle.com/api/v1) and RPC (api.kaggle.com/v1);
 * docs/kaggle.md compares them.  Not thread-safe; one connection, one request at a time. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"
#include "lib/core/http.h"
#include "lib/services/enrichment/kaggle_parser/services/api_parser.h"

/* Lists give 20 rows a page and stop behind page 500: "200 []" there is a wall, not the end. */
#define KAGGLE_PAGE_ROWS ((int64_t)20)
#define KAGGLE_LAST_PAGE ((int64_t)500)

/* clang-format off */
#define KAGGLE_SORTS(X) \
    /* sort      REST         RPC */ \
    X(HOTTEST,   "hottest",   "DATASET_SORT_BY_HOTTEST")   \
    X(VOTES,     "votes",     "DATASET_SORT_BY_VOTES")     \
    X(UPDATED,   "updated",   "DATASET_SORT_BY_UPDATED")   \
    X(ACTIVE,    "active",    "DATASET_SORT_BY_ACTIVE")    \
    X(PUBLISHED, "published", "DATASET_SORT_BY_PUBLISHED")
/* clang-format on */

enum kaggle_sort {
#define KAGGLE_SORT_ENUM(name, rest, rpc) KAGGLE_SORT_##name,
    KAGGLE_SORTS(KAGGLE_SORT_ENUM)
#undef KAGGLE_SORT_ENUM
};

const char *kaggle_sort_name(enum kaggle_sort sort);
/* Errors: ERR_INVALID, naming the choices. */
MUST_CHECK int kaggle_parse_sort(struct str text, enum kaggle_sort *out, struct error *err);

struct kaggle_list_query {
    enum kaggle_sort sort;
    struct str search; /* absent or empty: everything */
    int64_t page;      /* from 1 to KAGGLE_LAST_PAGE */
};

/* What the service says about one dataset. */
enum kaggle_verdict {
    KAGGLE_FOUND,
    KAGGLE_GONE,        /* 404 in JSON */
    KAGGLE_UNDECIDABLE, /* 403: missing, private, deleted, consent needed, or a weak token */
};

struct kaggle_answer {
    enum kaggle_verdict verdict;
    struct kaggle_api_dataset dataset; /* KAGGLE_FOUND only */
    struct str message;                /* the service's words otherwise; may be empty */
};

struct kaggle_client;

/* Results live as long as the arena.  Errors of all three: ERR_AUTH (401, with the way out),
 * ERR_RATE_LIMIT (five 429 in a row, or a wait beyond the patience: stop the run;
 * err->retry_after_ms tells how long), ERR_NETWORK and ERR_TIMEOUT
 * (transient, after the last attempt: 5xx, 404 in HTML, captcha pages, cut bodies), ERR_INVALID (a
 * request that Kaggle refuses), ERR_CANCELLED, ERR_NOMEM. */
struct kaggle_client_ops {
    int (*list)(struct kaggle_client *self, const struct kaggle_list_query *query,
                struct arena *arena, struct kaggle_api_page *out, struct error *err);
    /* ref: "owner/slug" */
    int (*view)(struct kaggle_client *self, struct str ref, struct arena *arena,
                struct kaggle_answer *out, struct error *err);
    int (*metadata)(struct kaggle_client *self, struct str ref, struct arena *arena,
                    struct kaggle_answer *out, struct error *err);
};

/* The first member of every implementation. */
struct kaggle_client {
    const struct kaggle_client_ops *ops;
};

static inline int
kaggle_client_list(struct kaggle_client *self, const struct kaggle_list_query *query,
                   struct arena *arena, struct kaggle_api_page *out, struct error *err)
{
    return self->ops->list(self, query, arena, out, err);
}

static inline int
kaggle_client_view(struct kaggle_client *self, struct str ref, struct arena *arena,
                   struct kaggle_answer *out, struct error *err)
{
    return self->ops->view(self, ref, arena, out, err);
}

static inline int
kaggle_client_metadata(struct kaggle_client *self, struct str ref, struct arena *arena,
                       struct kaggle_answer *out, struct error *err)
{
    return self->ops->metadata(self, ref, arena, out, err);
}

enum kaggle_door { KAGGLE_DOOR_REST, KAGGLE_DOOR_RPC };

/* Who carries a request: http_fetch in the program, a script in tests. */
struct kaggle_transport {
    int (*fetch)(void *context, const struct http_request *request, struct arena *arena,
                 struct http_response *out, struct error *err);
    void *context;
};

struct kaggle_transport kaggle_transport_http(struct http_client *http);

#define KAGGLE_REST_URL        STR("https://www.kaggle.com/api/v1")
#define KAGGLE_RPC_URL         STR("https://api.kaggle.com/v1")
#define KAGGLE_MIN_INTERVAL_MS ((int64_t)1000)

/* All texts are copied. */
struct kaggle_client_options {
    struct kaggle_transport transport;
    enum kaggle_door door;
    struct str rest_url;            /* empty = KAGGLE_REST_URL */
    struct str rpc_url;             /* empty = KAGGLE_RPC_URL */
    struct str authorization;       /* "Basic ..." or "Bearer ..."; absent = anonymous */
    const struct clock *clock;      /* NULL = clock_system */
    int64_t min_interval_ms;        /* between requests; KAGGLE_MIN_INTERVAL_MS outside tests */
    int64_t backoff_ms;             /* first pause after a transient failure, doubles; 0 = 1,000 */
    int64_t rate_limit_wait_ms;     /* first pause after a 429, doubles; 0 = 60,000 */
    int64_t rate_limit_max_wait_ms; /* 0 = 3,600,000 */
    int64_t rate_limit_patience_ms; /* a longer wait stops the run; 0 = rate_limit_max_wait_ms */
    unsigned max_attempts;          /* transient failures of one request; 0 = 4 */
    unsigned max_rate_limits;       /* 429s in a row that stop the run; 0 = 5 */
    bool (*is_cancelled)(void *context); /* asked during pauses; may be NULL */
    void *cancel_context;
};

/* Errors: ERR_CONFIG (a URL that is none), ERR_NOMEM. */
MUST_CHECK int kaggle_client_create(const struct kaggle_client_options *options,
                                    struct kaggle_client **out, struct error *err);
void kaggle_client_free(struct kaggle_client *client); /* one that kaggle_client_create made */
void kaggle_client_freep(struct kaggle_client **client);
