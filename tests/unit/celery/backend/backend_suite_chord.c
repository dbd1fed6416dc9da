/* Chords, on every result backend: each end counts once, and one of them owns what follows. */

#include "celery/backend/chord.h"

#include <sys/wait.h>

#include "tests/unit/celery/backend/backend_suite.h"

#define N_RACERS  4
#define N_MEMBERS 40

/* Report one end; what came of it. */
static struct backend_chord_count
report_as(struct backend *backend, struct arena *arena, const char *group, const char *task,
          int64_t index, const char *state)
{
    struct backend_chord_count count = {0};
    char member[200];
    struct error err;

    (void)snprintf(member, sizeof(member), "[1, \"%s\", \"%s\", %d]", task, state, (int)index);
    assert_ok(backend_chord_count(backend,
                                  &(struct backend_chord_part){.group_id = str_from_cstr(group),
                                                               .task_id = str_from_cstr(task),
                                                               .index = index,
                                                               .member = str_from_cstr(member)},
                                  1, arena, &count, &err),
              err);
    return count;
}

static struct backend_chord_count
report(struct suite_fixture *fixture, const char *task, int64_t index, const char *state)
{
    return report_as(fixture->backend, &fixture->arena, "g", task, index, state);
}

static void
begin(struct suite_fixture *fixture, int64_t size, struct str saved)
{
    struct error err;

    assert_ok(backend_chord_begin(fixture->backend, STR("g"), size, saved, &err), err);
}

static void
test_complete(void **state)
{
    struct suite_fixture *fixture = *state;
    struct backend_chord_count count;

    begin(fixture, 3, STR_NULL);
    assert_false(report(fixture, "c", 2, "SUCCESS").is_due);
    assert_false(report(fixture, "a", 0, "FAILURE").is_due);
    count = report(fixture, "b", 1, "SUCCESS");
    assert_true(count.is_due);
    assert_int_equal(count.n_parts, 3);
    assert_str_equal(count.parts[0], "[1, \"a\", \"FAILURE\", 0]");
    assert_str_equal(count.parts[1], "[1, \"b\", \"SUCCESS\", 1]");
    assert_str_equal(count.parts[2], "[1, \"c\", \"SUCCESS\", 2]");
    assert_null(count.saved.ptr);
}

/* A message that comes again reports again: it counts once, and owns what it has owned. */
static void
test_repeated(void **state)
{
    struct suite_fixture *fixture = *state;
    struct backend_chord_count count;

    begin(fixture, 2, STR_NULL);
    for (int i = 0; i < 3; i++)
        assert_false(report(fixture, "a", 0, "SUCCESS").is_due);
    for (int i = 0; i < 3; i++)
        assert_true(report(fixture, "b", 1, "SUCCESS").is_due);
    assert_false(report(fixture, "a", 0, "SUCCESS").is_due);
    count = report(fixture, "b", 1, "FAILURE"); /* it ran again, and ended otherwise */
    assert_true(count.is_due);
    assert_int_equal(count.n_parts, 2);
    assert_str_equal(count.parts[1], "[1, \"b\", \"FAILURE\", 1]");
}

static void
test_over(void **state)
{
    struct suite_fixture *fixture = *state;
    struct error err;

    begin(fixture, 1, STR_NULL);
    assert_true(report(fixture, "a", 0, "SUCCESS").is_due);
    for (int i = 0; i < 2; i++)
        assert_ok(backend_chord_end(fixture->backend, STR("g"), &err), err);
    assert_false(report(fixture, "a", 0, "SUCCESS").is_due);
    begin(fixture, 1, STR_NULL); /* its sender was delivered again, too */
    assert_false(report(fixture, "a", 0, "SUCCESS").is_due);
}

/* Parts may be there before the size, and an index may be missing. */
static void
test_late_size(void **state)
{
    struct suite_fixture *fixture = *state;
    struct backend_chord_count count;

    assert_false(report(fixture, "x", -1, "SUCCESS").is_due);
    begin(fixture, 3, STR("{\"result\": 1}"));
    begin(fixture, 3, STR_NULL);
    assert_false(report(fixture, "a", 7, "SUCCESS").is_due);
    count = report(fixture, "y", -1, "SUCCESS");
    assert_true(count.is_due);
    assert_int_equal(count.n_parts, 3);
    assert_str_equal(count.parts[0], "[1, \"a\", \"SUCCESS\", 7]");
    assert_str_equal(count.saved, "{\"result\": 1}");
}

static void
test_batch(void **state)
{
    struct suite_fixture *fixture = *state;
    static const struct backend_chord_part parts[] = {
        {STR_INIT("g"), STR_INIT("a"), 0, STR_INIT("[1, \"a\", \"SUCCESS\", 1]")},
        {STR_INIT("h"), STR_INIT("b"), 0, STR_INIT("[1, \"b\", \"SUCCESS\", 2]")},
        {STR_INIT("g"), STR_INIT("c"), 1, STR_INIT("[1, \"c\", \"SUCCESS\", 3]")},
    };
    struct backend_chord_count counts[COUNT_OF(parts)];
    struct error err;

    begin(fixture, 2, STR_NULL);
    assert_ok(backend_chord_count(fixture->backend, parts, COUNT_OF(parts), &fixture->arena, counts,
                                  &err),
              err);
    assert_false(counts[0].is_due);
    assert_false(counts[1].is_due);
    assert_true(counts[2].is_due);
    assert_str_equal(counts[2].parts[0], "[1, \"a\", \"SUCCESS\", 1]");
}

static void
test_bad_ids(void **state)
{
    struct suite_fixture *fixture = *state;
    struct backend_chord_part part = {.task_id = STR("a"), .member = STR("[]")};
    struct backend_chord_count count;

    assert_int_equal(backend_chord_begin(fixture->backend, STR(""), 1, STR_NULL, NULL),
                     -ERR_INVALID);
    assert_int_equal(backend_chord_count(fixture->backend, &part, 1, &fixture->arena, &count, NULL),
                     -ERR_INVALID);
    assert_int_equal(backend_chord_end(fixture->backend, STR(""), NULL), -ERR_INVALID);
    assert_int_equal(backend_chord_count(fixture->backend, NULL, BACKEND_MAX_CHORD_PARTS + 1,
                                         &fixture->arena, &count, NULL),
                     -ERR_TOO_LARGE);
}

/* One of several processes that report every member, each twice; exit status: how often it was
 * told that it owns what follows. */
static int
race(const struct suite_fixture *fixture, int racer)
{
    struct backend *backend = suite_open(fixture);
    struct arena arena = ARENA_INIT((size_t)16 << 20);
    int n_due = 0;

    for (int i = 0; i < 2 * N_MEMBERS; i++) {
        int member = (i + racer * 7) % N_MEMBERS;
        char task[16];

        if (member % N_RACERS != racer)
            continue;
        (void)snprintf(task, sizeof(task), "t%d", member);
        n_due += report_as(backend, &arena, "g", task, member, "SUCCESS").is_due;
    }
    backend_close(backend);
    arena_fini(&arena);
    return n_due;
}

/* Of processes that report at once exactly one member is the owner. */
static void
test_race(void **state)
{
    struct suite_fixture *fixture = *state;
    pid_t pids[N_RACERS];
    int n_owners = 0;

    begin(fixture, N_MEMBERS, STR_NULL);
    backend_close(fixture->backend);
    fixture->backend = NULL;
    for (int i = 0; i < N_RACERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            _exit(race(fixture, i));
    }
    for (int i = 0; i < N_RACERS; i++) {
        int status = 0;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 2);
        n_owners += WEXITSTATUS(status) > 0;
    }
    assert_int_equal(n_owners, 1);
    fixture->backend = suite_open(fixture);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, suite_setup, suite_teardown)

const struct CMUnitTest backend_suite_chord[] = {
    TEST(test_complete), TEST(test_repeated), TEST(test_over), TEST(test_late_size),
    TEST(test_batch),    TEST(test_bad_ids),  TEST(test_race),
};
const size_t n_backend_suite_chord = COUNT_OF(backend_suite_chord);
