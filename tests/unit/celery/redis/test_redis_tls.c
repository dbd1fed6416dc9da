/* TLS to a real server with certificates of the test's own: celery/redis/redis.h. */

#include "tests/unit/celery/redis/redis_fixture.h"

static void
format_url(char url[512], const struct redis_server *server, const char *scheme, const char *host,
           const char *options)
{
    const char *dir = redis_server_dir(server);
    int n = snprintf(url, 512, "%s://%s:%u?", scheme, host, (unsigned)redis_server_port(server));

    for (const char *c = options; *c && n < 510; c++)
        n += snprintf(url + n, (size_t)(512 - n), *c == '@' ? "%s" : "%.1s", *c == '@' ? dir : c);
}

/* In options @ stands for the directory of the certificates. */
static void
test_certificates(void **state)
{
    static const char *const arguments[] = {"--bind 127.0.0.1 127.0.0.2", NULL};
    static const struct {
        const char *scheme;
        const char *host;
        const char *options;
        int rc;
        const char *reason;
    } rows[] = {
        {"rediss", "127.0.0.1", "ssl_ca_certs=@/ca.pem", 0, NULL},
        {"rediss", "localhost", "ssl_ca_certs=@/ca.pem&ssl_cert_reqs=required", 0, NULL},
        {"rediss", "127.0.0.1", "ssl_cert_reqs=none", 0, NULL},
        {"rediss", "127.0.0.2", "ssl_cert_reqs=CERT_NONE", 0, NULL},
        {"rediss", "127.0.0.2", "ssl_ca_certs=@/ca.pem&ssl_check_hostname=false", 0, NULL},
        {"rediss", "127.0.0.1",
         "ssl_ca_certs=@/ca.pem&ssl_certfile=@/server.pem&ssl_keyfile=@/server.key", 0, NULL},
        {"rediss", "127.0.0.2", "ssl_ca_certs=@/ca.pem", -ERR_CONFIG, "address mismatch"},
        {"rediss", "127.0.0.1", "ssl_ca_certs=@/other.pem", -ERR_CONFIG, "certificate is not good"},
        {"rediss", "127.0.0.1", "", -ERR_CONFIG, "certificate is not good"},
        {"rediss", "127.0.0.1", "ssl_ca_certs=@/none.pem", -ERR_CONFIG, "none.pem"},
        {"rediss", "127.0.0.1", "ssl_ca_certs=@/server.key", -ERR_CONFIG, "server.key"},
        {"rediss", "127.0.0.1",
         "ssl_ca_certs=@/ca.pem&ssl_certfile=@/ca.pem&ssl_keyfile=@/server.key", -ERR_CONFIG,
         "cannot use the key"},
        {"rediss", "127.0.0.1",
         "ssl_ca_certs=@/ca.pem&ssl_certfile=@/none.pem&ssl_keyfile=@/server.key", -ERR_CONFIG,
         "cannot read the certificate"},
        {"redis", "127.0.0.1", "", -ERR_NETWORK, "the connection"}, /* closed or reset */
    };
    struct redis_server *server =
        redis_server_start(&(struct redis_server_options){.is_tls = true, .arguments = arguments});

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct redis_fixture self;
        const struct redis_value *reply;
        char url[512];
        int rc;

        format_url(url, server, rows[i].scheme, rows[i].host, rows[i].options);
        redis_fixture_open(&self, url, NULL);
        rc = redis_fixture_call(&self, "PING", &reply);
        if (rc != rows[i].rc || (rc < 0 && !strstr(self.err.message, rows[i].reason)))
            fail_msg("%s: %s", url, rc < 0 ? self.err.message : "fine");
        redis_fixture_close(&self);
    }
    redis_server_stop(server);
}

/* It takes the handshake for the beginning of a long command. */
static void
test_plain_server(void **state)
{
    static const struct redis_options options = {.connect_us = 100 * US_PER_MS};
    struct redis_server *server = redis_server_start(NULL);
    struct redis_fixture self;
    const struct redis_value *reply;
    char url[512];

    (void)state;
    format_url(url, server, "rediss", "127.0.0.1", "");
    redis_fixture_open(&self, url, &options);
    assert_int_equal(redis_fixture_call(&self, "PING", &reply), -ERR_TIMEOUT);
    assert_non_null(strstr(self.err.message, "TLS handshake"));
    redis_fixture_close(&self);
    redis_server_stop(server);
}

/* More than sockets and TLS records take at once, both ways. */
static void
test_large(void **state)
{
    struct redis_server *server =
        redis_server_start(&(struct redis_server_options){.is_tls = true});
    struct redis_fixture self;
    const struct redis_value *reply;
    static char block[1 << 20];
    struct str words[] = {STR("ECHO"), {block, sizeof(block)}};
    char url[512];

    (void)state;
    (void)memset(block, 'x', sizeof(block));
    format_url(url, server, "rediss", "127.0.0.1", "ssl_ca_certs=@/ca.pem");
    redis_fixture_open(&self, url, NULL);
    for (int i = 0; i < 16; i++)
        assert_ok(redis_command(self.redis, words, 2, &self.err), self.err);
    for (int i = 0; i < 16; i++) {
        assert_ok(redis_fixture_next(&self, &reply), self.err);
        assert_int_equal(reply->text.len, sizeof(block));
    }
    for (int i = 0; i < 1000; i++)
        redis_fixture_command(&self, "INCR n");
    for (int i = 1; i <= 1000; i++) {
        assert_ok(redis_fixture_next(&self, &reply), self.err);
        assert_int_equal(reply->integer, i);
    }
    redis_server_kill(server);
    redis_fixture_command(&self, "PING");
    assert_int_equal(redis_fixture_next(&self, &reply), -ERR_NETWORK);
    redis_fixture_close(&self);
    redis_server_stop(server);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_plain_server),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
