/* The client itself: made once from its options, and asked for time and chance by http_fetch.c. */

#include "lib/core/http_client.h"

#include <stdlib.h>
#include <sys/random.h>

#include "lib/core/http_url.h"

#define TRUSTED_LIMIT_BYTES ((size_t)1 << 16)
#define WAIT_SLICE_US       (100 * US_PER_MS)

static int64_t
or_default(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static void
fill_defaults(struct http_options *options)
{
    options->clock = options->clock ? options->clock : &clock_system;
    options->connect_timeout_ms = or_default(options->connect_timeout_ms, 5000);
    options->total_timeout_ms = or_default(options->total_timeout_ms, 60000);
    options->stall_timeout_ms = or_default(options->stall_timeout_ms, 15000);
    options->max_wait_ms = or_default(options->max_wait_ms, 330000);
    options->backoff_ms = or_default(options->backoff_ms, 1000);
    options->max_body_bytes = options->max_body_bytes ? options->max_body_bytes : (size_t)64 << 20;
    options->max_attempts = options->max_attempts ? options->max_attempts : 5;
}

/* Nothing that could end a header field. */
bool
http_client_is_field_value(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c < ' ' && c != '\t') || c == 0x7F)
            return false;
    }
    return true;
}

/* Keep the trusted origins as keys. */
static int
copy_trusted(struct http_client *client, struct error *err)
{
    struct str_list given = client->options.trusted_origins;
    struct str *items = arena_calloc(&client->arena, given.n_items, sizeof(*items));
    bool ok = items != NULL;

    for (size_t i = 0; ok && i < given.n_items; i++) {
        struct http_url url;
        char origin[HTTP_ORIGIN_BYTES];
        int rc = http_url_parse(given.items[i], &url, err);

        if (rc < 0)
            return error_wrap(err, rc, "trusted origin");
        http_url_format_origin(&url, origin);
        items[i] = arena_dup(&client->arena, str_from_cstr(origin), &ok);
    }
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for %zu trusted origins", given.n_items);
    client->options.trusted_origins.items = items;
    return 0;
}

int
http_client_create(const struct http_options *options, struct http_client **out, struct error *err)
{
    CLEANUP(http_client_freep) struct http_client *client = NULL;
    struct http_wire_options wire;
    int rc;

    if (options->user_agent.len == 0 || !http_client_is_field_value(options->user_agent))
        return error_set(err, ERR_INVALID, "an HTTP client needs a User-Agent on one line");
    client = calloc(1, sizeof(*client));
    if (!client)
        return error_set(err, ERR_NOMEM, "no memory for an HTTP client");
    client->options = *options;
    client->arena = (struct arena)ARENA_INIT(TRUSTED_LIMIT_BYTES);
    fill_defaults(&client->options);
    /* Jitter only has to differ between processes: the clock will do where the system has none. */
    if (getrandom(&client->random_state, sizeof(client->random_state), 0) < 0)
        client->random_state = (uint64_t)clock_mono_us(client->options.clock);
    wire = (struct http_wire_options){.user_agent = options->user_agent,
                                      .ca_file = options->ca_file,
                                      .clock = client->options.clock,
                                      .connect_timeout_ms = client->options.connect_timeout_ms,
                                      .stall_timeout_ms = client->options.stall_timeout_ms,
                                      .is_cancelled = options->is_cancelled,
                                      .cancel_context = options->cancel_context};
    rc = copy_trusted(client, err);
    if (rc == 0)
        rc = http_pacer_create(&client->pacer, err);
    if (rc == 0)
        rc = http_wire_create(&wire, &client->wire, err);
    if (rc == 0)
        *out = TAKE(client);
    return rc;
}

void
http_client_free(struct http_client *client)
{
    if (!client)
        return;
    http_wire_free(client->wire);
    http_pacer_free(client->pacer);
    arena_fini(&client->arena);
    free(client);
}

void
http_client_freep(struct http_client **client)
{
    http_client_free(*client);
}

/* Source: Steele, Lea, Flood 2014, "Fast Splittable Pseudorandom Number Generators" (SplitMix64).
 */
int64_t
http_client_random(struct http_client *client, int64_t max)
{
    uint64_t z = client->random_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (int64_t)(z % ((uint64_t)max + 1));
}

/* Wait for a monotonic moment, in slices that look at the flag. */
int
http_client_wait_until(const struct http_client *client, int64_t until_us, struct error *err)
{
    const struct http_options *options = &client->options;

    for (;;) {
        int64_t now_us = clock_mono_us(options->clock);

        if (options->is_cancelled && options->is_cancelled(options->cancel_context))
            return error_set(err, ERR_CANCELLED, "cancelled");
        if (now_us >= until_us)
            return 0;
        clock_sleep_us(options->clock,
                       until_us - now_us < WAIT_SLICE_US ? until_us - now_us : WAIT_SLICE_US);
    }
}

enum http_failure
http_client_last_failure(const struct http_client *client)
{
    return client->last_failure;
}

struct str
http_response_header(const struct http_response *response, struct str name)
{
    for (size_t i = 0; i < response->n_headers; i++) {
        if (str_equal(response->headers[i].name, name))
            return response->headers[i].value;
    }
    return STR_NULL;
}
