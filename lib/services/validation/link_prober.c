/* Up to three requests for one verdict.
 *
 * A body is never judged, so it is read through a sink that ends the transfer at its ceiling: the
 * status has come by then. */

#include "lib/services/validation/link_prober.h"

#include "lib/core/http_headers.h"

#define TIMEOUT_MS        INT64_C(20000)
#define SECOND_TIMEOUT_MS INT64_C(45000)
#define BODY_BYTES        ((size_t)65536)

static int
fetch_http(void *context, const struct http_request *request, struct arena *arena,
           struct http_response *out, enum http_failure *failure, struct error *err)
{
    int rc = http_fetch(context, request, arena, out, err);

    *failure = http_client_last_failure(context);
    return rc;
}

struct link_transport
link_transport_http(struct http_client *http)
{
    return (struct link_transport){fetch_http, http};
}

/* The beginning of a body: how much of it has come, and the status that it came with. */
struct beginning {
    int status;
    size_t n_bytes;
};

static int
note_head(void *context, const struct http_response *head, struct error *err)
{
    struct beginning *self = context;

    (void)err;
    self->status = head->status;
    return 0;
}

static int
count_bytes(void *context, struct str bytes, struct error *err)
{
    struct beginning *self = context;

    self->n_bytes += bytes.len;
    return self->n_bytes < BODY_BYTES ? 0
                                      : error_set(err, ERR_TOO_LARGE, "more than we want to read");
}

static int
start_over(void *context, struct error *err)
{
    struct beginning *self = context;

    (void)err;
    self->n_bytes = 0;
    return 0;
}

struct prober {
    const struct link_transport *transport;
    const struct link_target *target;
    const struct clock *clock;
    struct arena *scratch;
    struct link_probe_result *out;
};

static void
judge_answer(struct prober *self, const struct http_response *answer)
{
    struct str retry_after = http_response_header(answer, STR("retry-after"));
    const struct link_evidence evidence = {
        .site = self->target->site,
        .status = answer->status,
        .has_retry_after = retry_after.len > 0,
        .error_code = http_response_header(answer, STR("x-error-code")),
        .error_message = http_response_header(answer, STR("x-error-message")),
    };

    self->out->status = answer->status;
    self->out->finding = link_classify(&evidence);
    self->out->retry_after_ms = 0;
    if (self->out->finding.class == LINK_CLASS_PARKED &&
        !http_retry_after_parse(retry_after, clock_now_us(self->clock), &self->out->retry_after_ms))
        self->out->retry_after_ms = 0;
}

static void
judge_failure(struct prober *self, enum http_failure failure)
{
    const struct link_evidence evidence = {.site = self->target->site, .failure = failure};

    self->out->status = 0;
    self->out->finding = link_classify(&evidence);
    self->out->retry_after_ms = 0;
}

/* One request and what it says. */
static int
ask(struct prober *self, enum http_method method, int64_t timeout_ms, struct error *err)
{
    struct beginning beginning = {0};
    const struct http_sink sink = {count_bytes, start_over, &beginning, note_head};
    const struct http_request request = {
        .method = method,
        .url = self->target->url,
        .authorization = self->target->authorization,
        .min_interval_ms = self->target->min_interval_ms,
        .total_timeout_ms = timeout_ms,
        .sink = method == HTTP_GET ? &sink : NULL,
        .is_single = true,
    };
    enum http_failure failure = HTTP_FAILURE_NONE;
    struct http_response answer = {0};
    struct error why = {0};
    int rc;

    arena_reset(self->scratch);
    rc = self->transport->fetch(self->transport->context, &request, self->scratch, &answer,
                                &failure, &why);
    if (rc == -ERR_CANCELLED || rc == -ERR_NOMEM) {
        if (err)
            *err = why;
        return rc;
    }
    if (rc < 0 && beginning.status == 0 && rc != -ERR_RATE_LIMIT) {
        judge_failure(self, failure);
        return 0;
    }
    if (rc < 0)
        answer.status = beginning.status ? beginning.status : 429;
    judge_answer(self, &answer);
    if (rc == -ERR_RATE_LIMIT)
        self->out->retry_after_ms = why.retry_after_ms;
    return 0;
}

/* Is a GET worth its while after what HEAD said? */
static bool is_settled(enum link_class class)
{
    return class == LINK_CLASS_ALIVE || class == LINK_CLASS_PARKED || class == LINK_CLASS_REFUSED ||
           class == LINK_CLASS_OURS;
}

int
link_probe(const struct link_transport *transport, const struct link_target *target,
           bool is_get_first, const struct clock *clock, struct arena *scratch,
           struct link_probe_result *out, struct error *err)
{
    int64_t started_us = clock_mono_us(clock);
    struct link_probe_result result = {.finding = {.class = LINK_CLASS_LOST}};
    struct prober self = {transport, target, clock, scratch, &result};
    bool with_head = !target->is_get_first && !is_get_first;
    int rc = 0;

    if (with_head)
        rc = ask(&self, HTTP_HEAD, TIMEOUT_MS, err);
    if (rc == 0 && !(with_head && is_settled(result.finding.class))) {
        rc = ask(&self, HTTP_GET, TIMEOUT_MS, err);
        if (rc == 0 && result.status == 0 && result.finding.class == LINK_CLASS_LOST)
            rc = ask(&self, HTTP_GET, SECOND_TIMEOUT_MS, err);
        result.has_head_lied = with_head && result.finding.class == LINK_CLASS_ALIVE;
    }
    if (rc < 0)
        return rc;
    result.duration_ms = (clock_mono_us(clock) - started_us) / US_PER_MS;
    *out = result;
    return 0;
}
