/* A mailbox that listens to all events, and remote control's broadcasts to whoever sends them. */

#include "cli/event_feed.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "celery/control/client.h"
#include "celery/events/event_mailbox.h"
#include "cli/interrupt.h"

#define OPEN_US    (1500 * US_PER_MS)
#define SLICE_US   (250 * US_PER_MS) /* so often Ctrl-C is looked for */
#define ENABLE_US  (5 * US_PER_S)
#define HEAR_BYTES ((size_t)128 << 20)

static void
on_received(void *context, struct str bytes)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(HEAR_BYTES);
    struct cli_event_feed *self = context;
    struct event_list list;

    if (event_decode(bytes, &arena, &list, NULL) < 0) {
        self->n_unread++;
        return;
    }
    self->n_unread += list.n_refused;
    for (size_t i = 0; i < list.n_items; i++)
        self->take(self->context, &list.items[i]);
}

/* A command that nobody answers. */
static int
tell(struct cli_event_feed *self, struct str method, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct control_question question = {.method = method};
    struct control_replies replies;

    return control_ask(config_get(self->cli->config, CONFIG_BROKER_URL), &question,
                       interrupt_is_pending, &arena, &replies, err);
}

static int
wait_to_listen(struct cli_event_feed *self, struct error *err)
{
    int64_t until_us = clock_mono_us(&clock_system) + OPEN_US;
    int rc = 0;

    while (rc == 0 && !mailbox_is_listening(self->mailbox)) {
        if (clock_mono_us(&clock_system) >= until_us)
            return error_set(err, ERR_TIMEOUT, "the broker does not answer within %lld ms",
                             (long long)(OPEN_US / US_PER_MS));
        rc = mailbox_run_until(self->mailbox, until_us, err);
    }
    return rc;
}

int
cli_event_feed_open(struct cli_event_feed *self, struct error *err)
{
    struct event_mailbox_options options = {
        .listener = {.received = on_received, .context = self},
        .topic = STR(EVENT_TOPIC_ALL),
    };
    int rc;

    (void)snprintf(self->name, sizeof(self->name), "trawl-events-%d", (int)getpid());
    options.name = str_from_cstr(self->name);
    rc = event_mailbox_open(config_get(self->cli->config, CONFIG_BROKER_URL), &options,
                            &self->mailbox, err);
    if (rc == 0)
        rc = wait_to_listen(self, err);
    return rc < 0 ? rc : tell(self, STR("heartbeat"), err);
}

void
cli_event_feed_close(struct cli_event_feed *self)
{
    mailbox_close(self->mailbox);
    self->mailbox = NULL;
}

int
cli_event_feed_run(struct cli_event_feed *self, int64_t until_us, struct error *err)
{
    int rc = 0;

    for (;;) {
        int64_t mono_us = clock_mono_us(&clock_system);

        if (rc < 0 || mono_us >= until_us || interrupt_is_pending(NULL))
            return rc;
        if (self->is_enabling && mono_us >= self->enable_us) {
            self->enable_us = mono_us + ENABLE_US;
            rc = tell(self, STR("enable_events"), err);
            if (rc == -ERR_CANCELLED)
                return 0;
        }
        if (rc == 0)
            rc = mailbox_run_until(
                self->mailbox, mono_us + SLICE_US < until_us ? mono_us + SLICE_US : until_us, err);
    }
}
