/* celery/beat.h on a clock of the test's own. */

#include "tests/unit/celery/beat_day.h"

#include <inttypes.h>

#include "base/log.h"
#include "celery/message.h"

#define START_US (INT64_C(1800000000) * US_PER_S)

static const struct celery_schedule ten_seconds[] = {
    {"tick", "t.tick", .every_s = 10, .queue = "q"},
    CELERY_SCHEDULE_END,
};

/* All slots of the entry have been sent once: their number is that of the messages. */
static void
expect_runs(struct day *day, int64_t n_runs, int64_t last_slot_s)
{
    struct beat_state seen = day_state(day, "tick");

    assert_int_equal(seen.n_runs, n_runs);
    assert_int_equal(seen.last_slot_us, START_US + last_slot_s * US_PER_S);
    assert_int_equal(day_count(day, "q"), n_runs);
}

static void
test_a_new_entry_fires_one_interval_later(void **state)
{
    struct day day;
    struct celery_beat *beat;

    (void)state;
    day_begin(&day, ten_seconds);
    beat = day_start_beat(&day);
    day_pass(&day, &beat, 1, 10 * US_PER_S - 1);
    assert_true(celery_beat_is_leading(beat));
    expect_runs(&day, 0, 0);
    day_pass(&day, &beat, 1, 1);
    expect_runs(&day, 1, 10);
    day_pass(&day, &beat, 1, 25 * US_PER_S);
    expect_runs(&day, 3, 30);
    assert_int_equal(day_lead(&day).term, 1);
    celery_beat_free(beat);
    assert_string_equal(day_lead(&day).owner, "");
    day_end(&day);
}

static void
test_a_pause_costs_one_run(void **state)
{
    struct day day;
    struct celery_beat *beat;

    (void)state;
    day_begin(&day, ten_seconds);
    beat = day_start_beat(&day);
    day_pass(&day, &beat, 1, 15 * US_PER_S);
    celery_beat_free(beat);
    fake_clock_advance(&day.clock, 1000 * US_PER_S);
    beat = day_start_beat(&day);
    day_pass(&day, &beat, 1, US_PER_S);
    expect_runs(&day, 2, 1010); /* the latest slot, on the old grid */
    day_pass(&day, &beat, 1, 20 * US_PER_S);
    expect_runs(&day, 4, 1030);
    celery_beat_free(beat);
    day_end(&day);
}

static void
test_a_silent_leader_is_followed_within_5_s(void **state)
{
    struct day day;
    struct celery_beat *beats[2];
    int64_t waited_us = 0;

    (void)state;
    day_begin(&day, ten_seconds);
    beats[0] = day_start_beat(&day);
    beats[1] = day_start_beat(&day);
    day_pass(&day, beats, 2, 31 * US_PER_S);
    assert_true(celery_beat_is_leading(beats[0]));
    assert_false(celery_beat_is_leading(beats[1]));
    expect_runs(&day, 3, 30);

    /* The first one is stopped: no turn of it. */
    while (!celery_beat_is_leading(beats[1])) {
        day_pass(&day, &beats[1], 1, US_PER_S / 10);
        waited_us += US_PER_S / 10;
        assert_in_range(waited_us, 0, 5 * US_PER_S);
    }
    assert_true(waited_us > BEAT_LEASE_US - CELERY_BEAT_SIGN_US); /* no haste, either */
    day_pass(&day, &beats[1], 1, 60 * US_PER_S - waited_us);
    expect_runs(&day, 9, 90);

    /* It goes on, believes that it leads, and is told better before it sends anything. */
    assert_true(celery_beat_is_leading(beats[0]));
    day_pass(&day, &beats[0], 1, US_PER_S / 10);
    assert_false(celery_beat_is_leading(beats[0]));
    day_pass(&day, beats, 2, 60 * US_PER_S);
    expect_runs(&day, 15, 150);
    assert_int_equal(day_lead(&day).term, 2);

    /* Who leaves in order is followed at once. */
    celery_beat_free(beats[1]);
    day_pass(&day, &beats[0], 1, CELERY_BEAT_LOOK_US);
    assert_true(celery_beat_is_leading(beats[0]));
    celery_beat_free(beats[0]);
    day_end(&day);
}

/* Steps of the wall clock, and what is sent in the two minutes after each. */
static void
test_the_wall_clock_jumps(void **state)
{
    static const struct {
        int64_t step_s;
        int64_t n_runs; /* 12 slots are in two minutes */
    } rows[] = {
        {3600, 13}, /* one for all that was jumped over */
        {-3600, 0}, /* seen before: it is waited out */
        {86400, 13},
        {-86400, 0},
        {INT64_C(2147483647) - 1800000000, 13}, /* 2038, by a clock that was never set */
        {1800000000 - INT64_C(2147483647), 12}, /* and back: from now on */
        {-26 * 3600, 12}, /* set wrong on purpose: keys let nothing be sent twice, anchors move */
        {1, 12},
    };
    struct day day;
    struct celery_beat *beat;
    int64_t n_runs;

    (void)state;
    day_begin(&day, ten_seconds);
    beat = day_start_beat(&day);
    day_pass(&day, &beat, 1, 25 * US_PER_S);
    n_runs = 2;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        day.clock.now_us += rows[i].step_s * US_PER_S;
        day_pass(&day, &beat, 1, 120 * US_PER_S);
        if (day_state(&day, "tick").n_runs - n_runs != rows[i].n_runs)
            fail_msg("step %zu: %" PRId64 " runs, not %" PRId64, i,
                     day_state(&day, "tick").n_runs - n_runs, rows[i].n_runs);
        n_runs += rows[i].n_runs;
        assert_int_equal(day_count(&day, "q"), n_runs);
        assert_true(celery_beat_is_leading(beat));
    }
    assert_int_equal(day_lead(&day).term, 1); /* leadership knows no wall clock */
    celery_beat_free(beat);
    day_end(&day);
}

/* The store fails at each of its operations in turn, before and after their effect. */
static void
test_each_operation_fails(void **state)
{
    (void)state;
    for (int how = FAULT_BEFORE; how <= FAULT_AFTER; how++) {
        for (int n = 1; n < 200; n++) {
            struct day day;
            struct celery_beat *beat;
            bool has_failed;

            day_begin(&day, ten_seconds);
            beat = day_start_beat(&day);
            day_break(n, (enum day_fault)how);
            day_pass(&day, &beat, 1, 35 * US_PER_S);
            has_failed = day_has_failed();
            day_break(0, FAULT_BEFORE);
            day_pass(&day, &beat, 1, 3 * US_PER_S); /* for a failure at the end */
            assert_true(celery_beat_is_leading(beat));
            assert_int_equal(day_state(&day, "tick").n_runs, 3);
            assert_int_equal(day_count(&day, "q"), 3);
            celery_beat_free(beat);
            day_end(&day);
            if (!has_failed)
                break;
            assert_int_not_equal(n, 199);
        }
    }
}

/* A broker that is away for a minute: one run in the end, and the grid goes on. */
static void
test_a_broker_is_away(void **state)
{
    struct day day;
    struct celery_beat *beat;
    int64_t n_turns = 0;

    (void)state;
    day_begin(&day, ten_seconds);
    beat = day_start_beat(&day);
    day_pass(&day, &beat, 1, 11 * US_PER_S);
    for (int64_t passed_us = 0; passed_us < 60 * US_PER_S; n_turns++) {
        int64_t wait_us;

        day_break(1, FAULT_BEFORE);
        wait_us = celery_beat_turn(beat);
        fake_clock_advance(&day.clock, wait_us);
        passed_us += wait_us;
    }
    day_break(0, FAULT_BEFORE);
    assert_in_range(n_turns, 20, 200); /* tried often enough, and not all the time */
    day_pass(&day, &beat, 1, 5 * US_PER_S);
    assert_int_equal(day_state(&day, "tick").n_runs, 2);
    day_pass(&day, &beat, 1, 30 * US_PER_S);
    assert_int_equal(day_state(&day, "tick").n_runs, 5);
    assert_int_equal(day_count(&day, "q"), 5);
    celery_beat_free(beat);
    day_end(&day);
}

static void
test_entries_do_not_hinder_each_other(void **state)
{
    static char big[(40 << 10) + 32];
    static struct celery_schedule rows[205];
    static char names[200][16];
    static char queue[300];
    struct day day;
    struct celery_beat *beat;

    (void)state;
    (void)memset(queue, 'q', sizeof(queue) - 1);
    (void)snprintf(big, sizeof(big), "[\"%0*d\"]", 40 << 10, 0);
    for (size_t i = 0; i < 200; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "e%zu", i);
        rows[i] = (struct celery_schedule){
            .name = names[i], .task = "t", .every_s = 30, .queue = "q", .args = i ? NULL : big};
    }
    rows[200] = ten_seconds[0];
    rows[201] =
        (struct celery_schedule){.name = "refused", .task = "t", .every_s = 10, .queue = queue};
    rows[202] = (struct celery_schedule){.name = "never", .task = "t", .crontab = "0 0 1 1 *"};
    rows[203] = (struct celery_schedule)CELERY_SCHEDULE_END;
    day_begin(&day, rows);
    beat = day_start_beat(&day);
    day_pass(&day, &beat, 1, 61 * US_PER_S);
    assert_int_equal(day_count(&day, "q"), 406);
    assert_int_equal(day_state(&day, "tick").n_runs, 6);
    assert_int_equal(day_state(&day, "e199").n_runs, 2);
    assert_int_equal(day_state(&day, "never").n_runs, 0);
    assert_true(celery_beat_is_leading(beat));
    celery_beat_free(beat);
    day_end(&day);
}

static struct celery_message
decode(struct day *day, struct arena *arena)
{
    struct celery_message message;
    struct broker_dead dead;
    struct broker_dead_list list;
    struct error err;

    /* The judge's window keeps 31 bytes of a message; the dead set keeps all. */
    party_consume(day->judge, "q", 1);
    party_run(day->judge);
    assert_int_equal(day->judge->n_received, 1);
    assert_int_equal(day->judge->received[0].priority, 7);
    (void)party_settle(day->judge, day->judge->received[0].tag, BROKER_BURY);
    party_run(day->judge);
    assert_ok(broker_list_dead(day->judge->broker, STR_NULL, 0, 1, arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_ok(broker_get_dead(day->judge->broker, list.items[0].dead_id, arena, &dead, &err), err);
    assert_ok(celery_message_decode_envelope(dead.bytes, NULL, arena, &message, NULL, &err), err);
    assert_str_equal(dead.id, arena_printf(arena, "%.*s", STR_ARG(message.id)));
    return message;
}

static void
test_the_message_is_an_ordinary_one(void **state)
{
    static const struct celery_schedule rows[] = {
        {"tick", "t.tick", .every_s = 10, .args = " [1, \"x\"] ", .kwargs = "{\"a\": null}",
         .queue = "q", .priority = 7, .expires_s = 90},
        CELERY_SCHEDULE_END,
    };
    struct arena arena = ARENA_INIT(1 << 20);
    struct day day;
    struct celery_beat *beat;
    struct celery_message message;

    (void)state;
    day_begin(&day, rows);
    beat = day_start_beat(&day);
    day_pass(&day, &beat, 1, 10 * US_PER_S);
    message = decode(&day, &arena);
    assert_str_equal(message.task, "t.tick");
    assert_str_equal(message.args, "[1, \"x\"]");
    assert_str_equal(message.argsrepr, "[1, 'x']");
    assert_str_equal(message.kwargs, "{\"a\": null}");
    assert_str_equal(message.kwargsrepr, "{'a': None}");
    assert_int_equal(message.expires.us, START_US + 100 * US_PER_S);
    assert_str_equal(message.expiration, "90000");
    assert_int_equal(message.eta.us, CELERY_NO_TIME);
    assert_int_equal(message.priority, 7);
    assert_int_equal(message.delivery_mode, 2);
    assert_str_equal(message.routing_key, "q");
    assert_true(str_starts_with(message.origin, STR("gen")));
    assert_true(uuid_is_valid(message.id));
    celery_beat_free(beat);
    arena_fini(&arena);
    day_end(&day);
}

static void
test_what_cannot_be_begun(void **state)
{
    static const struct celery_schedule bad[] = {
        {"x", "t", .crontab = "61 * * * *"},
        CELERY_SCHEDULE_END,
    };
    struct celery_beat_options options = {.broker_url = STR("nonsense://x"), .rows = bad};
    struct celery_beat *beat = NULL;
    struct error err;

    (void)state;
    assert_int_equal(celery_beat_create(&options, &beat, &err), -ERR_INVALID);
    assert_null(beat);
    options.rows = ten_seconds;
    assert_ok(celery_beat_create(&options, &beat, &err), err);
    assert_int_equal(celery_beat_open(beat, &err), -ERR_CONFIG);
    assert_int_equal(celery_beat_run(beat, NULL, NULL, &err), -ERR_CONFIG);
    assert_non_null(strstr(err.message, "nonsense"));
    celery_beat_free(beat);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_entry_fires_one_interval_later),
        cmocka_unit_test(test_a_pause_costs_one_run),
        cmocka_unit_test(test_a_silent_leader_is_followed_within_5_s),
        cmocka_unit_test(test_the_wall_clock_jumps),
        cmocka_unit_test(test_each_operation_fails),
        cmocka_unit_test(test_a_broker_is_away),
        cmocka_unit_test(test_entries_do_not_hinder_each_other),
        cmocka_unit_test(test_the_message_is_an_ordinary_one),
        cmocka_unit_test(test_what_cannot_be_begun),
    };

    log_configure(STDERR_FILENO, LOG_NOTHING, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
