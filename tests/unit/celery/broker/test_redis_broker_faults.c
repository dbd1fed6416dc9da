/* The Redis broker while its server dies, stands still, refuses, or hangs up. */

#include "tests/unit/celery/broker/redis_setting.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define WAIT_US (20 * US_PER_S)

/* A consumer that acknowledges what it gets and counts every message's ends. */
struct ledger {
    struct broker *broker;
    uint8_t n_taken[PARTY_MAX]; /* by the message's number */
    uint8_t n_acked[PARTY_MAX];
    uint32_t open[PARTY_MAX]; /* the number, by the tag's slot */
    size_t n_done;
    size_t n_fenced;
    size_t n_published;
};

static void
on_delivered(void *context, const struct broker_delivery *delivery)
{
    struct ledger *self = context;
    struct broker_verdict verdict = {.action = BROKER_ACK};
    uint32_t number = (uint32_t)strtoul(delivery->id.ptr, NULL, 10);
    struct error err;

    assert_true(number < PARTY_MAX);
    self->n_taken[number]++;
    self->open[delivery->tag % PARTY_MAX] = number;
    assert_ok(broker_settle(self->broker, delivery->tag, &verdict, NULL, &err), err);
}

static void
on_completed(void *context, const struct broker_completion *completion)
{
    struct ledger *self = context;

    assert_true(completion->outcome == BROKER_DONE || completion->outcome == BROKER_FENCED);
    if (!completion->tag) {
        self->n_published++;
    } else if (completion->outcome == BROKER_DONE) {
        self->n_acked[self->open[completion->tag % PARTY_MAX]]++;
        self->n_done++;
    } else {
        self->n_fenced++;
    }
}

static struct ledger *
open_ledger(const struct redis_setting *setting)
{
    struct ledger *self = calloc(1, sizeof(*self));
    struct broker_options options = {
        .listener = {.delivered = on_delivered, .completed = on_completed, .context = self}};
    struct str queue = STR("q");
    struct error err;

    assert_non_null(self);
    assert_ok(broker_open(str_from_cstr(setting->url), &options, &self->broker, &err), err);
    assert_ok(broker_consume(self->broker, &queue, 1, &err), err);
    return self;
}

static void
close_ledger(struct ledger *self)
{
    broker_close(self->broker);
    free(self);
}

static void
publish_number(struct broker *broker, int number)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT((size_t)1 << 20);
    char text[16];
    struct broker_message message;
    struct error err;

    (void)snprintf(text, sizeof(text), "%d", number);
    message = party_message("q", text);
    party_wire_envelope.wrap(&message, &bytes);
    message.bytes = buf_str(&bytes);
    assert_ok(broker_publish(broker, &message, NULL, &err), err);
}

/* One turn of an event loop that waits at most at_most_ms. */
static void
turn(struct broker *broker, int at_most_ms)
{
    struct broker_wait wait;
    struct pollfd poll_fd;
    int64_t span_us;
    struct error err;

    broker_get_wait(broker, &wait);
    span_us = wait.deadline_us - clock_mono_us(&clock_system);
    if (span_us > at_most_ms * US_PER_MS)
        span_us = at_most_ms * US_PER_MS;
    poll_fd = (struct pollfd){.fd = wait.fd, .events = wait.events};
    if (span_us > 0)
        (void)poll(&poll_fd, 1, (int)((span_us + US_PER_MS - 1) / US_PER_MS));
    assert_ok(broker_run(broker, &err), err);
}

/* Publish n messages through one handle and take them by another, while hurt is called every few
 * turns; then let all of it end.  Each message is done once, none is lost, none is doubled. */
static void
survive(struct redis_setting *setting, int n, void (*hurt)(struct redis_setting *, int turn))
{
    struct ledger *sender = open_ledger(setting);
    struct ledger *taker = open_ledger(setting);
    int64_t until_us = clock_mono_us(&clock_system) + 60 * US_PER_S;
    int n_sent = 0;

    for (int i = 0; taker->n_done < (size_t)n; i++) {
        if (n_sent < n && i % 2 == 0)
            publish_number(sender->broker, n_sent++);
        if (i < 4 * n)
            hurt(setting, i);
        broker_set_credit(taker->broker, 16);
        turn(sender->broker, 1);
        turn(taker->broker, 1);
        assert_true(clock_mono_us(&clock_system) < until_us);
    }
    assert_int_equal(sender->n_published, n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(taker->n_taken[i], 1);
        assert_int_equal(taker->n_acked[i], 1);
    }
    assert_int_equal(taker->n_fenced, 0);
    close_ledger(sender);
    close_ledger(taker);
    assert_int_equal(redis_setting_count(setting, "EXISTS", "q"), 0);
    assert_int_equal(redis_setting_count(setting, "EXISTS", "unacked"), 0);
    assert_int_equal(redis_setting_count(setting, "EXISTS", "unacked_index"), 0);
    redis_setting_close(setting);
}

static void
kill_clients(struct redis_setting *setting, int turn)
{
    if (turn % 7 == 3)
        (void)redis_server_say(setting->server,
                               turn % 2 ? "CLIENT KILL TYPE normal" : "CLIENT KILL TYPE pubsub");
}

static void
test_killed_connections(void **state)
{
    (void)state;
    survive(redis_setting_open_real("/1", NULL), 500, kill_clients);
}

static void
flush_scripts(struct redis_setting *setting, int turn)
{
    if (turn % 20 == 7)
        (void)redis_server_say(setting->server, "SCRIPT FLUSH");
}

static void
test_flushed_scripts(void **state)
{
    (void)state;
    survive(redis_setting_open_real("/1", NULL), 300, flush_scripts);
}

static void
restart_server(struct redis_setting *setting, int turn)
{
    if (turn % 50 != 25)
        return;
    redis_server_kill(setting->server);
    redis_server_restart(setting->server);
}

/* kill -9, everything on disk. */
static void
test_restarts(void **state)
{
    static const struct redis_server_options options = {.is_persistent = true};

    (void)state;
    survive(redis_setting_open_real("/1", &options), 200, restart_server);
}

static void
pause_server(struct redis_setting *setting, int turn)
{
    if (turn % 100 != 50)
        return;
    redis_server_pause(setting->server);
    (void)poll(NULL, 0, 100);
    redis_server_resume(setting->server);
}

static void
test_short_pauses(void **state)
{
    (void)state;
    survive(redis_setting_open_real("/1", NULL), 200, pause_server);
}

/* A replica for a while: as after a failover, before the clients know of it. */
static void
demote(struct redis_setting *setting, int turn)
{
    if (turn % 100 == 30)
        (void)redis_server_say(setting->server, "REPLICAOF 127.0.0.1 1");
    if (turn % 100 == 60)
        (void)redis_server_say(setting->server, "REPLICAOF NO ONE");
}

static void
test_read_only(void **state)
{
    (void)state;
    survive(redis_setting_open_real("/1", NULL), 300, demote);
}

/* The server stands still for longer than a lease and for longer than a reply may take: nobody is
 * robbed, what was said before and is carried out late changes nothing. */
static void
test_long_pause(void **state)
{
    struct redis_setting *setting = redis_setting_open_real("/1", NULL);
    struct ledger *sender = open_ledger(setting);
    int64_t until_us;

    (void)state;
    (void)party_publish(&setting->a, "q", "1000");
    party_run(&setting->a);
    party_consume(&setting->a, "q", 1);
    redis_setting_run_until(&setting->a, &setting->a.n_received, 1, WAIT_US);
    party_consume(&setting->b, "q", 0);
    party_run(&setting->b);

    redis_server_pause(setting->server);
    for (int i = 0; i < 50; i++)
        publish_number(sender->broker, i);
    until_us = clock_mono_us(&clock_system) + 11 * US_PER_S;
    while (clock_mono_us(&clock_system) < until_us) {
        int64_t start_us = clock_mono_us(&clock_system);

        turn(sender->broker, 20);
        turn(setting->a.broker, 20);
        turn(setting->b.broker, 20);
        assert_true(clock_mono_us(&clock_system) - start_us < US_PER_S); /* nobody hangs */
    }
    redis_server_resume(setting->server);

    until_us = clock_mono_us(&clock_system) + 5 * US_PER_S;
    while (sender->n_published < 50 && clock_mono_us(&clock_system) < until_us)
        turn(sender->broker, 20);
    assert_int_equal(sender->n_published, 50);
    until_us = clock_mono_us(&clock_system) + 4 * US_PER_S;
    while (clock_mono_us(&clock_system) < until_us) {
        turn(setting->a.broker, 20);
        turn(setting->b.broker, 20);
    }
    assert_int_equal(setting->a.n_lost, 0);
    assert_int_equal(party_stats(&setting->b).n_recovered, 0);
    (void)party_settle(&setting->a, setting->a.received[0].tag, BROKER_ACK);
    party_run(&setting->a);
    assert_int_equal(party_stats(&setting->a).n_acked, 1);
    assert_int_equal(party_count(&setting->a, "q"), 50); /* not doubled */
    close_ledger(sender);
    redis_setting_close(setting);
}

/* Opening does not hang on a server that does not answer, or is not there. */
static void
test_open_in_time(void **state)
{
    struct redis_setting *setting = redis_setting_open_real("/1", NULL);
    struct broker_options options = {0};
    struct broker *broker = NULL;
    int64_t start_us;
    struct error err;
    int rc;

    (void)state;
    redis_server_pause(setting->server);
    start_us = clock_mono_us(&clock_system);
    rc = broker_open(str_from_cstr(setting->url), &options, &broker, &err);
    assert_true(rc == -ERR_TIMEOUT || rc == -ERR_NETWORK);
    assert_true(clock_mono_us(&clock_system) - start_us < 3 * US_PER_S);
    redis_server_resume(setting->server);
    rc = broker_open(STR("redis://127.0.0.1:1/0"), &options, &broker, &err);
    assert_int_equal(rc, -ERR_NETWORK);
    redis_setting_close(setting);
}

/* Without memory publishes fail and say so; acknowledging goes on, and so does the rest later. */
static void
test_out_of_memory(void **state)
{
    struct redis_setting *self = redis_setting_open_real("/1", NULL);
    struct broker_verdict bound = {.action = BROKER_ACK};
    uint64_t ack;
    uint64_t publish;
    uint64_t bound_ack;

    (void)state;
    for (int i = 0; i < 3; i++)
        (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    party_consume(&self->a, "q", 3);
    redis_setting_run_until(&self->a, &self->a.n_received, 3, WAIT_US);
    (void)redis_server_say(self->server, "CONFIG SET maxmemory 1");

    publish = party_publish(&self->a, "q", "2");
    bound.after = publish;
    bound_ack = party_settle_with(&self->a, self->a.received[0].tag, &bound);
    self->a.n_told = 0;
    redis_setting_run_until(&self->a, &self->a.n_told, 2, WAIT_US);
    assert_int_equal(party_outcome(&self->a, publish), BROKER_FAILED);
    assert_int_equal(party_outcome(&self->a, bound_ack), BROKER_FAILED);
    assert_int_equal(self->a.told[0].code, ERR_DISK_FULL);
    ack = party_settle(&self->a, self->a.received[1].tag, BROKER_ACK);
    redis_setting_run_until(&self->a, &self->a.n_told, 3, WAIT_US);
    assert_int_equal(party_outcome(&self->a, ack), BROKER_DONE);

    (void)redis_server_say(self->server, "CONFIG SET maxmemory 0");
    ack = party_settle(&self->a, self->a.received[0].tag, BROKER_ACK);
    redis_setting_run_until(&self->a, &self->a.n_told, 4, WAIT_US);
    assert_int_equal(party_outcome(&self->a, ack), BROKER_DONE);
    assert_int_equal(party_count(&self->a, "q"), 1);
    redis_setting_close(self);
}

/* A server that forgot everything: who held something is told, and goes on. */
static void
test_amnesia(void **state)
{
    struct redis_setting *self = redis_setting_open_real("/1", NULL);

    (void)state;
    (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    party_consume(&self->a, "q", 2);
    redis_setting_run_until(&self->a, &self->a.n_received, 1, WAIT_US);
    redis_server_kill(self->server);
    redis_server_restart(self->server);
    redis_setting_run_until(&self->a, &self->a.n_lost, 1, WAIT_US);
    (void)party_publish(&self->a, "q", "2");
    redis_setting_run_until(&self->a, &self->a.n_received, 2, WAIT_US);
    assert_string_equal(self->a.received[1].text, "2");
    assert_int_equal(
        SAY(self, STR("SISMEMBER"), STR("_kombu.binding.q"), STR("q\x06\x16\x06\x16q"))->integer,
        1);
    redis_setting_close(self);
}

/* A user who may not ask to be woken: the queue is looked at often enough. */
static void
test_without_tracking(void **state)
{
    struct redis_setting *self = redis_setting_open_real("/1", NULL);
    struct broker_options options = party_options(&self->b, NULL);
    char url[128];
    int64_t start_us;

    (void)state;
    (void)redis_server_say(self->server,
                           "ACL SETUSER poor on >secret ~* &* +@all -client|tracking");
    broker_close(self->b.broker);
    (void)snprintf(url, sizeof(url), "redis://poor:secret@127.0.0.1:%u/1",
                   redis_server_port(self->server));
    party_open(&self->b, url, &options);
    party_consume(&self->b, "q", 100);
    for (int i = 0; i < 300; i++)
        turn(self->b.broker, 1);
    start_us = clock_mono_us(&clock_system);
    (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    redis_setting_run_until(&self->b, &self->b.n_received, 1, WAIT_US);
    assert_true(clock_mono_us(&clock_system) - start_us < US_PER_S);
    assert_int_equal(redis_broker_from(self->b.broker)->tracking, TRACKING_REFUSED);
    redis_setting_close(self);
}

/* An idle consumer asks for little. */
static void
test_idle_is_quiet(void **state)
{
    struct redis_setting *self = redis_setting_open_real("/1", NULL);
    int64_t until_us;
    int n_rounds = 0;

    (void)state;
    party_consume(&self->a, "q", 10);
    for (int i = 0; i < 20; i++)
        turn(self->a.broker, 10);
    until_us = clock_mono_us(&clock_system) + 3 * US_PER_S;
    while (clock_mono_us(&clock_system) < until_us) {
        turn(self->a.broker, 3000);
        n_rounds++;
    }
    assert_in_range(n_rounds, 1, 30);
    redis_setting_close(self);
}

/* A child that forgets what it inherited disturbs nobody. */
static void
test_forked_child(void **state)
{
    struct redis_setting *self = redis_setting_open_real("/1", NULL);
    int status = 0;
    pid_t pid;

    (void)state;
    party_consume(&self->a, "q", 10);
    (void)party_publish(&self->a, "q", "1");
    redis_setting_run_until(&self->a, &self->a.n_received, 1, WAIT_US);
    pid = test_fork();
    if (pid == 0) {
        broker_forget(self->a.broker);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)party_settle(&self->a, self->a.received[0].tag, BROKER_ACK);
    party_run(&self->a);
    assert_int_equal(party_stats(&self->a).n_acked, 1);
    redis_setting_close(self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_connections),
        cmocka_unit_test(test_flushed_scripts),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_short_pauses),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_long_pause),
        cmocka_unit_test(test_open_in_time),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_amnesia),
        cmocka_unit_test(test_without_tracking),
        cmocka_unit_test(test_idle_is_quiet),
        cmocka_unit_test(test_forked_child),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
