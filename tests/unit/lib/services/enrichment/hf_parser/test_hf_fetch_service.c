/* lib/services/enrichment/hf_parser/hf_fetch_service.h: a fake Hub, a real database. */

#include "tests/unit/lib/services/enrichment/hf_parser/fake_hub.h"

#include "base/log.h"
#include "lib/repositories/run_repository.h"

#define HOUR (INT64_C(3600) * US_PER_S)
#define MIN  (INT64_C(60) * US_PER_S)

#define COUNT_ROWS "SELECT count(*) FROM datasets"
#define WATERMARK  "SELECT watermark FROM source_state WHERE stream = 'listing'"
#define COVERED_SINCE                                                                              \
    "SELECT detail ->> 'covered_since_us' FROM source_state WHERE stream = 'listing'"
#define OPEN_CURSORS   "SELECT count(*) FROM source_state WHERE cursor IS NOT NULL"
#define SWEEP_FETCHED  "SELECT detail ->> 'fetched' FROM source_state WHERE stream = 'sweep'"
#define SWEEP_FINISHED "SELECT detail ->> 'finished_at_us' FROM source_state WHERE stream = 'sweep'"

#define assert_ledger(ledger, fetched, inserted, updated, unchanged)                               \
    do {                                                                                           \
        assert_int_equal((ledger).n_fetched, (fetched));                                           \
        assert_int_equal((ledger).n_inserted, (inserted));                                         \
        assert_int_equal((ledger).n_updated, (updated));                                           \
        assert_int_equal((ledger).n_unchanged, (unchanged));                                       \
    } while (0)

struct world {
    struct fake_hub hub;
    struct fixture fixture;
};

static int
setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    log_configure(2, LOG_NOTHING, LOG_TEXT);
    fake_init(&world->hub);
    fixture_init_migrated(&world->fixture);
    *state = world;
    return 0;
}

static int
teardown(void **state)
{
    struct world *world = *state;

    fixture_fini(&world->fixture);
    free(world);
    return 0;
}

static int64_t
query(struct world *world, const char *sql)
{
    return fixture_query(world->fixture.database, sql);
}

/* n rows, created and last changed 1, 2, 3 ... steps ago. */
static void
add_rows(struct world *world, size_t n, int64_t step_us)
{
    for (size_t i = 1; i <= n; i++)
        (void)fake_add(&world->hub, (int64_t)i * step_us, (int64_t)i * step_us);
}

static void
test_sweep(void **state)
{
    struct world *world = *state;
    struct ledger ledger;

    add_rows(world, 25, US_PER_DAY);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 25, 25, 0, 0);
    assert_int_equal(world->hub.n_requests, 3);
    assert_int_equal(world->hub.reported, 25);
    assert_int_equal(world->hub.expected, 0);
    assert_int_equal(query(world, COUNT_ROWS), 25);
    assert_int_equal(query(world, OPEN_CURSORS), 0);
    assert_int_equal(query(world, SWEEP_FINISHED), FAKE_NOW_US);
    /* it covers all up to its newest row */
    assert_int_equal(query(world, WATERMARK), FAKE_NOW_US - US_PER_DAY);
    assert_int_equal(query(world, COVERED_SINCE), 0);

    /* again: nothing has changed; one row has */
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 25, 0, 0, 25);
    fake_touch(&world->hub, 7);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 25, 0, 1, 24);
}

static void
test_sweep_goes_on_after_a_failure(void **state)
{
    static const int failures[] = {-ERR_NETWORK, -ERR_RATE_LIMIT, -ERR_TIMEOUT, -ERR_INVALID};
    struct world *world = *state;
    struct ledger ledger;
    struct error err;

    add_rows(world, 55, US_PER_DAY);
    for (size_t i = 0; i < COUNT_OF(failures); i++) {
        world->hub.fails_at = 2; /* the second page of each run */
        world->hub.fails_with = failures[i];
        assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, 0, 0, &ledger, &err),
                         failures[i]);
        assert_string_equal(err.message, "scripted");
        assert_ledger(ledger, 10, 10, 0, 0); /* what was committed is told */
        assert_int_equal(query(world, COUNT_ROWS), (int64_t)(i + 1) * 10);
        assert_int_equal(query(world, SWEEP_FETCHED), (int64_t)(i + 1) * 10);
        assert_int_equal(query(world, SWEEP_FINISHED), DATABASE_NULL);
    }
    world->hub.fails_at = 0;
    world->hub.now_us += 3 * US_PER_DAY;
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 15, 15, 0, 0);
    assert_int_equal(query(world, SWEEP_FETCHED), 55);
    assert_int_equal(query(world, SWEEP_FINISHED), FAKE_NOW_US + 3 * US_PER_DAY);
    assert_int_equal(query(world, WATERMARK), FAKE_NOW_US - US_PER_DAY);
}

static void
test_sweep_by_limit(void **state)
{
    struct world *world = *state;
    static const int64_t fetched[] = {7, 7, 7, 4};
    struct ledger ledger;

    add_rows(world, 25, US_PER_DAY);
    for (size_t i = 0; i < COUNT_OF(fetched); i++) {
        ledger = fake_harvest_ok(&world->hub, &world->fixture, 7, 0);
        assert_ledger(ledger, fetched[i], fetched[i], 0, 0);
        assert_int_equal(world->hub.expected, 7);
    }
    assert_int_equal(query(world, OPEN_CURSORS), 0);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 7, 0); /* a new one */
    assert_ledger(ledger, 7, 0, 0, 7);

    /* 23 rows over pages of 10: the last page is asked for in the size that is left */
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 13, 0);
    assert_ledger(ledger, 13, 0, 0, 13);
    assert_int_equal(world->hub.last_size, 3);
}

static void
test_server_that_ignores_the_size(void **state)
{
    struct world *world = *state;
    struct ledger ledger;

    add_rows(world, 25, US_PER_DAY);
    world->hub.ignores_size = true;
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 3, 0); /* its page is taken whole */
    assert_ledger(ledger, 10, 10, 0, 0);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 3, 0);
    assert_ledger(ledger, 10, 10, 0, 0);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 3, 0);
    assert_ledger(ledger, 5, 5, 0, 0);
}

static void
test_refused_cursor(void **state)
{
    struct world *world = *state;
    struct ledger ledger;
    struct error err;

    add_rows(world, 25, US_PER_DAY);
    (void)fake_harvest_ok(&world->hub, &world->fixture, 10, 0);
    world->hub.refuses_cursors = true;
    world->hub.page_cap = 100;
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 25, 15, 0, 10); /* from the start */
    assert_int_equal(query(world, OPEN_CURSORS), 0);

    /* in the middle of a run it is an error: the cursor is a minute old */
    world->hub.page_cap = 10;
    assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, 0, 0, &ledger, &err),
                     -ERR_INVALID);
    assert_ledger(ledger, 10, 0, 0, 10);
}

static void
test_circle(void **state)
{
    struct world *world = *state;
    struct ledger ledger;
    struct error err;

    add_rows(world, 25, US_PER_DAY);
    world->hub.runs_in_circle = true;
    assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, 0, 0, &ledger, &err),
                     -ERR_INVALID);
    assert_non_null(strstr(err.message, "runs in a circle"));
    assert_true(world->hub.n_requests < 5);
    assert_int_equal(query(world, SWEEP_FINISHED), DATABASE_NULL);
}

static void
test_too_large_pages(void **state)
{
    struct world *world = *state;
    struct ledger ledger;
    struct error err;

    add_rows(world, 25, US_PER_DAY);
    world->hub.page_cap = 500;
    world->hub.too_large_above = 20; /* 500, 250, 125, 62, 31, 15: fits */
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 25, 25, 0, 0);
    assert_int_equal(world->hub.last_size, 15);
    assert_int_equal(world->hub.n_requests, 7);

    world->hub.fails_at = 9; /* one row alone that is too large is an error */
    world->hub.fails_with = -ERR_TOO_LARGE;
    world->hub.too_large_above = 1;
    assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, 0, 0, &ledger, &err),
                     -ERR_TOO_LARGE);
    assert_ledger(ledger, 0, 0, 0, 0);
}

static void
test_cancel(void **state)
{
    struct world *world = *state;
    struct ledger ledger;
    struct error err;

    add_rows(world, 25, US_PER_DAY);
    world->hub.cancels_at = 2;
    assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, 0, 0, &ledger, &err),
                     -ERR_CANCELLED);
    assert_ledger(ledger, 20, 20, 0, 0);
    assert_string_equal(err.message, "stopped after 20 rows; the next run goes on there");
    world->hub.cancels_at = 0;
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 5, 5, 0, 0);
}

static void
test_listing(void **state)
{
    struct world *world = *state;
    struct ledger ledger;

    /* the first time: the window of the caller, 24 rows of an hour each */
    add_rows(world, 60, HOUR);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 1);
    assert_ledger(ledger, 24, 24, 0, 0);
    assert_int_equal(query(world, WATERMARK), FAKE_NOW_US - HOUR);
    assert_int_equal(query(world, COVERED_SINCE), FAKE_NOW_US - US_PER_DAY);

    /* then: what is new since the watermark, with the row that carries it */
    world->hub.now_us += HOUR;
    fake_touch(&world->hub, 3);
    (void)fake_add(&world->hub, MIN, MIN);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 1);
    assert_ledger(ledger, 3, 1, 1, 1);
    assert_int_equal(query(world, WATERMARK), FAKE_NOW_US + HOUR);

    /* asleep for a week: the gap, though one day is asked for */
    for (size_t i = 0; i < 7; i++) {
        world->hub.now_us += US_PER_DAY;
        fake_touch(&world->hub, 10 + i);
    }
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 1);
    assert_ledger(ledger, 9, 0, 7, 2);

    /* a window that begins before what was ever walked: rows 25 to 60 are older than a day */
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 30);
    assert_int_equal(ledger.n_fetched, 61);
    assert_int_equal(ledger.n_inserted, 36);
    assert_int_equal(query(world, COUNT_ROWS), 61);

    /* and now that it is covered, it costs nothing */
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 30);
    assert_ledger(ledger, 1, 0, 0, 1);
}

static void
test_listing_that_was_cut(void **state)
{
    struct world *world = *state;
    struct ledger ledger;
    struct error err;

    add_rows(world, 30, 30 * MIN); /* all within 15 hours */
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 12, 1);
    assert_ledger(ledger, 12, 12, 0, 0);
    assert_int_equal(query(world, WATERMARK), DATABASE_NULL); /* there is a hole below */

    /* meanwhile: a row of the rest changes, and a new one comes */
    world->hub.now_us += HOUR;
    fake_touch(&world->hub, 29);
    (void)fake_add(&world->hub, MIN, MIN);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 12, 1);
    assert_ledger(ledger, 12, 12, 0, 0);
    assert_int_equal(query(world, WATERMARK), DATABASE_NULL);

    /* the rest of the walk, 5 rows; then from the top down to its watermark: what changed since */
    world->hub.fails_at = 2;
    world->hub.fails_with = -ERR_NETWORK;
    assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, 12, 1, &ledger, &err),
                     -ERR_NETWORK);
    assert_ledger(ledger, 5, 5, 0, 0);
    assert_int_equal(query(world, WATERMARK), FAKE_NOW_US - 30 * MIN);
    world->hub.fails_at = 0;
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 12, 1);
    assert_ledger(ledger, 4, 2, 0, 2);
    assert_int_equal(query(world, COUNT_ROWS), 31);
    assert_int_equal(query(world, WATERMARK), FAKE_NOW_US + HOUR);
    for (int64_t i = 0; i < 31; i++)
        assert_int_equal(fake_stored_version(&world->fixture, i), i == 29 ? 2 : 1);
}

static void
test_listing_with_a_refused_cursor(void **state)
{
    struct world *world = *state;
    struct ledger ledger;

    /* cut within a window of one day; by the next day the window has moved on, the rest has not */
    add_rows(world, 20, HOUR);
    (void)fake_harvest_ok(&world->hub, &world->fixture, 10, 1);
    world->hub.now_us += US_PER_DAY;
    world->hub.refuses_cursors = true;
    world->hub.page_cap = 100;
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 1);
    assert_int_equal(ledger.n_inserted, 10);
    assert_int_equal(query(world, COUNT_ROWS), 20);
}

/* Rows that move to the top while the walk is under way. */
static void
touch_the_last(struct fake_hub *hub)
{
    hub->now_us += MIN;
    if (hub->n_requests <= 2)
        fake_touch(hub, hub->n_rows - hub->n_requests);
}

static void
test_changes_during_a_walk(void **state)
{
    struct world *world = *state;
    struct ledger ledger;

    add_rows(world, 30, 10 * MIN);
    world->hub.on_request = touch_the_last;
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 1);
    assert_int_equal(ledger.n_fetched, 29); /* the first change came in time, the second did not */
    assert_int_equal(fake_stored_version(&world->fixture, 28), 0);
    world->hub.on_request = NULL;
    (void)fake_harvest_ok(&world->hub, &world->fixture, 0, 1);
    for (int64_t i = 0; i < 30; i++)
        assert_int_equal(fake_stored_version(&world->fixture, i), i >= 28 ? 2 : 1);
}

static void
test_sweep_and_listing_together(void **state)
{
    struct world *world = *state;
    struct ledger ledger;

    /* a sweep is under way; a listing covers the last day; both are left open */
    add_rows(world, 40, HOUR);
    (void)fake_harvest_ok(&world->hub, &world->fixture, 10, 0);
    (void)fake_harvest_ok(&world->hub, &world->fixture, 5, 1);
    assert_int_equal(query(world, OPEN_CURSORS), 2);

    /* the sweep ends: all up to its start is covered, the listing's walk has become needless */
    world->hub.now_us += HOUR;
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_int_equal(ledger.n_fetched, 30);
    assert_int_equal(query(world, WATERMARK), FAKE_NOW_US - HOUR);
    assert_int_equal(query(world, COVERED_SINCE), 0);
    fake_touch(&world->hub, 20);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 1000);
    assert_ledger(ledger, 2, 0, 1, 1);
    assert_int_equal(query(world, OPEN_CURSORS), 0);
}

static void
test_dates_that_mislead(void **state)
{
    struct world *world = *state;
    struct ledger ledger;

    /* from the future: stored, but no watermark; old or no date among newer ones: ends nothing */
    add_rows(world, 20, HOUR);
    (void)fake_add(&world->hub, 0, -900 * US_PER_DAY);
    world->hub.rows[4].json = "{\"_id\":\"old\",\"id\":\"o/old\",\"lastModified\":"
                              "\"1999-01-01T00:00:00Z\"}";
    world->hub.rows[5].json = "{\"_id\":\"none\",\"id\":\"o/none\",\"lastModified\":7}";
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 1);
    assert_ledger(ledger, 21, 21, 0, 0);
    assert_int_equal(query(world, WATERMARK), FAKE_NOW_US);
}

static void
test_bad_rows(void **state)
{
    static const char *const bad[] = {
        "null",
        "{\"id\":\"o/x\"}",
        "{\"_id\":\"k\",\"id\":\"../../etc\"}",
    };
    struct run run = {.task_name = STR("enrich.fetch_hf_datasets"),
                      .state = STR("STARTED"),
                      .started_at_us = FAKE_NOW_US};
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct world *world = *state;
    const struct run_reject *rejects;
    struct ledger ledger;
    struct error err;
    int64_t run_id;
    size_t n_rejects;

    add_rows(world, 25, US_PER_DAY);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        world->hub.rows[10 + i].json = bad[i];
    assert_ok(run_repo_start(world->fixture.database, &run, &run_id, &err), err);
    assert_ok(fake_harvest(&world->hub, &world->fixture, run_id, 0, 0, &ledger, &err), err);
    assert_ledger(ledger, 25, 22, 0, 0);
    assert_int_equal(ledger.n_rejected, 3);
    assert_ok(run_repo_list_rejects(world->fixture.database, run_id, 10, &arena, &rejects,
                                    &n_rejects, &err),
              err);
    assert_int_equal(n_rejects, 3);
    assert_str_equal(rejects[2].source, "api/datasets");
    assert_int_equal(rejects[2].record, 3);
    assert_int_equal(rejects[2].byte_offset, DATABASE_NULL);
    assert_str_equal(rejects[2].reason,
                     "page 2, id '../../etc': field 'id' is no 'owner/name': '../../etc'");
    arena_fini(&arena);
}

static void
test_rows_that_cannot_be_stored(void **state)
{
    struct world *world = *state;
    struct ledger ledger;
    struct error err;

    add_rows(world, 25, US_PER_DAY);
    fixture_execute(world->fixture.database, "CREATE TRIGGER poison BEFORE INSERT ON datasets"
                                             " WHEN new.source_key IN ('id3', 'id12')"
                                             " BEGIN SELECT RAISE(ABORT, 'poison'); END");
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 25, 23, 0, 0);
    assert_int_equal(ledger.n_failed, 2);
    assert_int_equal(query(world, COUNT_ROWS), 23);

    /* a page that cannot be committed as a whole leaves nothing of itself, the place included */
    fixture_execute(world->fixture.database, "DROP TRIGGER poison");
    fixture_execute(world->fixture.database, "CREATE TRIGGER poison BEFORE INSERT ON source_state"
                                             " WHEN new.detail LIKE '%\"pages\":2,%'"
                                             " BEGIN SELECT RAISE(ABORT, 'poison'); END");
    assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, 0, 0, &ledger, &err),
                     -ERR_INVALID);
    assert_ledger(ledger, 10, 1, 0, 9);
    assert_int_equal(query(world, COUNT_ROWS), 24);
    fixture_execute(world->fixture.database, "DROP TRIGGER poison");
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 15, 1, 0, 14);
}

static void
test_hidden_rows(void **state)
{
    struct world *world = *state;

    add_rows(world, 2, US_PER_DAY);
    world->hub.rows[1].json = "{\"_id\":\"id1\",\"id\":\"o/n1\",\"disabled\":true}";
    (void)fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_int_equal(query(world, "SELECT is_active FROM datasets WHERE source_key = 'id1'"), 0);
    assert_int_equal(query(world, "SELECT is_active FROM datasets WHERE source_key = 'id0'"), 1);
    world->hub.rows[1].json = NULL;
    (void)fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_int_equal(query(world, "SELECT is_active FROM datasets WHERE source_key = 'id1'"), 1);
}

static void
test_nothing_listed(void **state)
{
    struct world *world = *state;
    struct ledger ledger;

    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 0);
    assert_ledger(ledger, 0, 0, 0, 0);
    ledger = fake_harvest_ok(&world->hub, &world->fixture, 0, 1);
    assert_ledger(ledger, 0, 0, 0, 0);
    /* that covers nothing, and is no finished sweep */
    assert_int_equal(query(world, "SELECT count(*) FROM source_state"), 0);
}

static void
test_arguments(void **state)
{
    struct world *world = *state;
    struct ledger ledger = {.n_fetched = 9};
    struct error err;

    assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, -1, 0, &ledger, &err),
                     -ERR_INVALID);
    assert_string_equal(err.message, "limit and days_back must not be negative: -1, 0");
    assert_int_equal(ledger.n_fetched, 0);
    assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, 0, -1, &ledger, NULL),
                     -ERR_INVALID);
    assert_int_equal(world->hub.n_requests, 0);
}

static void
test_damaged_state(void **state)
{
    struct world *world = *state;
    struct ledger ledger;
    struct error err;

    add_rows(world, 25, US_PER_DAY);
    (void)fake_harvest_ok(&world->hub, &world->fixture, 10, 0);
    fixture_execute(world->fixture.database, "UPDATE source_state SET detail = '[1'");
    assert_int_equal(fake_harvest(&world->hub, &world->fixture, 0, 0, 0, &ledger, &err),
                     -ERR_CORRUPT);
    assert_string_equal(
        err.message, "cannot read where the walk 'sweep' stands: stored detail is no JSON object");
}

int
main(void)
{
#define SERVICE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        SERVICE_TEST(test_sweep),
        SERVICE_TEST(test_sweep_goes_on_after_a_failure),
        SERVICE_TEST(test_sweep_by_limit),
        SERVICE_TEST(test_server_that_ignores_the_size),
        SERVICE_TEST(test_refused_cursor),
        SERVICE_TEST(test_circle),
        SERVICE_TEST(test_too_large_pages),
        SERVICE_TEST(test_cancel),
        SERVICE_TEST(test_listing),
        SERVICE_TEST(test_listing_that_was_cut),
        SERVICE_TEST(test_listing_with_a_refused_cursor),
        SERVICE_TEST(test_changes_during_a_walk),
        SERVICE_TEST(test_sweep_and_listing_together),
        SERVICE_TEST(test_dates_that_mislead),
        SERVICE_TEST(test_bad_rows),
        SERVICE_TEST(test_rows_that_cannot_be_stored),
        SERVICE_TEST(test_hidden_rows),
        SERVICE_TEST(test_nothing_listed),
        SERVICE_TEST(test_arguments),
        SERVICE_TEST(test_damaged_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
