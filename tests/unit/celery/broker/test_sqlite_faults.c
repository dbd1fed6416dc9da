/* The SQLite broker under faults that only it has: full and broken disks, locks, lost side files,
 * stopped and forked processes. */

#include "tests/unit/celery/broker/party.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "base/database_internal.h"
#include "celery/broker/sqlite_internal.h"

struct setting {
    char dir[64];
    char url[128];
    struct fake_clock clock;
    struct party a;
    struct party b;
};

static struct setting *
open_setting(void)
{
    struct setting *self = calloc(1, sizeof(*self));
    struct broker_options options;

    assert_non_null(self);
    test_dir_make(self->dir);
    (void)snprintf(self->url, sizeof(self->url), "sqlite:///%s/broker.db", self->dir);
    fake_clock_init(&self->clock);
    options = party_options(&self->a, &self->clock.clock);
    party_open(&self->a, self->url, &options);
    options = party_options(&self->b, &self->clock.clock);
    party_open(&self->b, self->url, &options);
    return self;
}

static void
close_setting(struct setting *self)
{
    broker_close(self->a.broker);
    broker_close(self->b.broker);
    test_dir_remove(self->dir);
    free(self);
}

static struct database *
database_of(const struct party *party)
{
    return sqlite_broker_from(party->broker)->database;
}

/* a holds "1" and "2". */
static struct setting *
open_with_claims(void)
{
    struct setting *self = open_setting();

    (void)party_publish(&self->a, "q", "1");
    (void)party_publish(&self->a, "q", "2");
    party_run(&self->a);
    party_consume(&self->a, "q", 2);
    party_run(&self->a);
    assert_int_equal(self->a.n_received, 2);
    self->a.n_told = 0;
    party_consume(&self->b, "q", 10);
    return self;
}

static void
limit_file_size(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* No space: the sender is told, what was acknowledged stays, verdicts are carried out later. */
static void
test_no_space(void **state)
{
    struct setting *self = open_with_claims();
    struct broker_verdict bound = {.action = BROKER_ACK};
    char path[128];
    struct stat info;
    uint64_t ack;
    uint64_t publish;
    uint64_t bound_ack;
    struct error err;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)snprintf(path, sizeof(path), "%s/broker.db-wal", self->dir);
    assert_int_equal(stat(path, &info), 0);
    limit_file_size((rlim_t)info.st_size + 100);
    ack = party_settle(&self->a, self->a.received[0].tag, BROKER_ACK);
    publish = party_publish(&self->a, "q", "3");
    bound.after = publish;
    bound_ack = party_settle_with(&self->a, self->a.received[1].tag, &bound);
    assert_ok(broker_run(self->a.broker, &err), err);
    limit_file_size(0);
    assert_int_equal(party_outcome(&self->a, publish), BROKER_FAILED);
    assert_int_equal(self->a.told[0].code, ERR_DISK_FULL);
    assert_int_equal(party_outcome(&self->a, bound_ack), BROKER_FAILED);
    assert_int_equal(self->a.n_told, 2);
    assert_int_equal(party_count(&self->b, "q"), 2);

    fake_clock_advance(&self->clock, US_PER_S);
    party_run(&self->a);
    assert_int_equal(party_outcome(&self->a, ack), BROKER_DONE);
    assert_int_equal(party_count(&self->b, "q"), 1);
    assert_true(party_settle(&self->a, self->a.received[1].tag, BROKER_ACK) > 0); /* open again */
    party_run(&self->a);
    assert_int_equal(party_count(&self->b, "q"), 0);
    close_setting(self);
}

/* Somebody else has the write lock: no round waits for him, nothing is lost, nobody is robbed. */
static void
test_locked(void **state)
{
    struct setting *self = open_with_claims();
    struct error err;
    uint64_t ack;
    int64_t start_us;

    (void)state;
    ack = party_settle(&self->a, self->a.received[0].tag, BROKER_ACK);
    assert_ok(database_begin(database_of(&self->b), &err), err);
    for (int i = 0; i < 30; i++) {
        fake_clock_advance(&self->clock, US_PER_S);
        start_us = clock_mono_us(&clock_system);
        assert_ok(broker_run(self->a.broker, &err), err);
        assert_true(clock_mono_us(&clock_system) - start_us < 100 * US_PER_MS);
    }
    assert_int_equal(self->a.n_told, 0);
    assert_int_equal(broker_flush(self->a.broker, 10 * US_PER_MS, &err), -ERR_TIMEOUT);
    database_rollback(database_of(&self->b));
    party_run(&self->b); /* first, with every lease of a run out */
    assert_int_equal(self->b.n_received, 0);
    fake_clock_advance(&self->clock, US_PER_S);
    party_run(&self->a);
    assert_int_equal(party_outcome(&self->a, ack), BROKER_DONE);
    assert_int_equal(self->a.n_lost, 0);
    assert_true(party_stats(&self->a).n_busy >= 30);
    close_setting(self);
}

/* A sync failed: nothing is acknowledged any more, now or later. */
static void
test_failed_sync(void **state)
{
    struct setting *self = open_with_claims();
    uint64_t ack = party_settle(&self->a, self->a.received[0].tag, BROKER_ACK);
    uint64_t publish = party_publish(&self->a, "q", "3");
    struct broker_wait wait;
    struct error err;

    (void)state;
    database_of(&self->a)->is_failed = true;
    assert_int_equal(broker_run(self->a.broker, &err), -ERR_IO);
    assert_int_equal(party_outcome(&self->a, ack), BROKER_FAILED);
    assert_int_equal(party_outcome(&self->a, publish), BROKER_FAILED);
    assert_int_equal(broker_run(self->a.broker, &err), -ERR_IO);
    assert_int_equal(broker_flush(self->a.broker, US_PER_S, &err), -ERR_IO);
    broker_get_wait(self->a.broker, &wait);
    assert_int_equal(wait.fd, -1);
    assert_true(wait.deadline_us > self->clock.mono_us + 3600 * US_PER_S);
    assert_int_equal(party_count(&self->b, "q"), 2);
    close_setting(self);
}

static void
test_damage(void **state)
{
    struct setting *self = open_setting();
    struct error err;

    (void)state;
    (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    assert_ok(database_execute(database_of(&self->a), "DELETE FROM messages", &err), err);
    party_consume(&self->b, "q", 1);
    assert_int_equal(broker_run(self->b.broker, &err), -ERR_CORRUPT);
    assert_int_equal(self->b.n_received, 0);
    assert_int_equal(broker_run(self->b.broker, &err), -ERR_CORRUPT);
    close_setting(self);
}

/* Whoever was at work under another boot is gone, whatever his byte looks like. */
static void
test_other_boot(void **state)
{
    struct setting *self = open_with_claims();

    (void)state;
    (void)snprintf(sqlite_broker_from(self->b.broker)->boot_id, BOOT_ID_BYTES, "another");
    party_run(&self->b);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "1 2");
    close_setting(self);
}

/* The live file is removed under everybody: nobody is robbed as long as he renews, and death is
 * still noticed, by the new file. */
static void
test_live_file_is_removed(void **state)
{
    struct setting *self = open_with_claims();
    char path[128];

    (void)state;
    party_run(&self->b);
    (void)snprintf(path, sizeof(path), "%s/broker.db-live", self->dir);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 20; i++) {
        fake_clock_advance(&self->clock, US_PER_S);
        party_run(&self->b);
        party_run(&self->a);
    }
    assert_int_equal(self->b.n_received, 0);
    assert_int_equal(self->a.n_lost, 0);
    assert_int_equal(access(path, F_OK), 0);

    /* Wake-ups go through the new file. */
    (void)party_publish(&self->a, "q", "3");
    party_run(&self->a);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "3");
    live_file_release(&sqlite_broker_from(self->a.broker)->live);
    fake_clock_advance(&self->clock, US_PER_S);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "1 2");
    close_setting(self);
}

/* And whoever does not renew has lost it by the lease. */
static void
test_live_file_is_removed_and_owner_dead(void **state)
{
    struct setting *self = open_with_claims();
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/broker.db-live", self->dir);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 9; i++) {
        fake_clock_advance(&self->clock, US_PER_S);
        party_run(&self->b);
    }
    assert_int_equal(self->b.n_received, 0);
    fake_clock_advance(&self->clock, 2 * US_PER_S);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "1 2");
    close_setting(self);
}

/* The descriptor of an idle consumer turns readable when another handle publishes. */
static void
test_wait_descriptor(void **state)
{
    struct setting *self = open_setting();
    struct broker_wait wait;
    struct pollfd poll_fd;

    (void)state;
    party_consume(&self->b, "q", 1);
    party_run(&self->b);
    broker_get_wait(self->b.broker, &wait);
    assert_true(wait.fd >= 0);
    poll_fd = (struct pollfd){.fd = wait.fd, .events = wait.events};
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    assert_int_equal(poll(&poll_fd, 1, 0), 1);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "1");
    assert_int_equal(party_stats(&self->b).n_wakeups, 1);

    /* Without credit nothing can be done about news: nothing to poll. */
    broker_get_wait(self->b.broker, &wait);
    assert_int_equal(wait.fd, -1);
    close_setting(self);
}

/* Without inotify the timer is shorter, and that is all. */
static void
test_without_inotify(void **state)
{
    struct setting *self = open_setting();
    struct sqlite_broker *broker = sqlite_broker_from(self->b.broker);
    struct broker_wait wait;

    (void)state;
    party_consume(&self->b, "q", 1);
    (void)close(broker->live.watch_fd);
    broker->live.watch_fd = -1;
    party_run(&self->b);
    (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    broker_get_wait(self->b.broker, &wait);
    assert_int_equal(wait.fd, -1);
    assert_true(wait.deadline_us <= self->clock.mono_us + 50 * US_PER_MS);
    fake_clock_advance(&self->clock, 50 * US_PER_MS);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "1");
    close_setting(self);
}

static int
fail_commit(void *context, struct error *err)
{
    (void)context;
    return error_set(err, ERR_DISK_FULL, "no space, says the test");
}

/* A queue's number that was rolled back may be another queue's by now. */
static void
test_queue_of_a_lost_transaction(void **state)
{
    struct setting *self = open_setting();
    struct error err;

    (void)state;
    database_set_commit_hook(database_of(&self->a), fail_commit, NULL);
    (void)party_publish(&self->a, "mine", "1");
    assert_ok(broker_run(self->a.broker, &err), err);
    database_set_commit_hook(database_of(&self->a), NULL, NULL);
    (void)party_publish(&self->b, "yours", "2");
    party_run(&self->b);
    fake_clock_advance(&self->clock, US_PER_S);
    (void)party_publish(&self->a, "mine", "3");
    party_run(&self->a);
    assert_int_equal(party_count(&self->a, "mine"), 1);
    assert_int_equal(party_count(&self->a, "yours"), 1);
    close_setting(self);
}

static void
pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

/* Rounds with real pauses, as a loop would make them. */
static void
run_for(struct party *party, int64_t span_ms, size_t until_received)
{
    struct error err;

    for (int64_t ms = 0; ms < span_ms && party->n_received < until_received; ms += 20) {
        pause_ms(20);
        assert_ok(broker_run(party->broker, &err), err);
    }
}

/* In a child, with one claim; it writes a byte to fd when it has it, and another when its ack is
 * on disk.  with_child: it has forked, and the grandchild lives on. */
static pid_t
start_claimer(const char *url, int fd, bool has_child)
{
    pid_t pid = test_fork();

    if (pid == 0) {
        struct party *party = calloc(1, sizeof(*party));
        struct broker_options options = party_options(party, NULL);
        struct error err;
        bool has_acked = false;

        options.lease_us = 300 * US_PER_MS;
        party_open(party, url, &options);
        party_consume(party, "q", 1);
        run_for(party, 5000, 1);
        if (has_child && fork() == 0) {
            broker_forget(party->broker);
            pause_ms(6000);
            _exit(0);
        }
        if (write(fd, "c", 1) != 1)
            _exit(1);
        for (int i = 0; i < 100; i++) {
            pause_ms(20);
            if (broker_run(party->broker, &err) < 0)
                _exit(1);
            if (i == 60)
                (void)party_settle(party, party->received[0].tag, BROKER_ACK);
            if (!has_acked && party->n_told > 0 && party->told[0].outcome == BROKER_DONE) {
                has_acked = true;
                if (write(fd, "a", 1) != 1)
                    _exit(1);
            }
        }
        _exit(0);
    }
    return pid;
}

static void
read_byte(int fd, char wanted)
{
    char byte = 0;

    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, wanted);
}

/* A stopped process is slow, not dead: five leases later its ack still counts. */
static void
test_stopped_process(void **state)
{
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options = party_options(party, NULL);
    struct setting *self = open_setting();
    int fds[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    pid = start_claimer(self->url, fds[1], false);
    read_byte(fds[0], 'c');
    options.lease_us = 300 * US_PER_MS;
    party_open(party, self->url, &options);
    party_consume(party, "q", 5);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    run_for(party, 1500, 1);
    assert_int_equal(kill(pid, SIGCONT), 0);
    read_byte(fds[0], 'a');
    assert_int_equal(party->n_received, 0);
    assert_int_equal(party_count(party, "q"), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    broker_close(party->broker);
    free(party);
    (void)close(fds[0]);
    (void)close(fds[1]);
    close_setting(self);
}

/* A child that forgot its parent's broker does not keep the dead parent alive. */
static void
test_forked_child(void **state)
{
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options = party_options(party, NULL);
    struct setting *self = open_setting();
    int fds[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    pid = start_claimer(self->url, fds[1], true);
    read_byte(fds[0], 'c');
    party_open(party, self->url, &options);
    party_consume(party, "q", 5);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    run_for(party, 4000, 1);
    assert_string_equal(party_texts(party), "1");
    broker_close(party->broker);
    free(party);
    (void)close(fds[0]);
    (void)close(fds[1]);
    close_setting(self);
}

/* Statements search their tables by key, but for those that count. */
static void
test_query_plans(void **state)
{
    static const char *const may_scan[] = {"consumers", "revoked", "SELECT count(*)",
                                           "FROM queues", "NOT IN (SELECT", "NOT EXISTS (SELECT"};
    struct setting *self = open_with_claims();
    struct broker_verdict delayed = {.action = BROKER_REQUEUE, .delay_us = 1000};
    const struct statement_cache *cache;
    struct error err;
    int64_t n_purged;
    size_t n_plans = 0;

    (void)state;
    (void)party_settle(&self->a, self->a.received[0].tag, BROKER_CRASHED);
    (void)party_settle_with(&self->a, self->a.received[1].tag, &delayed);
    party_run(&self->a);
    fake_clock_advance(&self->clock, US_PER_S);
    broker_set_credit(self->a.broker, 2);
    party_run(&self->a);
    (void)party_settle(&self->a, self->a.received[2].tag, BROKER_ACK);
    (void)party_settle(&self->a, self->a.received[3].tag, BROKER_BURY);
    party_run(&self->a);
    assert_ok(broker_requeue_dead(self->a.broker, 1, &err), err);
    assert_ok(broker_purge(self->a.broker, STR("q"), &n_purged, &err), err);
    cache = &database_of(&self->a)->statements;
    for (size_t i = 0; i < cache->n_slots; i++) {
        char sql[1024];
        sqlite3_stmt *plan = NULL;
        bool is_allowed = false;

        if (!cache->slots[i])
            continue;
        for (size_t k = 0; k < COUNT_OF(may_scan); k++)
            is_allowed = is_allowed || strstr(cache->slots[i]->sql, may_scan[k]);
        (void)snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", cache->slots[i]->sql);
        if (is_allowed || sqlite3_prepare_v2(database_of(&self->b)->handle, sql, -1, &plan, NULL))
            continue;
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *detail = (const char *)sqlite3_column_text(plan, 3);

            n_plans++;
            if (strncmp(detail, "SCAN", 4) == 0 && !strstr(sql, "LIMIT"))
                fail_msg("%s: %s", cache->slots[i]->sql, detail);
        }
        (void)sqlite3_finalize(plan);
    }
    assert_true(n_plans > 10);
    close_setting(self);
}

/* Writers and checkpointers of several processes: the WAL stays small, the file whole.
 * TRAWL_TEST_WAL_SECONDS=600 for the long one. */
static void
test_processes_keep_the_file_whole(void **state)
{
    const char *text = getenv("TRAWL_TEST_WAL_SECONDS");
    int64_t span_us = (text ? strtol(text, NULL, 10) : 2) * US_PER_S;
    struct setting *self = open_setting();
    char path[128];
    struct stat info;
    struct error err;
    pid_t pids[3];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        pids[i] = test_fork();
        if (pids[i] == 0) {
            int64_t until_us = clock_mono_us(&clock_system) + span_us;
            struct party *party = calloc(1, sizeof(*party));
            struct broker_options options = party_options(party, NULL);
            struct broker_message message = party_message("q", "x");
            static char bytes[2000];

            message.bytes = (struct str){bytes, sizeof(bytes)};
            party_open(party, self->url, &options);
            party_consume(party, "q", 0);
            while (clock_mono_us(&clock_system) < until_us) {
                for (int k = 0; k < 50; k++)
                    (void)party_publish_with(party, &message);
                party->n_received = 0;
                party->n_told = 0;
                broker_set_credit(party->broker, 40);
                assert_ok(broker_flush(party->broker, 5 * US_PER_S, &err), err);
                for (size_t k = 0; k < party->n_received; k++)
                    (void)party_settle(party, party->received[k].tag, BROKER_ACK);
            }
            broker_close(party->broker);
            _exit(0);
        }
    }
    for (size_t i = 0; i < COUNT_OF(pids); i++) {
        int status = -1;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    (void)snprintf(path, sizeof(path), "%s/broker.db-wal", self->dir);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size < (16 << 20));
    assert_ok(database_check(database_of(&self->a), &err), err);
    assert_true(party_count(&self->a, "q") > 0);
    close_setting(self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_other_boot),
        cmocka_unit_test(test_live_file_is_removed),
        cmocka_unit_test(test_live_file_is_removed_and_owner_dead),
        cmocka_unit_test(test_wait_descriptor),
        cmocka_unit_test(test_without_inotify),
        cmocka_unit_test(test_queue_of_a_lost_transaction),
        cmocka_unit_test(test_stopped_process),
        cmocka_unit_test(test_forked_child),
        cmocka_unit_test(test_query_plans),
        cmocka_unit_test(test_processes_keep_the_file_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
