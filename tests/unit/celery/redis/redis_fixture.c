/* See redis_fixture.h. */

#include "tests/unit/celery/redis/redis_fixture.h"

#include <poll.h>

void
redis_fixture_open(struct redis_fixture *self, const char *url, const struct redis_options *options)
{
    static const struct redis_options defaults;

    *self = (struct redis_fixture){.arena = ARENA_INIT(65536)};
    assert_ok(redis_address_parse(str_from_cstr(url), &self->arena, &self->address, &self->err),
              self->err);
    assert_ok(redis_open(&self->address, options ? options : &defaults, &self->redis, &self->err),
              self->err);
}

void
redis_fixture_close(struct redis_fixture *self)
{
    redis_close(self->redis);
    arena_fini(&self->arena);
}

static size_t
split(const char *text, struct str words[16])
{
    struct str rest = str_from_cstr(text);
    size_t n = 0;

    while (n < 16 && str_split(&rest, ' ', &words[n]))
        n++;
    return n;
}

int
redis_fixture_call(struct redis_fixture *self, const char *text, const struct redis_value **out)
{
    struct str words[16];
    size_t n = split(text, words);

    return redis_call(self->redis, words, n, FIXTURE_WAIT_US, out, &self->err);
}

const struct redis_value *
redis_fixture_ask(struct redis_fixture *self, const char *text)
{
    const struct redis_value *reply = NULL;

    assert_ok(redis_fixture_call(self, text, &reply), self->err);
    return reply;
}

void
redis_fixture_command(struct redis_fixture *self, const char *text)
{
    struct str words[16];
    size_t n = split(text, words);

    assert_ok(redis_command(self->redis, words, n, &self->err), self->err);
}

int
redis_fixture_next(struct redis_fixture *self, const struct redis_value **out)
{
    int64_t until_us = clock_mono_us(&clock_system) + FIXTURE_WAIT_US;

    if (redis_take(self->redis, out))
        return 0;
    for (;;) {
        int64_t now_us;
        struct redis_wait wait;
        struct pollfd poll_fd;
        int rc = redis_run(self->redis, &self->err);

        if (rc < 0 || redis_take(self->redis, out))
            return rc;
        redis_get_wait(self->redis, &wait);
        now_us = clock_mono_us(&clock_system);
        if (now_us > until_us)
            fail_msg("nothing came");
        if (wait.deadline_us > until_us)
            wait.deadline_us = until_us;
        poll_fd = (struct pollfd){.fd = wait.fd, .events = wait.events};
        if (wait.deadline_us > now_us)
            (void)poll(&poll_fd, 1, (int)((wait.deadline_us - now_us) / US_PER_MS + 1));
    }
}
