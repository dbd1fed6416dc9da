/* A fixed table of origins, searched in line: next to a request over the network a thousand
 * compared hashes are nothing.
 *
 * One origin may count in several buckets (the Hub has "api", "resolvers" and "pages"), and a URL
 * does not say which one it falls in.  A request therefore waits for the slowest bucket that is
 * known: that costs some speed where two are used in turn, and never a 429. */

#include "lib/core/http_pacer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "lib/core/http_headers.h"
#include "lib/core/http_url.h"

#define MAX_ORIGINS       1024
#define MAX_BUCKETS       4
#define BUCKET_BYTES      32
#define WINDOW_MAX_S      INT64_C(3600)  /* a longer window is a slip of the server */
#define RETRY_AFTER_MAX_S INT64_C(86400) /* the same for a wait */

/* Without a policy that tells the quota, so few are "little left". */
#define FEW_REMAINING 20

struct window {
    char bucket[BUCKET_BYTES];
    int64_t ready_us;
};

struct pace {
    uint64_t hash; /* 0 = unused row */
    int64_t last_start_us;
    int64_t parked_until_us;
    struct window windows[MAX_BUCKETS];
    size_t n_windows;
    char origin[HTTP_ORIGIN_BYTES];
};

struct http_pacer {
    size_t n_paces;
    struct pace paces[MAX_ORIGINS];
};

int
http_pacer_create(struct http_pacer **out, struct error *err)
{
    struct http_pacer *pacer = calloc(1, sizeof(*pacer)); /* pages come as rows are used */

    if (!pacer)
        return error_set(err, ERR_NOMEM, "no memory for the pace of %d hosts", MAX_ORIGINS);
    *out = pacer;
    return 0;
}

void
http_pacer_free(struct http_pacer *pacer)
{
    free(pacer);
}

/* Source: Fowler/Noll/Vo, FNV-1a. */
static uint64_t
hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

static size_t
find_row(const struct http_pacer *pacer, const char *origin)
{
    uint64_t hash = hash_of(origin);
    size_t i = 0;

    while (i < pacer->n_paces &&
           (pacer->paces[i].hash != hash || strcmp(pacer->paces[i].origin, origin) != 0))
        i++;
    return i;
}

static int64_t
later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When the server lets the origin go on. */
static int64_t
server_ready_us(const struct pace *pace)
{
    int64_t ready_us = pace->parked_until_us;

    for (size_t i = 0; i < pace->n_windows; i++)
        ready_us = later_of(ready_us, pace->windows[i].ready_us);
    return ready_us;
}

/* The row of an origin, made where there is none. */
static struct pace *
take_row(struct http_pacer *pacer, const char *origin)
{
    size_t row = find_row(pacer, origin);
    struct pace *pace;

    if (row < pacer->n_paces)
        return &pacer->paces[row];
    if (pacer->n_paces < MAX_ORIGINS) {
        row = pacer->n_paces++;
    } else {
        int64_t soonest_us = INT64_MAX;

        row = 0;
        for (size_t i = 0; i < MAX_ORIGINS; i++) {
            const struct pace *old = &pacer->paces[i];
            int64_t busy_us = later_of(server_ready_us(old), old->last_start_us);

            if (busy_us < soonest_us) {
                soonest_us = busy_us;
                row = i;
            }
        }
    }
    pace = &pacer->paces[row];
    *pace = (struct pace){
        .hash = hash_of(origin), .last_start_us = TIME_UNKNOWN, .parked_until_us = TIME_UNKNOWN};
    (void)strncat(pace->origin, origin, sizeof(pace->origin) - 1);
    return pace;
}

int64_t
http_pacer_ready_us(const struct http_pacer *pacer, const char *origin, int64_t min_interval_us)
{
    size_t row = find_row(pacer, origin);
    const struct pace *pace = &pacer->paces[row < pacer->n_paces ? row : 0];
    int64_t next_us;

    if (row == pacer->n_paces)
        return TIME_UNKNOWN;
    if (pace->last_start_us == TIME_UNKNOWN ||
        __builtin_add_overflow(pace->last_start_us, min_interval_us, &next_us))
        next_us = TIME_UNKNOWN;
    return later_of(server_ready_us(pace), next_us);
}

void
http_pacer_note_start(struct http_pacer *pacer, const char *origin, int64_t now_us)
{
    take_row(pacer, origin)->last_start_us = now_us;
}

void
http_pacer_park(struct http_pacer *pacer, const char *origin, int64_t until_us)
{
    struct pace *pace = take_row(pacer, origin);

    pace->parked_until_us = later_of(pace->parked_until_us, until_us);
}

/* The window of a bucket; the last one is reused where a server invents names without end. */
static struct window *
take_window(struct pace *pace, struct str bucket)
{
    struct str name = str_slice(bucket, 0, BUCKET_BYTES - 1);
    struct window *window;

    for (size_t i = 0; i < pace->n_windows; i++) {
        if (str_equal(str_from_cstr(pace->windows[i].bucket), name))
            return &pace->windows[i];
    }
    if (pace->n_windows < MAX_BUCKETS)
        pace->n_windows++;
    window = &pace->windows[pace->n_windows - 1];
    *window = (struct window){.ready_us = TIME_UNKNOWN};
    if (name.len)
        (void)memcpy(window->bucket, name.ptr, name.len);
    return window;
}

/* How long after the answer the next request should start. */
static int64_t
spread_us(const struct http_rate_limit *limit, const struct http_rate_policy *policy)
{
    int64_t reset_s = limit->reset_s < WINDOW_MAX_S ? limit->reset_s : WINDOW_MAX_S;
    int64_t few = policy ? policy->quota / 5 * 2 : FEW_REMAINING;

    if (limit->remaining == 0)
        return (reset_s + 1) * US_PER_S;
    if (limit->remaining > few)
        return 0;
    return reset_s * US_PER_S / (limit->remaining + 1);
}

/* Does the answer's status say "not now"? */
static bool
is_refusal(int status)
{
    return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
}

bool
http_pacer_note_answer(struct http_pacer *pacer, const char *origin,
                       const struct http_pacer_answer *answer, int64_t now_us, int64_t utc_us)
{
    struct http_rate_limit limit;
    struct http_rate_policy policy;
    int64_t wait_ms;

    if (http_rate_limit_parse(answer->rate_limit, &limit)) {
        bool has_policy =
            http_rate_policy_parse(answer->rate_policy, &policy) &&
            (!policy.bucket.ptr || !limit.bucket.ptr || str_equal(policy.bucket, limit.bucket));
        struct window *window = take_window(take_row(pacer, origin), limit.bucket);

        window->ready_us = now_us + spread_us(&limit, has_policy ? &policy : NULL);
        if (answer->status == 429 && limit.remaining == 0)
            return true;
    }
    if (!is_refusal(answer->status) ||
        !http_retry_after_parse(answer->retry_after, utc_us, &wait_ms))
        return false;
    if (wait_ms > RETRY_AFTER_MAX_S * 1000)
        wait_ms = RETRY_AFTER_MAX_S * 1000;
    http_pacer_park(pacer, origin, now_us + wait_ms * US_PER_MS);
    return true;
}
