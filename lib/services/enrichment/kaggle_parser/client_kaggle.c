/* One request at a time, and what to make of its answer.
 *
 *   answer                              what it is                   what happens
 *   2xx, JSON, no error in it           found                        parsed
 *   401                                 our credentials              ERR_AUTH
 *   403 in JSON                         undecidable (lists: AUTH)    to the caller
 *   404 in JSON                         gone                         to the caller
 *   429, or ERR_RATE_LIMIT of the host  too fast                     pause, again; then stop (*)
 *   other 4xx in JSON                   our request is wrong         ERR_INVALID
 *   anything else                       transient                    pause, again; then ERR_NETWORK
 *
 * (*) after five in a row, or where the pause would be longer than the patience.
 *
 * A code of 400 or more in the body counts as the status, whatever HTTP says.  Retry-After is a
 * minimum: its value has been seen to be wrong, so no pause after a 429 is shorter than a minute.
 */

#include "lib/services/enrichment/kaggle_parser/client_kaggle.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "lib/core/http_headers.h"
#include "lib/services/enrichment/kaggle_parser/door.h"

#define SETTINGS_BYTES ((size_t)65536)
#define PAUSE_SLICE_US (US_PER_S / 2) /* how soon a cancelled pause ends */
#define MESSAGE_BYTES  ((size_t)200)
#define ANSWER_BYTES   ((size_t)8 << 20)

struct client {
    struct kaggle_client base;
    struct kaggle_client_options options; /* texts live in settings */
    const struct kaggle_door_ops *door;
    struct str base_url; /* of the door */
    struct arena settings;
    unsigned n_rate_limits; /* 429s in a row */
};

enum answer_fate {
    FATE_FOUND,
    FATE_GONE,
    FATE_UNDECIDABLE,
    FATE_AUTH,
    FATE_LIMIT,
    FATE_WRONG,
    FATE_TRANSIENT
};

/* A judged answer. */
struct reply {
    enum answer_fate fate;
    int64_t status;
    int64_t retry_after_ms;
    struct json body;
    struct str message;
};

static const char *const sort_names[] = {
#define KAGGLE_SORT_REST(name, rest, rpc) rest,
    KAGGLE_SORTS(KAGGLE_SORT_REST)
#undef KAGGLE_SORT_REST
};

const char *
kaggle_sort_name(enum kaggle_sort sort)
{
    return sort_names[sort];
}

int
kaggle_parse_sort(struct str text, enum kaggle_sort *out, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(sort_names); i++) {
        if (str_equal(text, str_from_cstr(sort_names[i]))) {
            *out = (enum kaggle_sort)i;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID,
                     "sort_by: '%.*s' is not one of hottest, votes, updated, active, published",
                     STR_ARG(utf8_cut(text, MESSAGE_BYTES)));
}

static int
fetch_by_http(void *context, const struct http_request *request, struct arena *arena,
              struct http_response *out, struct error *err)
{
    return http_fetch(context, request, arena, out, err);
}

struct kaggle_transport
kaggle_transport_http(struct http_client *http)
{
    return (struct kaggle_transport){fetch_by_http, http};
}

static enum answer_fate
fate_of_status(int64_t status, bool is_json)
{
    if (status == 401)
        return FATE_AUTH;
    if (status == 429)
        return FATE_LIMIT;
    if (!is_json || status >= 500 || status == 408 || status == 425)
        return FATE_TRANSIENT;
    if (status == 403)
        return FATE_UNDECIDABLE;
    if (status == 404)
        return FATE_GONE;
    return status >= 400 ? FATE_WRONG : status >= 200 && status < 300 ? FATE_FOUND : FATE_TRANSIENT;
}

/* Errors: ERR_NOMEM alone; a body that cannot be read is transient. */
static int
judge(const struct client *self, const struct http_response *response, struct arena *arena,
      struct reply *out, struct error *err)
{
    struct str retry_after = http_response_header(response, STR("retry-after"));
    struct kaggle_api_error found = {.code = 0};
    struct error why;
    int rc;

    *out = (struct reply){.status = response->status};
    rc = json_parse(response->body, NULL, arena, &out->body, &why);
    if (rc == -ERR_NOMEM)
        return error_set(err, ERR_NOMEM, "answer of Kaggle: %s", why.message);
    if (rc == 0)
        found = kaggle_api_find_error(&out->body);
    if (found.code >= 400 && response->status < 400)
        out->status = found.code;
    out->message = str_trim(utf8_cut(found.message, MESSAGE_BYTES));
    out->fate = fate_of_status(out->status, rc == 0);
    if (rc < 0 && response->status < 400)
        out->message = STR("the body is not JSON, or was cut");
    if (out->fate == FATE_LIMIT && retry_after.ptr &&
        !http_retry_after_parse(retry_after, clock_now_us(self->options.clock),
                                &out->retry_after_ms))
        out->retry_after_ms = 0;
    return 0;
}

static bool
is_cancelled(const struct client *self)
{
    return self->options.is_cancelled && self->options.is_cancelled(self->options.cancel_context);
}

/* Wait, in slices that let a cancellation through. */
static int
pause_for(const struct client *self, int64_t wait_ms, struct error *err)
{
    int64_t until_us = clock_mono_us(self->options.clock) + wait_ms * US_PER_MS;

    for (;;) {
        int64_t left_us = until_us - clock_mono_us(self->options.clock);

        if (is_cancelled(self))
            return error_set(err, ERR_CANCELLED, "cancelled while waiting for Kaggle");
        if (left_us <= 0)
            return 0;
        clock_sleep_us(self->options.clock, left_us < PAUSE_SLICE_US ? left_us : PAUSE_SLICE_US);
    }
}

/* How long to wait after a 429: doubled with each in a row, never shorter than Kaggle asks. */
static int64_t
limit_wait_ms(const struct client *self, int64_t retry_after_ms)
{
    const struct kaggle_client_options *options = &self->options;
    int64_t wait_ms = options->rate_limit_wait_ms;

    for (unsigned i = 0; i < self->n_rate_limits && wait_ms < options->rate_limit_max_wait_ms; i++)
        wait_ms *= 2;
    if (wait_ms < retry_after_ms)
        wait_ms = retry_after_ms;
    return wait_ms < options->rate_limit_max_wait_ms ? wait_ms : options->rate_limit_max_wait_ms;
}

/* After a 429: pause and return 0, or ERR_RATE_LIMIT when it is time to give up. */
static int
wait_for_limit(struct client *self, int64_t retry_after_ms, struct error *err)
{
    const struct kaggle_client_options *options = &self->options;
    int64_t wait_ms = limit_wait_ms(self, retry_after_ms);
    unsigned n = ++self->n_rate_limits;
    int rc;

    if (n < options->max_rate_limits && wait_ms <= options->rate_limit_patience_ms)
        return pause_for(self, wait_ms, err);
    self->n_rate_limits = 0;
    rc = error_set(err, ERR_RATE_LIMIT,
                   "Kaggle answered 'too many requests' %u times in a row and wants %" PRId64
                   " s of rest: what is left waits for the next run",
                   n, wait_ms / 1000);
    if (err)
        err->retry_after_ms = wait_ms;
    return rc;
}

/* Errors of the transport that another attempt may heal. */
static bool
is_transient(int rc)
{
    return rc == -ERR_NETWORK || rc == -ERR_TIMEOUT;
}

/* One attempt: a reply, or an error that no attempt heals.  Broken connections are a reply too. */
static int
attempt(struct client *self, const struct http_request *request, struct arena *arena,
        struct reply *out, struct error *err)
{
    struct http_response response;
    struct error why = {.code = ERR_NONE};
    int rc = self->options.transport.fetch(self->options.transport.context, request, arena,
                                           &response, &why);

    if (rc == 0)
        return judge(self, &response, arena, out, err);
    if (rc != -ERR_RATE_LIMIT && !is_transient(rc)) {
        if (err)
            *err = why;
        return rc;
    }
    *out = (struct reply){
        .fate = rc == -ERR_RATE_LIMIT ? FATE_LIMIT : FATE_TRANSIENT,
        .retry_after_ms = why.retry_after_ms,
    };
    out->message = str_from_cstr(arena_printf(arena, "%s", why.message));
    return out->message.ptr ? 0 : error_set(err, ERR_NOMEM, "no memory for an error of Kaggle");
}

static int
refuse(const struct client *self, const struct reply *reply, struct error *err)
{
    if (reply->fate == FATE_WRONG)
        return error_set(err, ERR_INVALID, "Kaggle refuses the request (%" PRId64 "): %.*s",
                         reply->status, STR_ARG(reply->message));
    if (!self->options.authorization.len)
        return error_set(err, ERR_AUTH,
                         "Kaggle wants credentials: set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and "
                         "KAGGLE_KEY, or put kaggle.json into ~/.kaggle "
                         "(https://www.kaggle.com/settings makes one)");
    return error_set(err, ERR_AUTH,
                     "Kaggle refuses the credentials (%" PRId64 "): check KAGGLE_API_TOKEN, or "
                     "KAGGLE_USERNAME and KAGGLE_KEY, or ~/.kaggle/kaggle.json; "
                     "https://www.kaggle.com/settings makes new ones",
                     reply->status);
}

/* Too many transient failures; a broken connection has no status. */
static int
give_up(const struct reply *reply, unsigned n_failures, struct error *err)
{
    if (reply->status == 0)
        return error_set(err, ERR_NETWORK, "Kaggle failed %u times: %.*s", n_failures,
                         STR_ARG(reply->message));
    return error_set(err, ERR_NETWORK, "Kaggle failed %u times, last with %" PRId64 ": %.*s",
                     n_failures, reply->status, STR_ARG(reply->message));
}

/* Send until there is a final answer: found, gone or undecidable. */
static int
send_request(struct client *self, struct http_request *request, struct arena *arena,
             struct reply *out, struct error *err)
{
    int64_t backoff_ms = self->options.backoff_ms;
    unsigned n_failures = 0;

    request->authorization = self->options.authorization;
    request->min_interval_ms = self->options.min_interval_ms;
    request->max_body_bytes = ANSWER_BYTES;
    request->is_single = true; /* what to repeat, and when, is decided here */
    for (;;) {
        int rc = attempt(self, request, arena, out, err);

        if (rc < 0)
            return rc;
        if (out->fate == FATE_LIMIT) {
            rc = wait_for_limit(self, out->retry_after_ms, err);
            if (rc < 0)
                return rc;
            continue;
        }
        self->n_rate_limits = 0;
        if (out->fate == FATE_AUTH || out->fate == FATE_WRONG)
            return refuse(self, out, err);
        if (out->fate != FATE_TRANSIENT)
            return 0;
        if (++n_failures >= self->options.max_attempts)
            return give_up(out, n_failures, err);
        rc = pause_for(self, backoff_ms, err);
        if (rc < 0)
            return rc;
        backoff_ms *= 2;
    }
}

static struct client *
client_of(struct kaggle_client *base)
{
    return (struct client *)base;
}

static int
list_page(struct kaggle_client *base, const struct kaggle_list_query *query, struct arena *arena,
          struct kaggle_api_page *out, struct error *err)
{
    struct client *self = client_of(base);
    struct http_request request = {.url = STR_NULL};
    struct reply reply;
    int rc;

    if (query->page < 1 || query->page > KAGGLE_LAST_PAGE)
        return error_set(err, ERR_INVALID, "page %" PRId64 " is not one of 1 to %" PRId64,
                         query->page, KAGGLE_LAST_PAGE);
    rc = self->door->ask_list(self->base_url, query, arena, &request, err);
    if (rc == 0)
        rc = send_request(self, &request, arena, &reply, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot list datasets, page %" PRId64, query->page);
    if (reply.fate == FATE_UNDECIDABLE)
        return error_set(err, ERR_AUTH, "the credentials do not allow to list datasets (403): %.*s",
                         STR_ARG(reply.message));
    if (reply.fate == FATE_GONE)
        return error_set(err, ERR_INVALID, "there is no dataset list at '%.*s'",
                         STR_ARG(request.url));
    rc = kaggle_api_parse_page(&reply.body, arena, out, err);
    return rc < 0 ? error_wrap(err, rc, "page %" PRId64, query->page) : 0;
}

typedef int (*parse_fn)(const struct json *body, struct arena *arena,
                        struct kaggle_api_dataset *out, struct error *err);

static int
ask_about(struct client *self, struct http_request *request, struct str ref, parse_fn parse,
          struct arena *arena, struct kaggle_answer *out, struct error *err)
{
    struct kaggle_answer answer = {.verdict = KAGGLE_FOUND};
    struct reply reply;
    int rc;

    rc = send_request(self, request, arena, &reply, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot ask for '%.*s'", STR_ARG(ref));
    answer.message = reply.message;
    if (reply.fate == FATE_GONE)
        answer.verdict = KAGGLE_GONE;
    else if (reply.fate == FATE_UNDECIDABLE)
        answer.verdict = KAGGLE_UNDECIDABLE;
    else
        rc = parse(&reply.body, arena, &answer.dataset, err);
    if (rc < 0)
        return error_wrap(err, rc, "answer about '%.*s'", STR_ARG(ref));
    *out = answer;
    return 0;
}

static int
view(struct kaggle_client *base, struct str ref, struct arena *arena, struct kaggle_answer *out,
     struct error *err)
{
    struct client *self = client_of(base);
    struct http_request request = {.url = STR_NULL};
    int rc = self->door->ask_view(self->base_url, ref, arena, &request, err);

    return rc < 0 ? rc : ask_about(self, &request, ref, kaggle_api_parse_dataset, arena, out, err);
}

static int
metadata(struct kaggle_client *base, struct str ref, struct arena *arena, struct kaggle_answer *out,
         struct error *err)
{
    struct client *self = client_of(base);
    struct http_request request = {.url = STR_NULL};
    int rc = self->door->ask_metadata(self->base_url, ref, arena, &request, err);

    return rc < 0 ? rc : ask_about(self, &request, ref, kaggle_api_parse_metadata, arena, out, err);
}

static const struct kaggle_client_ops client_ops = {
    .list = list_page,
    .view = view,
    .metadata = metadata,
};

static int64_t
or_default(int64_t value, int64_t fallback)
{
    return value ? value : fallback;
}

/* A base URL of ours, copied, without final slashes. */
static int
copy_url(struct client *self, struct str url, struct str fallback, struct str *out,
         struct error *err)
{
    bool ok = true;

    if (!url.len)
        url = fallback;
    while (url.len && url.ptr[url.len - 1] == '/')
        url.len--;
    if (!http_url_origin(url).ptr)
        return error_set(err, ERR_CONFIG, "'%.*s' is no http or https URL for Kaggle's API",
                         STR_ARG(utf8_cut(url, MESSAGE_BYTES)));
    *out = arena_dup(&self->settings, url, &ok);
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for the Kaggle client");
}

static int
init_client(struct client *self, const struct kaggle_client_options *options, struct error *err)
{
    bool ok = true;
    int rc;

    self->base.ops = &client_ops;
    self->options = *options;
    self->options.clock = options->clock ? options->clock : &clock_system;
    self->options.backoff_ms = or_default(options->backoff_ms, 1000);
    self->options.rate_limit_wait_ms = or_default(options->rate_limit_wait_ms, 60000);
    self->options.rate_limit_max_wait_ms = or_default(options->rate_limit_max_wait_ms, 3600000);
    self->options.rate_limit_patience_ms =
        or_default(options->rate_limit_patience_ms, self->options.rate_limit_max_wait_ms);
    self->options.max_attempts = options->max_attempts ? options->max_attempts : 4;
    self->options.max_rate_limits = options->max_rate_limits ? options->max_rate_limits : 5;
    self->options.authorization = arena_dup(&self->settings, options->authorization, &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for the Kaggle client");
    rc = copy_url(self, options->rest_url, KAGGLE_REST_URL, &self->options.rest_url, err);
    if (rc == 0)
        rc = copy_url(self, options->rpc_url, KAGGLE_RPC_URL, &self->options.rpc_url, err);
    if (rc < 0)
        return rc;
    self->door = options->door == KAGGLE_DOOR_RPC ? &kaggle_door_rpc : &kaggle_door_rest;
    self->base_url =
        options->door == KAGGLE_DOOR_RPC ? self->options.rpc_url : self->options.rest_url;
    return 0;
}

int
kaggle_client_create(const struct kaggle_client_options *options, struct kaggle_client **out,
                     struct error *err)
{
    struct client *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for the Kaggle client");
    self->settings = (struct arena)ARENA_INIT(SETTINGS_BYTES);
    rc = init_client(self, options, err);
    if (rc < 0) {
        kaggle_client_free(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

void
kaggle_client_free(struct kaggle_client *client)
{
    struct client *self = client_of(client);

    if (!self)
        return;
    arena_fini(&self->settings);
    free(self);
}

void
kaggle_client_freep(struct kaggle_client **client)
{
    kaggle_client_free(*client);
}
