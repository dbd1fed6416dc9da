/* Days of findings on a clock of numbers, and what becomes of a row. */

#include "lib/services/validation/link_strikes.h"
#include "tests/unit/check.h"

#define HOUR_US (INT64_C(3600) * INT64_C(1000000))
#define DAY_US  (24 * HOUR_US)
#define START   (INT64_C(1000) * DAY_US)

static const struct link_finding alive = {LINK_CLASS_ALIVE, 0, false, "found"};
static const struct link_finding restricted = {LINK_CLASS_RESTRICTED, 0, false, "refused"};
static const struct link_finding refused = {LINK_CLASS_REFUSED, 0, false, "no"};
static const struct link_finding gone = {LINK_CLASS_GONE, 1, false, "not found"};
static const struct link_finding gone_410 = {LINK_CLASS_GONE, 2, true, "gone"};
static const struct link_finding strong = {LINK_CLASS_GONE, 1, true, "disabled"};
static const struct link_finding lost = {LINK_CLASS_LOST, 1, false, "the host fails"};

static struct link_status
fresh(void)
{
    struct link_status status;

    link_status_init(&status);
    return status;
}

/* Apply a finding whenever the row's time has come, until it is in a state; the hours that took, or
 * -1 after limit findings. */
static int64_t
hours_until(const struct link_finding *finding, enum link_state wanted, int limit,
            struct link_status *status)
{
    int64_t now_us = START;

    *status = fresh();
    for (int i = 0; i < limit; i++) {
        *status = link_strikes_apply(status, finding, now_us, LINK_BRAKE_NONE);
        assert_int_equal(status->last_checked_at_us, now_us);
        if (status->state == wanted)
            return (now_us - START) / HOUR_US;
        assert_true(status->next_at_us > now_us);
        now_us = status->next_at_us;
    }
    return -1;
}

static void
test_how_long_it_takes(void **state)
{
    static const struct {
        const struct link_finding *finding;
        enum link_state wanted;
        int64_t hours;
    } rows[] = {
        {&gone, LINK_SUSPECT, 0},
        {&gone, LINK_GONE, 78},     /* 0, 6, 30, 54, 78: three strikes are there at 30 h */
        {&gone_410, LINK_GONE, 24}, /* each counts twice, so the second comes after 24 h */
        {&strong, LINK_GONE, 30},   /* 0, 6, 30 */
        {&lost, LINK_SUSPECT, 0},
        {&lost, LINK_UNREACHABLE, 78},    /* 0, 6, 30, 78 */
        {&lost, LINK_GONE, 78 + 14 * 48}, /* the first visit 30 days after the first strike */
    };
    struct link_status status;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(hours_until(rows[i].finding, rows[i].wanted, 100, &status), rows[i].hours);
}

/* Never gone by strikes alone: they must span their time. */
static void
test_many_strikes_at_once(void **state)
{
    struct link_status status = fresh();

    (void)state;
    for (int i = 0; i < 50; i++)
        status = link_strikes_apply(&status, i % 2 ? &gone : &lost, START + i, LINK_BRAKE_NONE);
    assert_int_equal(status.state, LINK_SUSPECT);
    assert_int_equal(status.strikes.n_gone, 25);
    assert_int_equal(status.strikes.n_lost, 25);
    assert_int_equal(status.strikes.gone_since_us, START + 1);
    assert_int_equal(status.strikes.lost_since_us, START);
}

/* One weak strike of a 410's kind does not make the others strong. */
static void
test_strong_span_counts_from_the_first_strong_one(void **state)
{
    struct link_status status = fresh();

    (void)state;
    status = link_strikes_apply(&status, &gone, START, LINK_BRAKE_NONE);
    status = link_strikes_apply(&status, &strong, START + 24 * HOUR_US, LINK_BRAKE_NONE);
    status = link_strikes_apply(&status, &strong, START + 47 * HOUR_US, LINK_BRAKE_NONE);
    assert_int_equal(status.state, LINK_SUSPECT);
    status = link_strikes_apply(&status, &strong, START + 48 * HOUR_US, LINK_BRAKE_NONE);
    assert_int_equal(status.state, LINK_GONE);
}

static void
test_one_success_forgets_all(void **state)
{
    static const struct {
        const struct link_finding *finding;
        enum link_state after;
    } rows[] = {{&alive, LINK_ALIVE}, {&restricted, LINK_RESTRICTED}, {&refused, LINK_UNCHECKED}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct link_status status = fresh();

        status = link_strikes_apply(&status, &gone, START, LINK_BRAKE_NONE);
        status = link_strikes_apply(&status, &lost, START + 6 * HOUR_US, LINK_BRAKE_NONE);
        status =
            link_strikes_apply(&status, rows[i].finding, START + 30 * HOUR_US, LINK_BRAKE_NONE);
        assert_int_equal(status.state, rows[i].after);
        assert_int_equal(status.strikes.n_gone + status.strikes.n_lost, 0);
        assert_int_equal(status.next_at_us, LINK_NEVER);
        status = link_strikes_apply(&status, &gone, START + 80 * HOUR_US, LINK_BRAKE_NONE);
        assert_int_equal(status.state, LINK_SUSPECT);
        assert_int_equal(status.strikes.n_gone, 1);
    }
}

static void
test_gone_is_visited_three_times(void **state)
{
    static const int64_t days[] = {7, 30, 90};
    struct link_status status;
    int64_t gone_at_us;

    (void)state;
    assert_int_equal(hours_until(&gone, LINK_GONE, 10, &status), 78);
    gone_at_us = status.gone_at_us;
    for (size_t i = 0; i < COUNT_OF(days); i++) {
        assert_int_equal(status.next_at_us, gone_at_us + days[i] * DAY_US);
        /* neither more of the same nor a closed door changes anything */
        status = link_strikes_apply(&status, i % 2 ? &restricted : &gone, status.next_at_us,
                                    LINK_BRAKE_NONE);
        assert_int_equal(status.state, LINK_GONE);
        assert_int_equal(status.gone_at_us, gone_at_us);
    }
    assert_int_equal(status.next_at_us, LINK_NEVER);
    status = link_strikes_apply(&status, &alive, gone_at_us + 200 * DAY_US, LINK_BRAKE_NONE);
    assert_int_equal(status.state, LINK_ALIVE);
    assert_int_equal(status.gone_at_us, LINK_NEVER);
}

static void
test_the_brake_holds_at_suspect(void **state)
{
    struct link_status status = fresh();

    (void)state;
    for (int i = 0; i < 5; i++)
        status = link_strikes_apply(&status, &gone, START + i * DAY_US, LINK_BRAKE_GONE);
    assert_int_equal(status.state, LINK_SUSPECT);
    assert_int_equal(status.next_at_us, START + 5 * DAY_US);
    status = link_strikes_apply(&status, &gone, status.next_at_us, LINK_BRAKE_NONE);
    assert_int_equal(status.state, LINK_GONE);
}

/* The source listed the row again and took its state away; old strikes must not count. */
static void
test_strikes_of_a_row_that_came_back(void **state)
{
    struct link_status status = fresh();

    (void)state;
    status = link_strikes_apply(&status, &gone, START, LINK_BRAKE_NONE);
    status = link_strikes_apply(&status, &gone, START + 6 * HOUR_US, LINK_BRAKE_NONE);
    status.state = LINK_UNCHECKED;
    status = link_strikes_apply(&status, &gone, START + 80 * HOUR_US, LINK_BRAKE_NONE);
    assert_int_equal(status.state, LINK_SUSPECT);
    assert_int_equal(status.strikes.n_gone, 1);
    assert_int_equal(status.strikes.gone_since_us, START + 80 * HOUR_US);
}

static void
test_a_clock_set_back(void **state)
{
    struct link_status status = fresh();

    (void)state;
    status = link_strikes_apply(&status, &gone, START, LINK_BRAKE_NONE);
    status = link_strikes_apply(&status, &gone, START - 400 * DAY_US, LINK_BRAKE_NONE);
    assert_int_equal(status.last_checked_at_us, START);
    assert_int_equal(status.next_at_us, START + 24 * HOUR_US);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_long_it_takes),
        cmocka_unit_test(test_many_strikes_at_once),
        cmocka_unit_test(test_strong_span_counts_from_the_first_strong_one),
        cmocka_unit_test(test_one_success_forgets_all),
        cmocka_unit_test(test_gone_is_visited_three_times),
        cmocka_unit_test(test_the_brake_holds_at_suspect),
        cmocka_unit_test(test_strikes_of_a_row_that_came_back),
        cmocka_unit_test(test_a_clock_set_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
