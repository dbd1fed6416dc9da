/* The Redis broker beside the real Kombu, in both directions.  Needs a Python with Celery
 * (TRAWL_CELERY_PYTHON, or .cache/celery-venv), else it is skipped. */

#include "tests/unit/celery/broker/redis_setting.h"

#include <sys/wait.h>

#define PEER "tests/unit/celery/broker/kombu_peer.py"

static const char *
find_python(void)
{
    const char *python = getenv("TRAWL_CELERY_PYTHON");

    if (!python)
        python = ".cache/celery-venv/bin/python";
    if (access(python, X_OK) != 0) {
        print_message("# skipped: no Python with Celery: %s\n", python);
        skip();
    }
    return python;
}

/* Run the peer to its end; what it printed, without the last newline. */
static const char *
run_peer(struct redis_setting *self, const char *arguments)
{
    static char output[4096];
    char command[1024];
    size_t n;
    FILE *pipe;

    (void)snprintf(command, sizeof(command), "%s " PEER " %.*s %s", find_python(),
                   (int)strcspn(self->url, "?"), self->url, arguments);
    pipe = popen(command, "re");
    assert_non_null(pipe);
    n = fread(output, 1, sizeof(output) - 1, pipe);
    assert_int_equal(pclose(pipe), 0);
    while (n > 0 && output[n - 1] == '\n')
        n--;
    output[n] = '\0';
    return output;
}

static void
test_takes_from_kombu(void **state)
{
    struct redis_setting *self;

    (void)state;
    (void)find_python();
    self = redis_setting_open_real("/1", NULL);
    (void)run_peer(self, "publish q 6 low");
    (void)run_peer(self, "publish q 0 1 2 3");
    party_consume(&self->a, "q", 5);
    party_run(&self->a);
    assert_int_equal(self->a.received[3].priority, 6);
    assert_string_equal(party_texts(&self->a), "1 2 3 low");
    for (size_t i = 0; i < 4; i++)
        (void)party_settle(&self->a, self->a.received[i].tag, BROKER_ACK);
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "EXISTS", "unacked"), 0);
    assert_int_equal(redis_setting_count(self, "EXISTS", "unacked_index"), 0);
    redis_setting_close(self);
}

static void
test_gives_to_kombu(void **state)
{
    struct redis_setting *self;

    (void)state;
    (void)find_python();
    self = redis_setting_open_real("/1", NULL);
    (void)party_publish(&self->a, "q", "1");
    (void)party_publish(&self->a, "q", "2");
    party_run(&self->a);
    assert_string_equal(run_peer(self, "size q"), "2");
    assert_string_equal(run_peer(self, "take q 2 ack"), "1 False False\n2 False False");
    assert_int_equal(redis_setting_count(self, "EXISTS", "unacked"), 0);
    redis_setting_close(self);
}

/* Through an exchange that only Python declared: from the queue that it was routed to. */
static void
test_named_exchange(void **state)
{
    struct redis_setting *self;

    (void)state;
    (void)find_python();
    self = redis_setting_open_real("/1", NULL);
    (void)run_peer(self, "publish_topic events a.b mine 1");
    party_consume(&self->a, "mine", 5);
    party_run(&self->a);
    assert_string_equal(party_texts(&self->a), "1");
    broker_close(self->a.broker); /* releases */
    self->a.broker = NULL;
    assert_string_equal(run_peer(self, "size mine"), "1");
    redis_setting_close(self);
}

/* Python workers restore what dead Trawl workers held, if no Trawl worker is left to do it. */
static void
test_kombu_restores_ours(void **state)
{
    struct redis_setting *self;
    const char *output;

    (void)state;
    (void)find_python();
    self = redis_setting_open_real("/1", NULL);
    (void)party_publish(&self->a, "q", "1");
    (void)party_publish(&self->a, "q", "2");
    party_run(&self->a);
    party_consume(&self->a, "q", 5);
    party_run(&self->a);
    assert_int_equal(self->a.n_received, 2);
    (void)run_peer(self, "restore 1000");
    assert_int_equal(redis_setting_count(self, "HLEN", "unacked"), 2);
    (void)run_peer(self, "restore -5"); /* all of them are older */
    assert_int_equal(redis_setting_count(self, "EXISTS", "unacked"), 0);
    assert_string_equal(run_peer(self, "size q"), "2");
    output = run_peer(self, "take q 2 ack"); /* taken at one moment: in either order */
    assert_true(strcmp(output, "1 True True\n2 True True") == 0 ||
                strcmp(output, "2 True True\n1 True True") == 0);

    /* And the late one is refused. */
    (void)party_settle(&self->a, self->a.received[0].tag, BROKER_ACK);
    (void)party_settle(&self->a, self->a.received[1].tag, BROKER_REQUEUE);
    party_run(&self->a);
    assert_int_equal(party_stats(&self->a).n_fenced, 2);
    assert_int_equal(party_count(&self->a, "q"), 0);
    redis_setting_close(self);
}

/* A scheduled message as well, from the moment that it is due. */
static void
test_kombu_restores_scheduled(void **state)
{
    struct redis_setting *self;
    struct broker_message message = party_message("q", "later");

    (void)state;
    (void)find_python();
    self = redis_setting_open_real("/1", NULL);
    message.eta_us = clock_now_us(&clock_system) + 3600 * US_PER_S;
    (void)party_publish_with(&self->a, &message);
    party_run(&self->a);
    party_consume(&self->a, "q", 5);
    party_run(&self->a);
    assert_int_equal(self->a.n_received, 0);
    assert_int_equal(redis_setting_count(self, "ZCARD", "trawl.eta.q"), 1);
    (void)run_peer(self, "restore -3590");
    assert_int_equal(redis_setting_count(self, "HLEN", "unacked"), 1);
    (void)run_peer(self, "restore -3610");
    assert_int_equal(redis_setting_count(self, "LLEN", "q"), 1);
    redis_setting_close(self);
}

/* What a killed Python worker held comes back to ours. */
static void
test_restores_kombus(void **state)
{
    struct redis_setting *self;

    (void)state;
    (void)find_python();
    self = redis_setting_open_real("/1?visibility_timeout=1", NULL);
    (void)run_peer(self, "publish q 0 1 2");
    assert_string_equal(run_peer(self, "take q 2 die"), "1 False False\n2 False False");
    assert_int_equal(redis_setting_count(self, "HLEN", "unacked"), 2);
    party_consume(&self->a, "q", 5);
    redis_setting_run_until(&self->a, &self->a.n_received, 2, 10 * US_PER_S);
    assert_true(self->a.received[0].is_redelivered);
    assert_true(self->a.received[1].is_redelivered);
    assert_int_equal(redis_setting_count(self, "HLEN", "unacked"), 2); /* ours now */
    redis_setting_close(self);
}

/* Requeued by either side. */
static void
test_requeue(void **state)
{
    struct redis_setting *self;

    (void)state;
    (void)find_python();
    self = redis_setting_open_real("/1", NULL);
    (void)run_peer(self, "publish q 3 1");
    party_consume(&self->a, "q", 1);
    party_run(&self->a);
    (void)party_settle(&self->a, self->a.received[0].tag, BROKER_REQUEUE);
    party_run(&self->a);
    assert_string_equal(run_peer(self, "take q 1 requeue"), "1 True True");
    broker_set_credit(self->a.broker, 1);
    redis_setting_run_until(&self->a, &self->a.n_received, 2, 10 * US_PER_S);
    assert_int_equal(self->a.received[1].attempt, 2);
    assert_int_equal(self->a.received[1].priority, 3);
    redis_setting_close(self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_from_kombu),
        cmocka_unit_test(test_gives_to_kombu),
        cmocka_unit_test(test_named_exchange),
        cmocka_unit_test(test_kombu_restores_ours),
        cmocka_unit_test(test_kombu_restores_scheduled),
        cmocka_unit_test(test_restores_kombus),
        cmocka_unit_test(test_requeue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
