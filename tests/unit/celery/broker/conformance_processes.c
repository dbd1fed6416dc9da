/* Several processes, the real clock, and kill -9. */

#include "tests/unit/celery/broker/conformance.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define N_MESSAGES 3000
#define N_KILLS    40

/* What the processes tell each other, in shared memory. */
struct ledger {
    int64_t at_us;                      /* the moment that a test measures */
    uint32_t n_started[N_MESSAGES + 1]; /* by the message's number, from 1 */
    uint32_t n_done[N_MESSAGES + 1];    /* acknowledged, and told so */
};

static struct ledger *
make_ledger(void)
{
    struct ledger *ledger =
        mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(ledger != MAP_FAILED);
    return ledger;
}

static void
wait_for(struct broker *broker, int64_t at_most_us)
{
    struct broker_wait wait;
    struct pollfd poll_fd;
    int64_t span_us;

    broker_get_wait(broker, &wait);
    span_us = wait.deadline_us - clock_mono_us(&clock_system);
    if (span_us > at_most_us)
        span_us = at_most_us;
    poll_fd = (struct pollfd){.fd = wait.fd, .events = wait.events};
    if (span_us > 0)
        (void)poll(&poll_fd, 1, (int)((span_us + 999) / 1000));
}

static void
run_until(struct party *party, size_t n_received, int64_t timeout_us)
{
    int64_t until_us = clock_mono_us(&clock_system) + timeout_us;
    struct error err;

    while (party->n_received < n_received && clock_mono_us(&clock_system) < until_us) {
        wait_for(party->broker, until_us - clock_mono_us(&clock_system));
        assert_ok(broker_run(party->broker, &err), err);
    }
    assert_int_equal(party->n_received, n_received);
}

/* In a child: a worker that acknowledges everything, until it is killed. */
struct worker {
    struct broker *broker;
    struct ledger *ledger;
    uint32_t numbers[64]; /* by tag's slot */
};

static void
on_delivered(void *context, const struct broker_delivery *delivery)
{
    struct worker *self = context;
    struct broker_verdict verdict = {.action = BROKER_ACK};
    uint32_t number = (uint32_t)strtoul(delivery->id.ptr, NULL, 10);

    if (number % 50 == 0 && delivery->attempt < 3)
        verdict = (struct broker_verdict){.action = BROKER_REQUEUE, .delay_us = 1000};
    else if (number % 51 == 0)
        verdict = (struct broker_verdict){.action = BROKER_BURY, .reason = STR("unwanted")};
    self->ledger->n_started[number]++;
    self->numbers[delivery->tag % 64] = verdict.action == BROKER_ACK ? number : 0;
    if (broker_settle(self->broker, delivery->tag, &verdict, NULL, NULL) < 0)
        _exit(3);
}

static void
on_completed(void *context, const struct broker_completion *completion)
{
    struct worker *self = context;

    if (completion->tag && completion->outcome == BROKER_DONE)
        self->ledger->n_done[self->numbers[completion->tag % 64]]++;
}

static _Noreturn void
work_for_ever(const char *url, struct ledger *ledger)
{
    struct worker self = {.ledger = ledger};
    struct broker_options options = {
        .listener = {.delivered = on_delivered, .completed = on_completed, .context = &self}};
    struct str queue = STR("q");

    if (broker_open(str_from_cstr(url), &options, &self.broker, NULL) < 0 ||
        broker_consume(self.broker, &queue, 1, NULL) < 0)
        _exit(1);
    for (;;) {
        broker_set_credit(self.broker, 16);
        if (broker_run(self.broker, NULL) < 0)
            _exit(2);
        wait_for(self.broker, US_PER_S);
    }
}

static pid_t
start_worker(const char *url, struct ledger *ledger)
{
    pid_t pid = test_fork();

    if (pid == 0)
        work_for_ever(url, ledger);
    return pid;
}

static void
kill_worker(pid_t pid)
{
    int status = 0;

    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void
publish_numbers(struct party *party, int from, int to)
{
    char text[16];

    for (int i = from; i <= to; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        (void)party_publish(party, "q", text);
    }
}

/* Three workers, one of them killed every few milliseconds: what was sent is done, dead or there.
 */
static void
test_kills(void **state)
{
    struct ledger *ledger = make_ledger();
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options = party_options(party, NULL);
    unsigned seed = 20251124;
    char url[256];
    pid_t pids[3];
    int64_t n_done = 0;
    int64_t n_left = 1;
    struct error err;

    (void)state;
    conformance_factory->set_up(url);
    party_open(party, url, &options);
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        pids[i] = start_worker(url, ledger);
    for (int i = 0; i < N_KILLS; i++) {
        struct timespec pause = {.tv_nsec = rand_r(&seed) % 15000000};
        size_t idx = (size_t)i % COUNT_OF(pids);

        publish_numbers(party, i * N_MESSAGES / N_KILLS + 1, (i + 1) * N_MESSAGES / N_KILLS);
        assert_ok(broker_flush(party->broker, 10 * US_PER_S, &err), err);
        (void)nanosleep(&pause, NULL);
        kill_worker(pids[idx]);
        pids[idx] = start_worker(url, ledger);
    }
    for (int i = 0; i < 300 && n_left > 0; i++) {
        (void)poll(NULL, 0, 50);
        n_left = party_count(party, "q");
    }
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        kill_worker(pids[i]);
    assert_int_equal(n_left, 0);
    for (uint32_t i = 1; i <= N_MESSAGES; i++) {
        assert_true(ledger->n_started[i] > 0);
        assert_true(ledger->n_done[i] <= 1); /* a told ack is final */
        n_done += ledger->n_done[i];
    }
    /* Acknowledged just before the kill, and not told: those are done as well. */
    assert_in_range(n_done, N_MESSAGES - N_MESSAGES / 51 - N_KILLS * 16, N_MESSAGES);
    assert_int_equal(party_count_dead(party), N_MESSAGES / 51);
    broker_close(party->broker);
    conformance_factory->tear_down();
    (void)munmap(ledger, sizeof(*ledger));
    free(party);
}

/* A publisher that is killed: what it was told is there, and nothing is there twice. */
static void
test_killed_publisher(void **state)
{
    struct ledger *ledger = make_ledger();
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options = party_options(party, NULL);
    char url[256];

    (void)state;
    conformance_factory->set_up(url);
    for (int round = 0; round < 10; round++) {
        pid_t pid = test_fork();

        if (pid == 0) {
            party_open(party, url, &options);
            for (int i = 1;; i++) {
                (void)party_publish(party, "q", "x");
                if (broker_flush(party->broker, US_PER_S, NULL) < 0)
                    _exit(1);
                ledger->n_done[round] = (uint32_t)i;
            }
        }
        while (*(volatile uint32_t *)&ledger->n_done[round] < 5)
            (void)poll(NULL, 0, 1);
        kill_worker(pid);
    }
    party_open(party, url, &options);
    for (int round = 0; round < 10; round++)
        ledger->n_done[10] += ledger->n_done[round];
    assert_in_range(party_count(party, "q"), ledger->n_done[10], ledger->n_done[10] + 10);
    broker_close(party->broker);
    conformance_factory->tear_down();
    (void)munmap(ledger, sizeof(*ledger));
    free(party);
}

/* In a child: take what there is, say so, and hang. */
static pid_t
start_hanger(const char *url, struct ledger *ledger)
{
    pid_t pid = test_fork();

    if (pid == 0) {
        struct party *party = calloc(1, sizeof(*party));
        struct broker_options options = party_options(party, NULL);
        struct error err;

        party_open(party, url, &options);
        party_consume(party, "q", 5);
        for (;;) {
            wait_for(party->broker, US_PER_S);
            if (broker_run(party->broker, &err) < 0)
                _exit(1);
            ledger->at_us = (int64_t)party->n_received;
        }
    }
    while (*(volatile int64_t *)&ledger->at_us < 5)
        (void)poll(NULL, 0, 1);
    return pid;
}

/* Back within ten seconds of a kill -9, with an idle consumer that waits as it is told to. */
static void
test_back_in_time(void **state)
{
    struct ledger *ledger = make_ledger();
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options = party_options(party, NULL);
    int64_t killed_at_us;
    char url[256];
    pid_t pid;

    (void)state;
    conformance_factory->set_up(url);
    party_open(party, url, &options);
    publish_numbers(party, 1, 5);
    party_run(party);
    pid = start_hanger(url, ledger);
    party_consume(party, "q", 10);
    party_run(party);
    kill_worker(pid);
    killed_at_us = clock_mono_us(&clock_system);
    run_until(party, 5, 12 * US_PER_S);
    print_message("# back after %lld ms\n",
                  (long long)((clock_mono_us(&clock_system) - killed_at_us) / US_PER_MS));
    assert_true(clock_mono_us(&clock_system) - killed_at_us < 10 * US_PER_S);
    assert_string_equal(party_texts(party), "1 2 3 4 5");
    broker_close(party->broker);
    conformance_factory->tear_down();
    (void)munmap(ledger, sizeof(*ledger));
    free(party);
}

/* From a publish in one process to the delivery in another that waits. */
static void
test_wake_up(void **state)
{
    struct ledger *ledger = make_ledger();
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options = party_options(party, NULL);
    int64_t spans_us[50];
    char url[256];
    pid_t pid;

    (void)state;
    conformance_factory->set_up(url);
    pid = test_fork();
    if (pid == 0) {
        party_open(party, url, &options);
        for (;;) {
            (void)poll(NULL, 0, 10);
            *(volatile int64_t *)&ledger->at_us = clock_mono_us(&clock_system);
            (void)party_publish(party, "q", "x");
            if (broker_flush(party->broker, US_PER_S, NULL) < 0)
                _exit(1);
        }
    }
    party_open(party, url, &options);
    party_consume(party, "q", PARTY_MAX);
    run_until(party, 1, 5 * US_PER_S);
    for (size_t i = 0; i < COUNT_OF(spans_us); i++) {
        run_until(party, party->n_received + 1, 5 * US_PER_S);
        spans_us[i] = clock_mono_us(&clock_system) - *(volatile int64_t *)&ledger->at_us;
    }
    kill_worker(pid);
    for (size_t i = 1; i < COUNT_OF(spans_us); i++) /* insertion sort */
        for (size_t k = i; k > 0 && spans_us[k] < spans_us[k - 1]; k--) {
            int64_t span_us = spans_us[k];

            spans_us[k] = spans_us[k - 1];
            spans_us[k - 1] = span_us;
        }
    print_message("# publish to delivery: median %lld us\n", (long long)spans_us[25]);
    assert_true(spans_us[25] < 10 * US_PER_MS);
    broker_close(party->broker);
    conformance_factory->tear_down();
    (void)munmap(ledger, sizeof(*ledger));
    free(party);
}

/* A backlog changes nothing for who takes from it. */
static void
test_backlog(void **state)
{
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options = party_options(party, NULL);
    int64_t start_us;
    char url[256];
    struct error err;

    (void)state;
    conformance_factory->set_up(url);
    party_open(party, url, &options);
    for (int i = 0; i < 100; i++) {
        publish_numbers(party, i * 1000 + 1, (i + 1) * 1000);
        assert_ok(broker_flush(party->broker, 10 * US_PER_S, &err), err);
    }
    assert_int_equal(party_count(party, "q"), 100000);
    start_us = clock_mono_us(&clock_system);
    party_consume(party, "q", 1000);
    run_until(party, 1000, 10 * US_PER_S);
    assert_true(clock_mono_us(&clock_system) - start_us < US_PER_S);
    assert_string_equal(party->received[0].text, "1");
    assert_string_equal(party->received[999].text, "1000");
    broker_close(party->broker);
    conformance_factory->tear_down();
    free(party);
}

const struct CMUnitTest conformance_processes[] = {
    cmocka_unit_test(test_kills),        cmocka_unit_test(test_killed_publisher),
    cmocka_unit_test(test_back_in_time), cmocka_unit_test(test_wake_up),
    cmocka_unit_test(test_backlog),      {.name = NULL},
};
