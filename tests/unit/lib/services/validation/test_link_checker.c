/* Whole passes over a catalogue, against a web that is a table, on a clock that jumps. */

#include "lib/services/validation/link_checker.h"

#include <inttypes.h>

#include "tests/unit/lib/repositories/repo_fixture.h"

#define HOUR_US (INT64_C(3600) * US_PER_S)
#define START   (INT64_C(20000) * 24 * HOUR_US)
#define MAX_WEB 8

/* What URLs with this part answer; the first row that fits counts, the rest of the web is well. */
struct web_row {
    const char *part;
    int status; /* 0: failure says why there is no answer */
    enum http_failure failure;
    int head_status; /* 0: as status */
    const char *retry_after;
    const char *error_message;
};

struct context {
    struct repo_fixture repo;
    struct clock clock;
    int64_t now_us;
    struct link_checker checker;
    struct web_row web[MAX_WEB];
    size_t n_web;
    int n_heads;
    int n_gets;
    int n_until_cancel;
    struct progress progress;
    struct link_counts counts;
    struct error err;
};

static struct context *now; /* of the test that runs */

static int64_t
get_now_us(const struct clock *clock)
{
    (void)clock;
    return now->now_us;
}

static bool
is_cancelled(const struct progress *progress)
{
    (void)progress;
    return now->n_until_cancel > 0 && --now->n_until_cancel == 0;
}

static int
fetch(void *context, const struct http_request *request, struct arena *arena,
      struct http_response *out, enum http_failure *failure, struct error *err)
{
    static const struct web_row well = {.status = 200};
    struct context *self = context;
    const struct web_row *row = &well;
    struct http_header *headers = arena_calloc(arena, 2, sizeof(*headers));

    assert_non_null(headers);
    assert_true(request->is_single);
    assert_true(request->min_interval_ms >= LINK_INTERVAL_MS);
    self->now_us += 10 * US_PER_MS;
    self->n_heads += request->method == HTTP_HEAD;
    self->n_gets += request->method == HTTP_GET;
    for (size_t i = self->n_web; i > 0; i--) {
        if (str_find(request->url, str_from_cstr(self->web[i - 1].part)) < request->url.len)
            row = &self->web[i - 1];
    }
    *out = (struct http_response){.status = row->status, .headers = headers};
    if (request->method == HTTP_HEAD && row->head_status)
        out->status = row->head_status;
    if (row->retry_after)
        headers[out->n_headers++] =
            (struct http_header){STR("retry-after"), str_from_cstr(row->retry_after)};
    if (row->error_message)
        headers[out->n_headers++] =
            (struct http_header){STR("x-error-message"), str_from_cstr(row->error_message)};
    *failure = row->status ? HTTP_FAILURE_NONE : row->failure;
    return row->status ? 0 : error_set(err, ERR_NETWORK, "no answer");
}

static int
set_up(void **state)
{
    struct context *self = calloc(1, sizeof(*self));

    assert_non_null(self);
    repo_fixture_init(&self->repo);
    self->clock = (struct clock){.now_us = get_now_us, .mono_us = get_now_us};
    self->now_us = START;
    self->progress = (struct progress){NULL, is_cancelled};
    self->checker = (struct link_checker){
        .database = self->repo.base.database,
        .transport = {fetch, self},
        .sites = {.hf_endpoint = STR("https://hub.test"), .kaggle_endpoint = STR("https://k.test")},
        .clock = &self->clock,
    };
    now = self;
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct context *self = *state;

    repo_fixture_fini(&self->repo);
    free(self);
    return 0;
}

/* Row number i (from 1) of a source. */
static void
put_link(struct context *self, const char *source, int i, const char *url)
{
    char key[32], name[32];
    struct dataset row;

    (void)snprintf(key, sizeof(key), "%s-%d", source, i);
    (void)snprintf(name, sizeof(name), "owner/%s%d", source, i);
    row = make_row(key, name);
    row.source_name = str_from_cstr(source);
    row.url = str_from_cstr(url);
    (void)put_row(&self->repo, &row, 1);
}

/* n rows of zenodo on one host; their paths are numbers in brackets. */
static void
put_links(struct context *self, int n, const char *host)
{
    for (int i = 1; i <= n; i++) {
        char url[100];

        (void)snprintf(url, sizeof(url), "https://%s/(%d)", host, i);
        put_link(self, "zenodo", i, url);
    }
}

static void
answer(struct context *self, struct web_row row)
{
    assert_true(self->n_web < MAX_WEB);
    self->web[self->n_web++] = row;
}

static int
check(struct context *self, int64_t batch_size)
{
    const struct run_context ctx = {
        .worker_id = STR("w"), .task_id = STR("t"), .progress = &self->progress};

    self->n_heads = self->n_gets = 0;
    return link_checker_run(&self->checker, batch_size, 48, &ctx, &self->counts, &self->err);
}

static void
assert_counts(struct context *self, int64_t n_checked, int64_t n_broken, int64_t n_deactivated,
              int64_t n_errors)
{
    char text[200];

    if (self->counts.n_checked == n_checked && self->counts.n_broken == n_broken &&
        self->counts.n_deactivated == n_deactivated && self->counts.n_errors == n_errors)
        return;
    (void)snprintf(text, sizeof(text),
                   "checked %" PRId64 " broken %" PRId64 " deactivated %" PRId64 " errors %" PRId64,
                   self->counts.n_checked, self->counts.n_broken, self->counts.n_deactivated,
                   self->counts.n_errors);
    fail_msg("%s", text);
}

static void
assert_check(struct context *self, int64_t batch_size, int64_t n_checked, int64_t n_broken,
             int64_t n_deactivated, int64_t n_errors)
{
    assert_ok(check(self, batch_size), self->err);
    assert_counts(self, n_checked, n_broken, n_deactivated, n_errors);
}

static int64_t
count(struct context *self, const char *sql)
{
    return fixture_query(self->repo.base.database, sql);
}

static int64_t
count_state(struct context *self, const char *state)
{
    struct statement *statement;
    int64_t n;

    assert_ok(database_prepare(self->repo.base.database,
                               "SELECT count(*) FROM datasets WHERE link_state = $1", &statement,
                               &self->err),
              self->err);
    statement_bind_str(statement, 1, str_from_cstr(state));
    assert_int_equal(statement_step(statement, &self->err), 1);
    n = statement_i64(statement, 0);
    statement_reset(statement);
    return n;
}

static void
test_every_url_once(void **state)
{
    struct context *self = *state;

    put_link(self, "zenodo", 1, "https://a.test/x");
    put_link(self, "zenodo", 2, "https://b.test/x");
    put_link(self, "zenodo", 3, "https://a.test/x");
    put_link(self, "openml", 4, "https://A.TEST:443/x"); /* spelt otherwise: another URL */
    put_link(self, "huggingface", 5, "https://ignored.test/");
    put_link(self, "zenodo", 6, ""); /* nothing to ask for */
    assert_check(self, 100, 6, 0, 0, 0);
    assert_int_equal(self->n_heads, 4);
    assert_int_equal(self->n_gets, 0);
    assert_int_equal(count_state(self, "alive"), 5);
    assert_int_equal(count_state(self, "unchecked"), 1);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_links"), 0);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_enrichment_logs"
                                 " WHERE stage = 'link_validation' AND result = 'success'"
                                 " AND worker_id = 'w' AND task_id = 't'"),
                     5);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_enrichment_logs WHERE"
                                 " result = 'skipped' AND error_message = 'no address: unchecked'"),
                     1);
    assert_check(self, 100, 0, 0, 0, 0); /* nothing is stale */
    self->now_us += 48 * HOUR_US;
    assert_check(self, 2, 2, 0, 0, 0);
}

static void
test_gone_and_back(void **state)
{
    struct context *self = *state;
    int n_failed = 0;
    int64_t gone_us = 0;

    put_links(self, 30, "a.test");
    answer(self, (struct web_row){.part = "(7)", .status = 404});
    for (int hour = 0; hour < 100 && !gone_us; hour++) {
        self->now_us = START + hour * HOUR_US;
        assert_ok(check(self, 100), self->err);
        n_failed += (int)self->counts.n_broken;
        if (self->counts.n_deactivated)
            gone_us = self->now_us;
        assert_int_equal(self->counts.n_errors, 0);
    }
    assert_in_range((gone_us - START) / HOUR_US, 72, 84);
    assert_int_equal(n_failed, 5);
    assert_int_equal(count(self, "SELECT count(*) FROM datasets WHERE NOT is_active"), 1);
    assert_int_equal(count_state(self, "gone"), 1);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_enrichment_logs WHERE"
                                 " error_type = 'LookupError' AND result = 'failed' AND"
                                 " error_message LIKE '404 not found: %'"),
                     5);
    self->n_web = 0;
    self->now_us = gone_us + 6 * 24 * HOUR_US;
    assert_ok(check(self, 100), self->err);
    assert_int_equal(count_state(self, "gone"), 1);
    self->now_us = gone_us + 7 * 24 * HOUR_US + HOUR_US;
    assert_ok(check(self, 100), self->err);
    assert_int_equal(count_state(self, "gone"), 0);
    assert_int_equal(count(self, "SELECT count(*) FROM datasets WHERE is_active"), 30);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_links"), 0);
}

/* Who has the name now answers for it; the row that had it stays hidden. */
static void
test_a_name_that_has_passed_on(void **state)
{
    struct context *self = *state;
    struct dataset heir;

    put_links(self, 1, "a.test");
    fixture_execute(self->repo.base.database,
                    "UPDATE datasets SET is_active = 0, link_state = 'gone'");
    fixture_execute(self->repo.base.database,
                    "INSERT INTO dataset_links (row_id, gone_at, next_at) VALUES (1, 1, 1)");
    heir = make_row("heir", "owner/zenodo1");
    heir.source_name = STR("zenodo");
    heir.url = STR("https://a.test/(1)");
    (void)put_row(&self->repo, &heir, 1);
    assert_check(self, 100, 2, 0, 0, 0);
    assert_int_equal(count_state(self, "gone"), 1);
    assert_int_equal(count_state(self, "alive"), 1);
    assert_false(get_by_number(&self->repo, 1).is_active);
}

static void
test_a_host_in_outage(void **state)
{
    struct context *self = *state;

    put_links(self, 40, "a.test");
    put_link(self, "openml", 1, "https://b.test/");
    answer(self, (struct web_row){.part = "a.test", .status = 404}); /* all at once */
    assert_check(self, 100, 1, 0, 0, 40);
    assert_int_equal(count_state(self, "suspect"), 0);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_links WHERE gone_strikes > 0"), 0);
    self->now_us += HOUR_US / 3;
    assert_check(self, 100, 0, 0, 0, 0); /* all are put off */
    assert_int_equal(self->n_heads, 0);
    self->now_us += HOUR_US / 3;
    assert_check(self, 100, 0, 0, 0, 40);
    assert_int_equal(self->n_heads, 1); /* the canary */
    self->n_web = 0;
    self->now_us += HOUR_US;
    assert_check(self, 100, 40, 0, 0, 0);
    assert_int_equal(count_state(self, "alive"), 41);
}

static void
test_a_source_that_loses_too_many(void **state)
{
    struct context *self = *state;

    put_links(self, 150, "a.test");
    answer(self, (struct web_row){.part = "(7)", .status = 404});
    answer(self, (struct web_row){.part = "(8)", .status = 404});
    for (int hour = 0; hour < 100; hour++) {
        self->now_us = START + hour * HOUR_US;
        assert_ok(check(self, 200), self->err);
        assert_int_equal(self->counts.n_deactivated, 0); /* 2 of 150 are more than 1 % */
    }
    assert_int_equal(count_state(self, "suspect"), 2);
    assert_true(count(self, "SELECT count(*) FROM dataset_enrichment_logs WHERE"
                            " error_message LIKE '%held back%'") > 0);
    self->n_web = 1; /* one of them comes back: the other may go */
    self->now_us = START + 130 * HOUR_US;
    assert_ok(check(self, 200), self->err);
    assert_int_equal(self->counts.n_deactivated, 1);
}

static void
test_our_own_network(void **state)
{
    struct context *self = *state;

    for (int i = 1; i <= 5; i++) {
        char url[40];

        (void)snprintf(url, sizeof(url), "https://h%d.test/", i);
        put_link(self, "zenodo", i, url);
    }
    answer(self, (struct web_row){.part = "h1", .status = 200});
    answer(self, (struct web_row){.part = "h2", .status = 404});
    answer(self, (struct web_row){.part = "test", .failure = HTTP_FAILURE_TIMEOUT});
    assert_check(self, 100, 1, 0, 0, 4);
    assert_int_equal(count_state(self, "suspect"), 0);
    self->web[2] = (struct web_row){.part = "h3", .failure = HTTP_FAILURE_TIMEOUT};
    self->now_us += HOUR_US;
    assert_check(self, 100, 4, 2, 0, 0);
    assert_int_equal(count_state(self, "suspect"), 2);
    assert_int_equal(count_state(self, "alive"), 3);
}

static void
test_a_host_that_asks_for_a_pause(void **state)
{
    struct context *self = *state;

    put_links(self, 9, "a.test");
    put_link(self, "openml", 1, "https://b.test/");
    answer(self, (struct web_row){.part = "a.test", .status = 429, .retry_after = "7200"});
    assert_check(self, 100, 1, 0, 0, 9);
    assert_int_equal(self->n_heads, 2);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_enrichment_logs"
                                 " WHERE result = 'rate_limited'"),
                     1);
    self->now_us = START + 2 * HOUR_US - 60 * US_PER_S;
    put_link(self, "zenodo", 10, "https://a.test/(10)"); /* the host, not the row, is parked */
    assert_check(self, 100, 0, 0, 0, 1);
    assert_int_equal(self->n_heads, 0);
    self->n_web = 0;
    self->now_us = START + 2 * HOUR_US + 120 * US_PER_S;
    assert_check(self, 100, 10, 0, 0, 0);
    assert_int_equal(count_state(self, "alive"), 11);
}

static void
test_a_host_that_lies_about_head(void **state)
{
    struct context *self = *state;

    put_links(self, 9, "a.test");
    answer(self, (struct web_row){.part = "a.test", .status = 200, .head_status = 404});
    assert_check(self, 100, 9, 0, 0, 0);
    assert_int_equal(self->n_heads, 2); /* then GET at once */
    assert_int_equal(self->n_gets, 9);
    self->now_us += 48 * HOUR_US;
    assert_check(self, 100, 9, 0, 0, 0);
    assert_int_equal(self->n_heads, 0);
    self->now_us += 31 * 24 * HOUR_US; /* a new chance */
    assert_check(self, 100, 9, 0, 0, 0);
    assert_int_equal(self->n_heads, 2);
}

static void
test_a_token_that_is_refused(void **state)
{
    struct context *self = *state;

    put_link(self, "huggingface", 1, NULL);
    put_link(self, "huggingface", 2, NULL);
    put_link(self, "zenodo", 3, "https://a.test/");
    answer(self, (struct web_row){.part = "hub.test",
                                  .status = 401,
                                  .error_message = "Invalid credentials in Authorization header"});
    assert_int_equal(check(self, 100), -ERR_AUTH);
    assert_non_null(strstr(self->err.message, "HF_TOKEN"));
    assert_counts(self, 1, 0, 0, 2);
    assert_int_equal(self->n_heads, 2); /* not asked again */
    assert_int_equal(count_state(self, "suspect"), 0);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_links"), 0);
}

static void
test_cancelled(void **state)
{
    struct context *self = *state;

    put_links(self, 9, "a.test");
    self->n_until_cancel = 4;
    assert_int_equal(check(self, 100), -ERR_CANCELLED);
    assert_counts(self, 3, 0, 0, 6);
    assert_int_equal(count_state(self, "alive"), 3);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_links"), 0); /* nothing is leased */
    assert_check(self, 100, 6, 0, 0, 0);
}

static void
test_half_of_a_batch_is_for_the_stale(void **state)
{
    struct context *self = *state;

    put_links(self, 40, "a.test");
    fixture_execute(self->repo.base.database,
                    "INSERT INTO dataset_links (row_id, next_at)"
                    " SELECT row_id, row_id FROM datasets WHERE row_id <= 20");
    assert_check(self, 11, 11, 0, 0, 0);
    assert_int_equal(count(self, "SELECT count(*) FROM datasets WHERE link_state = 'alive'"
                                 " AND row_id <= 6"),
                     6);
    assert_int_equal(count(self, "SELECT count(*) FROM datasets WHERE link_state = 'alive'"
                                 " AND row_id BETWEEN 21 AND 25"),
                     5);
    assert_check(self, 100, 29, 0, 0, 0); /* what one kind leaves is the other's */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_url_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gone_and_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_name_that_has_passed_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_host_in_outage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_source_that_loses_too_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_our_own_network, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_host_that_asks_for_a_pause, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_host_that_lies_about_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_that_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_of_a_batch_is_for_the_stale, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
