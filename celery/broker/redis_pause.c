/* Paused queues: a hash that every claim looks at. */

#include "base/number.h"
#include "celery/broker/check.h"
#include "celery/broker/redis_internal.h"
#include "celery/broker/redis_scripts.h"

#define PAUSE_BYTES ((size_t)64 << 10)

static int
call_pause(struct redis_broker *self, struct str action, const struct broker_pause *pause,
           const struct redis_value **reply, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(PAUSE_BYTES);
    struct words words = {.arena = &arena};

    redis_admin_begin(self, &words, redis_text_pause);
    words_add(&words, action);
    words_add(&words, pause->queue);
    words_add(&words, pause->who);
    words_add(&words, pause->why);
    return redis_admin_call(self, &words, self->options.max_command_us, reply, err);
}

int
redis_pause(struct broker *broker, const struct broker_pause *pause, struct error *err)
{
    const struct redis_value *reply;
    int rc = check_pause(pause, err);

    return rc < 0 ? rc : call_pause(redis_broker_from(broker), STR("pause"), pause, &reply, err);
}

int
redis_resume(struct broker *broker, struct str queue, struct error *err)
{
    const struct redis_value *reply;
    int rc = check_queue(queue, err);

    if (rc == 0)
        rc = call_pause(redis_broker_from(broker), STR("resume"),
                        &(struct broker_pause){.queue = queue}, &reply, err);
    if (rc == 0 && reply->integer == 0)
        rc = error_set(err, ERR_NOT_FOUND, "queue '%.*s' is not paused", STR_ARG(queue));
    return rc;
}

/* {queue, since, who, why} */
static bool
read_pause(const struct redis_value *entry, struct arena *arena, struct broker_pause *out)
{
    bool is_copied = true;

    if (entry->n_items < 4 || number_parse_i64(entry->items[1].text, &out->since_us, NULL) < 0)
        out->since_us = TIME_UNKNOWN;
    if (entry->n_items < 4)
        return true;
    out->queue = arena_dup(arena, entry->items[0].text, &is_copied);
    out->who = arena_dup(arena, entry->items[2].text, &is_copied);
    out->why = arena_dup(arena, entry->items[3].text, &is_copied);
    return is_copied;
}

int
redis_list_paused(struct broker *broker, struct arena *arena, struct broker_pause_list *out,
                  struct error *err)
{
    const struct redis_value *reply;
    struct broker_pause *items;
    bool is_copied = true;
    int rc = call_pause(redis_broker_from(broker), STR("list"),
                        &(struct broker_pause){.since_us = 0}, &reply, err);

    if (rc < 0)
        return rc;
    items = arena_calloc(arena, reply->n_items, sizeof(*items));
    for (size_t i = 0; items && is_copied && i < reply->n_items; i++)
        is_copied = read_pause(&reply->items[i], arena, &items[i]);
    if (!items || !is_copied)
        return error_set(err, ERR_NOMEM, "no memory for the paused queues");
    *out = (struct broker_pause_list){items, reply->n_items};
    return 0;
}
