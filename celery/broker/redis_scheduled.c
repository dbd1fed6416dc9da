/* What waits for its eta, to be looked at. */

#include "base/number.h"
#include "celery/broker/check.h"
#include "celery/broker/redis_internal.h"
#include "celery/broker/redis_scripts.h"

#define COMMAND_BYTES ((size_t)65536)
#define N_PARTS       4

/* The score comes as text, in a form of its own where it is large. */
static int64_t
read_time(struct str text)
{
    double us;

    return number_parse_f64(text, &us, NULL) == 0 ? (int64_t)us : TIME_UNKNOWN;
}

static void
read_entry(const struct redis_value *parts, struct arena *arena, struct broker_scheduled *out,
           bool *is_copied)
{
    CLEANUP(arena_fini) struct arena scratch = ARENA_INIT((size_t)64 << 20);
    struct redis_envelope envelope;
    int64_t step = 0;

    error_ignore(number_parse_i64(parts[1].text, &step, NULL)); /* a foreign hand's: 0 */
    out->bytes = arena_dup(arena, parts[3].text, is_copied);
    redis_envelope_read(out->bytes, &scratch, &envelope);
    out->id = arena_dup(arena, envelope.id, is_copied);
    out->eta_us = read_time(parts[0].text);
    out->priority = envelope.priority >= 0 && envelope.priority <= BROKER_MAX_PRIORITY
                        ? (int)envelope.priority
                        : (int)step;
}

int
redis_list_scheduled(struct broker *broker, struct str queue, size_t limit, struct arena *arena,
                     struct broker_scheduled_list *out, struct error *err)
{
    CLEANUP(arena_fini) struct arena own = ARENA_INIT(COMMAND_BYTES);
    struct redis_broker *self = redis_broker_from(broker);
    struct words words = {.arena = &own};
    struct broker_scheduled *items;
    const struct redis_value *reply;
    bool is_copied = true;
    size_t n = 0;
    int rc;

    if (limit > BROKER_MAX_LISTED)
        limit = BROKER_MAX_LISTED;
    redis_admin_begin(self, &words, redis_text_scheduled);
    words_add(&words, queue);
    words_add_i64(&words, (int64_t)limit);
    words_add_i64(&words, (int64_t)BROKER_MAX_LISTED_BYTES);
    rc = limit > 0 ? redis_admin_call(self, &words, self->options.max_command_us, &reply, err) : 0;
    items = arena_calloc(arena, limit, sizeof(*items));
    if (rc == 0 && !items)
        rc = error_set(err, ERR_NOMEM, "no memory for %zu messages", limit);
    for (size_t i = 0; rc == 0 && limit > 0 && i < reply->n_items && n < limit; i++) {
        if (reply->items[i].n_items == N_PARTS)
            read_entry(reply->items[i].items, arena, &items[n++], &is_copied);
    }
    if (rc == 0 && !is_copied)
        rc = error_set(err, ERR_NOMEM, "no memory for %zu messages", n);
    if (rc == 0)
        *out = (struct broker_scheduled_list){items, n};
    return rc;
}
