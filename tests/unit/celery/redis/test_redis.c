/* A connection to a real server that behaves: celery/redis/redis.h. */

#include <sys/wait.h>

#include "tests/unit/celery/redis/redis_fixture.h"

static void
test_call(void **state)
{
    struct redis_server *server = redis_server_start(NULL);
    char by_name[64];
    const char *urls[] = {redis_server_url(server, ""), redis_server_socket_url(server, ""),
                          by_name};

    (void)state;
    /* Where localhost is ::1 first, nobody listens there. */
    (void)snprintf(by_name, sizeof(by_name), "redis://localhost:%u",
                   (unsigned)redis_server_port(server));
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct redis_fixture self;
        const struct redis_value *reply;

        redis_fixture_open(&self, urls[i], NULL);
        assert_false(redis_is_ready(self.redis));
        assert_str_equal(redis_fixture_ask(&self, "SET k v")->text, "OK");
        assert_true(redis_is_ready(self.redis));
        reply = redis_fixture_ask(&self, "GET k");
        assert_int_equal(reply->kind, REDIS_BULK);
        assert_str_equal(reply->text, "v");
        assert_int_equal(redis_fixture_ask(&self, "GET none")->kind, REDIS_NIL);
        assert_int_equal(redis_fixture_ask(&self, "INCRBY n -7")->integer, -7 * ((int)i + 1));
        reply = redis_fixture_ask(&self, "NO SUCH");
        assert_int_equal(reply->kind, REDIS_ERROR);
        assert_int_equal(redis_check(reply, &self.err), -ERR_IO);
        redis_fixture_close(&self);
    }
    redis_server_stop(server);
}

/* More than the sockets take at once, so that both sides write while they read. */
static void
test_pipeline(void **state)
{
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;
    static char text[1100];
    const int n = 20000;

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, ""), NULL);
    for (int i = 0; i < n; i++) {
        (void)snprintf(text, sizeof(text), "ECHO %d-%01000d", i, i);
        redis_fixture_command(&self, text);
    }
    assert_int_equal(redis_count_pending(self.redis), n);
    for (int i = 0; i < n; i++) {
        assert_ok(redis_fixture_next(&self, &reply), self.err);
        (void)snprintf(text, sizeof(text), "%d-%01000d", i, i);
        assert_str_equal(reply->text, text);
        assert_int_equal(redis_count_pending(self.redis), n - i - 1);
    }
    assert_false(redis_take(self.redis, &reply));
    redis_fixture_close(&self);
    redis_server_stop(server);
}

static void
test_large(void **state)
{
    static const struct redis_options small = {.max_reply_bytes = 1000, .max_pending_bytes = 1000};
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;
    static char block[1 << 20];
    struct str words[] = {STR("APPEND"), STR("k"), {block, sizeof(block)}};

    (void)state;
    (void)memset(block, 'x', sizeof(block));
    redis_fixture_open(&self, redis_server_url(server, ""), NULL);
    for (int i = 0; i < 20; i++)
        assert_ok(redis_command(self.redis, words, 3, &self.err), self.err);
    for (int i = 0; i < 20; i++) {
        assert_ok(redis_fixture_next(&self, &reply), self.err);
        assert_int_equal(reply->integer, (i + 1) * (int64_t)sizeof(block));
    }
    reply = redis_fixture_ask(&self, "GET k");
    assert_int_equal(reply->text.len, 20 * sizeof(block));
    assert_int_equal(reply->text.ptr[reply->text.len - 1], 'x');
    redis_fixture_close(&self);

    redis_fixture_open(&self, redis_server_url(server, ""), &small);
    assert_int_equal(redis_command(self.redis, words, 3, &self.err), -ERR_TOO_LARGE);
    words[2].len = 600;
    assert_ok(redis_command(self.redis, words, 3, &self.err), self.err);
    assert_int_equal(redis_command(self.redis, words, 3, &self.err), -ERR_BUSY);
    assert_int_equal(redis_count_pending(self.redis), 1);
    assert_ok(redis_fixture_next(&self, &reply), self.err);
    assert_ok(redis_command(self.redis, words, 3, &self.err), self.err);
    assert_ok(redis_fixture_next(&self, &reply), self.err);
    assert_int_equal(redis_fixture_call(&self, "GET k", &reply), -ERR_TOO_LARGE);
    assert_int_equal(redis_run(self.redis, NULL), -ERR_TOO_LARGE); /* for good */
    assert_int_equal(redis_command(self.redis, words, 3, &self.err), -ERR_TOO_LARGE);
    redis_fixture_close(&self);
    redis_server_stop(server);
}

static void
test_auth(void **state)
{
    static const char *const arguments[] = {"--requirepass", "se/cr:et",
                                            "--user bob on >w@rd ~* +@all -role -ping", NULL};
    static const struct {
        const char *userinfo;
        int rc;
        const char *reason;
    } rows[] = {
        {":se%2Fcr:et@", 0, NULL},
        {"default:se%2Fcr%3Aet@", 0, NULL},
        {"bob:w%40rd@", 0, NULL}, /* may not ask for the role */
        {"", -ERR_AUTH, "wants a password"},
        {":hunter2@", -ERR_AUTH, "refuses user and password"},
        {"bob:hunter2@", -ERR_AUTH, "refuses user and password"},
        {"hunter2@", -ERR_AUTH, "refuses user and password"},
    };
    struct redis_server *server =
        redis_server_start(&(struct redis_server_options){.arguments = arguments});

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct redis_fixture self;
        const struct redis_value *reply = NULL;
        char url[128];

        (void)snprintf(url, sizeof(url), "redis://%s127.0.0.1:%u", rows[i].userinfo,
                       (unsigned)redis_server_port(server));
        redis_fixture_open(&self, url, NULL);
        assert_int_equal(redis_fixture_call(&self, "SET k v", &reply), rows[i].rc);
        if (rows[i].rc == 0) {
            assert_str_equal(reply->text, "OK");
        } else {
            assert_non_null(strstr(self.err.message, rows[i].reason));
            assert_non_null(strstr(self.err.message, "redis://127.0.0.1:"));
            assert_null(strstr(self.err.message, "hunter2"));
        }
        redis_fixture_close(&self);
    }
    redis_server_stop(server);
}

/* A password for a server that has none is refused by it; nobody should believe in it. */
static void
test_needless_password(void **state)
{
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;
    char url[128];

    (void)state;
    (void)snprintf(url, sizeof(url), "redis://:hunter2@127.0.0.1:%u",
                   (unsigned)redis_server_port(server));
    redis_fixture_open(&self, url, NULL);
    assert_int_equal(redis_fixture_call(&self, "SET k v", &reply), -ERR_AUTH);
    assert_non_null(strstr(self.err.message, "or has none set"));
    assert_null(strstr(self.err.message, "hunter2"));
    redis_fixture_close(&self);
    redis_server_stop(server);
}

static void
test_greeting(void **state)
{
    static const struct redis_options options = {.client_name = STR_INIT("a-name")};
    static const struct redis_options bad_name = {.client_name = STR_INIT("a name")};
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, "/3"), &options);
    assert_str_equal(redis_fixture_ask(&self, "CLIENT GETNAME")->text, "a-name");
    assert_str_equal(redis_fixture_ask(&self, "SET k 3")->text, "OK");
    redis_fixture_close(&self);
    assert_string_equal(redis_server_say(server, "DBSIZE"), ":0\r\n");

    redis_fixture_open(&self, redis_server_socket_url(server, "?virtual_host=3"), &bad_name);
    assert_str_equal(redis_fixture_ask(&self, "GET k")->text, "3");
    redis_fixture_close(&self);

    redis_fixture_open(&self, redis_server_url(server, "/99"), NULL);
    assert_int_equal(redis_fixture_call(&self, "SET k v", &reply), -ERR_CONFIG);
    assert_non_null(strstr(self.err.message, "no database 99"));
    redis_fixture_close(&self);
    redis_server_stop(server);
}

static void
test_subscriber(void **state)
{
    static const struct redis_options options = {.reply_us = TIME_UNKNOWN,
                                                 .idle_us = 2 * US_PER_MS};
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;
    char text[64];

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, ""), &options);
    redis_fixture_command(&self, "SUBSCRIBE a b");
    redis_fixture_command(&self, "PSUBSCRIBE c*");
    assert_int_equal(redis_count_pending(self.redis), 3);
    for (int i = 0; i < 3; i++) {
        assert_ok(redis_fixture_next(&self, &reply), self.err);
        assert_str_equal(reply->items[0].text, i < 2 ? "subscribe" : "psubscribe");
        assert_int_equal(reply->items[2].integer, i + 1);
    }
    /* Between messages there is time for PINGs, which nobody sees. */
    for (int i = 0; i < 20; i++) {
        (void)snprintf(text, sizeof(text), "PUBLISH %s m%d", i % 2 ? "a" : "cx", i);
        (void)redis_server_say(server, text);
        assert_ok(redis_fixture_next(&self, &reply), self.err);
        assert_str_equal(reply->items[0].text, i % 2 ? "message" : "pmessage");
        (void)snprintf(text, sizeof(text), "m%d", i);
        assert_str_equal(reply->items[reply->n_items - 1].text, text);
        assert_int_equal(redis_count_pending(self.redis), 0);
        clock_sleep_us(&clock_system, (i % 5) * US_PER_MS);
    }
    redis_fixture_command(&self, "UNSUBSCRIBE a");
    assert_int_equal(redis_count_pending(self.redis), 1);
    assert_ok(redis_fixture_next(&self, &reply), self.err);
    assert_str_equal(reply->items[0].text, "unsubscribe");
    assert_int_equal(redis_command(self.redis, &STR("UNSUBSCRIBE"), 1, &self.err), -ERR_ARGS);
    redis_fixture_close(&self);
    redis_server_stop(server);
}

/* A list that looks like a message is a reply. */
static void
test_looks_like_message(void **state)
{
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, ""), NULL);
    assert_int_equal(redis_fixture_ask(&self, "RPUSH l message a b")->integer, 3);
    reply = redis_fixture_ask(&self, "LRANGE l 0 -1");
    assert_int_equal(reply->n_items, 3);
    assert_int_equal(redis_count_pending(self.redis), 0);
    redis_fixture_close(&self);
    redis_server_stop(server);
}

static void
test_idle(void **state)
{
    static const struct redis_options options = {.idle_us = 3 * US_PER_MS};
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;
    int n_pings = 0;

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, ""), &options);
    (void)redis_fixture_ask(&self, "CONFIG RESETSTAT");
    for (int i = 0; i < 30; i++) {
        assert_ok(redis_run(self.redis, &self.err), self.err);
        assert_false(redis_take(self.redis, &reply));
        assert_int_equal(redis_count_pending(self.redis), 0);
        clock_sleep_us(&clock_system, US_PER_MS);
    }
    reply = redis_fixture_ask(&self, "INFO commandstats");
    assert_int_equal(
        sscanf(strstr(reply->text.ptr, "cmdstat_ping:calls="), "cmdstat_ping:calls=%d", &n_pings),
        1);
    assert_in_range(n_pings, 1, 30);
    redis_fixture_close(&self);
    redis_server_stop(server);
}

static void
test_scripts(void **state)
{
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    struct redis_script script;
    const struct redis_value *reply;
    struct str load[] = {STR("SCRIPT"), STR("LOAD"), STR_NULL};
    struct str run[] = {STR("EVALSHA"), STR_NULL, STR("1"), STR("k"), STR("7")};

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, ""), NULL);
    assert_ok(redis_script_init(&script,
                                "redis.call('SET', KEYS[1], ARGV[1])\n"
                                "return {KEYS[1], 5}",
                                &self.err),
              self.err);
    load[2] = str_from_cstr(script.text);
    run[1] = str_from_cstr(script.sha1);
    assert_ok(redis_call(self.redis, load, 3, FIXTURE_WAIT_US, &reply, &self.err), self.err);
    assert_str_equal(reply->text, script.sha1);
    assert_ok(redis_call(self.redis, run, 5, FIXTURE_WAIT_US, &reply, &self.err), self.err);
    assert_str_equal(reply->items[0].text, "k");
    assert_str_equal(redis_fixture_ask(&self, "GET k")->text, "7");
    (void)redis_fixture_ask(&self, "SCRIPT FLUSH");
    assert_ok(redis_call(self.redis, run, 5, FIXTURE_WAIT_US, &reply, &self.err), self.err);
    assert_int_equal(redis_check(reply, &self.err), -ERR_NETWORK);
    redis_fixture_close(&self);
    redis_server_stop(server);
}

static void
test_check(void **state)
{
    static const struct {
        enum redis_kind kind;
        struct str text;
        int rc;
    } rows[] = {
        {REDIS_STATUS, STR_INIT("OOM"), 0},
        {REDIS_BULK, STR_INIT("NOAUTH"), 0},
        {REDIS_ERROR, STR_INIT("OOM command not allowed"), -ERR_DISK_FULL},
        {REDIS_ERROR, STR_INIT("MISCONF Redis is configured"), -ERR_DISK_FULL},
        {REDIS_ERROR, STR_INIT("READONLY You can't write"), -ERR_NETWORK},
        {REDIS_ERROR, STR_INIT("LOADING"), -ERR_NETWORK},
        {REDIS_ERROR, STR_INIT("LOADINGS of things"), -ERR_IO},
        {REDIS_ERROR, STR_INIT("NOSCRIPT No matching script"), -ERR_NETWORK},
        {REDIS_ERROR, STR_INIT("BUSY Redis is busy running a script"), -ERR_BUSY},
        {REDIS_ERROR, STR_INIT("NOPERM no"), -ERR_AUTH},
        {REDIS_ERROR, STR_INIT("WRONGTYPE Operation"), -ERR_CONFIG},
        {REDIS_ERROR, STR_INIT("ERR unknown"), -ERR_IO},
        {REDIS_ERROR, STR_INIT(""), -ERR_IO},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct redis_value value = {.kind = rows[i].kind, .text = rows[i].text};

        assert_int_equal(redis_check(&value, NULL), rows[i].rc);
    }
}

/* A child that forgets does not disturb the parent's talk. */
static void
test_fork(void **state)
{
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;
    int status;
    pid_t pid;

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, ""), NULL);
    (void)redis_fixture_ask(&self, "SET k v");
    redis_fixture_command(&self, "GET k");
    pid = fork();
    if (pid == 0) {
        redis_forget(self.redis);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_ok(redis_fixture_next(&self, &reply), self.err);
    assert_str_equal(reply->text, "v");
    redis_fixture_close(&self);
    redis_server_stop(server);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_needless_password),
        cmocka_unit_test(test_greeting),
        cmocka_unit_test(test_subscriber),
        cmocka_unit_test(test_looks_like_message),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
