/* lib/core/http.h: requests, redirects, caps, TLS and reach, against a server on loopback. */

#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>

#include <zlib.h>

#include "base/clock.h"
#include "tests/unit/lib/core/http_fixture.h"
#include "tests/unit/lib/core/loopback_server.h"

struct context {
    struct loopback_server *server;
    struct http_fixture fixture;
};

static int
set_up(void **state)
{
    struct context *context = calloc(1, sizeof(*context));

    context->server = loopback_start();
    http_fixture_init(&context->fixture);
    *state = context;
    return 0;
}

static int
tear_down(void **state)
{
    struct context *context = *state;

    http_fixture_close(&context->fixture);
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

static void
test_get_and_keep_alive(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    const struct http_header headers[] = {{STR("X-One"), STR("1")}, {STR("X-Empty"), STR("")}};
    struct http_request request = {.url = loopback_url(self->server, "/a?b=c"),
                                   .authorization = STR("Bearer secret"),
                                   .headers = headers,
                                   .n_headers = 2};

    http_fixture_open(fixture);
    loopback_add_text(self->server, "200 OK", "X-Kind:  Some Thing \r\nETag: \"x\"\r\n", "hello");
    loopback_add_text(self->server, "200 OK", "", "again");
    loopback_add_text(self->server, "404 Not Found", "", "gone");
    assert_ok(http_fixture_fetch(fixture, &request), fixture->err);
    assert_int_equal(fixture->response.status, 200);
    assert_str_equal(fixture->response.body, "hello");
    assert_str_equal(fixture->response.url, request.url.ptr);
    assert_str_equal(http_response_header(&fixture->response, STR("x-kind")), "Some Thing");
    assert_null(http_response_header(&fixture->response, STR("x-none")).ptr);
    assert_int_equal(fixture->response.n_attempts, 1);
    assert_true(loopback_has_sent(self->server, 0, "GET /a?b=c HTTP/1.1\r\n"));
    assert_true(loopback_has_sent(self->server, 0, "User-Agent: trawl-test/1.0\r\n"));
    assert_true(loopback_has_sent(self->server, 0, "Authorization: Bearer secret\r\n"));
    assert_true(loopback_has_sent(self->server, 0, "X-One: 1\r\n"));
    assert_true(loopback_has_sent(self->server, 0, "X-Empty:\r\n"));
    assert_true(loopback_has_sent(self->server, 0, "gzip"));
    assert_true(loopback_has_sent(self->server, 0, "br"));
    assert_ok(http_fixture_get(fixture, request.url), fixture->err);
    assert_str_equal(fixture->response.body, "again");
    assert_false(loopback_has_sent(self->server, 1, "secret"));
    assert_ok(http_fixture_get(fixture, request.url), fixture->err);
    assert_int_equal(fixture->response.status, 404);
    assert_str_equal(fixture->response.body, "gone");
    assert_int_equal(loopback_count_connections(self->server), 1);
}

static void
test_post_and_head(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct http_request post = {.method = HTTP_POST,
                                .url = loopback_url(self->server, "/rpc"),
                                .body = STR("{\"a\":1}"),
                                .content_type = STR("application/json")};
    struct http_request head = {.method = HTTP_HEAD, .url = post.url, .max_body_bytes = 10};

    http_fixture_open(fixture);
    loopback_add_text(self->server, "200 OK", "", "done");
    add_raw(self, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
    assert_ok(http_fixture_fetch(fixture, &post), fixture->err);
    assert_true(loopback_has_sent(self->server, 0, "POST /rpc"));
    assert_true(loopback_has_sent(self->server, 0, "Content-Type: application/json\r\n"));
    assert_true(loopback_has_sent(self->server, 0, "\r\n\r\n{\"a\":1}"));
    assert_false(loopback_has_sent(self->server, 0, "Expect:"));
    assert_ok(http_fixture_fetch(fixture, &head), fixture->err);
    assert_true(loopback_has_sent(self->server, 1, "HEAD /rpc"));
    assert_int_equal(fixture->response.status, 200);
}

/* An informational answer before and trailers after the real one are not its head. */
static void
test_head_alone(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;

    http_fixture_open(fixture);
    add_raw(self, "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
                  "HTTP/1.1 200 a:b\r\nX-Real: yes\r\n folded: no\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n");
    assert_ok(http_fixture_get(fixture, loopback_url(self->server, "/")), fixture->err);
    assert_str_equal(fixture->response.body, "ok");
    assert_str_equal(http_response_header(&fixture->response, STR("x-real")), "yes");
    assert_null(http_response_header(&fixture->response, STR("link")).ptr);
    assert_null(http_response_header(&fixture->response, STR("x-trailer")).ptr);
    assert_int_equal(fixture->response.n_headers, 2);
}

/* A gzip answer of n_bytes zeros, with its head, on the heap. */
static struct str
make_gzip_answer(size_t n_bytes)
{
    size_t room = n_bytes / 500 + 1024;
    char *answer = malloc(room + 256);
    unsigned char zeros[65536] = {0};
    unsigned char *packed = malloc(room);
    z_stream stream = {.next_out = packed, .avail_out = (uInt)room};
    int head;

    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    while (n_bytes > 0) {
        stream.next_in = zeros;
        stream.avail_in = (uInt)(n_bytes < sizeof(zeros) ? n_bytes : sizeof(zeros));
        n_bytes -= stream.avail_in;
        assert_int_not_equal(deflate(&stream, n_bytes ? Z_NO_FLUSH : Z_FINISH), Z_STREAM_ERROR);
    }
    head = snprintf(answer, 256,
                    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %lu\r\n\r\n",
                    stream.total_out);
    (void)memcpy(answer + head, packed, stream.total_out);
    (void)deflateEnd(&stream);
    free(packed);
    return (struct str){answer, (size_t)head + stream.total_out};
}

static void
test_gzip(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct str small = make_gzip_answer(100000);
    struct str bomb = make_gzip_answer((size_t)60 << 20); /* under the cap of 64 MiB */

    http_fixture_open(fixture);
    loopback_add(self->server, (struct loopback_answer){.bytes = small});
    loopback_add(self->server, (struct loopback_answer){.bytes = bomb});
    assert_ok(http_fixture_get(fixture, loopback_url(self->server, "/")), fixture->err);
    assert_int_equal(fixture->response.body.len, 100000);
    assert_int_equal(http_fixture_get(fixture, loopback_url(self->server, "/")), -ERR_TOO_LARGE);
    assert_non_null(strstr(fixture->err.message, "expands to more than 200 times"));
    assert_int_equal(loopback_count_requests(self->server), 2);
    free((void *)(uintptr_t)small.ptr);
    free((void *)(uintptr_t)bomb.ptr);
}

static void
test_caps(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct http_request request = {.url = loopback_url(self->server, "/"), .max_body_bytes = 5};
    char *page = calloc(1, 200001);

    (void)memset(page, 'x', 200000);
    http_fixture_open(fixture);
    loopback_add_text(self->server, "200 OK", "", "12345");
    loopback_add_text(self->server, "200 OK", "", "123456");
    add_raw(self, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n");
    loopback_add_text(self->server, "404 Not Found", "",
                      page); /* an error page is cut, not an error */
    assert_ok(http_fixture_fetch(fixture, &request), fixture->err);
    assert_str_equal(fixture->response.body, "12345");
    assert_int_equal(http_fixture_fetch(fixture, &request), -ERR_TOO_LARGE);
    assert_int_equal(http_fixture_fetch(fixture, &request), -ERR_TOO_LARGE);
    assert_ok(http_fixture_fetch(fixture, &request), fixture->err);
    assert_int_equal(fixture->response.status, 404);
    assert_int_equal(fixture->response.body.len, 65536);
    assert_int_equal(loopback_count_requests(self->server), 4);
    free(page);
}

static void
test_header_flood(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct loopback_server *server = loopback_start(); /* ends before the bytes that it sends */
    struct buf many = BUF_INIT(1000000);
    struct buf large = BUF_INIT(1000000);

    http_fixture_open(fixture);
    buf_append(&many, STR("HTTP/1.1 200 OK\r\n"));
    for (int i = 0; i < 300; i++)
        buf_append(&many, STR("A: b\r\n"));
    buf_append(&many, STR("Content-Length: 0\r\n\r\n"));
    buf_append(&large, STR("HTTP/1.1 200 OK\r\n"));
    for (int i = 0; i < 100; i++)
        buf_printf(&large, "A: %01000d\r\n", i);
    buf_append(&large, STR("Content-Length: 0\r\n\r\n"));
    loopback_add(server, (struct loopback_answer){.bytes = buf_str(&many)});
    loopback_add(server, (struct loopback_answer){.bytes = buf_str(&large)});
    assert_int_equal(http_fixture_get(fixture, loopback_url(server, "/")), -ERR_TOO_LARGE);
    assert_int_equal(http_fixture_get(fixture, loopback_url(server, "/")), -ERR_TOO_LARGE);
    loopback_stop(server);
    buf_fini(&many);
    buf_fini(&large);
}

/* Credentials stay at the origin that they were given for, and do not come back with a detour. */
static void
test_redirect_across_origins(void **state)
{
    static const struct http_header headers[] = {{STR_INIT("Cookie"), STR_INIT("canary")},
                                                 {STR_INIT("X-Plain"), STR_INIT("kept")}};
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct loopback_server *other = loopback_start();
    struct http_request request = {.url = loopback_url(self->server, "/a/b"),
                                   .authorization = STR("Bearer canary"),
                                   .headers = headers,
                                   .n_headers = 2};
    char away[128];
    char back[128];

    http_fixture_open(fixture);
    (void)snprintf(away, sizeof(away), "Location: %s\r\n", loopback_url(other, "/x").ptr);
    (void)snprintf(back, sizeof(back), "Location: %s\r\n", loopback_url(self->server, "/c").ptr);
    loopback_add_text(self->server, "307 Temporary Redirect", "Location: ../d?e\r\n", "moved");
    loopback_add_text(self->server, "302 Found", away, "");
    loopback_add_text(other, "302 Found", back, "");
    loopback_add_text(self->server, "200 OK", "", "end");
    assert_ok(http_fixture_fetch(fixture, &request), fixture->err);
    assert_str_equal(fixture->response.body, "end");
    assert_str_equal(fixture->response.url, loopback_url(self->server, "/c").ptr);
    assert_int_equal(fixture->response.n_attempts, 1);
    assert_true(loopback_has_sent(self->server, 0, "Bearer canary"));
    assert_true(loopback_has_sent(self->server, 1, "GET /d?e "));
    assert_true(loopback_has_sent(self->server, 1, "Bearer canary"));
    assert_false(loopback_has_sent(other, 0, "canary"));
    assert_true(loopback_has_sent(other, 0, "X-Plain: kept"));
    assert_false(loopback_has_sent(self->server, 2, "canary"));
    loopback_stop(other);
}

static void
test_redirect_methods(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct http_request request = {.method = HTTP_POST,
                                   .url = loopback_url(self->server, "/"),
                                   .body = STR("the body"),
                                   .content_type = STR("text/plain")};

    http_fixture_open(fixture);
    loopback_add_text(self->server, "307 Temporary Redirect", "Location: /again\r\n", "");
    loopback_add_text(self->server, "303 See Other", "Location: /look\r\n", "");
    loopback_add_text(self->server, "200 OK", "", "end");
    assert_ok(http_fixture_fetch(fixture, &request), fixture->err);
    assert_true(loopback_has_sent(self->server, 1, "POST /again"));
    assert_true(loopback_has_sent(self->server, 1, "the body"));
    assert_true(loopback_has_sent(self->server, 2, "GET /look"));
    assert_false(loopback_has_sent(self->server, 2, "the body"));
    assert_false(loopback_has_sent(self->server, 2, "text/plain"));
}

static void
test_redirect_limits(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct http_request kept = {.url = loopback_url(self->server, "/"), .keep_redirects = true};

    http_fixture_open(fixture);
    for (int i = 0; i < 6; i++)
        loopback_add_text(self->server, "302 Found", "Location: /\r\n", "");
    loopback_add_text(self->server, "302 Found", "Location: ftp://h/\r\n", "");
    loopback_add_text(self->server, "301 Moved", "Location: /new\r\n", "text");
    loopback_add_text(self->server, "302 Found", "", "no location");
    assert_int_equal(http_fixture_get(fixture, kept.url), -ERR_INVALID);
    assert_non_null(strstr(fixture->err.message, "more than 5 redirects"));
    assert_int_equal(loopback_count_requests(self->server), 6);
    assert_int_equal(http_fixture_get(fixture, kept.url), -ERR_INVALID);
    assert_ok(http_fixture_fetch(fixture, &kept), fixture->err);
    assert_int_equal(fixture->response.status, 301);
    assert_str_equal(http_response_header(&fixture->response, STR("location")), "/new");
    assert_str_equal(fixture->response.body, "text");
    assert_ok(http_fixture_get(fixture, kept.url), fixture->err);
    assert_int_equal(fixture->response.status, 302);
    assert_int_equal(loopback_count_requests(self->server), 9);
}

static void
test_tls(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    const char *ca_path;
    struct loopback_server *tls = loopback_start_tls(&ca_path);
    char location[128];

    http_fixture_open(fixture);
    assert_int_equal(http_fixture_get(fixture, loopback_url(tls, "/")), -ERR_NETWORK);
    assert_int_equal(loopback_count_connections(tls), 1); /* a bad certificate is not tried again */
    http_client_free(fixture->client);

    fixture->options.ca_file = ca_path;
    http_fixture_open(fixture);
    (void)snprintf(location, sizeof(location), "Location: %s\r\n",
                   loopback_url(self->server, "/plain?token=canary").ptr);
    loopback_add_text(tls, "200 OK", "", "safe");
    loopback_add_text(tls, "302 Found", location, "");
    assert_ok(http_fixture_get(fixture, loopback_url(tls, "/")), fixture->err);
    assert_str_equal(fixture->response.body, "safe");
    assert_true(loopback_was_h2_offered(tls));
    assert_int_equal(http_fixture_get(fixture, loopback_url(tls, "/")), -ERR_INVALID);
    assert_non_null(strstr(fixture->err.message, "not encrypted"));
    assert_null(strstr(fixture->err.message, "canary"));
    assert_int_equal(loopback_count_requests(self->server), 0);
    loopback_stop(tls);
}

/* Every spelling of a private address is refused once it is resolved, and every foreign port. */
static void
test_reach(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://0.0.0.0/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/",
        "http://10.0.0.1/",
        "https://192.168.0.1/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://[64:ff9b::a00:1]/",
        "http://example.org:22/",
        "http://127.1/",
    };
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct loopback_server *other = loopback_start();
    struct str trusted[] = {loopback_url(self->server, "/any/path")};
    char location[128];

    fixture->options.reach = HTTP_REACH_PUBLIC;
    fixture->options.trusted_origins = (struct str_list){trusted, 1};
    http_fixture_open(fixture);
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        int rc = http_fixture_get(fixture, str_from_cstr(urls[i]));

        if (rc != -ERR_INVALID)
            fail_msg("%s: %s %s", urls[i], error_code_name(rc), fixture->err.message);
    }
    assert_int_equal(http_fixture_get(fixture, loopback_url(other, "/")), -ERR_INVALID);
    assert_int_equal(fixture->clock.slept_us, 0); /* none was tried again */

    /* The operator's own mirror is fine; where it redirects to is judged again. */
    loopback_add_text(self->server, "200 OK", "", "mine");
    (void)snprintf(location, sizeof(location), "Location: %s\r\n", loopback_url(other, "/").ptr);
    loopback_add_text(self->server, "302 Found", location, "");
    loopback_add_text(self->server, "302 Found", "Location: http://169.254.169.254/\r\n", "");
    assert_ok(http_fixture_get(fixture, loopback_url(self->server, "/")), fixture->err);
    assert_int_equal(http_fixture_get(fixture, loopback_url(self->server, "/")), -ERR_INVALID);
    assert_int_equal(http_fixture_get(fixture, loopback_url(self->server, "/")), -ERR_INVALID);
    assert_int_equal(loopback_count_connections(other), 0);
    loopback_stop(other);
}

static void
test_bad_requests(void **state)
{
    static const struct http_header split[] = {{STR_INIT("X"), STR_INIT("a\r\nB: canary")}};
    static const struct http_header named[] = {{STR_INIT("X: y"), STR_INIT("a")}};
    struct http_request rows[] = {
        {.url = STR("http://user:canary@127.0.0.1/")},
        {.url = STR("/relative")},
        {.url = STR("file:///etc/passwd")},
        {.url = STR("http://127.0.0.1/ x")},
        {.url = STR("http://127.0.0.1/"), .headers = split, .n_headers = 1},
        {.url = STR("http://127.0.0.1/"), .headers = named, .n_headers = 1},
        {.url = STR("http://127.0.0.1/"), .headers = named, .n_headers = 65},
        {.url = STR("http://127.0.0.1/"), .authorization = STR("canary\n")},
        {.url = STR("http://127.0.0.1/"), .content_type = STR("canary\r")},
    };
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct http_options nameless = {0};

    http_fixture_open(fixture);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(http_fixture_fetch(fixture, &rows[i]), -ERR_INVALID);
        assert_null(strstr(fixture->err.message, "canary"));
    }
    assert_int_equal(http_client_create(&nameless, &fixture->client, NULL), -ERR_INVALID);
}

/* What is wrong is told; what is secret is not. */
static void
test_error_text(void **state)
{
    struct context *self = *state;
    struct http_fixture *fixture = &self->fixture;
    struct http_request request = {.url = loopback_url(self->server, "/f?X-Goog-Signature=canary"),
                                   .authorization = STR("Bearer canary")};
    struct arena tiny = ARENA_INIT(10);

    fixture->options.max_attempts = 1;
    http_fixture_open(fixture);
    add_raw(self, "");
    loopback_add_text(self->server, "200 OK", "", "more than the arena holds");
    assert_int_equal(http_fixture_fetch(fixture, &request), -ERR_NETWORK);
    assert_non_null(strstr(fixture->err.message, "GET http://127.0.0.1:"));
    assert_null(strstr(fixture->err.message, "canary"));
    assert_int_equal(http_fetch(fixture->client, &request, &tiny, &fixture->response, NULL),
                     -ERR_NOMEM);
    arena_fini(&tiny);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get_and_keep_alive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_post_and_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_head_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gzip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_caps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_header_flood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_redirect_across_origins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_redirect_methods, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_redirect_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reach, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_error_text, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
