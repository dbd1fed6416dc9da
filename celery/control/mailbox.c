/* The implementations by the broker's URL, and what is the same for all of them. */

#include "celery/control/mailbox.h"

#include "base/wait.h"

static const struct {
    struct str prefix;
    const struct mailbox_ops *ops;
} schemes[] = {
    {STR_INIT("redis:"), &mailbox_redis},        {STR_INIT("rediss:"), &mailbox_redis},
    {STR_INIT("redis+socket:"), &mailbox_redis}, {STR_INIT("unix:"), &mailbox_redis},
    {STR_INIT("sentinel:"), &mailbox_redis},     {STR_INIT("sqlite:"), &mailbox_sqlite},
};

int
mailbox_open(struct str broker_url, const struct mailbox_options *options, struct mailbox **out,
             struct error *err)
{
    size_t colon = str_find(broker_url, STR("://"));

    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (str_starts_with(broker_url, schemes[i].prefix))
            return schemes[i].ops->open(broker_url, options, out, err);
    if (colon < broker_url.len)
        return error_set(err, ERR_UNSUPPORTED, "there is no remote control over '%.*s' brokers",
                         STR_ARG(str_slice(broker_url, 0, colon < 32 ? colon : 32)));
    return mailbox_sqlite.open(broker_url, options, out, err);
}

void
mailbox_close(struct mailbox *mailbox)
{
    if (mailbox)
        mailbox->ops->close(mailbox);
}

void
mailbox_closep(struct mailbox **mailbox)
{
    mailbox_close(*mailbox);
}

int
mailbox_run_until(struct mailbox *mailbox, int64_t until_us, struct error *err)
{
    struct mailbox_wait wait;

    mailbox_get_wait(mailbox, &wait);
    if (wait.deadline_us < until_us)
        until_us = wait.deadline_us;
    /* An error other than a signal would be of our making, and the next round comes anyway. */
    (void)wait_for_fd(wait.fd, wait.events, until_us);
    return mailbox_run(mailbox, err);
}

int
mailbox_check_name(struct str name, const char *what, struct error *err)
{
    if (name.len == 0 || name.len > MAILBOX_MAX_NAME_BYTES)
        return error_set(err, ERR_INVALID, "%s has %zu bytes, allowed are 1 to %zu", what, name.len,
                         MAILBOX_MAX_NAME_BYTES);
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];

        if (c < 0x20 || c == 0x7F)
            return error_set(err, ERR_INVALID, "%s has a control character at byte %zu", what, i);
    }
    return 0;
}
