/* URLs of Redis servers: what they mean, and that no message shows a password. */

#include "celery/redis/redis.h"
#include "tests/unit/check.h"

#define SECRET "hunter2"

static void
test_good(void **state)
{
    static const struct {
        const char *url;
        enum redis_transport transport;
        const char *host;
        uint16_t port;
        int64_t database;
        const char *user;
        const char *password;
        const char *shown;
    } rows[] = {
        {"redis://", REDIS_TCP, "127.0.0.1", 6379, 0, NULL, NULL, "redis://127.0.0.1:6379/0"},
        {"redis:///3", REDIS_TCP, "127.0.0.1", 6379, 3, NULL, NULL, "redis://127.0.0.1:6379/3"},
        {"redis://h", REDIS_TCP, "h", 6379, 0, NULL, NULL, "redis://h:6379/0"},
        {"redis://h/", REDIS_TCP, "h", 6379, 0, NULL, NULL, "redis://h:6379/0"},
        {"redis://h:7/15", REDIS_TCP, "h", 7, 15, NULL, NULL, "redis://h:7/15"},
        {"redis://h:/1", REDIS_TCP, "h", 6379, 1, NULL, NULL, "redis://h:6379/1"},
        {"redis://:hunter2@h", REDIS_TCP, "h", 6379, 0, NULL, SECRET, "redis://h:6379/0"},
        {"redis://bob:hunter2@h", REDIS_TCP, "h", 6379, 0, "bob", SECRET, "redis://h:6379/0"},
        {"redis://bob:@h", REDIS_TCP, "h", 6379, 0, "bob", "", "redis://h:6379/0"},
        {"redis://bob@h", REDIS_TCP, "h", 6379, 0, "bob", NULL, "redis://h:6379/0"},
        {"redis://:@h", REDIS_TCP, "h", 6379, 0, NULL, NULL, "redis://h:6379/0"},
        {"redis://@h", REDIS_TCP, "h", 6379, 0, NULL, NULL, "redis://h:6379/0"},
        {"redis://b%40b:p%2Fw%3a%25@h", REDIS_TCP, "h", 6379, 0, "b@b", "p/w:%",
         "redis://h:6379/0"},
        {"redis://:a+b@h", REDIS_TCP, "h", 6379, 0, NULL, "a+b", "redis://h:6379/0"},
        {"redis://:p@ss@h", REDIS_TCP, "h", 6379, 0, NULL, "p@ss", "redis://h:6379/0"},
        {"redis://h?virtual_host=4", REDIS_TCP, "h", 6379, 4, NULL, NULL, "redis://h:6379/4"},
        {"redis://[::1]:7/2", REDIS_TCP, "::1", 7, 2, NULL, NULL, "redis://[::1]:7/2"},
        {"redis://[fe80::1]", REDIS_TCP, "fe80::1", 6379, 0, NULL, NULL,
         "redis://[fe80::1]:6379/0"},
        {"rediss://h", REDIS_TLS, "h", 6379, 0, NULL, NULL, "rediss://h:6379/0"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
        struct redis_address address;
        struct error err;
        char text[REDIS_TEXT_BYTES];

        assert_ok(redis_address_parse(str_from_cstr(rows[i].url), &arena, &address, &err), err);
        assert_int_equal(address.transport, rows[i].transport);
        assert_int_equal(address.n_hosts, 1);
        assert_str_equal(address.hosts[0].name, rows[i].host);
        assert_int_equal(address.hosts[0].port, rows[i].port);
        assert_int_equal(address.database, rows[i].database);
        assert_str_equal(address.user, rows[i].user);
        assert_true(!address.user.ptr == !rows[i].user);
        assert_str_equal(address.password, rows[i].password);
        assert_true(!address.password.ptr == !rows[i].password);
        assert_string_equal(redis_address_format(&address, text), rows[i].shown);
    }
}

static void
test_sockets(void **state)
{
    static const struct {
        const char *url;
        const char *path;
        int64_t database;
        const char *password;
    } rows[] = {
        {"redis+socket:///run/redis.sock", "/run/redis.sock", 0, NULL},
        {"redis+socket:///run/redis.sock?virtual_host=2", "/run/redis.sock", 2, NULL},
        {"unix:///tmp/a%20b", "/tmp/a b", 0, NULL},
        {"unix:///tmp/r?db=3", "/tmp/r", 3, NULL},
        {"unix://:hunter2@/tmp/x", "/tmp/x", 0, SECRET},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
        struct redis_address address;
        struct error err;
        char text[REDIS_TEXT_BYTES];

        assert_ok(redis_address_parse(str_from_cstr(rows[i].url), &arena, &address, &err), err);
        assert_int_equal(address.transport, REDIS_UNIX);
        assert_int_equal(address.n_hosts, 0);
        assert_str_equal(address.path, rows[i].path);
        assert_int_equal(address.database, rows[i].database);
        assert_str_equal(address.password, rows[i].password);
        assert_null(strstr(redis_address_format(&address, text), SECRET));
    }
}

static void
test_sentinels(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
    struct redis_address address;
    struct error err;
    char text[REDIS_TEXT_BYTES];

    (void)state;
    assert_ok(redis_address_parse(STR("sentinel://u:p@a;sentinel://b:7;[::2]:8/5?master_name=m%20m"
                                      "&sentinel_password=s+t&sentinel_username=su"),
                                  &arena, &address, &err),
              err);
    assert_int_equal(address.transport, REDIS_TCP);
    assert_int_equal(address.n_hosts, 3);
    assert_str_equal(address.hosts[0].name, "a");
    assert_int_equal(address.hosts[0].port, 26379);
    assert_int_equal(address.hosts[1].port, 7);
    assert_str_equal(address.hosts[2].name, "::2");
    assert_int_equal(address.database, 5);
    assert_str_equal(address.user, "u");
    assert_str_equal(address.master_name, "m m");
    assert_str_equal(address.sentinel_user, "su");
    assert_str_equal(address.sentinel_password, "s t");
    assert_string_equal(redis_address_format(&address, text),
                        "sentinel://a:26379;b:7;[::2]:8/5?master_name=m m");

    assert_ok(redis_address_parse(STR("sentinel://a?master_name=m&ssl_cert_reqs=none"), &arena,
                                  &address, &err),
              err);
    assert_int_equal(address.transport, REDIS_TLS);
    assert_true(address.is_unverified);
}

static void
test_options(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
    struct redis_address address;
    struct str value = STR("untouched");
    struct error err;

    (void)state;
    assert_ok(
        redis_address_parse(STR("rediss://h?ssl_ca_certs=/etc/a%2eb&ssl_cert_reqs=CERT_OPTIONAL"
                                "&ssl_certfile=/c&ssl_keyfile=/k&ssl_check_hostname=False"
                                "&global_keyprefix=a%2B+&twice=1&twice=2&bad=%4&empty&="),
                            &arena, &address, &err),
        err);
    assert_str_equal(address.ca_file, "/etc/a.b");
    assert_str_equal(address.cert_file, "/c");
    assert_str_equal(address.key_file, "/k");
    assert_false(address.is_unverified);
    assert_true(address.is_any_name);
    assert_ok(redis_address_option(&address, STR("global_keyprefix"), &arena, &value, &err), err);
    assert_str_equal(value, "a+ ");
    assert_ok(redis_address_option(&address, STR("twice"), &arena, &value, &err), err);
    assert_str_equal(value, "2");
    assert_int_equal(redis_address_option(&address, STR("bad"), &arena, &value, &err), -ERR_CONFIG);
    assert_str_equal(value, "2");
    assert_ok(redis_address_option(&address, STR("empty"), &arena, &value, &err), err);
    assert_non_null(value.ptr);
    assert_int_equal(value.len, 0);
    assert_ok(redis_address_option(&address, STR("none"), &arena, &value, &err), err);
    assert_null(value.ptr);
}

/* Each is refused, says why, and shows nothing of the password wherever the URL breaks. */
static void
test_bad(void **state)
{
    static const struct {
        const char *url;
        const char *reason;
    } rows[] = {
        {"", "no Redis URL"},
        {"hunter2", "no Redis URL"},
        {"http://:hunter2@h", "no Redis URL"},
        {"redis:h", "no Redis URL"},
        {"redis://:hunter2 x@h", "a space"},
        {"redis://:hunter2\n@h", "a space"},
        {"redis://:hunter2#x@h", "a #"},
        {"redis://:hunter2/x@h", "port is not"},
        {"redis://bob:hunter2/x@h", "port is not"},
        {"redis://:1234/hunter2@h", "database is not"},
        {"redis://:hunter2?x@h", "an @ behind"},
        {"redis://:12?hunter2@h", "an @ behind"},
        {"redis://h:0", "port is not"},
        {"redis://h:65536", "port is not"},
        {"redis://h:-1", "port is not"},
        {"redis://h:6379x", "port is not"},
        {"redis://h:6379:hunter2", "port is not"},
        {"redis://h/-1", "database is not"},
        {"redis://h/+1", "database is not"},
        {"redis://h/hunter2", "database is not"},
        {"redis://h/1/2", "database is not"},
        {"redis://h/99999999999999999999", "database is not"},
        {"redis://h?virtual_host=x", "database is not"},
        {"redis://[::1", "a [ without"},
        {"redis://[::1]hunter2", "text between"},
        {"redis://:hunter2%zz@h", "the password has a %"},
        {"redis://:hunter2%0@h", "the password has a %"},
        {"redis://:hunter2%00@h", "or a NUL"},
        {"redis://u%:hunter2@h", "the user has a %"},
        {"redis://h%2", "the host has a %"},
        {"redis://h?ssl_ca_certs=/a", "are for rediss://"},
        {"redis://h?master_name=m", "is for sentinel://"},
        {"rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs is 'maybe'"},
        {"rediss://h?ssl_certfile=/c", "go together"},
        {"rediss://h?ssl_keyfile=%", "value of an option"},
        {"redis+socket://hunter2", "path is not absolute"},
        {"redis+socket://:hunter2/tmp/x", "path is not absolute"},
        {"unix:///%zz", "the path has a %"},
        {"sentinel://h", "?master_name=NAME"},
        {"sentinel://?master_name=", "?master_name=NAME"},
        {"sentinel://a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q?master_name=m", "more than 16 hosts"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
        struct redis_address address = {.database = 77};
        struct error err = {.message = ""};

        if (redis_address_parse(str_from_cstr(rows[i].url), &arena, &address, &err) != -ERR_CONFIG)
            fail_msg("'%s' is taken", rows[i].url);
        assert_int_equal(address.database, 77);
        if (!strstr(err.message, rows[i].reason))
            fail_msg("'%s': %s", rows[i].url, err.message);
        assert_null(strstr(err.message, SECRET));
    }
}

static void
test_long(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
    struct redis_address address;
    char url[9000] = "redis://";
    char text[REDIS_TEXT_BYTES];
    struct error err;

    (void)state;
    (void)memset(url + 8, 'h', 8500);
    assert_int_equal(redis_address_parse(str_from_cstr(url), &arena, &address, &err), -ERR_CONFIG);
    url[8 + 256] = '\0';
    assert_int_equal(redis_address_parse(str_from_cstr(url), &arena, &address, &err), -ERR_CONFIG);
    url[8 + 255] = '\0';
    assert_ok(redis_address_parse(str_from_cstr(url), &arena, &address, &err), err);
    assert_int_equal(strlen(redis_address_format(&address, text)), 8 + 255 + 7);
    (void)memcpy(url, "unix:///", 8);
    url[7 + 108] = '\0';
    assert_int_equal(redis_address_parse(str_from_cstr(url), &arena, &address, &err), -ERR_CONFIG);
    url[7 + 107] = '\0';
    assert_ok(redis_address_parse(str_from_cstr(url), &arena, &address, &err), err);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_sentinels), cmocka_unit_test(test_options),
        cmocka_unit_test(test_bad),       cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
