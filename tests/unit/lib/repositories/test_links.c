/* Claims, verdicts and hosts in the tables of the link checker. */

#include "lib/repositories/link_host_repository.h"
#include "lib/repositories/link_repository.h"
#include "tests/unit/lib/repositories/repo_fixture.h"

#define HOUR_US (INT64_C(3600) * INT64_C(1000000))
#define NOW     (INT64_C(1000) * HOUR_US)

static const struct lease lease_a = {STR_INIT("a"), NOW + HOUR_US};
static const struct lease lease_b = {STR_INIT("b"), NOW + 3 * HOUR_US};

static int
setup(void **state)
{
    struct repo_fixture *self = calloc(1, sizeof(*self));

    assert_non_null(self);
    repo_fixture_init(self);
    for (int i = 1; i <= 4; i++) {
        char key[8], name[16];
        struct dataset row;

        (void)snprintf(key, sizeof(key), "k%d", i);
        (void)snprintf(name, sizeof(name), "owner/set%d", i);
        row = make_row(key, name);
        row.url = STR("https://example.org/x");
        (void)put_row(self, &row, 1);
    }
    *state = self;
    return 0;
}

static int
teardown(void **state)
{
    struct repo_fixture *self = *state;

    repo_fixture_fini(self);
    free(self);
    return 0;
}

static struct link_list
claim_stale(struct repo_fixture *self, int64_t limit, int64_t until_us, const struct lease *lease,
            int64_t now_us)
{
    struct link_list list = {0};
    struct error err;

    assert_ok(link_repo_claim_stale(self->base.database, limit, until_us, lease, now_us,
                                    &self->arena, &list, &err),
              err);
    return list;
}

static struct link_list
claim_due(struct repo_fixture *self, int64_t limit, const struct lease *lease, int64_t now_us)
{
    struct link_list list = {0};
    struct error err;

    assert_ok(
        link_repo_claim_due(self->base.database, limit, lease, now_us, &self->arena, &list, &err),
        err);
    return list;
}

static struct link_status
status_of(enum link_state state, int64_t next_at_us)
{
    struct link_status status;

    link_status_init(&status);
    status.state = state;
    status.next_at_us = next_at_us;
    if (state == LINK_SUSPECT || state == LINK_GONE) {
        status.strikes.n_gone = 2;
        status.strikes.gone_since_us = NOW - HOUR_US;
    }
    if (state == LINK_GONE)
        status.gone_at_us = NOW;
    return status;
}

static int
save(struct repo_fixture *self, int64_t row_id, struct str owner, enum link_state before,
     struct link_status status, int64_t now_us)
{
    return link_repo_save(self->base.database, row_id, owner, before, &status, now_us, NULL);
}

static int64_t
count(struct repo_fixture *self, const char *sql)
{
    return fixture_query(self->base.database, sql);
}

static void
test_the_stalest_first_and_once(void **state)
{
    struct repo_fixture *self = *state;
    struct link_list list = claim_stale(self, 2, NOW - 48 * HOUR_US, &lease_a, NOW);

    assert_int_equal(list.n_items, 2);
    assert_int_equal(list.items[0].row_id, 1);
    assert_str_equal(list.items[0].source_name, "kaggle");
    assert_str_equal(list.items[0].external_id, "owner/set1");
    assert_str_equal(list.items[0].url, "https://example.org/x");
    assert_int_equal(list.items[0].status.state, LINK_UNCHECKED);
    assert_int_equal(list.items[0].status.last_checked_at_us, LINK_NEVER);
    assert_int_equal(
        save(self, 1, STR("a"), LINK_UNCHECKED, status_of(LINK_ALIVE, LINK_NEVER), NOW), 0);
    /* 2 is leased, 1 is fresh */
    list = claim_stale(self, 10, NOW - 48 * HOUR_US, &lease_b, NOW);
    assert_int_equal(list.n_items, 2);
    assert_int_equal(list.items[0].row_id, 3);
    /* 2's lease has run out; 1 becomes stale after two days, behind those never checked */
    list = claim_stale(self, 10, NOW, &lease_b, NOW + 2 * HOUR_US);
    assert_int_equal(list.n_items, 2);
    assert_int_equal(list.items[0].row_id, 2);
    assert_int_equal(list.items[1].row_id, 1);
    assert_int_equal(list.items[1].status.last_checked_at_us, NOW);
    assert_int_equal(list.items[1].status.state, LINK_ALIVE);
}

static void
test_a_well_row_leaves_nothing_behind(void **state)
{
    struct repo_fixture *self = *state;

    (void)claim_stale(self, 4, NOW, &lease_a, NOW);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_links"), 4);
    for (int64_t id = 1; id <= 4; id++)
        assert_int_equal(
            save(self, id, STR("a"), LINK_UNCHECKED, status_of(LINK_ALIVE, LINK_NEVER), NOW), 0);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_links"), 0);
}

static void
test_rows_in_doubt_come_when_it_is_time(void **state)
{
    struct repo_fixture *self = *state;
    struct link_list list;

    (void)claim_stale(self, 1, NOW, &lease_a, NOW);
    assert_int_equal(
        save(self, 1, STR("a"), LINK_UNCHECKED, status_of(LINK_SUSPECT, NOW + 6 * HOUR_US), NOW),
        0);
    /* however stale, it waits for its moment */
    assert_int_equal(claim_stale(self, 10, NOW + 5 * HOUR_US, &lease_b, NOW).n_items, 3);
    assert_int_equal(claim_due(self, 10, &lease_a, NOW + 6 * HOUR_US - 1).n_items, 0);
    list = claim_due(self, 10, &lease_a, NOW + 6 * HOUR_US);
    assert_int_equal(list.n_items, 1);
    assert_int_equal(list.items[0].status.state, LINK_SUSPECT);
    assert_int_equal(list.items[0].status.strikes.n_gone, 2);
    assert_int_equal(list.items[0].status.strikes.gone_since_us, NOW - HOUR_US);
    assert_int_equal(list.items[0].status.strikes.lost_since_us, LINK_NEVER);
}

static void
test_gone_hides_and_alive_shows(void **state)
{
    struct repo_fixture *self = *state;
    struct link_list list;
    int64_t n_active = 0, n_gone = 0;
    struct error err;

    (void)claim_stale(self, 1, NOW, &lease_a, NOW);
    assert_int_equal(
        save(self, 1, STR("a"), LINK_UNCHECKED, status_of(LINK_GONE, NOW + HOUR_US), NOW), 0);
    assert_false(get_by_number(self, 1).is_active);
    assert_str_equal(get_by_number(self, 1).link_state, "gone");
    assert_ok(link_repo_count(self->base.database, STR("kaggle"), NOW, &n_active, &n_gone, &err),
              err);
    assert_int_equal(n_active, 3);
    assert_int_equal(n_gone, 1);
    assert_ok(
        link_repo_count(self->base.database, STR("kaggle"), NOW + 1, &n_active, &n_gone, &err),
        err);
    assert_int_equal(n_gone, 0);
    list = claim_due(self, 10, &lease_a, NOW + HOUR_US); /* hidden, and yet tried again */
    assert_int_equal(list.n_items, 1);
    assert_int_equal(list.items[0].status.gone_at_us, NOW);
    assert_int_equal(
        save(self, 1, STR("a"), LINK_GONE, status_of(LINK_ALIVE, LINK_NEVER), NOW + HOUR_US), 0);
    assert_true(get_by_number(self, 1).is_active);
    assert_str_equal(get_by_number(self, 1).link_state, "alive");
}

/* A row that the source itself has hidden stays hidden, and is not asked for. */
static void
test_hidden_by_its_source(void **state)
{
    struct repo_fixture *self = *state;
    struct dataset row = make_row("k1", "owner/set1");

    (void)claim_stale(self, 1, NOW, &lease_a, NOW);
    row.is_active = false;
    (void)put_row(self, &row, NOW);
    assert_int_equal(
        save(self, 1, STR("a"), LINK_UNCHECKED, status_of(LINK_ALIVE, LINK_NEVER), NOW), 0);
    assert_false(get_by_number(self, 1).is_active);
    assert_int_equal(claim_stale(self, 10, NOW, &lease_a, NOW).n_items, 3);
}

static void
test_a_late_verdict_changes_nothing(void **state)
{
    struct repo_fixture *self = *state;
    struct link_status gone = status_of(LINK_GONE, LINK_NEVER);

    (void)claim_stale(self, 1, NOW, &lease_a, NOW);
    assert_int_equal(save(self, 1, STR("b"), LINK_UNCHECKED, gone, NOW), -ERR_NOT_FOUND);
    assert_int_equal(save(self, 1, STR("a"), LINK_SUSPECT, gone, NOW), -ERR_NOT_FOUND);
    assert_int_equal(link_repo_put_off(self->base.database, 1, STR("b"), NOW, NULL),
                     -ERR_NOT_FOUND);
    assert_true(get_by_number(self, 1).is_active);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_links WHERE lease_owner = 'a'"
                                 " AND gone_strikes = 0 AND next_at IS NULL"),
                     1);
}

static void
test_put_off_and_release(void **state)
{
    struct repo_fixture *self = *state;
    struct error err;
    int64_t n = 0;

    (void)claim_stale(self, 4, NOW, &lease_a, NOW);
    assert_ok(link_repo_put_off(self->base.database, 1, STR("a"), NOW + HOUR_US, &err), err);
    assert_ok(link_repo_put_off(self->base.database, 2, STR("a"), LINK_NEVER, &err), err);
    assert_ok(link_repo_release(self->base.database, STR("a"), &n, &err), err);
    assert_int_equal(n, 2);
    assert_int_equal(count(self, "SELECT count(*) FROM dataset_links"), 1);
    assert_int_equal(claim_due(self, 10, &lease_b, NOW + HOUR_US).items[0].row_id, 1);
    assert_int_equal(claim_stale(self, 10, NOW, &lease_b, NOW).n_items, 3);
    /* a release forgets no strike */
    assert_int_equal(
        save(self, 2, STR("b"), LINK_UNCHECKED, status_of(LINK_SUSPECT, NOW + HOUR_US), NOW), 0);
    (void)claim_due(self, 10, &lease_a, NOW + HOUR_US);
    assert_ok(link_repo_release(self->base.database, STR("a"), NULL, &err), err);
    assert_int_equal(count(self, "SELECT gone_strikes FROM dataset_links WHERE row_id = 2"), 2);
}

static void
test_names_that_have_passed_on(void **state)
{
    struct repo_fixture *self = *state;
    struct dataset row = make_row("other", "owner/set1"); /* retires row 1 */
    bool is_taken = false;
    struct error err;

    (void)put_row(self, &row, NOW);
    assert_ok(link_repo_is_name_taken(self->base.database, 1, &is_taken, &err), err);
    assert_true(is_taken);
    assert_ok(link_repo_is_name_taken(self->base.database, 2, &is_taken, &err), err);
    assert_false(is_taken);
}

static void
test_bad_claims(void **state)
{
    struct repo_fixture *self = *state;
    static const struct lease nobody = {STR_INIT(""), NOW};
    struct link_list list;

    assert_int_equal(
        link_repo_claim_due(self->base.database, 1, &nobody, NOW, &self->arena, &list, NULL),
        -ERR_INVALID);
    assert_int_equal(link_repo_claim_stale(self->base.database, -1, NOW, &lease_a, NOW,
                                           &self->arena, &list, NULL),
                     -ERR_INVALID);
    fixture_execute(self->base.database, "UPDATE datasets SET link_state = 'odd' WHERE row_id = 1");
    assert_int_equal(link_repo_claim_stale(self->base.database, 1, NOW, &lease_a, NOW, &self->arena,
                                           &list, NULL),
                     -ERR_INVALID);
}

static void
test_hosts(void **state)
{
    struct repo_fixture *self = *state;
    struct link_host host, loaded = {.origin = STR("https://example.org:443")};
    struct error err;

    assert_ok(link_host_repo_load(self->base.database, &loaded, &err), err);
    link_host_init(&host, loaded.origin);
    assert_memory_equal(&host, &loaded, sizeof(host));
    host.parked_until_us = 1;
    host.outage_since_us = 2;
    host.canary_at_us = 3;
    host.canary_good_at_us = 4;
    host.n_good_probes = 5;
    host.n_good_failures = 6;
    host.n_head_lies = 7;
    host.get_first_until_us = 8;
    assert_ok(link_host_repo_save(self->base.database, &host, NOW, &err), err);
    assert_ok(link_host_repo_load(self->base.database, &loaded, &err), err);
    assert_memory_equal(&host, &loaded, sizeof(host));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_stalest_first_and_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_well_row_leaves_nothing_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_in_doubt_come_when_it_is_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_hides_and_alive_shows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hidden_by_its_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_late_verdict_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_off_and_release, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_have_passed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_claims, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hosts, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
