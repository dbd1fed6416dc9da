/* A connection to a real server: celery/redis/redis.h. */

#include "celery/redis/redis.h"
#include "tests/unit/celery/redis/redis_server.h"
#include "tests/unit/check.h"

#include <poll.h>

#define WAIT_US (10 * US_PER_S)

struct fixture {
    struct arena arena;
    struct redis_address address;
    struct redis *redis;
    struct error err;
};

static void
open_url(struct fixture *self, const char *url, const struct redis_options *options)
{
    static const struct redis_options defaults;

    *self = (struct fixture){.arena = ARENA_INIT(65536)};
    assert_ok(redis_address_parse(str_from_cstr(url), &self->arena, &self->address, &self->err),
              self->err);
    assert_ok(redis_open(&self->address, options ? options : &defaults, &self->redis, &self->err),
              self->err);
}

static void
fini(struct fixture *self)
{
    redis_close(self->redis);
    arena_fini(&self->arena);
}

/* A command of words by spaces, or the error. */
static int
call(struct fixture *self, const char *text, const struct redis_value **out)
{
    struct str words[16];
    struct str rest = str_from_cstr(text);
    size_t n = 0;

    while (n < COUNT_OF(words) && str_split(&rest, ' ', &words[n]))
        n++;
    return redis_call(self->redis, words, n, WAIT_US, out, &self->err);
}

static const struct redis_value *
ask(struct fixture *self, const char *text)
{
    const struct redis_value *reply = NULL;

    assert_ok(call(self, text, &reply), self->err);
    return reply;
}

static void
test_call(void **state)
{
    struct redis_server *server = redis_server_start(NULL);
    const char *urls[] = {redis_server_url(server, ""), redis_server_socket_url(server, "")};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct fixture self;
        const struct redis_value *reply;

        open_url(&self, urls[i], NULL);
        assert_str_equal(ask(&self, "SET k v")->text, "OK");
        assert_true(redis_is_ready(self.redis));
        reply = ask(&self, "GET k");
        assert_int_equal(reply->kind, REDIS_BULK);
        assert_str_equal(reply->text, "v");
        assert_int_equal(ask(&self, "GET none")->kind, REDIS_NIL);
        assert_int_equal(ask(&self, "INCRBY n -7")->integer, i == 0 ? -7 : -14);
        reply = ask(&self, "NO SUCH");
        assert_int_equal(reply->kind, REDIS_ERROR);
        assert_int_equal(redis_check(reply, &self.err), -ERR_IO);
        fini(&self);
    }
    redis_server_stop(server);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
