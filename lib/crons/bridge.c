/* The adapters that keep every task a dozen lines. */

#include "lib/crons/bridge.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/core/container.h"

static void
report(const struct progress *self, int64_t done, int64_t total)
{
    const struct cron_bridge *bridge = (const struct cron_bridge *)self;

    celery_call_progress(bridge->call, done, total);
}

static bool
is_cancelled(const struct progress *self)
{
    const struct cron_bridge *bridge = (const struct cron_bridge *)self;

    return celery_call_is_cancelled(bridge->call);
}

void
cron_bridge_init(struct cron_bridge *self, struct celery_call *call)
{
    self->progress = (struct progress){report, is_cancelled};
    self->call = call;
    self->run = *container_run(celery_call_context(call));
    self->run.progress = &self->progress;
}

void
cron_return_ledger(struct celery_call *call, const struct ledger *ledger, const char *source,
                   bool with_processed)
{
    celery_call_return_int(call, "total_fetched", ledger->n_fetched);
    if (with_processed)
        celery_call_return_int(call, "total_processed", ledger->n_fetched);
    celery_call_return_int(call, "total_inserted", ledger->n_inserted);
    celery_call_return_int(call, "total_updated", ledger->n_updated);
    celery_call_return_int(call, "total_unchanged", ledger->n_unchanged);
    celery_call_return_int(call, "total_rejected", ledger->n_rejected);
    celery_call_return_int(call, "total_failed", ledger->n_failed);
    celery_call_return_str(call, "source", str_from_cstr(source));
}

const char *
cron_format_ledger(const struct ledger *ledger, char text[256])
{
    (void)snprintf(text, 256,
                   "fetched=%" PRId64 " inserted=%" PRId64 " updated=%" PRId64 " unchanged=%" PRId64
                   " rejected=%" PRId64 " failed=%" PRId64,
                   ledger->n_fetched, ledger->n_inserted, ledger->n_updated, ledger->n_unchanged,
                   ledger->n_rejected, ledger->n_failed);
    return text;
}
