/* celery/control: names of nodes, addresses without their secrets, the set of revoked ids. */

#include "tests/unit/check.h"

#include "base/file.h"
#include "celery/control/node_name.h"
#include "celery/control/revoked.h"
#include "celery/control/url.h"

static void
test_node_names(void **state)
{
    static const struct {
        const char *pattern;
        const char *host;
        int rc;
        const char *name;
    } rows[] = {
        {"trawl@%h", "a.b.c", 0, "trawl@a.b.c"},
        {"w1@%n", "a.b.c", 0, "w1@a"},
        {"w1@%d", "a.b.c", 0, "w1@b.c"},
        {"%n@%h", "a", 0, "a@a"},
        {"w%i%I%%@x", "a", 0, "w00%@x"},
        {"w1", "a", 0, "trawl@w1"},
        {"%h", "a", 0, "trawl@a"},
        {"w@%x", "a", -ERR_ARGS, ""},
        {"w@%", "a", -ERR_ARGS, ""},
        {"", "a", -ERR_ARGS, ""},
        {"a b@c", "a", -ERR_ARGS, ""},
        {"a,b@c", "a", -ERR_ARGS, ""},
        {"a\x06@c", "a", -ERR_ARGS, ""},
    };
    char name[NODE_NAME_BYTES];
    char large[300];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        name[0] = '\0';
        assert_int_equal(node_name_format(str_from_cstr(rows[i].pattern),
                                          str_from_cstr(rows[i].host), name, NULL),
                         rows[i].rc);
        assert_string_equal(name, rows[i].name);
    }
    (void)memset(large, 'x', sizeof(large));
    assert_int_equal(node_name_format((struct str){large, sizeof(large)}, STR("a"), name, NULL),
                     -ERR_ARGS);
    node_name_host(name);
    assert_true(strlen(name) > 0);
}

/* One at a time, per broker. */
static void
test_claims(void **state)
{
    char name[64];
    struct error err;
    int first;
    int second;
    int other;

    (void)state;
    (void)snprintf(name, sizeof(name), "test%d@host", (int)getpid());
    assert_ok(node_name_claim(str_from_cstr(name), STR("b1"), &first, &err), err);
    assert_int_equal(node_name_claim(str_from_cstr(name), STR("b1"), &second, &err), -ERR_BUSY);
    assert_ok(node_name_claim(str_from_cstr(name), STR("b2"), &other, &err), err);
    file_close_fdp(&first);
    assert_ok(node_name_claim(str_from_cstr(name), STR("b1"), &second, &err), err);
    file_close_fdp(&second);
    file_close_fdp(&other);
}

static void
test_masks(void **state)
{
    static const struct {
        const char *url;
        const char *masked;
    } rows[] = {
        {"redis://h/0", "redis://h/0"},
        {"redis://u@h/0", "redis://u@h/0"},
        {"redis://u:p@h:1/0", "redis://u:**@h:1/0"},
        {"redis://:p@h", "redis://:**@h"},
        {"redis://:p/w?x@y@h/0", "redis://:**@h/0"},
        {"rediss://:p@h?ssl_keyfile=x&db=1&sentinel_password=y",
         "rediss://:**@h?ssl_keyfile=**&db=1&sentinel_password=**"},
        {"sentinel://:p@a:1;sentinel://:q@b:2/0?master_name=m",
         "sentinel://:**@a:1;sentinel://:**@b:2/0?master_name=m"},
        {"sqlite:////home/x/broker.db", "sqlite:////home/x/broker.db"},
        {"/plain/path", "/plain/path"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf text = BUF_INIT(4096);

        control_url_mask(str_from_cstr(rows[i].url), &text);
        assert_str_equal(buf_str(&text), rows[i].masked);
        buf_fini(&text);
    }
    assert_true(control_is_secret_name(STR("my_Api_x")));
    assert_true(control_is_secret_name(STR("database_url")));
    assert_false(control_is_secret_name(STR("broker_url")));
}

static void
test_splits(void **state)
{
    struct control_url url;

    (void)state;
    control_url_split(STR("redis://u:p@h:63/2?x=1"), &url);
    assert_str_equal(url.scheme, "redis");
    assert_str_equal(url.user, "u");
    assert_str_equal(url.host, "h");
    assert_str_equal(url.path, "2");
    assert_int_equal(url.port, 63);
    control_url_split(STR("/a/b"), &url);
    assert_str_equal(url.scheme, "sqlite");
    assert_str_equal(url.path, "/a/b");
    assert_null(url.host.ptr);
    control_url_split(STR("rediss://"), &url);
    assert_null(url.host.ptr);
    assert_null(url.path.ptr);
}

static void
insert_number(struct revoked *revoked, size_t n)
{
    char id[24];
    struct error err;

    (void)snprintf(id, sizeof(id), "%zu", n);
    assert_ok(revoked_insert(revoked, str_from_cstr(id), &err), err);
}

/* Full, the oldest goes; a known one is not moved. */
static void
test_revoked_set(void **state)
{
    struct revoked revoked = REVOKED_INIT;
    const struct revoked_id *position = NULL;
    size_t n = 0;
    struct str id;

    (void)state;
    assert_false(revoked_has(&revoked, STR("1")));
    assert_false(revoked_next(&revoked, &position, &id));
    for (size_t i = 0; i < REVOKED_MAX; i++)
        insert_number(&revoked, i);
    insert_number(&revoked, 0);
    assert_int_equal(revoked.n_ids, REVOKED_MAX);
    insert_number(&revoked, REVOKED_MAX);
    insert_number(&revoked, REVOKED_MAX + 1);
    assert_int_equal(revoked.n_ids, REVOKED_MAX);
    assert_false(revoked_has(&revoked, STR("0")));
    assert_false(revoked_has(&revoked, STR("1")));
    assert_true(revoked_has(&revoked, STR("2")));
    assert_true(revoked_has(&revoked, STR("50001")));
    for (position = NULL; revoked_next(&revoked, &position, &id); n++)
        if (n == 0)
            assert_str_equal(id, "2");
    assert_int_equal(n, REVOKED_MAX);
    revoked_fini(&revoked);
    revoked_fini(&revoked);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_names),  cmocka_unit_test(test_claims),
        cmocka_unit_test(test_masks),       cmocka_unit_test(test_splits),
        cmocka_unit_test(test_revoked_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
