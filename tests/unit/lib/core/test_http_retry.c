/* lib/core/http.h: retries, pace, timeouts, cancelling, and downloads that are continued. */

#include "tests/unit/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/unit/lib/core/http_fixture.h"
#include "tests/unit/lib/core/loopback_server.h"

struct context {
    struct loopback_server *server;
    struct http_fixture fixture;
    struct memory_sink sink;
};

static int
set_up(void **state)
{
    struct context *context = calloc(1, sizeof(*context));

    context->server = loopback_start();
    http_fixture_init(&context->fixture);
    memory_sink_init(&context->sink);
    *state = context;
    return 0;
}

static int
tear_down(void **state)
{
    struct context *context = *state;

    http_fixture_close(&context->fixture);
    buf_fini(&context->sink.bytes);
    loopback_stop(context->server);
    free(context);
    return 0;
}

static void
add_raw(struct context *self, const char *bytes)
{
    loopback_add(self->server,
                 (struct loopback_answer){.bytes = str_from_cstr(bytes), .is_closing = true});
}

static int
get(struct context *self)
{
    return http_fixture_get(&self->fixture, loopback_url(self->server, "/"));
}

static int
download(struct context *self, uint64_t range_from, size_t max_bytes)
{
    struct http_request request = {.url = loopback_url(self->server, "/file"),
                                   .sink = &self->sink.base,
                                   .range_from = range_from,
                                   .max_body_bytes = max_bytes};

    return http_fixture_fetch(&self->fixture, &request);
}

static void
test_retry_then_success(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    fixture->options.max_attempts = 8;
    http_fixture_open(fixture);
    add_raw(self, "");                                               /* closed without a word */
    add_raw(self, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b"); /* within the head */
    add_raw(self, "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n");  /* before the real one */
    loopback_add_text(self->server, "503 Unavailable", "", "no");
    loopback_add_text(self->server, "500 Error", "", "");
    add_raw(self, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"); /* cut short */
    add_raw(self, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf");
    loopback_add_text(self->server, "200 OK", "", "whole");
    assert_ok(get(self), fixture->err);
    assert_str_equal(fixture->response.body, "whole");
    assert_int_equal(fixture->response.n_attempts, 8);
    assert_true(fixture->clock.slept_us <= (1 + 2 + 4 + 8 + 16 + 30 + 30) * US_PER_S);
}

static void
test_last_answer(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    http_fixture_open(fixture);
    loopback_add_text(self->server, "503 Unavailable", "", "first");
    loopback_add_text(self->server, "503 Unavailable", "", "second");
    loopback_add_text(self->server, "501 Not Implemented", "", "never");
    loopback_add_text(self->server, "503 Unavailable", "Retry-After: 9999\r\n", "later");
    assert_ok(get(self), fixture->err);
    assert_int_equal(fixture->response.status, 503);
    assert_str_equal(fixture->response.body, "second");
    assert_ok(get(self), fixture->err);
    assert_int_equal(fixture->response.status, 501);
    assert_int_equal(fixture->response.n_attempts, 1);
    assert_ok(get(self), fixture->err); /* the wait is too long: the answer stands */
    assert_int_equal(fixture->response.status, 503);
    assert_int_equal(fixture->response.n_attempts, 1);
    assert_int_equal(get(self), -ERR_RATE_LIMIT); /* and the host is left alone */
    assert_int_equal(loopback_count_requests(self->server), 4);
}

static void
test_retry_after(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    fixture->options.max_attempts = 1; /* waits that were asked for are no attempts */
    http_fixture_open(fixture);
    loopback_add_text(self->server, "429 Slow", "Retry-After: 7\r\n", "");
    loopback_add_text(self->server, "429 Slow", "Retry-After: Sun, 06 Nov 1994 08:49:49 GMT\r\n",
                      ""); /* 5 s later by then */
    loopback_add_text(self->server, "429 Slow", "RateLimit: \"api\";r=0;t=29\r\n", "");
    loopback_add_text(self->server, "200 OK", "", "ok");
    assert_ok(get(self), fixture->err);
    assert_str_equal(fixture->response.body, "ok");
    assert_int_equal(fixture->response.n_attempts, 4);
    assert_int_equal(fixture->clock.slept_us, (7 + 5 + 30) * US_PER_S);
}

static void
test_rate_limit_errors(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    fixture->options.max_attempts = 1;
    http_fixture_open(fixture);
    for (int i = 0; i < 6; i++)
        loopback_add_text(self->server, "429 Slow", "Retry-After: 1\r\n", "");
    assert_int_equal(get(self), -ERR_RATE_LIMIT);
    assert_int_equal(loopback_count_requests(self->server), 6);
    assert_int_equal(fixture->clock.slept_us, 5 * US_PER_S);
    assert_int_equal(fixture->err.retry_after_ms, 1000);

    loopback_add_text(self->server, "429 Slow", "", "");
    assert_int_equal(get(self), -ERR_RATE_LIMIT);
    assert_in_range(fixture->err.retry_after_ms, 1000, 2000); /* ours: the backoff and jitter */

    loopback_add_text(self->server, "429 Slow", "Retry-After: 331\r\n", "");
    assert_int_equal(get(self), -ERR_RATE_LIMIT);
    assert_int_equal(fixture->err.retry_after_ms, 331000);
    assert_int_equal(get(self), -ERR_RATE_LIMIT); /* still parked: nothing is sent */
    assert_int_equal(loopback_count_requests(self->server), 8);
    fixture->clock.time_us += 331 * US_PER_S;
    loopback_add_text(self->server, "200 OK", "", "");
    assert_ok(get(self), fixture->err);
}

/* The next request waits although nothing was refused yet. */
static void
test_pace(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct http_request polite = {.url = loopback_url(self->server, "/"), .min_interval_ms = 500};

    http_fixture_open(fixture);
    loopback_add_text(self->server, "200 OK",
                      "RateLimit: \"api\";r=100;t=101\r\n"
                      "RateLimit-Policy: \"fixed window\";\"api\";q=500;w=300\r\n",
                      "");
    loopback_add_text(self->server, "200 OK", "ratelimit: \"api\"; r=0; t=3\r\n", "");
    loopback_add_text(self->server, "200 OK", "RateLimit: \"api\";r=500;t=300\r\n", "");
    loopback_add_text(self->server, "200 OK", "", "");
    assert_ok(get(self), fixture->err);
    assert_int_equal(fixture->clock.slept_us, 0);
    assert_ok(get(self), fixture->err);
    assert_int_equal(fixture->clock.slept_us, US_PER_S);
    assert_ok(get(self), fixture->err);
    assert_int_equal(fixture->clock.slept_us, 5 * US_PER_S);
    assert_ok(http_fixture_fetch(fixture, &polite), fixture->err);
    assert_int_equal(fixture->clock.slept_us, 5 * US_PER_S + 500 * US_PER_MS);
}

static void
test_refused_connection(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct loopback_server *gone = loopback_start();
    char url[64];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", (unsigned)loopback_port(gone));
    loopback_stop(gone);
    http_fixture_open(fixture);
    assert_int_equal(http_fixture_get(fixture, str_from_cstr(url)), -ERR_NETWORK);
    assert_non_null(strstr(fixture->err.message, "after 2 attempts"));
    assert_non_null(strstr(fixture->err.message, "connect to 127.0.0.1"));
    assert_int_equal(http_fixture_get(fixture, STR("http://name.invalid/")), -ERR_NETWORK);
}

/* Drips slower than the stall allows, then steadily but beyond the whole time. */
static void
test_timeouts(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct str slow = STR("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"
                          "12345678901234567890123456789012345678901234567890");
    struct http_request request = {.url = loopback_url(self->server, "/"), .total_timeout_ms = 400};

    fixture->options.clock = NULL;
    fixture->options.max_attempts = 1;
    fixture->options.stall_timeout_ms = 200;
    http_fixture_open(fixture);
    loopback_add(self->server,
                 (struct loopback_answer){.bytes = slow, .drip_bytes = 42, .drip_ms = 60000});
    assert_int_equal(get(self), -ERR_TIMEOUT);
    assert_non_null(strstr(fixture->err.message, "no byte for 200 ms"));
    loopback_stop(self->server);
    self->server = loopback_start();
    request.url = loopback_url(self->server, "/");
    loopback_add(self->server,
                 (struct loopback_answer){.bytes = slow, .drip_bytes = 1, .drip_ms = 20});
    assert_int_equal(http_fixture_fetch(fixture, &request), -ERR_TIMEOUT);
}

static void
test_cancel(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    http_fixture_open(fixture);
    loopback_add_text(self->server, "429 Slow", "Retry-After: 60\r\n", "");
    fixture->n_until_cancel = 50; /* in the wait: its 600 slices ask each time */
    assert_int_equal(get(self), -ERR_CANCELLED);
    assert_true(fixture->clock.slept_us < 60 * US_PER_S);
    fixture->clock.time_us += 60 * US_PER_S;
    loopback_add(self->server, (struct loopback_answer){.bytes = STR("HTTP/1.1 200 OK\r\n\r\nx"),
                                                        .drip_bytes = 5,
                                                        .drip_ms = 60000});
    fixture->n_until_cancel = 10; /* in the transfer: the loop asks every 50 ms */
    assert_int_equal(get(self), -ERR_CANCELLED);
    assert_int_equal(loopback_count_requests(self->server), 2);
}

static void
test_continue(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    fixture->options.max_attempts = 3;
    http_fixture_open(fixture);
    add_raw(self, "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\n"
                  "Content-Length: 10\r\n\r\n0123");
    add_raw(self, "HTTP/1.1 206 Partial\r\nETag: \"v1\"\r\nContent-Range: bytes 4-9/10\r\n"
                  "Content-Length: 6\r\n\r\n45");
    loopback_add_text(self->server, "206 Partial", "Content-Range: bytes 6-9/10\r\n", "6789");
    assert_ok(download(self, 0, 0), fixture->err);
    assert_str_equal(buf_str(&self->sink.bytes), "0123456789");
    assert_int_equal(fixture->response.status, 206);
    assert_str_equal(fixture->response.body, "");
    assert_int_equal(self->sink.n_resets, 0);
    assert_int_equal(self->sink.n_begun, 3);
    assert_true(loopback_has_sent(self->server, 0, "Accept-Encoding: identity\r\n"));
    assert_false(loopback_has_sent(self->server, 0, "Range:"));
    assert_true(loopback_has_sent(self->server, 1, "\r\nRange: bytes=4-\r\n"));
    assert_true(loopback_has_sent(self->server, 1, "\r\nIf-Range: \"v1\"\r\n"));
    assert_true(loopback_has_sent(self->server, 2, "\r\nRange: bytes=6-\r\n"));
}

/* Everything that must make a broken download begin again, once, at byte 0. */
static void
test_start_over(void **state)
{
    static const struct {
        const char *first;  /* head of the answer that breaks after "0123" */
        const char *second; /* status and head of the next one, or NULL: already the whole object */
        bool is_ranged;     /* was the rest asked for? */
    } rows[] = {
        {"ETag: \"v1\"\r\n", NULL, true},    /* 200 to a Range: changed, or not able */
        {"ETag: W/\"v1\"\r\n", NULL, false}, /* weak */
        {"", NULL, false},                   /* none */
        {"ETag: \"v1\"\r\n", "206 Partial|Content-Range: bytes 5-9/10\r\n", true},
        {"ETag: \"v1\"\r\n", "206 Partial|", true},
        {"ETag: \"v1\"\r\n", "206 Partial|ETag: \"v2\"\r\nContent-Range: bytes 4-9/10\r\n", true},
        {"ETag: \"v1\"\r\n", "416 Range|Content-Range: bytes */10\r\n", true},
    };
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    fixture->options.max_attempts = 3;
    http_fixture_open(fixture);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t n_before = loopback_count_requests(self->server);
        char *first = arena_printf(
            &fixture->arena, "HTTP/1.1 200 OK\r\n%sContent-Length: 10\r\n\r\n0123", rows[i].first);

        buf_clear(&self->sink.bytes);
        self->sink.n_resets = 0;
        add_raw(self, first);
        if (rows[i].second) {
            struct str head = str_from_cstr(rows[i].second);
            struct str status;

            (void)str_split(&head, '|', &status);
            loopback_add_text(self->server, arena_printf(&fixture->arena, "%.*s", STR_ARG(status)),
                              head.ptr ? head.ptr : "", "56789!");
        }
        loopback_add_text(self->server, "200 OK", "ETag: \"v2\"\r\n", "abcdefghij");
        assert_ok(download(self, 0, 0), fixture->err);
        assert_str_equal(buf_str(&self->sink.bytes), "abcdefghij");
        assert_int_equal(self->sink.n_resets, 1);
        assert_int_equal(loopback_has_sent(self->server, n_before + 1, "\r\nRange: bytes=4-\r\n"),
                         rows[i].is_ranged);
        if (rows[i].second)
            assert_false(loopback_has_sent(self->server, n_before + 2, "Range: bytes"));
    }
}

/* A server that compresses although asked not to: its offsets are not those of the object. */
static void
test_compressed_starts_over(void **state)
{
    static const char packed[] = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Encoding: gzip\r\n"
                                 "Content-Length: 99\r\n\r\n"
                                 "\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x0a\0\xf5\xff"
                                 "0123";
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    http_fixture_open(fixture);
    loopback_add(self->server, (struct loopback_answer){.bytes = {packed, sizeof(packed) - 1},
                                                        .is_closing = true});
    loopback_add_text(self->server, "200 OK", "ETag: \"v1\"\r\n", "0123456789");
    assert_ok(download(self, 0, 0), fixture->err);
    assert_str_equal(buf_str(&self->sink.bytes), "0123456789");
    assert_int_equal(self->sink.n_resets, 1);
    assert_false(loopback_has_sent(self->server, 1, "Range:"));
}

/* The caller continues what an earlier process left. */
static void
test_range_from(void **state)
{
    static const struct http_header same[] = {{STR_INIT("If-Range"), STR_INIT("\"v1\"")}};
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct http_request request = {.url = loopback_url(self->server, "/file"),
                                   .sink = &self->sink.base,
                                   .headers = same,
                                   .n_headers = 1,
                                   .range_from = 4};

    http_fixture_open(fixture);
    buf_append(&self->sink.bytes, STR("0123"));
    loopback_add_text(self->server, "206 Partial",
                      "ETag: \"v1\"\r\nContent-Range: bytes 4-9/10\r\n", "456789");
    assert_ok(http_fixture_fetch(fixture, &request), fixture->err);
    assert_str_equal(buf_str(&self->sink.bytes), "0123456789");
    assert_true(loopback_has_sent(self->server, 0, "\r\nIf-Range: \"v1\"\r\n"));

    loopback_add_text(self->server, "200 OK", "ETag: \"v2\"\r\n", "new");
    assert_ok(http_fixture_fetch(fixture, &request), fixture->err);
    assert_str_equal(buf_str(&self->sink.bytes), "new");
    assert_int_equal(self->sink.n_resets, 1);

    loopback_add_text(self->server, "416 Range", "Content-Range: bytes */4\r\n", "nothing left");
    assert_ok(http_fixture_fetch(fixture, &request), fixture->err); /* the caller's to judge */
    assert_int_equal(fixture->response.status, 416);
    assert_str_equal(fixture->response.body, "nothing left");
    assert_str_equal(buf_str(&self->sink.bytes), "new");
}

/* A long download over a bad line ends, as long as each attempt brings a good piece. */
static void
test_progress_is_no_failure(void **state)
{
    enum { piece_bytes = 1 << 20, n_pieces = 6 };
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    char *body = calloc(1, piece_bytes + 1);

    (void)memset(body, 'x', piece_bytes);
    http_fixture_open(fixture);
    for (int i = 0; i < n_pieces; i++) {
        char range[64];

        (void)snprintf(range, sizeof(range), "Content-Range: bytes %d-%d/%d\r\n", i * piece_bytes,
                       n_pieces * piece_bytes - 1, n_pieces * piece_bytes);
        add_raw(self, arena_printf(&fixture->arena,
                                   "HTTP/1.1 %s\r\nETag: \"v\"\r\n%sContent-Length: %d\r\n\r\n%s",
                                   i ? "206 Partial" : "200 OK", i ? range : "",
                                   (n_pieces - i) * piece_bytes, body));
    }
    assert_ok(download(self, 0, n_pieces * piece_bytes), fixture->err);
    assert_int_equal(self->sink.bytes.len, n_pieces * piece_bytes);
    assert_int_equal(fixture->response.n_attempts, n_pieces);
    free(body);
}

static void
test_sink_limits(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    http_fixture_open(fixture);
    loopback_add_text(self->server, "200 OK", "", "12345");
    add_raw(self, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n");
    loopback_add_text(self->server, "404 Not Found", "", "{\"error\":\"gone\"}");
    loopback_add_text(self->server, "200 OK", "", "12345");
    assert_int_equal(download(self, 0, 4), -ERR_TOO_LARGE);
    assert_int_equal(download(self, 0, 4), -ERR_TOO_LARGE);
    assert_ok(download(self, 0, 4), fixture->err); /* what is no object goes to memory */
    assert_int_equal(fixture->response.status, 404);
    assert_str_equal(fixture->response.body, "{\"error\":\"gone\"}");
    assert_int_equal(self->sink.bytes.len, 0);
    self->sink.write_rc = -ERR_DISK_FULL;
    assert_int_equal(download(self, 0, 0), -ERR_DISK_FULL); /* and is not tried again */
    assert_non_null(strstr(fixture->err.message, "the sink is full"));
    assert_int_equal(loopback_count_requests(self->server), 4);
}

/* A caller with a policy of its own gets every first answer, and every first failure. */
static void
test_single_attempt(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct http_request request = {.url = loopback_url(self->server, "/"), .is_single = true};

    fixture->options.max_attempts = 6;
    http_fixture_open(fixture);
    loopback_add_text(self->server, "429 Too Many Requests", "Retry-After: 0\r\n", "slow down");
    loopback_add_text(self->server, "503 Unavailable", "", "no");
    add_raw(self, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    assert_int_equal(http_fixture_fetch(fixture, &request), 0);
    assert_int_equal(fixture->response.status, 429);
    assert_str_equal(http_response_header(&fixture->response, STR("retry-after")), "0");
    assert_int_equal(http_fixture_fetch(fixture, &request), 0);
    assert_int_equal(fixture->response.status, 503);
    assert_int_equal(http_fixture_fetch(fixture, &request), -ERR_NETWORK);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_retry_then_success, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_single_attempt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_last_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_retry_after, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rate_limit_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timeouts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_continue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_start_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_compressed_starts_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_range_from, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_progress_is_no_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sink_limits, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
