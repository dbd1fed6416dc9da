#pragma once

/* What the tests of the HTTP client share: a clock that jumps, a client on it, a sink in memory. */

#include <trawl/error.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "lib/core/http.h"

/* Sleeping takes no time and moves the hands. */
struct fake_clock {
    struct clock base; /* first: the callbacks get its address */
    int64_t time_us;
    int64_t slept_us;
};

void fake_clock_init(struct fake_clock *clock);

struct http_fixture {
    struct fake_clock clock;
    struct http_options options; /* changed before http_fixture_open */
    struct http_client *client;
    struct arena arena;
    struct http_response response;
    struct error err;
    unsigned n_until_cancel; /* > 0: is_cancelled says yes at that call */
};

/* Options with the fake clock, two attempts, a backoff of 1 s. */
void http_fixture_init(struct http_fixture *fixture);
void http_fixture_open(struct http_fixture *fixture);
void http_fixture_close(struct http_fixture *fixture);

/* http_fetch into the fixture's response and error. */
int http_fixture_fetch(struct http_fixture *fixture, const struct http_request *request);
int http_fixture_get(struct http_fixture *fixture, struct str url);

struct memory_sink {
    struct http_sink base;
    struct buf bytes;
    unsigned n_begun;
    unsigned n_resets;
    int write_rc; /* what write returns */
};

void memory_sink_init(struct memory_sink *sink);
