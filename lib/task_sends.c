/* See task_sends.h. */

#include "lib/task_sends.h"

#include "base/log.h"
#include "celery/call.h"
#include "celery/client.h"
#include "celery/send_record.h"

/* Records, their texts twice over, and the array. */
#define SENDS_ARENA_BYTES (8 * CELERY_SENDS_BYTES)

static int
send_one(struct celery_client *client, const struct send_record *record, struct str run_id,
         struct error *err)
{
    char id[UUID_TEXT_BYTES];
    struct celery_request request = {
        .task = record->task,
        .args = record->args,
        .kwargs = record->kwargs,
        .queue = record->queue,
        .priority = (int)record->priority,
        .eta_us = TIME_UNKNOWN,
        .countdown_us = record->countdown_ms * US_PER_MS,
        .expires_in_us = record->expires_in_ms * US_PER_MS,
        .id = record->id,
        .root_id = run_id,
        .parent_id = run_id,
    };
    int rc = celery_client_send(client, &request, id, err);

    if (rc < 0)
        return error_wrap(err, rc, "task '%.*s' could not be sent", STR_ARG(record->task));
    log_info("task %s: id=%s name=%.*s", record->is_replacement ? "replaced by another" : "sent",
             id, STR_ARG(record->task));
    return 0;
}

int
task_sends_deliver(struct container *app, struct str text, struct str run_id, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(SENDS_ARENA_BYTES);
    CLEANUP(celery_client_freep) struct celery_client *client = NULL;
    const struct celery_client_options options = {
        .broker_url = config_get(container_config(app), CONFIG_BROKER_URL),
        .backend_url = config_get(container_config(app), CONFIG_RESULT_BACKEND),
        .clock = container_clock(app),
    };
    struct send_list list;
    int rc;

    if (text.len == 0)
        return 0;
    rc = send_list_decode(text, &arena, &list, err);
    if (rc == 0)
        rc = celery_client_create(&options, &client, err);
    for (size_t i = 0; rc == 0 && i < list.n_items; i++)
        rc = send_one(client, &list.items[i], run_id, err);
    return rc;
}
