/* lib/services/enrichment/hf_parser/client_hf.h and answer.h, on a transport that reads from a
 * script. */

#include <stdio.h>

#include "lib/services/enrichment/hf_parser/client_hf.h"
#include "tests/unit/check.h"

#define ARENA_BYTES ((size_t)4 << 20)
#define FIRST       hf_listing_first(HF_BY_CREATED)

/* One answer: an HTTP status, up to two headers, a body; or an error of the transport. */
struct scripted {
    int rc;
    int status;
    const char *body;
    struct http_header headers[2];
};

struct script {
    const struct scripted *answers;
    size_t n_answers;
    size_t n_asked;
    char url[1024]; /* of the last request, with its secrets */
    char authorization[128];
    int64_t total_timeout_ms;
};

/* A clock that only adds up what it was asked to sleep. */
struct sleeper {
    struct clock base;
    int64_t slept_us;
};

static int
fetch_scripted(void *context, const struct http_request *request, struct arena *arena,
               struct http_response *out, struct error *err)
{
    struct script *self = context;
    const struct scripted *answer;
    size_t n_headers = 0;

    assert_true(self->n_asked < self->n_answers);
    answer = &self->answers[self->n_asked++];
    (void)snprintf(self->url, sizeof(self->url), "%.*s", STR_ARG(request->url));
    (void)snprintf(self->authorization, sizeof(self->authorization), "%.*s",
                   STR_ARG(request->authorization));
    self->total_timeout_ms = request->total_timeout_ms;
    if (answer->rc < 0)
        return error_set(err, (enum error_code) - answer->rc, "scripted");
    while (n_headers < 2 && answer->headers[n_headers].name.ptr)
        n_headers++;
    *out = (struct http_response){
        .status = answer->status,
        .url = request->url,
        .headers = answer->headers,
        .n_headers = n_headers,
        .body = str_from_cstr(arena_printf(arena, "%s", answer->body)),
        .n_attempts = 1,
    };
    return 0;
}

static int64_t
now_zero(const struct clock *clock)
{
    (void)clock;
    return 0;
}

static void
add_sleep(const struct clock *clock, int64_t span_us)
{
    /* The interface is const for real clocks; this one was made writable by its test. */
    int64_t *slept_us = &((struct sleeper *)(uintptr_t)clock)->slept_us;

    *slept_us += span_us;
}

static struct hf_client *
open_client(struct script *script, struct sleeper *clock, const char *endpoint, const char *token)
{
    struct hf_client_options options = {
        .transport = {fetch_scripted, script},
        .endpoint = str_from_cstr(endpoint),
        .token = str_from_cstr(token),
        .clock = &clock->base,
        .max_attempts = 4,
    };
    struct hf_client *client = NULL;
    struct error err;

    *clock = (struct sleeper){.base = {now_zero, now_zero, add_sleep}};
    assert_ok(hf_client_create(&options, &client, &err), err);
    return client;
}

static void
test_pages(void **state)
{
    static const struct scripted answers[] = {
        {.status = 200,
         .body = "[{\"_id\":\"1\"},{\"_id\":\"2\"}]",
         .headers = {{STR_INIT("link"),
                      STR_INIT(
                          "<https://huggingface.co/api/datasets?limit=2&sort=createdAt&cursor=c1>; "
                          "rel=\"next\"")},
                     {STR_INIT("x-hf-warning"), STR_INIT("auth; log in")}}},
        {.status = 200, .body = " [ ] "},
    };
    struct script script = {answers, COUNT_OF(answers), 0, "", "", 0};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct sleeper clock;
    struct hf_client *client = open_client(&script, &clock, "http://127.0.0.1:8080/", "hf_secret");
    struct hf_page page;
    char next[64];
    struct error err;

    (void)state;
    assert_ok(hf_client_fetch_page(client, FIRST, 2, &arena, &page, &err), err);
    assert_true(str_starts_with(
        str_from_cstr(script.url),
        STR("http://127.0.0.1:8080/api/datasets?limit=2&sort=createdAt&expand=author")));
    assert_string_equal(script.authorization, "Bearer hf_secret");
    assert_int_equal(script.total_timeout_ms, 60000);
    assert_int_equal(page.n_rows, 2);
    assert_str_equal(json_get_str(&page.rows[1], STR("_id")), "2");
    assert_str_equal(page.next, "/api/datasets?sort=createdAt&cursor=c1");
    assert_str_equal(page.warning, "auth; log in");
    (void)snprintf(next, sizeof(next), "%.*s", STR_ARG(page.next));

    /* another size from here on; the last page names no next one */
    assert_ok(hf_client_fetch_page(client, str_from_cstr(next), 7, &arena, &page, &err), err);
    assert_string_equal(script.url,
                        "http://127.0.0.1:8080/api/datasets?limit=7&sort=createdAt&cursor=c1");
    assert_int_equal(page.n_rows, 0);
    assert_null(page.next.ptr);
    assert_int_equal(page.n_requests, 1);
    assert_int_equal(clock.slept_us, 0);
    hf_client_free(client);
    arena_fini(&arena);
}

static void
test_anonymous(void **state)
{
    static const struct scripted answers[] = {{.status = 200, .body = "[]"}};
    struct script script = {answers, 1, 0, "", "", 0};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct sleeper clock;
    struct hf_client *client = open_client(&script, &clock, NULL, "");
    struct hf_page page;
    struct error err;

    (void)state;
    assert_ok(hf_client_fetch_page(client, FIRST, 500, &arena, &page, &err), err);
    assert_true(str_starts_with(str_from_cstr(script.url),
                                STR("https://huggingface.co/api/datasets?limit=500&")));
    assert_string_equal(script.authorization, "");
    hf_client_free(client);
    arena_fini(&arena);
}

/* What is no list is asked for again at the same address, with growing pauses. */
static void
test_garbled(void **state)
{
    static const struct scripted answers[] = {
        {.status = 200, .body = "[{\"_id\":\"1\"},{\"_i"},
        {.status = 200, .body = "<!DOCTYPE html><title>Just a moment</title>"},
        {.status = 200, .body = "{\"error\":\"internal\"}"},
        {.status = 200, .body = "[{\"_id\":\"1\"}]"},
        /* and once more, without a good end */
        {.status = 202, .body = ""},
        {.status = 403, .body = "<html>robot?</html>"},
        {.status = 200, .body = "{\"error\":[\"first\"]}"},
        {.status = 405,
         .body = " <html>",
         .headers = {{STR_INIT("x-request-id"), STR_INIT("req-7")}}},
    };
    struct script script = {answers, COUNT_OF(answers), 0, "", "", 0};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct sleeper clock;
    struct hf_client *client = open_client(&script, &clock, NULL, NULL);
    struct hf_page page = {.n_rows = 99};
    struct error err;

    (void)state;
    assert_ok(hf_client_fetch_page(client, FIRST, 2, &arena, &page, &err), err);
    assert_int_equal(script.n_asked, 4);
    assert_int_equal(page.n_rows, 1);
    assert_int_equal(page.n_requests, 4);
    assert_int_equal(clock.slept_us, (1 + 2 + 4) * US_PER_S);

    page.n_rows = 99;
    assert_int_equal(hf_client_fetch_page(client, FIRST, 2, &arena, &page, &err), -ERR_NETWORK);
    assert_int_equal(script.n_asked, 8);
    assert_int_equal(page.n_rows, 99);
    assert_string_equal(
        err.message, "gave up after 4 attempts: the answer is no list of datasets: HTML, as of a "
                     "captcha (status 405, 7 bytes, request 'req-7')");
    hf_client_free(client);
    arena_fini(&arena);
}

/* What the Hub itself refuses is said once, with its words and the way out. */
static void
test_refusals(void **state)
{
    static const struct {
        struct scripted answer;
        const char *token;
        int rc;
        int64_t retry_after_ms;
        const char *message;
    } rows[] = {
        {{.status = 401,
          .body = "{\"error\":\"Invalid credentials in Authorization header\"}",
          .headers = {{STR_INIT("x-error-message"),
                       STR_INIT("Invalid credentials in Authorization header")}}},
         "hf_bad",
         -ERR_AUTH,
         0,
         "the Hub asks for a valid login (status 401: Invalid credentials in Authorization "
         "header): "
         "the token in HF_TOKEN is not valid: replace it, or unset it"},
        {{.status = 401, .body = "{\"error\":\"Invalid username or password.\"}"},
         NULL,
         -ERR_AUTH,
         0,
         "the Hub asks for a valid login (status 401: Invalid username or password.): set HF_TOKEN "
         "to "
         "a token of your account"},
        {{.status = 403, .body = "{\"errors\":[{\"message\":\"scope\"}]}"},
         "hf_x",
         -ERR_AUTH,
         0,
         "the Hub does not allow the listing (status 403: scope): give the token in HF_TOKEN read "
         "access"},
        {{.status = 400, .body = "{\"error\":\"cursor: no\"}"},
         NULL,
         -ERR_INVALID,
         0,
         "the Hub refuses the request (status 400: cursor: no): check HF_ENDPOINT"},
        {{.status = 404, .body = "{\"error\":[\"gone\",\"x\"]}"},
         NULL,
         -ERR_INVALID,
         0,
         "the Hub refuses the request (status 404: gone): check HF_ENDPOINT"},
        {{.status = 429,
          .body = "slow down",
          .headers = {{STR_INIT("retry-after"), STR_INIT("17")}}},
         NULL,
         -ERR_RATE_LIMIT,
         17000,
         "the Hub asks for fewer requests (status 429: ): wait, or set HF_TOKEN for a wider limit"},
        {{.status = 503, .body = "<html>"},
         NULL,
         -ERR_NETWORK,
         0,
         "the Hub has an error of its own (status 503: ): try again later"},
        {{.rc = -ERR_TIMEOUT}, NULL, -ERR_TIMEOUT, 0, "scripted"},
        {{.rc = -ERR_TOO_LARGE}, NULL, -ERR_TOO_LARGE, 0, "scripted"},
        {{.status = 200,
          .body = "[]",
          .headers = {{STR_INIT("link"),
                       STR_INIT("<https://huggingface.co/api/models?cursor=c>; rel=\"next\"")}}},
         NULL,
         -ERR_INVALID,
         0,
         "address of a page does not lead to the listing of datasets: "
         "'https://huggingface.co/api/models?cursor=c'"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct script script = {&rows[i].answer, 1, 0, "", "", 0};
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct sleeper clock;
        struct hf_client *client = open_client(&script, &clock, NULL, rows[i].token);
        struct hf_page page;
        struct error err;

        assert_int_equal(hf_client_fetch_page(client, FIRST, 2, &arena, &page, &err), rows[i].rc);
        assert_string_equal(err.message, rows[i].message);
        assert_int_equal(err.retry_after_ms, rows[i].retry_after_ms);
        assert_int_equal(script.n_asked, 1);
        assert_int_equal(clock.slept_us, 0);
        hf_client_free(client);
        arena_fini(&arena);
    }
}

static void
test_stored_reference(void **state)
{
    struct script script = {NULL, 0, 0, "", "", 0};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct sleeper clock;
    struct hf_client *client = open_client(&script, &clock, NULL, NULL);
    struct hf_page page;

    (void)state;
    assert_int_equal(hf_client_fetch_page(client, STR("http://other/"), 2, &arena, &page, NULL),
                     -ERR_INVALID);
    assert_int_equal(script.n_asked, 0);
    hf_client_free(client);
    arena_fini(&arena);
}

static void
test_options(void **state)
{
    static const struct {
        const char *endpoint;
        const char *token;
        const char *message;
    } rows[] = {
        {"huggingface.co", NULL, "HF_ENDPOINT 'huggingface.co' is no http or https address"},
        {"ftp://huggingface.co", NULL,
         "HF_ENDPOINT 'ftp://huggingface.co' is no http or https address"},
        {"https://h/?a=b", NULL, "HF_ENDPOINT 'https://h/?a=b' is no http or https address"},
        {NULL, "hf_a\nX-Other: b", "HF_TOKEN holds a byte that no token has, at 4"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hf_client_options options = {
            .endpoint = str_from_cstr(rows[i].endpoint),
            .token = str_from_cstr(rows[i].token),
        };
        struct hf_client *client = NULL;
        struct error err;

        assert_int_equal(hf_client_create(&options, &client, &err), -ERR_CONFIG);
        assert_string_equal(err.message, rows[i].message);
        assert_null(client);
    }
    hf_client_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),   cmocka_unit_test(test_anonymous),
        cmocka_unit_test(test_garbled), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_options), cmocka_unit_test(test_stored_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
