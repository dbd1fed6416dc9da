/* Servers that are away, stuck, of the wrong kind or no Redis at all: celery/redis/redis.h. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "tests/unit/celery/redis/redis_fixture.h"

/* A port that accepts, and says what it is told. */
struct impostor {
    int listener;
    char url[64];
};

static void
impostor_start(struct impostor *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(self->listener, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(self->listener, 4), 0);
    assert_int_equal(getsockname(self->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(self->url, sizeof(self->url), "redis://127.0.0.1:%u",
                   (unsigned)ntohs(address.sin_port));
}

static void
test_refused(void **state)
{
    struct impostor nobody;
    struct redis_fixture self;
    const struct redis_value *reply;

    (void)state;
    impostor_start(&nobody);
    (void)close(nobody.listener);
    redis_fixture_open(&self, nobody.url, NULL);
    assert_int_equal(redis_fixture_call(&self, "PING", &reply), -ERR_NETWORK);
    assert_non_null(strstr(self.err.message, "Connection refused"));
    assert_non_null(strstr(self.err.message, nobody.url));
    assert_int_equal(redis_run(self.redis, NULL), -ERR_NETWORK);
    redis_fixture_close(&self);

    redis_fixture_open(&self, "unix:///tmp/no-such-socket", NULL);
    assert_int_equal(redis_fixture_call(&self, "PING", &reply), -ERR_NETWORK);
    assert_non_null(strstr(self.err.message, "No such file"));
    redis_fixture_close(&self);
}

/* What is at the port is no Redis, or a rude one. */
static void
test_impostors(void **state)
{
    static const struct {
        const char *says;
        int rc;
        const char *reason;
    } rows[] = {
        {"HTTP/1.1 400 Bad Request\r\n", -ERR_INVALID, "no Redis"},
        {"-ERR max number of clients reached\r\n", -ERR_NETWORK, "too many clients"},
        {"-LOADING Redis is loading the dataset in memory\r\n", -ERR_NETWORK, "is loading"},
        {"+OK\r\n+OK\r\n+OK\r\n", -ERR_INVALID, "what was not asked"},
        {"*1\r\n$8\r\nsentinel\r\n", -ERR_CONFIG, "is a Sentinel"},
        {"", -ERR_NETWORK, "closed the connection"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct impostor impostor;
        struct redis_fixture self;
        const struct redis_value *reply;
        int fd;

        impostor_start(&impostor);
        redis_fixture_open(&self, impostor.url, NULL);
        assert_ok(redis_run(self.redis, &self.err), self.err);
        fd = accept(impostor.listener, NULL, NULL);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, rows[i].says, strlen(rows[i].says)), strlen(rows[i].says));
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        assert_int_equal(redis_fixture_call(&self, "PING", &reply), rows[i].rc);
        if (!strstr(self.err.message, rows[i].reason))
            fail_msg("%s", self.err.message);
        (void)close(fd);
        (void)close(impostor.listener);
        redis_fixture_close(&self);
    }
}

/* Accepts, and never says a word. */
static void
test_mute(void **state)
{
    static const struct redis_options options = {.connect_us = 50 * US_PER_MS};
    struct impostor impostor;
    struct redis_fixture self;
    const struct redis_value *reply;

    (void)state;
    impostor_start(&impostor);
    redis_fixture_open(&self, impostor.url, &options);
    redis_fixture_command(&self, "PING");
    assert_int_equal(redis_fixture_next(&self, &reply), -ERR_TIMEOUT);
    assert_non_null(strstr(self.err.message, "no answer within 50 ms"));
    redis_fixture_close(&self);
    (void)close(impostor.listener);
}

static void
test_paused(void **state)
{
    static const struct redis_options impatient = {.reply_us = 300 * US_PER_MS};
    static const struct redis_options idle = {.reply_us = 300 * US_PER_MS,
                                              .idle_us = 10 * US_PER_MS};
    static const struct redis_options patient = {.reply_us = TIME_UNKNOWN};
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    struct redis_fixture other;
    struct redis_fixture quiet;
    struct redis_fixture caller;
    const struct redis_value *reply;

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, ""), &impatient);
    redis_fixture_open(&other, redis_server_url(server, ""), &patient);
    redis_fixture_open(&quiet, redis_server_url(server, ""), &idle);
    redis_fixture_open(&caller, redis_server_url(server, ""), NULL);
    (void)redis_fixture_ask(&self, "PING");
    (void)redis_fixture_ask(&other, "PING");
    (void)redis_fixture_ask(&quiet, "PING");
    (void)redis_fixture_ask(&caller, "PING");
    redis_server_pause(server);

    redis_fixture_command(&self, "GET k");
    assert_int_equal(redis_fixture_next(&self, &reply), -ERR_TIMEOUT);
    assert_non_null(strstr(self.err.message, "no reply within 300 ms"));
    /* Nothing is asked, and still it is noticed. */
    assert_int_equal(redis_fixture_next(&quiet, &reply), -ERR_TIMEOUT);
    assert_int_equal(redis_call(caller.redis, &STR("PING"), 1, 50 * US_PER_MS, &reply, &caller.err),
                     -ERR_TIMEOUT);
    assert_int_equal(redis_run(caller.redis, &caller.err), -ERR_TIMEOUT);
    assert_int_equal(redis_fixture_call(&caller, "PING", &reply), -ERR_TIMEOUT); /* for good */
    /* Who may wait for ever does. */
    redis_fixture_command(&other, "GET k");
    assert_ok(redis_run(other.redis, &other.err), other.err);
    redis_server_resume(server);
    assert_ok(redis_fixture_next(&other, &reply), other.err);
    assert_int_equal(reply->kind, REDIS_NIL);

    redis_fixture_close(&self);
    redis_fixture_close(&other);
    redis_fixture_close(&quiet);
    redis_fixture_close(&caller);
    redis_server_stop(server);
}

/* A caller that was away itself, longer than replies may take, must not blame the server. */
static void
test_late_caller(void **state)
{
    static const struct redis_options impatient = {.reply_us = 200 * US_PER_MS};
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, ""), &impatient);
    (void)redis_fixture_ask(&self, "PING");
    redis_fixture_command(&self, "GET k");
    clock_sleep_us(&clock_system, 300 * US_PER_MS); /* before it is written */
    assert_ok(redis_run(self.redis, &self.err), self.err);
    clock_sleep_us(&clock_system, 300 * US_PER_MS); /* before its reply is read */
    assert_ok(redis_fixture_next(&self, &reply), self.err);
    assert_int_equal(reply->kind, REDIS_NIL);
    redis_fixture_close(&self);
    redis_server_stop(server);
}

static void
say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* The same while connecting, in each of its steps. */
static void
test_late_connect(void **state)
{
    static const struct redis_options options = {.connect_us = 20 * US_PER_MS};
    struct redis_server *tcp = redis_server_start(NULL);
    struct redis_server *tls = redis_server_start(&(struct redis_server_options){.is_tls = true});
    const char *urls[] = {redis_server_url(tcp, ""), redis_server_url(tls, "?ssl_cert_reqs=none")};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct redis_fixture self;
        int n_calls = 0;

        redis_fixture_open(&self, urls[i], &options);
        while (!redis_is_ready(self.redis)) {
            assert_true(n_calls++ < 10);
            clock_sleep_us(&clock_system, 60 * US_PER_MS);
            assert_ok(redis_run(self.redis, &self.err), self.err);
        }
        redis_fixture_close(&self);
    }
    redis_server_stop(tls);
    redis_server_stop(tcp);
}

/* The server ends in the middle: replies that came are handed out, then comes the failure. */
static void
test_last_words(void **state)
{
    struct impostor impostor;
    struct redis_fixture self;
    const struct redis_value *reply;
    int fd;

    (void)state;
    impostor_start(&impostor);
    redis_fixture_open(&self, impostor.url, NULL);
    assert_ok(redis_run(self.redis, &self.err), self.err);
    fd = accept(impostor.listener, NULL, NULL);
    say(fd, "*1\r\n$6\r\nmaster\r\n+PONG\r\n");
    while (!redis_is_ready(self.redis))
        assert_ok(redis_run(self.redis, &self.err), self.err);
    for (int i = 0; i < 5; i++)
        redis_fixture_command(&self, "INCR n");
    assert_ok(redis_run(self.redis, &self.err), self.err);
    say(fd, ":1\r\n:2\r\n:3");
    (void)close(fd); /* with commands unread: a reset */
    assert_ok(redis_fixture_next(&self, &reply), self.err);
    assert_int_equal(reply->integer, 1);
    assert_ok(redis_fixture_next(&self, &reply), self.err);
    assert_int_equal(reply->integer, 2);
    assert_int_equal(redis_fixture_next(&self, &reply), -ERR_NETWORK);
    assert_int_equal(redis_count_pending(self.redis), 3);
    redis_fixture_close(&self);
    (void)close(impostor.listener);
}

static void
test_killed(void **state)
{
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;

    (void)state;
    redis_fixture_open(&self, redis_server_url(server, ""), NULL);
    (void)redis_fixture_ask(&self, "PING");
    for (int i = 0; i < 1000; i++)
        redis_fixture_command(&self, "INCR n");
    assert_ok(redis_fixture_next(&self, &reply), self.err);
    assert_int_equal(reply->integer, 1);
    redis_server_kill(server);
    for (int i = 0; i < 1000; i++)
        redis_fixture_command(&self, "INCR n");
    while (redis_fixture_next(&self, &reply) == 0)
        assert_in_range(reply->integer, 2, 1000);
    assert_int_equal(self.err.code, ERR_NETWORK);
    assert_in_range(redis_count_pending(self.redis), 1000, 1999);
    redis_fixture_close(&self);

    redis_server_restart(server);
    redis_fixture_open(&self, redis_server_url(server, ""), NULL);
    assert_int_equal(redis_fixture_ask(&self, "INCR n")->integer, 1);
    redis_fixture_close(&self);
    redis_server_stop(server);
}

static void
test_replica(void **state)
{
    struct redis_server *master = redis_server_start(NULL);
    char replica_of[64];
    const char *const arguments[] = {replica_of, NULL};
    struct redis_server *replica;
    struct redis_fixture self;
    const struct redis_value *reply;

    (void)state;
    (void)snprintf(replica_of, sizeof(replica_of), "--replicaof 127.0.0.1 %u",
                   (unsigned)redis_server_port(master));
    replica = redis_server_start(&(struct redis_server_options){.arguments = arguments});
    redis_fixture_open(&self, redis_server_url(replica, ""), NULL);
    assert_int_equal(redis_fixture_call(&self, "GET k", &reply), -ERR_NETWORK);
    assert_non_null(strstr(self.err.message, "is a replica"));
    redis_fixture_close(&self);
    redis_server_stop(replica);
    redis_server_stop(master);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_impostors),
        cmocka_unit_test(test_mute),        cmocka_unit_test(test_paused),
        cmocka_unit_test(test_late_caller), cmocka_unit_test(test_late_connect),
        cmocka_unit_test(test_last_words),  cmocka_unit_test(test_killed),
        cmocka_unit_test(test_replica),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
