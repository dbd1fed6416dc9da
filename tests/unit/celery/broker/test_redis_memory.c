/* A day in the Redis broker's life with each of its allocations failing in turn: an error or
 * another try, no leak, no crash, and every message accounted for. */

#include "tests/unit/celery/broker/redis_setting.h"

#include <poll.h>

#include "tests/unit/failing_allocations.h"

#define CREDIT  4
#define N_TURNS 60

struct day {
    struct broker *broker;
    int n_acked;
    int n_failed; /* publishes that were taken in and came to nothing */
};

static void
on_delivered(void *context, const struct broker_delivery *delivery)
{
    static const struct broker_verdict verdict = {.action = BROKER_ACK};
    struct day *self = context;

    /* What cannot be settled comes back when the handle is closed. */
    error_ignore(broker_settle(self->broker, delivery->tag, &verdict, NULL, NULL));
}

static void
on_completed(void *context, const struct broker_completion *completion)
{
    struct day *self = context;

    self->n_acked += completion->tag && completion->outcome == BROKER_DONE;
    self->n_failed += !completion->tag && completion->outcome == BROKER_FAILED;
}

/* Returns how many messages were taken in. */
static int
live_a_day(const struct redis_setting *setting, struct str bytes, struct day *day)
{
    struct broker_options options = {
        .listener = {.delivered = on_delivered, .completed = on_completed, .context = day}};
    struct broker_message message = party_message("q", "1");
    struct str queue = STR("q");
    int n_sent = 0;

    if (broker_open(str_from_cstr(setting->url), &options, &day->broker, NULL) < 0)
        return 0;
    message.bytes = bytes;
    for (int i = 0; i < 5; i++)
        n_sent += broker_publish(day->broker, &message, NULL, NULL) == 0;
    if (broker_consume(day->broker, &queue, 1, NULL) == 0)
        broker_set_credit(day->broker, CREDIT);
    for (int i = 0; i < N_TURNS && day->n_acked < CREDIT; i++) {
        struct broker_wait wait;
        struct pollfd poll_fd;

        assert_int_equal(broker_run(day->broker, NULL), 0);
        broker_get_wait(day->broker, &wait);
        poll_fd = (struct pollfd){.fd = wait.fd, .events = wait.events};
        if (wait.deadline_us > clock_mono_us(&clock_system))
            (void)poll(&poll_fd, 1, 5);
    }
    error_ignore(broker_flush(day->broker, US_PER_S, NULL));
    broker_close(day->broker);
    return n_sent;
}

static void
test_each_allocation_fails(void **state)
{
    struct redis_setting *self = redis_setting_open_real("/1", NULL);
    struct str bytes = redis_setting_envelope(self, "q", "1");
    int n_expected = 0;
    int n_tries = 0;

    (void)state;
    do {
        struct day day = {0};
        int n_sent;

        has_failed = false;
        n_until_failure = ++n_tries;
        n_sent = live_a_day(self, bytes, &day);
        n_until_failure = 0;
        n_expected += n_sent - day.n_failed - day.n_acked;
        assert_int_equal(party_count(&self->a, "q"), n_expected);
    } while (has_failed);
    print_message("# %d allocations\n", n_tries - 1);
    assert_true(n_tries > 10);
    redis_setting_close(self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
