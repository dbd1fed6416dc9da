/* The master by way of its Sentinels, and a new one after the first is killed:
 * celery/redis/redis.h.
 */

#include "tests/unit/celery/redis/redis_fixture.h"

#define FAILOVER_US (30 * US_PER_S) /* the promise is 10 s; a busy machine gets more */

struct cluster {
    struct redis_server *master;
    struct redis_server *replica;
    struct redis_server *sentinel;
    char url[256];
};

static void
start_replica(struct cluster *self)
{
    char replica_of[64];
    const char *const arguments[] = {replica_of, "--repl-diskless-sync-delay 0", NULL};

    (void)snprintf(replica_of, sizeof(replica_of), "--replicaof 127.0.0.1 %u",
                   (unsigned)redis_server_port(self->master));
    self->replica = redis_server_start(&(struct redis_server_options){.arguments = arguments});
}

static void
start_sentinel(struct cluster *self)
{
    static const char *const arguments[] = {"--requirepass hunter2", NULL};
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "sentinel monitor cat 127.0.0.1 %u 1\n"
                   "sentinel down-after-milliseconds cat 200\n"
                   "sentinel failover-timeout cat 2000\n",
                   (unsigned)redis_server_port(self->master));
    self->sentinel = redis_server_start(
        &(struct redis_server_options){.sentinel = text, .arguments = arguments});
}

static void
cluster_stop(struct cluster *self)
{
    redis_server_stop(self->sentinel);
    redis_server_stop(self->replica);
    redis_server_stop(self->master);
}

/* Until the text is in what a server says to the command. */
static void
wait_until_said(struct redis_server *server, const char *command, const char *text)
{
    int64_t until_us = clock_mono_us(&clock_system) + FAILOVER_US;

    while (!strstr(redis_server_say(server, command), text)) {
        if (clock_mono_us(&clock_system) > until_us)
            fail_msg("%s: %s", command, redis_server_say(server, command));
        clock_sleep_us(&clock_system, 20 * US_PER_MS);
    }
}

/* Port 1 is a Sentinel that is away. */
static void
cluster_start(struct cluster *self)
{
    static const struct redis_server_options persistent = {.is_persistent = true};
    char text[64];

    *self = (struct cluster){.master = redis_server_start(&persistent)};
    start_replica(self);
    start_sentinel(self);
    (void)snprintf(self->url, sizeof(self->url),
                   "sentinel://127.0.0.1:1;sentinel://127.0.0.1:%u/2?sentinel_password=hunter2",
                   (unsigned)redis_server_port(self->sentinel));
    wait_until_said(self->replica, "INFO replication", "master_link_status:up");
    (void)snprintf(text, sizeof(text), "port=%u,state=online",
                   (unsigned)redis_server_port(self->replica));
    wait_until_said(self->master, "INFO replication", text);
}

static void
open_by_name(struct cluster *cluster, struct redis_fixture *self, const char *name)
{
    char url[300];

    (void)snprintf(url, sizeof(url), "%s&master_name=%s", cluster->url, name);
    redis_fixture_open(self, url, NULL);
}

static void
test_failover(void **state)
{
    struct cluster cluster;
    struct redis_fixture self;
    const struct redis_value *reply;
    int64_t until_us;
    bool is_back = false;

    (void)state;
    cluster_start(&cluster);
    open_by_name(&cluster, &self, "cat");
    assert_str_equal(redis_fixture_ask(&self, "SET k v")->text, "OK");
    assert_int_equal(redis_fixture_ask(&self, "WAIT 1 10000")->integer, 1);
    /* Without it there is nothing to fail over to. */
    wait_until_said(cluster.sentinel, "AUTH hunter2\r\nSENTINEL REPLICAS cat", "slave-priority");
    redis_server_kill(cluster.master);
    redis_fixture_command(&self, "SET k lost");
    assert_int_equal(redis_fixture_next(&self, &reply), -ERR_NETWORK);
    redis_fixture_close(&self);

    until_us = clock_mono_us(&clock_system) + FAILOVER_US;
    while (!is_back) {
        open_by_name(&cluster, &self, "cat");
        is_back = redis_fixture_call(&self, "GET k", &reply) == 0;
        if (is_back)
            assert_str_equal(reply->text, "v");
        else if (clock_mono_us(&clock_system) > until_us)
            fail_msg("no failover: %s", self.err.message);
        else
            clock_sleep_us(&clock_system, 50 * US_PER_MS);
        if (is_back)
            assert_str_equal(redis_fixture_ask(&self, "SET k new")->text, "OK");
        redis_fixture_close(&self);
    }
    wait_until_said(cluster.replica, "ROLE", "master");
    cluster_stop(&cluster);
}

static void
test_questions(void **state)
{
    struct cluster cluster = {.master = redis_server_start(NULL)};
    struct redis_fixture self;
    const struct redis_value *reply;
    char url[300];

    (void)state;
    start_sentinel(&cluster);
    (void)snprintf(cluster.url, sizeof(cluster.url),
                   "sentinel://127.0.0.1:%u?sentinel_password=hunter2",
                   (unsigned)redis_server_port(cluster.sentinel));
    open_by_name(&cluster, &self, "dog");
    assert_int_equal(redis_fixture_call(&self, "PING", &reply), -ERR_NETWORK);
    assert_non_null(strstr(self.err.message, "knows no master 'dog'"));
    assert_null(strstr(self.err.message, "hunter2"));
    redis_fixture_close(&self);

    (void)snprintf(url, sizeof(url), "sentinel://127.0.0.1:%u?master_name=cat",
                   (unsigned)redis_server_port(cluster.sentinel));
    redis_fixture_open(&self, url, NULL);
    assert_int_equal(redis_fixture_call(&self, "PING", &reply), -ERR_AUTH);
    redis_fixture_close(&self);

    (void)snprintf(url, sizeof(url), "redis://:hunter2@127.0.0.1:%u",
                   (unsigned)redis_server_port(cluster.sentinel));
    redis_fixture_open(&self, url, NULL);
    assert_int_equal(redis_fixture_call(&self, "PING", &reply), -ERR_CONFIG);
    assert_non_null(strstr(self.err.message, "this is a Sentinel"));
    redis_fixture_close(&self);
    cluster_stop(&cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failover),
        cmocka_unit_test(test_questions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
