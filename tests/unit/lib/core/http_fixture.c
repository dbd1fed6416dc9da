#include "tests/unit/lib/core/http_fixture.h"

#include "tests/unit/check.h"

#define START_US (INT64_C(784111777) * US_PER_S) /* 1994-11-06T08:49:37Z */

static int64_t
fake_time_us(const struct clock *clock)
{
    return ((const struct fake_clock *)clock)->time_us;
}

static void
fake_sleep_us(const struct clock *clock, int64_t span_us)
{
    struct fake_clock *self = (struct fake_clock *)(uintptr_t)clock;

    self->time_us += span_us;
    self->slept_us += span_us;
}

void
fake_clock_init(struct fake_clock *clock)
{
    *clock = (struct fake_clock){{fake_time_us, fake_time_us, fake_sleep_us}, START_US, 0};
}

static bool
is_cancelled(void *context)
{
    struct http_fixture *fixture = context;

    return fixture->n_until_cancel > 0 && --fixture->n_until_cancel == 0;
}

void
http_fixture_init(struct http_fixture *fixture)
{
    *fixture = (struct http_fixture){.arena = ARENA_INIT((size_t)64 << 20)};
    fake_clock_init(&fixture->clock);
    fixture->options = (struct http_options){.user_agent = STR("trawl-test/1.0"),
                                             .clock = &fixture->clock.base,
                                             .max_attempts = 2,
                                             .backoff_ms = 1000,
                                             .is_cancelled = is_cancelled,
                                             .cancel_context = fixture};
}

void
http_fixture_open(struct http_fixture *fixture)
{
    assert_ok(http_client_create(&fixture->options, &fixture->client, &fixture->err), fixture->err);
}

void
http_fixture_close(struct http_fixture *fixture)
{
    http_client_free(fixture->client);
    arena_fini(&fixture->arena);
}

int
http_fixture_fetch(struct http_fixture *fixture, const struct http_request *request)
{
    return http_fetch(fixture->client, request, &fixture->arena, &fixture->response, &fixture->err);
}

int
http_fixture_get(struct http_fixture *fixture, struct str url)
{
    struct http_request request = {.url = url};

    return http_fixture_fetch(fixture, &request);
}

static int
memory_write(void *context, struct str bytes, struct error *err)
{
    struct memory_sink *sink = context;

    if (sink->write_rc < 0)
        return error_set(err, (enum error_code) - sink->write_rc, "the sink is full");
    buf_append(&sink->bytes, bytes);
    return buf_status(&sink->bytes, err);
}

static int
memory_reset(void *context, struct error *err)
{
    struct memory_sink *sink = context;

    (void)err;
    sink->n_resets++;
    buf_clear(&sink->bytes);
    return 0;
}

static int
memory_begin(void *context, const struct http_response *head, struct error *err)
{
    struct memory_sink *sink = context;

    (void)err;
    assert_true(head->status == 200 || head->status == 206);
    assert_true(head->url.len > 0);
    sink->n_begun++;
    return 0;
}

void
memory_sink_init(struct memory_sink *sink)
{
    *sink = (struct memory_sink){.base = {memory_write, memory_reset, sink, memory_begin},
                                 .bytes = BUF_INIT((size_t)64 << 20)};
}
