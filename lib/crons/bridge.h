#pragma once

/* From a task's call to a service's run and back: progress one way, counts the other. */

#include <trawl/task.h>

#include "lib/models/ledger.h"
#include "lib/models/run_context.h"

struct cron_bridge {
    struct progress progress; /* first: reports go to the call */
    struct celery_call *call;
    struct run_context run;
};

/* Ready for a service once this returns; lives on the task's stack. */
void cron_bridge_init(struct cron_bridge *self, struct celery_call *call);

/* The ledger's keys; Kaggle's tasks also say total_processed.  Call it after a failure too: what
 * was committed before it counts. */
void cron_return_ledger(struct celery_call *call, const struct ledger *ledger, const char *source,
                        bool with_processed);

/* One line for the log: "fetched=10 inserted=...". */
const char *cron_format_ledger(const struct ledger *ledger, char text[256]);
