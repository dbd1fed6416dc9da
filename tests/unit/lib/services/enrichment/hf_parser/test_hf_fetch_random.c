/* lib/services/enrichment/hf_parser/hf_fetch_service.h against chance: rows change, runs are cut by
 * limits, failures, refusals and wishes to stop, windows and sweeps alternate.  What must hold:
 * once a harvest has come to its end undisturbed, the catalogue has the present version of every
 * row whose last change lies in what it claims to cover. */

#include "tests/unit/lib/services/enrichment/hf_parser/fake_hub.h"

#include "base/log.h"

#define WORLDS 40
#define STEPS  30
#define HOUR   (INT64_C(3600) * US_PER_S)

/* Source: Marsaglia 2003, "Xorshift RNGs". */
static uint64_t
draw(uint64_t *seed, uint64_t n)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed % n;
}

static uint64_t request_seed; /* of the changes during a walk */

static void
change_something(struct fake_hub *hub)
{
    hub->now_us += (int64_t)draw(&request_seed, 100) * US_PER_S;
    if (draw(&request_seed, 2) == 0)
        fake_touch(hub, draw(&request_seed, hub->n_rows));
}

static void
change_world(struct fake_hub *hub, uint64_t *seed)
{
    hub->now_us += (int64_t)draw(seed, 40) * HOUR + (int64_t)draw(seed, 3600) * US_PER_S;
    for (uint64_t n = draw(seed, 6); n > 0; n--)
        fake_touch(hub, draw(seed, hub->n_rows));
    if (hub->n_rows < FAKE_ROWS && draw(seed, 2) == 0)
        (void)fake_add(hub, (int64_t)draw(seed, 5) * US_PER_S, 0);
}

static void
disturbed_run(struct fake_hub *hub, struct fixture *fixture, uint64_t *seed)
{
    static const int failures[] = {-ERR_NETWORK, -ERR_RATE_LIMIT, -ERR_TIMEOUT};
    int64_t limit = draw(seed, 3) ? (int64_t)draw(seed, 25) : 0;
    int64_t days_back = draw(seed, 4) ? 1 + (int64_t)draw(seed, 10) : 0;
    struct ledger ledger;

    hub->fails_at = draw(seed, 3) ? 0 : 1 + draw(seed, 5);
    hub->fails_with = failures[draw(seed, COUNT_OF(failures))];
    hub->cancels_at = draw(seed, 5) ? 0 : 1 + draw(seed, 5);
    hub->refuses_cursors = draw(seed, 8) == 0;
    hub->page_cap = 1 + draw(seed, 12);
    /* How it ends does not matter: what is committed must be true. */
    error_ignore(fake_harvest(hub, fixture, 0, limit, days_back, &ledger, NULL));
}

/* A run that nothing disturbs, and what it must leave behind. */
static void
check_world(struct fake_hub *hub, struct fixture *fixture, int64_t days_back)
{
    int64_t since_us;

    hub->fails_at = 0;
    hub->cancels_at = 0;
    hub->refuses_cursors = false;
    hub->on_request = NULL;
    (void)fake_harvest_ok(hub, fixture, 0, days_back);
    since_us = fixture_query(fixture->database,
                             "SELECT coalesce(detail ->> 'covered_since_us', 0) FROM source_state"
                             " WHERE stream = 'listing'");
    assert_true(since_us != DATABASE_NULL);
    assert_true(since_us <= hub->now_us - days_back * US_PER_DAY);
    for (size_t i = 0; i < hub->n_rows; i++) {
        const struct fake_row *row = &hub->rows[i];

        if (row->modified_us < since_us)
            continue;
        if (fake_stored_version(fixture, row->number) != row->version)
            fail_msg("row %zu: version %" PRId64 " is stored, the Hub has %" PRId64, i,
                     fake_stored_version(fixture, row->number), row->version);
    }
}

static void
test_nothing_is_lost(void **state)
{
    (void)state;
    log_configure(2, LOG_NOTHING, LOG_TEXT);
    for (uint64_t world = 1; world <= WORLDS; world++) {
        uint64_t seed = world * 0x9E3779B97F4A7C15u;
        struct fixture fixture;
        struct fake_hub hub;

        fake_init(&hub);
        fixture_init_migrated(&fixture);
        request_seed = seed;
        for (uint64_t n = 20 + draw(&seed, 60); n > 0; n--) {
            int64_t created_ago_us = (int64_t)draw(&seed, 400) * HOUR;

            (void)fake_add(&hub, created_ago_us, created_ago_us / (1 + (int64_t)draw(&seed, 3)));
        }
        for (size_t step = 0; step < STEPS; step++) {
            hub.on_request = draw(&seed, 2) ? change_something : NULL;
            disturbed_run(&hub, &fixture, &seed);
            change_world(&hub, &seed);
            if (step % 10 == 9)
                check_world(&hub, &fixture, 1 + (int64_t)draw(&seed, 20));
        }
        fixture_fini(&fixture);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
