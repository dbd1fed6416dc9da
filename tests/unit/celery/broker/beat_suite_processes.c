/* Several processes, and kill -9. */

#include "tests/unit/celery/broker/beat_suite.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define N_RACERS 4
#define N_RACES  30
#define N_KILLS  40

/* In shared memory. */
struct ledger {
    int go;                 /* the race that may begin */
    int n_ready;            /* racers that have looked, in all races */
    int n_won[N_RACES + 1]; /* by the race, from 1 */
    int64_t n_sent;         /* answers BEAT_DONE */
    int64_t n_repeated;
    int64_t n_fenced;
};

static struct ledger *
make_ledger(void)
{
    struct ledger *ledger =
        mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(ledger != MAP_FAILED);
    return ledger;
}

static pid_t
fork_child(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void
expect_success(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* A child that fails an assertion has no test to jump to. */
static void
require(bool is_true)
{
    if (!is_true)
        _exit(1);
}

static void
race(const char *url, int racer, struct ledger *ledger)
{
    const char *const owners[N_RACERS] = {"r0", "r1", "r2", "r3"};
    struct beat_store *store = beat_suite_open(url, owners[racer]);

    for (int i = 1; i <= N_RACES; i++) {
        struct beat_lead lead;
        enum beat_answer answer;

        while (__atomic_load_n(&ledger->go, __ATOMIC_SEQ_CST) < i)
            (void)usleep(100);
        require(beat_store_look(store, &lead, NULL) == 0);
        (void)__atomic_add_fetch(&ledger->n_ready, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&ledger->n_ready, __ATOMIC_SEQ_CST) < i * N_RACERS)
            (void)usleep(100);
        require(beat_store_take(store, &lead, &answer, NULL) == 0);
        if (answer == BEAT_DONE)
            (void)__atomic_add_fetch(&ledger->n_won[i], 1, __ATOMIC_SEQ_CST);
        if (racer == 0)
            (void)__atomic_store_n(&ledger->go, i + 1, __ATOMIC_SEQ_CST);
    }
    beat_store_close(store);
    _exit(0);
}

static void
test_one_of_many_wins_each_race(void **state)
{
    struct ledger *ledger = make_ledger();
    pid_t pids[N_RACERS];
    char url[256];

    (void)state;
    beat_suite_factory->set_up(url);
    ledger->go = 1;
    for (int i = 0; i < N_RACERS; i++) {
        pids[i] = fork_child();
        if (pids[i] == 0)
            race(url, i, ledger);
    }
    for (int i = 0; i < N_RACERS; i++)
        expect_success(pids[i]);
    for (int i = 1; i <= N_RACES; i++)
        assert_int_equal(ledger->n_won[i], 1);
    beat_suite_factory->tear_down();
    (void)munmap(ledger, sizeof(*ledger));
}

static const char *const names[] = {"e"};

/* Steal the lead, read what was sent last, send the next; some slots twice. */
static void
steal_and_send(struct beat_store *store, int64_t n_turns, struct ledger *ledger)
{
    struct broker_message message = beat_suite_message("m");
    struct beat_state state = {0};
    enum beat_answer answer;

    for (int64_t i = 0; i < n_turns; i++) {
        struct beat_lead lead;

        require(beat_store_look(store, &lead, NULL) == 0);
        require(beat_store_take(store, &lead, &answer, NULL) == 0);
        if (answer == BEAT_DONE)
            require(beat_store_load(store, names, 1, beat_suite_slot(0), &state, &answer, NULL) ==
                    0);
        for (int k = 0; k < 3 && answer != BEAT_FENCED; k++) {
            int64_t slot_us = state.last_slot_us + (k == 1 ? 0 : 60 * US_PER_S);

            (void)usleep((useconds_t)(rand() % 500)); /* a moment in which others steal */
            require(beat_store_send(store, "e", slot_us, &message, &state, &answer, NULL) == 0);
            (void)__atomic_add_fetch(answer == BEAT_DONE       ? &ledger->n_sent
                                     : answer == BEAT_REPEATED ? &ledger->n_repeated
                                                               : &ledger->n_fenced,
                                     1, __ATOMIC_SEQ_CST);
        }
    }
}

static void
expect_sum(const char *url, int64_t at_least, int64_t at_most)
{
    struct beat_store *store = beat_suite_open(url, "judge");
    struct arena arena = ARENA_INIT(1 << 20);
    struct beat_record_list list;
    struct error err;
    int64_t n_runs;

    assert_ok(beat_store_list(store, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    n_runs = list.items[0].state.n_runs;
    assert_int_equal(list.items[0].state.last_slot_us, beat_suite_slot(n_runs));
    assert_int_equal(beat_suite_count(url, "q"), n_runs);
    assert_in_range(n_runs, at_least, at_most);
    arena_fini(&arena);
    beat_store_close(store);
}

/* Nobody waits for anybody's lease: each slot is sent once all the same. */
static void
test_thieves_send_each_slot_once(void **state)
{
    struct ledger *ledger = make_ledger();
    pid_t pids[N_RACERS];
    char url[256];

    (void)state;
    beat_suite_factory->set_up(url);
    beat_store_close(beat_suite_open(url, "first"));
    for (int i = 0; i < N_RACERS; i++) {
        const char *const owners[N_RACERS] = {"t0", "t1", "t2", "t3"};

        pids[i] = fork_child();
        if (pids[i] == 0) {
            struct beat_store *store = beat_suite_open(url, owners[i]);

            srand((unsigned)i);
            steal_and_send(store, 60, ledger);
            beat_store_close(store);
            _exit(0);
        }
    }
    for (int i = 0; i < N_RACERS; i++)
        expect_success(pids[i]);
    assert_true(ledger->n_sent > 0);
    assert_true(ledger->n_repeated > 0);
    assert_true(ledger->n_fenced > 0);
    expect_sum(url, ledger->n_sent, ledger->n_sent);
    beat_suite_factory->tear_down();
    (void)munmap(ledger, sizeof(*ledger));
}

/* Killed anywhere: a message and its slot are both there, or neither. */
static void
test_kills_leave_no_half_slot(void **state)
{
    struct ledger *ledger = make_ledger();
    useconds_t opening_us = 0; /* what a slow machine needs before the first send */
    char url[256];
    int status;

    (void)state;
    srand(1);
    beat_suite_factory->set_up(url);
    for (int i = 0; i < N_KILLS; i++) {
        int64_t n_before = ledger->n_sent;
        pid_t pid = fork_child();

        if (pid == 0) {
            steal_and_send(beat_suite_open(url, "victim"), INT64_MAX, ledger);
            _exit(0);
        }
        (void)usleep(opening_us + (useconds_t)(2000 + rand() % 20000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        if (ledger->n_sent == n_before)
            opening_us += 5000;
    }
    assert_true(ledger->n_sent > N_KILLS / 4);
    /* One more for each that was killed between the store's answer and the ledger. */
    expect_sum(url, ledger->n_sent, ledger->n_sent + N_KILLS);
    beat_suite_factory->tear_down();
    (void)munmap(ledger, sizeof(*ledger));
}

const struct CMUnitTest beat_suite_processes[] = {
    cmocka_unit_test(test_one_of_many_wins_each_race),
    cmocka_unit_test(test_thieves_send_each_slot_once),
    cmocka_unit_test(test_kills_leave_no_half_slot),
    {0},
};
