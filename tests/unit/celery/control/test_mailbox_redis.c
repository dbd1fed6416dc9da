/* The suite on a real Redis, and the layout that Python's processes expect there. */

#include "tests/unit/celery/control/mailbox_suite.h"

#include "tests/unit/celery/redis/redis_server.h"

static struct redis_server *server;

/* In the first test: where there is no redis-server, each test is skipped. */
static void
need_server(void)
{
    if (!server)
        server = redis_server_start(NULL);
    (void)redis_server_say(server, "FLUSHALL");
}

const char *
mailbox_suite_url(void)
{
    static char tail[16];
    static int database;

    (void)snprintf(tail, sizeof(tail), "/%d", database++ % 16);
    need_server();
    return redis_server_url(server, tail);
}

static struct mailbox *
open_mailbox(const char *url)
{
    struct mailbox_options options = {.name = STR("test")};
    struct mailbox *mailbox;
    struct error err;

    assert_ok(mailbox_open(str_from_cstr(url), &options, &mailbox, &err), err);
    return mailbox;
}

static void
run_until_idle(struct mailbox *mailbox)
{
    struct error err;

    for (int i = 0; i < 2000 && !mailbox_is_idle(mailbox); i++)
        assert_ok(mailbox_run_until(mailbox, clock_mono_us(&clock_system) + 5 * US_PER_MS, &err),
                  err);
    assert_true(mailbox_is_idle(mailbox));
}

static void
assert_says(const char *command, const char *reply)
{
    assert_string_equal(redis_server_say(server, command), reply);
}

/* Bindings, channels and lists by kombu's names, with the prefix in front of each; and gone after.
 */
static void
test_layout(void **state)
{
    struct mailbox_address address = {STR("reply.celery.pidbox"), STR("oid")};
    struct mailbox *node;
    struct mailbox *client;
    struct error err;

    (void)state;
    need_server();
    node = open_mailbox(redis_server_url(server, "/0?global_keyprefix=p_"));
    assert_ok(mailbox_listen(node, STR("celery.pidbox"), STR("w@h.celery.pidbox"), &err), err);
    run_until_idle(node);
    client = open_mailbox(redis_server_url(server, "/0?global_keyprefix=p_"));
    assert_ok(mailbox_receive(client, &address, STR("oid.reply.celery.pidbox"), &err), err);
    run_until_idle(client);
    assert_says("SMEMBERS p__kombu.binding.celery.pidbox",
                "*1\r\n$21\r\n\x06\x16\x06\x16w@h.celery.pidbox\r\n");
    assert_says("SMEMBERS p__kombu.binding.reply.celery.pidbox",
                "*1\r\n$30\r\noid\x06\x16\x06\x16oid.reply.celery.pidbox\r\n");
    for (int i = 0; i < 2000 && !mailbox_is_listening(node); i++)
        assert_ok(mailbox_run_until(node, clock_mono_us(&clock_system) + 5 * US_PER_MS, &err), err);
    assert_true(mailbox_is_listening(node));
    assert_says("PUBLISH p_/0.celery.pidbox x", ":1\r\n");
    assert_says("PUBLISH /0.celery.pidbox x", ":0\r\n");
    mailbox_close(client);
    mailbox_close(node);
    assert_says("DBSIZE", ":0\r\n");
}

/* Where broadcasts go, by kombu's option. */
static void
test_fanout_prefix(void **state)
{
    static const struct {
        const char *tail;
        const char *publish;
    } rows[] = {
        {"/3?fanout_prefix=/x{db}.", "PUBLISH /x3.e letter"},
        {"/3?fanout_prefix=/x.", "PUBLISH /x.e letter"},
        {"/3?fanout_prefix=false", "PUBLISH e letter"},
        {"/3?global_keyprefix=p_&fanout_prefix=/x.", "PUBLISH p_/x.e letter"},
    };

    (void)state;
    need_server();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mailbox *node = open_mailbox(redis_server_url(server, rows[i].tail));
        struct error err;

        assert_ok(mailbox_listen(node, STR("e"), STR("q"), &err), err);
        for (int k = 0; k < 2000 && !mailbox_is_listening(node); k++)
            assert_ok(mailbox_run_until(node, clock_mono_us(&clock_system) + 5 * US_PER_MS, &err),
                      err);
        assert_says(rows[i].publish, ":1\r\n");
        mailbox_close(node);
    }
}

/* To whom a binding belongs is seen by its routing key, the whole of it; the rest of the table is
 * what killed clients have left. */
static void
test_leftovers(void **state)
{
    struct mailbox_address address = {STR("r"), STR("k")};
    struct mailbox *mailbox;
    struct error err;

    (void)state;
    need_server();
    (void)redis_server_say(server, "SADD _kombu.binding.r k2\x06\x16\x06\x16wrong k\x06\x16\x06\x16"
                                   "right.pidbox junk");
    mailbox = open_mailbox(redis_server_url(server, "/0"));
    assert_ok(mailbox_send(mailbox, &address, STR("letter"), &err), err);
    run_until_idle(mailbox);
    assert_says("LRANGE right.pidbox 0 -1", "*1\r\n$6\r\nletter\r\n");
    assert_says("EXISTS wrong", ":0\r\n");
    assert_true(atoi(redis_server_say(server, "TTL right.pidbox") + 1) > 0);
    mailbox_close(mailbox);
}

/* Whoever asks chooses where the answer goes.  An address that is no list costs that answer, not
 * the mailbox; a queue of tasks gets no deadline. */
static void
test_foreign_addresses(void **state)
{
    struct mailbox_address hash = {STR("r"), STR("hash")};
    struct mailbox_address tasks = {STR("r"), STR("tasks")};
    struct mailbox *mailbox;
    struct error err;

    (void)state;
    need_server();
    (void)redis_server_say(server, "SADD _kombu.binding.r hash\x06\x16\x06\x16unacked "
                                   "tasks\x06\x16\x06\x16"
                                   "celery");
    (void)redis_server_say(server, "HSET unacked tag message");
    (void)redis_server_say(server, "SET _kombu.binding.s text");
    mailbox = open_mailbox(redis_server_url(server, "/0"));
    assert_ok(mailbox_send(mailbox, &hash, STR("letter"), &err), err);
    run_until_idle(mailbox);
    hash.exchange = STR("s");
    assert_ok(mailbox_send(mailbox, &hash, STR("letter"), &err), err);
    run_until_idle(mailbox);
    assert_ok(mailbox_send(mailbox, &tasks, STR("letter"), &err), err);
    run_until_idle(mailbox);
    assert_says("LLEN celery", ":1\r\n");
    assert_says("TTL celery", ":-1\r\n");
    mailbox_close(mailbox);
}

/* kombu 5.7 sweeps binding tables that are overdue: ours is not while we are there. */
static void
test_sweep_is_put_off(void **state)
{
    struct mailbox_address address = {STR("r"), STR("k")};
    struct mailbox *mailbox;
    struct error err;

    (void)state;
    need_server();
    (void)redis_server_say(server, "ZADD _kombu.binding_deadlines 1 r");
    mailbox = open_mailbox(redis_server_url(server, "/0"));
    assert_ok(mailbox_receive(mailbox, &address, STR("q"), &err), err);
    run_until_idle(mailbox);
    assert_says("ZCOUNT _kombu.binding_deadlines 1000000000000 +inf", ":1\r\n");
    mailbox_close(mailbox);
}

/* Refused, paused and gone: an error within the time to open, never a hang. */
static void
test_away(void **state)
{
    struct mailbox_options options = {.name = STR("test"), .max_open_us = US_PER_S / 2};
    int64_t start_us = clock_mono_us(&clock_system);
    struct mailbox *mailbox;
    struct error err;
    int rc = 0;

    (void)state;
    need_server();
    redis_server_pause(server);
    assert_ok(mailbox_open(str_from_cstr(redis_server_url(server, "/0")), &options, &mailbox, &err),
              err);
    while (rc == 0)
        rc = mailbox_run_until(mailbox, start_us + 2 * US_PER_S, &err);
    assert_true(rc == -ERR_TIMEOUT || rc == -ERR_NETWORK);
    assert_true(clock_mono_us(&clock_system) - start_us < 2 * US_PER_S);
    mailbox_close(mailbox);
    redis_server_resume(server);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        MAILBOX_SUITE_TESTS,
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_fanout_prefix),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_foreign_addresses),
        cmocka_unit_test(test_sweep_is_put_off),
        cmocka_unit_test(test_away),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    redis_server_stop(server);
    return rc;
}
