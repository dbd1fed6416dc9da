/* The manners of the HTTP client: turns, credentials, redirects, retries.
 *
 * A fetch is a row of attempts; an attempt is the chain of requests from the caller's URL over its
 * redirects to an answer; a request waits for its origin's turn (http_pacer.c), is sent (http.c),
 * and its answer goes where http_body.c puts it.  An attempt always begins at the caller's URL, so
 * a signed address that has gone stale in the meantime is asked for anew. */

#include <inttypes.h>

#include "lib/core/http.h"
#include "lib/core/http_body.h"
#include "lib/core/http_client.h"
#include "lib/core/http_redirect.h"
#include "lib/core/http_url.h"

#define SCRATCH_LIMIT_BYTES ((size_t)1 << 20)
#define MAX_HEADERS         64
#define MAX_OWN_HEADERS     6
#define BACKOFF_MAX_MS      INT64_C(30000)
#define MAX_FREE_WAITS      5                   /* 429s waited out that do not count as attempts */
#define GOOD_PROGRESS_BYTES ((uint64_t)1 << 20) /* an attempt that brought it does not count */

struct fetch {
    struct http_client *client;
    const struct http_request *request;
    struct arena scratch; /* of one attempt */
    struct http_body body;

    /* the request of the chain that is under way */
    struct str url;
    enum http_method method;
    char origin[HTTP_ORIGIN_BYTES];
    bool is_home;      /* never left the first origin: credentials may be sent */
    bool is_stated;    /* the answer told how long to wait */
    bool can_retry;    /* the failure may pass */
    int64_t budget_ms; /* left of the attempt's time */

    unsigned n_sent;    /* attempts */
    unsigned n_counted; /* of them, those that count against max_attempts */
    unsigned n_free_waits;
};

static int
refuse_wait(const char *origin, int64_t wait_ms, struct error *err)
{
    int rc =
        error_set(err, ERR_RATE_LIMIT, "%s asks for a pause of %" PRId64 " ms", origin, wait_ms);

    if (err)
        err->retry_after_ms = wait_ms;
    return rc;
}

/* How long until the origin's turn. */
static int64_t
turn_wait_us(const struct fetch *fetch)
{
    const struct http_client *client = fetch->client;
    int64_t interval_ms = fetch->is_home ? fetch->request->min_interval_ms : 0;
    int64_t ready_us = http_pacer_ready_us(client->pacer, fetch->origin, interval_ms * US_PER_MS);
    int64_t now_us = clock_mono_us(client->options.clock);

    return ready_us > now_us ? ready_us - now_us : 0;
}

static int
wait_turn(const struct fetch *fetch, struct error *err)
{
    const struct http_client *client = fetch->client;
    int64_t wait_us = turn_wait_us(fetch);

    if (wait_us > client->options.max_wait_ms * US_PER_MS)
        return refuse_wait(fetch->origin, (wait_us + US_PER_MS - 1) / US_PER_MS, err);
    return http_client_wait_until(client, clock_mono_us(client->options.clock) + wait_us, err);
}

/* May this URL be asked at all, and must its address be public? */
static int
check_reach(const struct fetch *fetch, const struct http_url *url, bool *is_public_only,
            struct error *err)
{
    const struct http_options *options = &fetch->client->options;

    *is_public_only = options->reach == HTTP_REACH_PUBLIC;
    for (size_t i = 0; i < options->trusted_origins.n_items; i++) {
        if (str_equal(options->trusted_origins.items[i], str_from_cstr(fetch->origin)))
            *is_public_only = false;
    }
    if (*is_public_only && url->port != 80 && url->port != 443) {
        fetch->client->last_failure = HTTP_FAILURE_REACH;
        return error_set(err, ERR_INVALID,
                         "%s: port %u refused, only 80 and 443 are open to URLs"
                         " from outside",
                         fetch->origin, (unsigned)url->port);
    }
    return 0;
}

static bool
is_credential(struct str name)
{
    return str_equal_ignore_case(name, STR("authorization")) ||
           str_equal_ignore_case(name, STR("proxy-authorization")) ||
           str_equal_ignore_case(name, STR("cookie"));
}

/* The header fields of the request under way, in the attempt's scratch memory. */
static int
make_headers(struct fetch *fetch, struct http_exchange *exchange, struct error *err)
{
    const struct http_request *request = fetch->request;
    const struct http_body *body = &fetch->body;
    bool is_ranged = request->sink ? http_body_wants_range(body) : request->range_from > 0;
    uint64_t from = request->sink ? body->position : request->range_from;
    bool wants_identity = request->sink || is_ranged;
    struct http_header *fields =
        arena_calloc(&fetch->scratch, request->n_headers + MAX_OWN_HEADERS, sizeof(*fields));
    char *range = arena_printf(&fetch->scratch, "bytes=%" PRIu64 "-", from);
    size_t n = 0;

    if (!fields || !range)
        return error_set(err, ERR_NOMEM, "no memory for the header fields of a request");
    for (size_t i = 0; i < request->n_headers; i++) {
        struct http_header field = request->headers[i];

        if (is_credential(field.name) && !fetch->is_home)
            continue;
        if (str_equal_ignore_case(field.name, STR("if-range")) &&
            (body->etag[0] || (request->sink && !is_ranged)))
            continue; /* it belonged to the caller's range */
        if (str_equal_ignore_case(field.name, STR("range")))
            wants_identity = true; /* offsets are those of the object as it is */
        fields[n++] = field;
    }
    if (fetch->is_home && request->authorization.len)
        fields[n++] = (struct http_header){STR("Authorization"), request->authorization};
    if (fetch->method == HTTP_POST && request->content_type.len)
        fields[n++] = (struct http_header){STR("Content-Type"), request->content_type};
    if (wants_identity)
        fields[n++] = (struct http_header){STR("Accept-Encoding"), STR("identity")};
    if (is_ranged)
        fields[n++] = (struct http_header){STR("Range"), str_from_cstr(range)};
    if (is_ranged && body->etag[0])
        fields[n++] = (struct http_header){STR("If-Range"), str_from_cstr(body->etag)};
    exchange->headers = fields;
    exchange->n_headers = n;
    return 0;
}

/* Take in what the answer says about pace. */
static void
note_answer(struct fetch *fetch)
{
    const struct http_head *head = fetch->body.head;
    const struct clock *clock = fetch->client->options.clock;
    struct http_pacer_answer answer;

    if (!head)
        return;
    answer = (struct http_pacer_answer){
        .status = head->status,
        .rate_limit = http_head_find(head, STR("ratelimit")),
        .rate_policy = http_head_find(head, STR("ratelimit-policy")),
        .retry_after = http_head_find(head, STR("retry-after")),
    };
    fetch->is_stated = http_pacer_note_answer(fetch->client->pacer, fetch->origin, &answer,
                                              clock_mono_us(clock), clock_now_us(clock));
}

/* One request of the chain, in its turn. */
static int
send_one(struct fetch *fetch, struct error *err)
{
    struct http_client *client = fetch->client;
    struct http_exchange exchange = {
        .method = fetch->method,
        .url = fetch->url,
        .body = fetch->request->body,
        .timeout_ms = fetch->budget_ms > 1 ? fetch->budget_ms : 1,
        .receiver = {http_body_begin, http_body_write, &fetch->body},
    };
    struct http_url url;
    int rc = http_url_parse(fetch->url, &url, err);

    if (rc < 0)
        return rc;
    http_url_format_origin(&url, fetch->origin);
    http_body_expect(&fetch->body, fetch->url, fetch->method);
    fetch->is_stated = false;
    rc = check_reach(fetch, &url, &exchange.is_public_only, err);
    if (rc == 0)
        rc = make_headers(fetch, &exchange, err);
    if (rc == 0)
        rc = wait_turn(fetch, err);
    if (rc < 0)
        return rc;
    http_pacer_note_start(client->pacer, fetch->origin, clock_mono_us(client->options.clock));
    rc = http_wire_exchange(client->wire, &exchange, err);
    client->last_failure = exchange.failure;
    fetch->can_retry = exchange.can_retry || fetch->body.must_restart;
    fetch->budget_ms -= exchange.elapsed_ms;
    note_answer(fetch);
    return rc;
}

/* The chain from the caller's URL to an answer that is no redirect. */
static int
run_attempt(struct fetch *fetch, struct error *err)
{
    const struct http_request *request = fetch->request;
    int64_t default_ms = fetch->client->options.total_timeout_ms;

    arena_reset(&fetch->scratch);
    fetch->url = request->url;
    fetch->method = request->method;
    fetch->is_home = true;
    fetch->can_retry = false;
    fetch->budget_ms = request->total_timeout_ms > 0 ? request->total_timeout_ms : default_ms;
    for (unsigned n_redirects = 0;; n_redirects++) {
        struct http_redirect next;
        struct str location;
        int rc = send_one(fetch, err);

        if (rc < 0)
            return rc;
        location = http_head_find(fetch->body.head, STR("location"));
        if (!http_redirect_is_status(fetch->body.head->status) || request->keep_redirects ||
            location.len == 0)
            return 0;
        if (n_redirects == HTTP_REDIRECT_MAX) {
            fetch->client->last_failure = HTTP_FAILURE_REDIRECTS;
            return error_set(err, ERR_INVALID, "%s: more than %d redirects", fetch->origin,
                             HTTP_REDIRECT_MAX);
        }
        rc = http_redirect_follow(fetch->url, fetch->method, fetch->body.head->status, location,
                                  &fetch->scratch, &next, err);
        if (rc < 0) {
            fetch->client->last_failure = rc == -ERR_NOMEM ? HTTP_FAILURE_NONE : HTTP_FAILURE_URL;
            return rc;
        }
        fetch->url = next.url;
        fetch->method = next.method;
        fetch->is_home = fetch->is_home && next.is_same_origin;
    }
}

/* The n-th backoff, before its jitter. */
static int64_t
backoff_ms(const struct fetch *fetch)
{
    int64_t span_ms = fetch->client->options.backoff_ms;

    for (unsigned i = 1; i < fetch->n_counted && span_ms < BACKOFF_MAX_MS; i++)
        span_ms *= 2;
    return span_ms < BACKOFF_MAX_MS ? span_ms : BACKOFF_MAX_MS;
}

/* Wait a random part of the backoff ("full jitter").
 * Source: Brooker 2015, "Exponential Backoff And Jitter". */
static int
back_off(struct fetch *fetch, struct error *err)
{
    struct http_client *client = fetch->client;
    int64_t span_us = http_client_random(client, backoff_ms(fetch) * US_PER_MS);

    return http_client_wait_until(client, clock_mono_us(client->options.clock) + span_us, err);
}

static bool
is_exhausted(const struct fetch *fetch)
{
    return fetch->n_counted >= fetch->client->options.max_attempts;
}

/* A 429: the origin rests for as long as it said, or as we think. */
static int
sit_out(struct fetch *fetch, struct error *err)
{
    struct http_client *client = fetch->client;
    int64_t wait_us;

    if (fetch->is_stated && fetch->n_free_waits < MAX_FREE_WAITS)
        fetch->n_free_waits++;
    else
        fetch->n_counted++;
    if (!fetch->is_stated) {
        int64_t span_us =
            (backoff_ms(fetch) + http_client_random(client, client->options.backoff_ms)) *
            US_PER_MS;

        http_pacer_park(client->pacer, fetch->origin,
                        clock_mono_us(client->options.clock) + span_us);
    }
    wait_us = turn_wait_us(fetch);
    if (is_exhausted(fetch))
        return refuse_wait(fetch->origin, (wait_us + US_PER_MS - 1) / US_PER_MS, err);
    return wait_turn(fetch, err);
}

static bool
is_passing_status(int status)
{
    return status == 408 || status == 425 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

/* The attempt ended with an answer: is it the last word?  Waits where it is not. */
static int
weigh_answer(struct fetch *fetch, bool *is_done, struct error *err)
{
    int status = fetch->body.head->status;

    if (fetch->request->is_single) {
        *is_done = true;
        return 0;
    }
    if (status == 429)
        return sit_out(fetch, err);
    *is_done = true;
    if (!is_passing_status(status))
        return 0;
    fetch->n_counted++;
    if (is_exhausted(fetch) ||
        (fetch->is_stated && turn_wait_us(fetch) > fetch->client->options.max_wait_ms * US_PER_MS))
        return 0;
    *is_done = false;
    return fetch->is_stated ? wait_turn(fetch, err) : back_off(fetch, err);
}

/* The attempt failed with rc: may another one help?  Waits where it may. */
static int
weigh_failure(struct fetch *fetch, int rc, uint64_t position_before, struct error *err)
{
    if (!fetch->can_retry || fetch->request->is_single)
        return rc;
    if (fetch->body.position < position_before ||
        fetch->body.position - position_before < GOOD_PROGRESS_BYTES)
        fetch->n_counted++;
    if (is_exhausted(fetch))
        return fetch->n_sent > 1 ? error_wrap(err, rc, "after %u attempts", fetch->n_sent) : rc;
    return back_off(fetch, err);
}

static int
check_request(const struct http_request *request, struct error *err)
{
    struct http_url url;
    int rc = http_url_parse(request->url, &url, err);

    if (rc < 0)
        return rc;
    if (request->n_headers > MAX_HEADERS)
        return error_set(err, ERR_INVALID, "%zu header fields, at most %d", request->n_headers,
                         MAX_HEADERS);
    for (size_t i = 0; i < request->n_headers; i++) {
        struct str name = request->headers[i].name;

        if (name.len == 0 || !http_client_is_field_value(name) ||
            str_find_char(name, ':') < name.len || str_find_char(name, ' ') < name.len ||
            !http_client_is_field_value(request->headers[i].value))
            return error_set(err, ERR_INVALID, "header field %zu cannot be sent", i);
    }
    if (!http_client_is_field_value(request->authorization) ||
        !http_client_is_field_value(request->content_type))
        return error_set(err, ERR_INVALID,
                         "authorization or content type holds control characters");
    return 0;
}

/* The last answer into the caller's arena. */
static int
copy_response(const struct fetch *fetch, struct arena *arena, struct http_response *out,
              struct error *err)
{
    const struct http_head *head = fetch->body.head;
    struct http_header *fields = arena_calloc(arena, head->n_fields, sizeof(*fields));
    struct http_response response = {.status = head->status,
                                     .headers = fields,
                                     .n_headers = head->n_fields,
                                     .n_attempts = fetch->n_sent};
    bool ok = fields != NULL;

    for (size_t i = 0; ok && i < head->n_fields; i++) {
        fields[i].name = arena_dup(arena, head->fields[i].name, &ok);
        fields[i].value = arena_dup(arena, head->fields[i].value, &ok);
    }
    response.url = arena_dup(arena, fetch->url, &ok);
    response.body = arena_dup(arena, buf_str(&fetch->body.memory), &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory to keep an answer of %zu bytes",
                         fetch->body.memory.len);
    *out = response;
    return 0;
}

int
http_fetch(struct http_client *client, const struct http_request *request, struct arena *arena,
           struct http_response *out, struct error *err)
{
    struct fetch fetch = {
        .client = client, .request = request, .scratch = ARENA_INIT(SCRATCH_LIMIT_BYTES)};
    size_t max_bytes = request->max_body_bytes;
    bool is_done = false;
    int rc = check_request(request, err);

    client->last_failure = rc < 0 ? HTTP_FAILURE_URL : HTTP_FAILURE_NONE;
    if (rc < 0)
        return rc;
    if (max_bytes == 0 && !request->sink)
        max_bytes = client->options.max_body_bytes;
    http_body_init(&fetch.body, request, max_bytes);
    while (rc == 0 && !is_done) {
        uint64_t position = fetch.body.position;

        rc = run_attempt(&fetch, err);
        fetch.n_sent++;
        if (rc == 0)
            rc = weigh_answer(&fetch, &is_done, err);
        else
            rc = weigh_failure(&fetch, rc, position, err);
    }
    if (rc == 0)
        rc = copy_response(&fetch, arena, out, err);
    http_body_fini(&fetch.body);
    arena_fini(&fetch.scratch);
    return rc;
}
