/* One page, one address, until the body is an array: only then does anybody learn the next address,
 * so a checkpoint never moves past a page that was cut on its way. */

#include "lib/services/enrichment/hf_parser/client_hf.h"

#include <stdlib.h>

#include "lib/core/http_headers.h"
#include "lib/services/enrichment/hf_parser/answer.h"

#define ATTEMPTS_DEFAULT   6u
#define BACKOFF_DEFAULT_MS ((int64_t)1000)
#define BACKOFF_MAX_MS     ((int64_t)30000)
#define TIMEOUT_MS         ((int64_t)60000) /* a page with all its fields takes some seconds */
#define TEXTS_BYTES        ((size_t)65536)

struct hf_http_client {
    struct hf_client base;
    struct hf_transport transport;
    struct arena texts;
    struct str endpoint;
    struct str authorization; /* whole header value; absent = anonymous */
    const struct clock *clock;
    unsigned max_attempts;
    int64_t backoff_ms;
};

static int
fetch_http(void *context, const struct http_request *request, struct arena *arena,
           struct http_response *out, struct error *err)
{
    return http_fetch(context, request, arena, out, err);
}

struct hf_transport
hf_transport_http(struct http_client *http)
{
    return (struct hf_transport){fetch_http, http};
}

/* The reference of the next page, from whichever Link header has it; absent on the last page. */
static int
read_next(const struct http_response *response, struct arena *arena, struct str *out,
          struct error *err)
{
    for (size_t i = 0; i < response->n_headers; i++) {
        struct str uri;

        if (!str_equal_ignore_case(response->headers[i].name, STR("link")))
            continue;
        uri = http_link_find(response->headers[i].value, STR("next"));
        if (uri.ptr)
            return hf_listing_parse_link(uri, arena, out, err);
    }
    *out = STR_NULL;
    return 0;
}

static int
try_page(struct hf_http_client *self, struct str url, struct arena *arena, struct hf_page *out,
         bool *is_garbled, struct error *err)
{
    static const struct http_header headers[] = {
        {STR_INIT("Accept"), STR_INIT("application/json")}};
    const struct http_request request = {
        .method = HTTP_GET,
        .url = url,
        .authorization = self->authorization,
        .headers = headers,
        .n_headers = COUNT_OF(headers),
        .total_timeout_ms = TIMEOUT_MS,
    };
    struct hf_answer_context context = {.has_token = self->authorization.len > 0};
    struct http_response response;
    struct json rows;
    int rc;

    *is_garbled = false;
    rc = self->transport.fetch(self->transport.context, &request, arena, &response, err);
    if (rc < 0)
        return rc;
    context.now_us = clock_now_us(self->clock);
    rc = hf_answer_read(&response, &context, arena, &rows, is_garbled, err);
    if (rc < 0)
        return rc;
    *out = (struct hf_page){
        .rows = rows.array.items,
        .n_rows = rows.array.n_items,
        .warning = http_response_header(&response, STR("x-hf-warning")),
        .n_requests = response.n_attempts,
    };
    return read_next(&response, arena, &out->next, err);
}

static int64_t
backoff_us(const struct hf_http_client *self, unsigned n_failed)
{
    int64_t wait_ms = self->backoff_ms;

    for (unsigned i = 1; i < n_failed && wait_ms < BACKOFF_MAX_MS; i++)
        wait_ms *= 2;
    return (wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS) * US_PER_MS;
}

static int
fetch_page(struct hf_client *base, struct str reference, int64_t n_rows, struct arena *arena,
           struct hf_page *out, struct error *err)
{
    struct hf_http_client *self = (struct hf_http_client *)base;
    CLEANUP(arena_fini) struct arena own = ARENA_INIT(TEXTS_BYTES);
    unsigned n_requests = 0;
    struct hf_page page;
    struct str url;
    int rc;

    rc = hf_listing_url(self->endpoint, reference, n_rows, &own, &url, err);
    if (rc < 0)
        return rc;
    for (unsigned attempt = 1;; attempt++) {
        bool is_garbled;

        arena_reset(arena);
        rc = try_page(self, url, arena, &page, &is_garbled, err);
        if (rc == 0)
            break;
        n_requests++;
        if (!is_garbled)
            return rc;
        if (attempt == self->max_attempts)
            return error_wrap(err, rc, "gave up after %u attempts", attempt);
        clock_sleep_us(self->clock, backoff_us(self, attempt));
    }
    *out = page;
    out->n_requests += n_requests;
    return 0;
}

static const struct hf_client_ops http_ops = {.fetch_page = fetch_page};

/* A token goes into a header: no byte that could end it. */
static int
check_token(struct str token, struct error *err)
{
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] <= ' ' || token.ptr[i] > '~')
            return error_set(err, ERR_CONFIG, "HF_TOKEN holds a byte that no token has, at %zu", i);
    }
    return 0;
}

static int
copy_texts(struct hf_http_client *self, const struct hf_client_options *options, struct error *err)
{
    struct str endpoint = options->endpoint.len ? options->endpoint : HF_ENDPOINT;
    char *authorization = NULL;
    bool ok = true;

    while (str_ends_with(endpoint, STR("/")))
        endpoint.len--;
    if (!http_url_origin(endpoint).ptr || str_find_char(endpoint, '?') < endpoint.len ||
        str_find_char(endpoint, '#') < endpoint.len)
        return error_set(err, ERR_CONFIG, "HF_ENDPOINT '%.*s' is no http or https address",
                         STR_ARG(str_slice(endpoint, 0, 200)));
    self->endpoint = arena_dup(&self->texts, endpoint, &ok);
    if (options->token.len) {
        authorization = arena_printf(&self->texts, "Bearer %.*s", STR_ARG(options->token));
        ok = ok && authorization;
    }
    self->authorization = str_from_cstr(authorization);
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for the Hub's client");
}

int
hf_client_create(const struct hf_client_options *options, struct hf_client **out, struct error *err)
{
    struct hf_http_client *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for the Hub's client");
    *self = (struct hf_http_client){
        .base = {&http_ops},
        .transport = options->transport,
        .texts = ARENA_INIT(TEXTS_BYTES),
        .clock = options->clock ? options->clock : &clock_system,
        .max_attempts = options->max_attempts ? options->max_attempts : ATTEMPTS_DEFAULT,
        .backoff_ms = options->backoff_ms ? options->backoff_ms : BACKOFF_DEFAULT_MS,
    };
    rc = check_token(options->token, err);
    if (rc == 0)
        rc = copy_texts(self, options, err);
    if (rc < 0) {
        hf_client_free(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

void
hf_client_free(struct hf_client *client)
{
    struct hf_http_client *self = (struct hf_http_client *)client;

    if (!self)
        return;
    arena_fini(&self->texts);
    free(self);
}

void
hf_client_freep(struct hf_client **client)
{
    hf_client_free(*client);
}
