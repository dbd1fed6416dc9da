/* The implementations by their URL, and what is the same for all of them. */

#include "celery/broker/broker.h"

#include <errno.h>

#include "base/wait.h"

static const struct {
    struct str prefix;
    const struct broker_ops *ops;
} schemes[] = {
    {STR_INIT("redis:"), &broker_redis},        {STR_INIT("rediss:"), &broker_redis},
    {STR_INIT("redis+socket:"), &broker_redis}, {STR_INIT("sentinel:"), &broker_redis},
    {STR_INIT("sqlite:"), &broker_sqlite},      {STR_INIT("unix:"), &broker_redis},
};

int
broker_open(struct str url, const struct broker_options *options, struct broker **out,
            struct error *err)
{
    size_t colon = str_find(url, STR("://"));

    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (str_starts_with(url, schemes[i].prefix))
            return schemes[i].ops->open(url, options, out, err);
    if (colon < url.len)
        return error_set(err, ERR_CONFIG,
                         "broker URL scheme '%.*s' is not supported: use sqlite:/// or redis://",
                         STR_ARG(str_slice(url, 0, colon < 32 ? colon : 32)));
    return broker_sqlite.open(url, options, out, err);
}

void
broker_close(struct broker *broker)
{
    if (broker)
        broker->ops->close(broker);
}

void
broker_closep(struct broker **broker)
{
    broker_close(*broker);
}

/* Until the broker wants to be called again, at most until then. */
static void
wait_for(const struct broker *broker, int64_t until_us)
{
    struct broker_wait wait;

    broker_get_wait(broker, &wait);
    if (wait.deadline_us < until_us)
        until_us = wait.deadline_us;
    /* An error other than a signal would be of our making, and the next round comes anyway. */
    (void)wait_for_fd_soon(wait.fd, wait.events, until_us);
}

int
broker_flush(struct broker *broker, int64_t timeout_us, struct error *err)
{
    int64_t until_us = clock_mono_us(&clock_system) + timeout_us;
    struct broker_stats stats;

    for (;;) {
        int rc = broker_run(broker, err);

        if (rc < 0)
            return rc;
        broker_get_stats(broker, &stats);
        if (stats.n_pending == 0)
            return 0;
        if (clock_mono_us(&clock_system) >= until_us)
            return error_set(err, ERR_TIMEOUT,
                             "%zu operations wait for the broker after %lld ms: it is locked, full"
                             " or away",
                             stats.n_pending, (long long)(timeout_us / US_PER_MS));
        wait_for(broker, until_us);
    }
}
