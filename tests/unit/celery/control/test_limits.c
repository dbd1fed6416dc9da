/* celery/control: what a worker's limits are made of - rates, the range of a pool that scales by
 * itself, revoked stamps. */

#include "tests/unit/check.h"

#include "base/clock.h"
#include "base/json.h"
#include "celery/control/rate.h"
#include "celery/control/stamps.h"
#include "celery/worker_control_internal.h"

static void
test_rate_texts(void **state)
{
    static const struct {
        const char *text;
        double per_s; /* negative: refused */
        const char *why;
        bool has_no_unit; /* KeyError */
    } rows[] = {
        {"10/s", 10, NULL, false},
        {"10", 10, NULL, false},
        {"30/m", 0.5, NULL, false},
        {"9/h", 0.0025, NULL, false},
        {"2.5", 2.5, NULL, false},
        {" 4 /s", 4, NULL, false},
        {"1e2/s", 100, NULL, false},
        {"0", 0, NULL, false},
        {"0/m", 0, NULL, false},
        {"", 0, NULL, false},
        {"10/", 10, NULL, false},
        {"/s", -1, "could not convert string to float: ''", false},
        {"ten/s", -1, "could not convert string to float: 'ten'", false},
        {"nan", -1, "could not convert string to float: 'nan'", false},
        {"-1/s", -1, "a rate limit must be 0 to 1e9, got -1", false},
        {"2e9", -1, "a rate limit must be 0 to 1e9, got 2e9", false},
        {"1/d", -1, "d", true},
        {"1/s/s", -1, "s/s", true},
        {"0000000000000000000000000000000000001", -1, "a rate limit has 37 bytes, allowed are 31",
         false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *exception = NULL;
        double per_s = -1;
        struct error err;
        int rc = control_rate_parse(str_from_cstr(rows[i].text), &per_s, &exception, &err);

        if (rows[i].why) {
            assert_int_equal(rc, -ERR_INVALID);
            assert_string_equal(err.message, rows[i].why);
            assert_int_equal(exception != NULL, rows[i].has_no_unit);
        } else {
            assert_ok(rc, err);
            assert_true(per_s > rows[i].per_s - 1e-9 && per_s < rows[i].per_s + 1e-9);
        }
    }
}

/* One token at first, and never more than one; each comes when it is due, not before. */
static void
test_rate_bucket(void **state)
{
    struct control_rate rate = control_rate_of(4, 1000);
    struct control_rate none = control_rate_of(0, 1000);
    int64_t now_us = 1000;

    (void)state;
    assert_true(control_rate_take(&none, now_us) && control_rate_take(&none, now_us));
    assert_int_equal(control_rate_due_us(&none, now_us), now_us);
    assert_int_equal(control_rate_due_us(&rate, now_us), now_us);
    assert_true(control_rate_take(&rate, now_us));
    for (int i = 0; i < 1000; i++) {
        int64_t due_us = control_rate_due_us(&rate, now_us);

        assert_false(control_rate_take(&rate, now_us));
        assert_in_range(due_us - now_us, US_PER_S / 4, US_PER_S / 4 + 2);
        assert_false(control_rate_take(&rate, due_us - 10));
        now_us = due_us;
        assert_true(control_rate_take(&rate, now_us));
    }
    now_us += US_PER_DAY;
    assert_true(control_rate_take(&rate, now_us));
    assert_false(control_rate_take(&rate, now_us));
    assert_false(control_rate_take(&rate, now_us - US_PER_DAY)); /* a clock that stood still */
    rate = control_rate_of(1e-9, 0);
    assert_true(control_rate_take(&rate, 0));
    assert_int_equal(control_rate_due_us(&rate, 0), 30 * US_PER_DAY);
}

/* Who looks late loses nothing, up to two tokens. */
static void
test_late_rate(void **state)
{
    struct control_rate rate = control_rate_of(100, 0);
    int n_taken = 0;

    (void)state;
    for (int64_t now_us = 0; now_us < 10 * US_PER_S; now_us += 13000)
        while (control_rate_take_late(&rate, now_us))
            n_taken++;
    assert_in_range(n_taken, 999, 1001);
    for (int i = 0; i < 3; i++)
        assert_true(control_rate_take_late(&rate, US_PER_DAY));
    assert_false(control_rate_take_late(&rate, US_PER_DAY));
}

static void
test_scale(void **state)
{
    static const struct {
        int64_t at_s;
        int64_t n_children;
        int64_t n_tasks;
        int64_t wanted;
    } rows[] = {
        {1, 1, 0, 2},                  /* below its range */
        {2, 2, 0, 2},                  /* nothing to do */
        {3, 2, 4, 4},                  /* more at once */
        {4, 4, 100, 5},                /* up to the most */
        {5, 5, 5, 5},                  /* all needed */
        {20, 5, 3, 5},                 /* too many, not for long yet */
        {34, 5, 3, 5},  {35, 5, 3, 3}, /* thirty seconds */
        {36, 3, 3, 3},  {66, 3, 0, 2}, /* down to the fewest */
        {67, 9, 9, 5},                 /* above its range: at once */
    };
    struct worker_scale scale = {.max = 5, .min = 2};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(worker_scale_choose(&scale, rows[i].n_children, rows[i].n_tasks,
                                             rows[i].at_s * US_PER_S),
                         rows[i].wanted);
}

static void
revoke_stamps(struct revoked *revoked, const char *headers)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct json value;
    struct str *keys;
    struct error err;
    size_t n_keys;

    assert_ok(json_parse(str_from_cstr(headers), NULL, &arena, &value, &err), err);
    assert_ok(stamps_list_keys(&value, 10, &arena, &keys, &n_keys, &err), err);
    for (size_t i = 0; i < n_keys; i++)
        assert_ok(revoked_insert(revoked, keys[i], &err), err);
}

static void
test_stamps(void **state)
{
    static const struct {
        const char *stamps;
        bool is_revoked;
    } rows[] = {
        {"{\"a\": \"x\"}", true},
        {"{\"a\": [\"q\", \"x\"]}", true},
        {"{\"o\": null, \"b\": 1}", true},
        {"{\"b\": \"1\"}", false},
        {"{\"b\": 2}", true},
        {"{\"a\": \"\\u0078\"}", true},
        {"{\"a\": \"X\"}", false},
        {"{\"x\": \"a\"}", false},
        {"{\"a\": []}", false},
        {"{\"a\": [[\"x\"]]}", false},
        {"{\"a\": {\"x\": 1}}", false},
        {"[\"a\", \"x\"]", false},
        {"{\"a\": \"x\"", false},
        {"", false},
    };
    struct revoked revoked = REVOKED_INIT;
    struct revoked none = REVOKED_INIT;

    (void)state;
    revoke_stamps(&revoked, "{\"a\": \"x\", \"b\": [1, 2]}");
    assert_int_equal(revoked.n_ids, 3);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(stamps_are_revoked(&revoked, str_from_cstr(rows[i].stamps)),
                         rows[i].is_revoked);
        assert_false(stamps_are_revoked(&none, str_from_cstr(rows[i].stamps)));
    }
    revoked_fini(&revoked);
}

/* A long stamp does not hide the one behind it, and is never revoked itself. */
static void
test_long_stamps(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    static char text[400];
    struct revoked revoked = REVOKED_INIT;
    struct json value;
    struct str *keys;
    struct error err;
    size_t n_keys = 7;

    (void)state;
    (void)snprintf(text, sizeof(text), "{\"a\": [\"%0300d\", \"x\"]}", 0);
    revoke_stamps(&revoked, "{\"a\": \"x\"}");
    assert_true(stamps_are_revoked(&revoked, str_from_cstr(text)));
    assert_ok(json_parse(str_from_cstr(text), NULL, &arena, &value, &err), err);
    assert_int_equal(stamps_list_keys(&value, 10, &arena, &keys, &n_keys, &err), -ERR_INVALID);
    assert_int_equal(stamps_list_keys(&value, 1, &arena, &keys, &n_keys, &err), -ERR_INVALID);
    assert_string_equal(err.message, "2 stamps at a time, allowed are 1");
    assert_int_equal(n_keys, 7);
    revoked_fini(&revoked);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_texts), cmocka_unit_test(test_rate_bucket),
        cmocka_unit_test(test_late_rate),  cmocka_unit_test(test_scale),
        cmocka_unit_test(test_stamps),     cmocka_unit_test(test_long_stamps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
