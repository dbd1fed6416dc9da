/* The Redis broker against the model: lost connections, forgotten scripts, a server without memory,
 * leases that end. */

#include "tests/unit/celery/broker/redis_setting.h"
#include "tests/unit/celery/broker/simulation.h"

#include <poll.h>

static struct redis_setting *setting; /* its parties do nothing here */

static bool
is_quiet(const struct handle *handle)
{
    const struct redis_broker *broker = redis_broker_from(handle->broker);
    struct broker_wait wait;

    broker_get_wait(handle->broker, &wait);
    return broker->is_greeted && broker->n_asked == 0 && !broker->must_resume &&
           wait.deadline_us > handle->simulation->clock.mono_us;
}

/* When the server thinks that this handle's lease ends. */
static void
note_lease(struct handle *handle)
{
    const struct redis_broker *broker = redis_broker_from(handle->broker);
    struct str score = redis_setting_text(
        SAY(setting, STR("ZSCORE"), STR("trawl.consumers"), str_from_cstr(broker->consumer)));

    handle->lease_until_us = score.len > 0 ? (int64_t)strtod(score.ptr, NULL) : INT64_MAX;
}

static void
run_until_quiet(struct simulation *self, struct handle *handle)
{
    int64_t until_us = clock_mono_us(&clock_system) + 20 * US_PER_S;
    struct error err;

    do {
        struct broker_wait wait;

        assert_ok(broker_run(handle->broker, &err), err);
        broker_get_wait(handle->broker, &wait);
        if (wait.deadline_us > self->clock.mono_us && !is_quiet(handle)) {
            struct pollfd poll_fd = {.fd = wait.fd, .events = wait.events};

            (void)poll(&poll_fd, 1, 5);
        }
        CHECK(self, clock_mono_us(&clock_system) < until_us);
    } while (!is_quiet(handle));
    note_lease(handle);
}

static void
run_hurt(struct simulation *self, struct handle *handle)
{
    struct error err;

    switch (simulation_draw(self, 4)) {
    case 0: /* what was sent may have been carried out */
    case 1:
        assert_ok(broker_run(handle->broker, &err), err);
        (void)SAY(setting, STR("CLIENT"), STR("KILL"), STR("TYPE"), STR("normal"), STR("SKIPME"),
                  STR("yes"));
        break;
    case 2:
        (void)SAY(setting, STR("SCRIPT"), STR("FLUSH"));
        break;
    default:
        (void)SAY(setting, STR("CONFIG"), STR("SET"), STR("maxmemory"), STR("1"));
        run_until_quiet(self, handle);
        (void)SAY(setting, STR("CONFIG"), STR("SET"), STR("maxmemory"), STR("0"));
        break;
    }
    run_until_quiet(self, handle);
}

static void
abandon(struct simulation *self, struct handle *handle)
{
    const struct redis_broker *broker = redis_broker_from(handle->broker);

    (void)self;
    (void)SAY(setting, STR("ZADD"), STR("trawl.consumers"), STR("XX"), STR("1"),
              str_from_cstr(broker->consumer));
    handle->lease_until_us = 1;
}

static bool
is_presumed_dead(const struct handle *handle)
{
    return handle->simulation->clock.mono_us >= handle->lease_until_us;
}

static int64_t
count_left(struct simulation *self)
{
    (void)self;
    return redis_setting_count(setting, "LLEN", "q") +
           redis_setting_count(setting, "HLEN", "unacked") +
           redis_setting_count(setting, "ZCARD", "unacked_index") +
           redis_setting_count(setting, "HLEN", "trawl.odd") +
           redis_setting_count(setting, "ZCARD", "trawl.eta.q") +
           (int64_t)SAY(setting, STR("KEYS"), STR("trawl.held.*"))->n_items;
}

static int64_t
count_dead(struct simulation *self)
{
    (void)self;
    return redis_setting_count(setting, "ZCARD", "trawl.dead");
}

static void
test_schedules(void **state)
{
    static const struct simulation_ops ops = {run_until_quiet,  run_hurt,   abandon,
                                              is_presumed_dead, count_left, count_dead};
    struct simulation *self = calloc(1, sizeof(*self));

    (void)state;
    assert_non_null(self);
    setting = redis_setting_open("/1");
    simulation_open(self, &ops, setting->url);
    simulation_run(self, 3000);
    simulation_close(self);
    redis_setting_close(setting);
    free(self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
