/* kaggle_parser/client_kaggle.h against a scripted transport and a clock that jumps. */

#include "tests/unit/check.h"

#include <stdio.h>

#include <trawl/error.h>

#include "lib/services/enrichment/kaggle_parser/client_kaggle.h"

#define ARENA_BYTES ((size_t)16 << 20)
#define MAX_SENT    32

struct answer {
    int rc; /* of the transport; 0 = the rest counts */
    int status;
    const char *body;
    const char *retry_after;
};

/* Gives the answers of a table in turn, the last one for ever. */
struct script {
    const struct answer *answers;
    size_t n_answers;
    size_t n_sent;
    struct http_header header;
    char urls[MAX_SENT][400];
    char bodies[MAX_SENT][400];
    char authorization[100];
    int64_t min_interval_ms;
};

/* Time passes only by sleeping. */
struct jumping_clock {
    struct clock base;
    int64_t now_us;
    int64_t slept_us;
};

static int64_t
jump_now(const struct clock *base)
{
    return ((const struct jumping_clock *)(const void *)base)->now_us;
}

static struct jumping_clock *the_clock; /* the interface hands out const */

static void
jump_sleep(const struct clock *base, int64_t span_us)
{
    (void)base;
    the_clock->now_us += span_us;
    the_clock->slept_us += span_us;
}

static int
play(void *context, const struct http_request *request, struct arena *arena,
     struct http_response *out, struct error *err)
{
    struct script *script = context;
    size_t i = script->n_sent < script->n_answers ? script->n_sent : script->n_answers - 1;
    const struct answer *answer = &script->answers[i];

    (void)arena;
    assert_true(script->n_sent < MAX_SENT);
    (void)snprintf(script->urls[script->n_sent], sizeof(script->urls[0]), "%.*s",
                   STR_ARG(request->url));
    (void)snprintf(script->bodies[script->n_sent], sizeof(script->bodies[0]), "%.*s",
                   STR_ARG(request->body));
    (void)snprintf(script->authorization, sizeof(script->authorization), "%.*s",
                   STR_ARG(request->authorization));
    script->min_interval_ms = request->min_interval_ms;
    script->n_sent++;
    if (answer->rc < 0) {
        int rc = error_set(err, (enum error_code)(-answer->rc), "the transport failed");

        err->retry_after_ms = answer->retry_after ? 7200000 : 0;
        return rc;
    }
    script->header = (struct http_header){STR("retry-after"), str_from_cstr(answer->retry_after)};
    *out = (struct http_response){
        .status = answer->status,
        .url = request->url,
        .headers = &script->header,
        .n_headers = answer->retry_after ? 1 : 0,
        .body = str_from_cstr(answer->body),
        .n_attempts = 1,
    };
    return 0;
}

struct bench {
    struct script script;
    struct jumping_clock clock;
    struct kaggle_client *client;
    struct arena arena;
};

static void
open_bench(struct bench *bench, enum kaggle_door door, struct str authorization,
           const struct answer *answers, size_t n_answers)
{
    struct kaggle_client_options options = {
        .door = door,
        .rest_url = STR("http://127.0.0.1:9/api/v1/"),
        .rpc_url = STR("http://127.0.0.1:9/v1"),
        .authorization = authorization,
        .min_interval_ms = 1000,
        .rate_limit_patience_ms = 600000,
    };
    struct error err;

    *bench = (struct bench){
        .script = {.answers = answers, .n_answers = n_answers},
        .clock = {.base = {.now_us = jump_now, .mono_us = jump_now, .sleep_us = jump_sleep}},
        .arena = ARENA_INIT(ARENA_BYTES),
    };
    the_clock = &bench->clock;
    options.clock = &bench->clock.base;
    options.transport = (struct kaggle_transport){play, &bench->script};
    assert_ok(kaggle_client_create(&options, &bench->client, &err), err);
}

static void
close_bench(struct bench *bench)
{
    kaggle_client_free(bench->client);
    arena_fini(&bench->arena);
}

static const struct answer found = {0, 200, "{\"id\":5,\"ref\":\"a/b\",\"title\":\"T\"}", NULL};

static void
test_requests_of_both_doors(void **state)
{
    static const struct answer answers[] = {
        {0, 200, "[]", NULL},
        {0, 200, "{\"id\":5,\"ref\":\"a/b\"}", NULL},
        {0, 200, "{\"info\":{}}", NULL},
    };
    static const char *const urls[][3] = {
        {"http://127.0.0.1:9/api/v1/datasets/list?sortBy=updated&page=3&search=a%26b%20c",
         "http://127.0.0.1:9/api/v1/datasets/view/S%C3%ADrio/b_c",
         "http://127.0.0.1:9/api/v1/datasets/metadata/a/b"},
        {"http://127.0.0.1:9/v1/datasets.DatasetApiService/ListDatasets",
         "http://127.0.0.1:9/v1/datasets.DatasetApiService/GetDataset",
         "http://127.0.0.1:9/v1/datasets.DatasetApiService/GetDatasetMetadata"},
    };
    static const char *const bodies[][3] = {
        {"", "", ""},
        {"{\"sortBy\":\"DATASET_SORT_BY_UPDATED\",\"page\":3,\"search\":\"a&b c\"}",
         "{\"ownerSlug\":\"S\xC3\xADrio\",\"datasetSlug\":\"b_c\"}",
         "{\"ownerSlug\":\"a\",\"datasetSlug\":\"b\"}"},
    };

    (void)state;
    for (size_t door = 0; door < 2; door++) {
        struct kaggle_list_query query = {KAGGLE_SORT_UPDATED, STR("a&b c"), 3};
        struct kaggle_answer answer;
        struct kaggle_api_page page;
        struct bench bench;
        struct error err;

        open_bench(&bench, (enum kaggle_door)door, STR("Bearer t"), answers, COUNT_OF(answers));
        assert_ok(kaggle_client_list(bench.client, &query, &bench.arena, &page, &err), err);
        assert_ok(kaggle_client_view(bench.client, STR("S\xC3\xADrio/b_c/versions/2"), &bench.arena,
                                     &answer, &err),
                  err);
        assert_ok(kaggle_client_metadata(bench.client, STR("a/b"), &bench.arena, &answer, &err),
                  err);
        for (size_t i = 0; i < 3; i++) {
            assert_string_equal(bench.script.urls[i], urls[door][i]);
            assert_string_equal(bench.script.bodies[i], bodies[door][i]);
        }
        assert_string_equal(bench.script.authorization, "Bearer t");
        assert_int_equal(bench.script.min_interval_ms, 1000);
        close_bench(&bench);
    }
}

static void
test_verdicts(void **state)
{
    static const struct {
        struct answer answer;
        int rc;
        enum kaggle_verdict verdict;
    } rows[] = {
        {{0, 200, "{\"id\":5,\"ref\":\"a/b\"}", NULL}, 0, KAGGLE_FOUND},
        {{0, 404, "{\"code\":404,\"message\":\"Not found\"}", NULL}, 0, KAGGLE_GONE},
        {{0, 200, "{\"code\":404,\"message\":\"Not found\"}", NULL}, 0, KAGGLE_GONE},
        {{0, 403, "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\"}}", NULL},
         0,
         KAGGLE_UNDECIDABLE},
        {{0, 200, "{\"error\":{\"code\":403}}", NULL}, 0, KAGGLE_UNDECIDABLE},
        {{0, 401, "{\"code\":401,\"message\":\"Unauthorized\"}", NULL}, -ERR_AUTH, KAGGLE_FOUND},
        {{0, 401, "<html>", NULL}, -ERR_AUTH, KAGGLE_FOUND},
        {{0, 400, "{\"error\":{\"code\":400,\"message\":\"bad slug\"}}", NULL},
         -ERR_INVALID,
         KAGGLE_FOUND},
        {{0, 404, "<html>lost</html>", NULL}, -ERR_NETWORK, KAGGLE_FOUND},
        {{0, 403, "<html>robot?</html>", NULL}, -ERR_NETWORK, KAGGLE_FOUND},
        {{0, 200, "<html>robot?</html>", NULL}, -ERR_NETWORK, KAGGLE_FOUND},
        {{0, 200, "{\"id\":5,\"ref\":\"a/", NULL}, -ERR_NETWORK, KAGGLE_FOUND},
        {{0, 200, "", NULL}, -ERR_NETWORK, KAGGLE_FOUND},
        {{0, 200, "{\"errorMessage\":\"busy\"}", NULL}, -ERR_NETWORK, KAGGLE_FOUND},
        {{0, 500, "{}", NULL}, -ERR_NETWORK, KAGGLE_FOUND},
        {{0, 302, "{}", NULL}, -ERR_NETWORK, KAGGLE_FOUND},
        {{-ERR_TIMEOUT, 0, NULL, NULL}, -ERR_NETWORK, KAGGLE_FOUND},
        {{-ERR_TOO_LARGE, 0, NULL, NULL}, -ERR_TOO_LARGE, KAGGLE_FOUND},
        {{-ERR_CANCELLED, 0, NULL, NULL}, -ERR_CANCELLED, KAGGLE_FOUND},
        {{0, 200, "{\"id\":5}", NULL}, -ERR_INVALID, KAGGLE_FOUND},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kaggle_answer answer;
        struct bench bench;
        struct error err;
        int rc;

        open_bench(&bench, KAGGLE_DOOR_REST, STR("Bearer t"), &rows[i].answer, 1);
        rc = kaggle_client_view(bench.client, STR("a/b"), &bench.arena, &answer, &err);
        if (rc != rows[i].rc)
            fail_msg("row %zu: %d (%s)", i, rc, rc < 0 ? err.message : "");
        if (rc == 0)
            assert_int_equal(answer.verdict, rows[i].verdict);
        assert_int_equal(bench.script.n_sent, rc == -ERR_NETWORK ? 4 : 1);
        close_bench(&bench);
    }
}

static void
test_transient_failures_heal(void **state)
{
    static const struct answer answers[] = {
        {0, 503, "{}", "1"}, {0, 404, "<html>", NULL}, {-ERR_NETWORK, 0, NULL, NULL}, found};
    struct kaggle_answer answer;
    struct bench bench;
    struct error err;

    (void)state;
    open_bench(&bench, KAGGLE_DOOR_REST, STR_NULL, answers, COUNT_OF(answers));
    assert_ok(kaggle_client_view(bench.client, STR("a/b"), &bench.arena, &answer, &err), err);
    assert_int_equal(answer.dataset.id, 5);
    assert_int_equal(bench.clock.slept_us, (1 + 2 + 4) * US_PER_S);
    close_bench(&bench);
}

/* A lying Retry-After of one second does not shorten the minute; a long one is believed. */
static void
test_rate_limits_are_waited_out(void **state)
{
    static const struct answer answers[] = {
        {0, 429, "{}", "1"},
        {0, 429, "{}", "600"},
        {0, 429, "{}", NULL},
        {0, 200, "{\"code\":429,\"message\":\"TooManyRequests\"}", NULL},
        found,
        {0, 429, "{}", NULL},
        found};
    struct kaggle_answer answer;
    struct bench bench;
    struct error err;

    (void)state;
    open_bench(&bench, KAGGLE_DOOR_REST, STR_NULL, answers, COUNT_OF(answers));
    assert_ok(kaggle_client_view(bench.client, STR("a/b"), &bench.arena, &answer, &err), err);
    /* 60, then 600 for the header instead of 120, then 240 and 480 */
    assert_int_equal(bench.clock.slept_us, (60 + 600 + 240 + 480) * US_PER_S);
    bench.clock.slept_us = 0;
    assert_ok(kaggle_client_view(bench.client, STR("a/b"), &bench.arena, &answer, &err), err);
    assert_int_equal(bench.clock.slept_us, 60 * US_PER_S);
    close_bench(&bench);
}

static void
test_five_limits_in_a_row_stop(void **state)
{
    static const struct answer answers[] = {{0, 429, "{}", NULL}};
    struct kaggle_answer answer;
    struct bench bench;
    struct error err;

    (void)state;
    open_bench(&bench, KAGGLE_DOOR_RPC, STR_NULL, answers, 1);
    assert_int_equal(kaggle_client_view(bench.client, STR("a/b"), &bench.arena, &answer, &err),
                     -ERR_RATE_LIMIT);
    assert_int_equal(bench.script.n_sent, 5);
    assert_int_equal(bench.clock.slept_us, (60 + 120 + 240 + 480) * US_PER_S);
    assert_int_equal(err.retry_after_ms, 960000);
    close_bench(&bench);
}

/* No task sleeps for an hour: such a wish ends the run at once. */
static void
test_a_long_pause_is_left_to_the_next_run(void **state)
{
    static const struct answer rows[] = {{0, 429, "{}", "601"}, {-ERR_RATE_LIMIT, 0, NULL, "7200"}};
    static const int64_t waits_ms[] = {601000, 3600000};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kaggle_answer answer;
        struct bench bench;
        struct error err;

        open_bench(&bench, KAGGLE_DOOR_REST, STR_NULL, &rows[i], 1);
        assert_int_equal(kaggle_client_view(bench.client, STR("a/b"), &bench.arena, &answer, &err),
                         -ERR_RATE_LIMIT);
        assert_int_equal(bench.script.n_sent, 1);
        assert_int_equal(bench.clock.slept_us, 0);
        assert_int_equal(err.retry_after_ms, waits_ms[i]);
        close_bench(&bench);
    }
}

static bool
is_cancelled_at_once(void *context)
{
    (*(unsigned *)context)++;
    return true;
}

static void
test_a_pause_can_be_cancelled(void **state)
{
    static const struct answer answers[] = {{0, 429, "{}", NULL}};
    struct script script = {.answers = answers, .n_answers = 1};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    unsigned n_asked = 0;
    struct kaggle_client_options options = {
        .transport = {play, &script},
        .is_cancelled = is_cancelled_at_once,
        .cancel_context = &n_asked,
    };
    struct kaggle_client *client;
    struct kaggle_answer answer;
    struct error err;

    (void)state;
    assert_ok(kaggle_client_create(&options, &client, &err), err);
    assert_int_equal(kaggle_client_view(client, STR("a/b"), &arena, &answer, &err), -ERR_CANCELLED);
    assert_true(n_asked > 0);
    kaggle_client_free(client);
    arena_fini(&arena);
}

static void
test_lists_say_what_is_wrong(void **state)
{
    static const struct {
        struct answer answer;
        int64_t page;
        int rc;
    } rows[] = {
        {{0, 200, "{\"datasets\":[{\"id\":5,\"ref\":\"a/b\"}]}", NULL}, 500, 0},
        {{0, 200, "[]", NULL}, 501, -ERR_INVALID},
        {{0, 200, "[]", NULL}, 0, -ERR_INVALID},
        {{0, 403, "{\"error\":{\"code\":403}}", NULL}, 1, -ERR_AUTH},
        {{0, 404, "{\"code\":404}", NULL}, 1, -ERR_INVALID},
        {{0, 200, "{\"rows\":1}", NULL}, 1, -ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kaggle_list_query query = {.page = rows[i].page};
        struct kaggle_api_page page;
        struct bench bench;
        struct error err;

        open_bench(&bench, KAGGLE_DOOR_REST, STR_NULL, &rows[i].answer, 1);
        assert_int_equal(kaggle_client_list(bench.client, &query, &bench.arena, &page, &err),
                         rows[i].rc);
        close_bench(&bench);
    }
}

static void
test_auth_messages_name_the_way_out(void **state)
{
    static const struct answer answers[] = {{0, 401, "{\"code\":401}", NULL}};
    struct kaggle_answer answer;
    struct bench bench;
    struct error err;

    (void)state;
    open_bench(&bench, KAGGLE_DOOR_REST, STR_NULL, answers, 1);
    assert_int_equal(kaggle_client_view(bench.client, STR("a/b"), &bench.arena, &answer, &err),
                     -ERR_AUTH);
    assert_non_null(strstr(err.message, "set KAGGLE_API_TOKEN"));
    close_bench(&bench);
    open_bench(&bench, KAGGLE_DOOR_REST, STR("Basic c2VjcmV0"), answers, 1);
    assert_int_equal(kaggle_client_view(bench.client, STR("a/b"), &bench.arena, &answer, &err),
                     -ERR_AUTH);
    assert_non_null(strstr(err.message, "check KAGGLE_API_TOKEN"));
    assert_null(strstr(err.message, "c2VjcmV0"));
    close_bench(&bench);
}

static void
test_sorts_and_urls(void **state)
{
    struct kaggle_client_options options = {.rest_url = STR("ftp://x")};
    struct kaggle_client *client = NULL;
    enum kaggle_sort sort;
    struct error err;

    (void)state;
    assert_ok(kaggle_parse_sort(STR("published"), &sort, &err), err);
    assert_int_equal(sort, KAGGLE_SORT_PUBLISHED);
    assert_int_equal(kaggle_parse_sort(STR("Published"), &sort, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "hottest, votes, updated, active, published"));
    assert_int_equal(kaggle_client_create(&options, &client, &err), -ERR_CONFIG);
    assert_null(client);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_of_both_doors),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_transient_failures_heal),
        cmocka_unit_test(test_rate_limits_are_waited_out),
        cmocka_unit_test(test_five_limits_in_a_row_stop),
        cmocka_unit_test(test_a_long_pause_is_left_to_the_next_run),
        cmocka_unit_test(test_a_pause_can_be_cancelled),
        cmocka_unit_test(test_lists_say_what_is_wrong),
        cmocka_unit_test(test_auth_messages_name_the_way_out),
        cmocka_unit_test(test_sorts_and_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
