/* A connection when memory runs out: each allocation fails in turn, and nothing leaks.  Linked with
 * --wrap for malloc, calloc and realloc. */

#include "tests/unit/celery/redis/redis_fixture.h"
#include "tests/unit/failing_allocations.h"

/* Parse, open, ask and read a reply of some size: 0, or the error. */
static int
use(const char *url, struct error *err)
{
    static const struct redis_options options = {.client_name = STR_INIT("name")};
    static char block[200000];
    const struct str words[] = {STR("ECHO"), {block, sizeof(block)}};
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
    CLEANUP(redis_closep) struct redis *redis = NULL;
    struct redis_address address;
    const struct redis_value *reply;
    int rc = redis_address_parse(str_from_cstr(url), &arena, &address, err);

    if (rc == 0)
        rc = redis_open(&address, &options, &redis, err);
    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = redis_call(redis, words, 2, FIXTURE_WAIT_US, &reply, err);
        if (rc == 0)
            assert_int_equal(reply->text.len, sizeof(block));
    }
    return rc;
}

static void
test_each_allocation_fails(void **state)
{
    struct redis_server *server = redis_server_start(NULL);
    struct redis_server *tls = redis_server_start(&(struct redis_server_options){.is_tls = true});
    const char *urls[] = {redis_server_url(server, "/1"), redis_server_socket_url(server, ""),
                          redis_server_url(tls, "?ssl_cert_reqs=none")};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        int n = 0;

        do {
            struct error err = {.code = ERR_NONE};
            int rc;

            has_failed = false;
            n_until_failure = ++n;
            rc = use(urls[i], &err);
            n_until_failure = 0;
            if (rc != (has_failed ? -ERR_NOMEM : 0))
                fail_msg("allocation %d: %d, %s", n, rc, err.message);
        } while (has_failed);
        assert_true(n > 8); /* the wrappers are in place */
    }
    redis_server_stop(tls);
    redis_server_stop(server);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
