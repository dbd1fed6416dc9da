/* The dead set: messages that nobody can run, with the reason and their raw bytes, until somebody
 * looks at them. */

#include <stdarg.h>
#include <stdio.h>

#include "base/number.h"
#include "base/utf8.h"
#include "celery/broker/check.h"
#include "celery/broker/redis_internal.h"
#include "celery/broker/redis_scripts.h"

#define MAX_LIST      ((size_t)10000)
#define LIST_STEP     ((size_t)500) /* entries in one call */
#define COMMAND_BYTES ((size_t)1 << 20)
#define N_PARTS       10

static int
call(struct redis_broker *self, const struct str *words, size_t n_words,
     const struct redis_value **out, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(COMMAND_BYTES);
    struct words command = {.arena = &arena};

    redis_admin_begin(self, &command, redis_text_dead);
    for (size_t i = 0; i < n_words; i++)
        words_add(&command, words[i]);
    return redis_admin_call(self, &command, self->options.max_command_us, out, err);
}

static struct str
format_i64(int64_t value, char text[24])
{
    return (struct str){text, (size_t)snprintf(text, 24, "%lld", (long long)value)};
}

int
redis_dead_bury(struct broker *broker, const struct broker_message *message, struct str reason,
                struct error *err)
{
    struct redis_broker *self = redis_broker_from(broker);
    char now[24];
    char step[24];
    struct str words[] = {
        STR("bury"),
        message->queue,
        format_i64(redis_call_step(self, message->priority), step),
        message->id,
        utf8_cut(reason, BROKER_MAX_REASON_BYTES),
        format_i64(clock_now_us(self->options.clock), now),
        message->bytes,
    };
    const struct redis_value *reply;
    int rc = check_queue(message->queue, err);

    if (rc == 0)
        rc = call(self, words, COUNT_OF(words), &reply, err);
    if (rc == 0)
        self->stats.n_buried++;
    return rc;
}

static int64_t
read_i64(const struct redis_value *value)
{
    int64_t number = 0;

    if (value->kind == REDIS_INTEGER)
        return value->integer;
    error_ignore(number_parse_i64(value->text, &number, NULL)); /* a foreign hand's: 0 */
    return number;
}

static void
read_entry(const struct redis_value *entry, struct arena *arena, struct broker_dead *out,
           bool *is_copied)
{
    const struct redis_value *parts = entry->items;

    *out = (struct broker_dead){
        .dead_id = read_i64(&parts[0]),
        .queue = arena_dup(arena, parts[1].text, is_copied),
        .priority = (int)read_i64(&parts[2]),
        .id = arena_dup(arena, parts[3].text, is_copied),
        .reason = arena_dup(arena, parts[4].text, is_copied),
        .attempt = (uint32_t)read_i64(&parts[5]),
        .n_crashes = (uint32_t)read_i64(&parts[6]),
        .died_us = read_i64(&parts[7]),
        .n_bytes = (size_t)read_i64(&parts[8]),
    };
}

int
redis_dead_list(struct broker *broker, struct str queue, int64_t after_id, size_t limit,
                struct arena *arena, struct broker_dead_list *out, struct error *err)
{
    struct redis_broker *self = redis_broker_from(broker);
    struct broker_dead *items;
    const struct redis_value *reply;
    bool is_copied = true;
    size_t n = 0;

    if (limit > MAX_LIST)
        limit = MAX_LIST;
    items = arena_calloc(arena, limit, sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu dead messages", limit);
    while (n < limit) {
        size_t step = limit - n < LIST_STEP ? limit - n : LIST_STEP;
        char after[24];
        char most[24];
        struct str words[] = {STR("list"), queue, format_i64(after_id, after),
                              format_i64((int64_t)step, most)};
        int rc = call(self, words, COUNT_OF(words), &reply, err);

        if (rc < 0)
            return rc;
        for (size_t i = 0; i < reply->n_items && n < limit; i++)
            if (reply->items[i].n_items == N_PARTS)
                read_entry(&reply->items[i], arena, &items[n++], &is_copied);
        if (!is_copied)
            return error_set(err, ERR_NOMEM, "no memory for %zu dead messages", n);
        if (reply->n_items < step)
            break;
        after_id = items[n - 1].dead_id;
    }
    *out = (struct broker_dead_list){items, n};
    return 0;
}

static int
not_found(int64_t dead_id, struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "there is no dead message %lld", (long long)dead_id);
}

int
redis_dead_get(struct broker *broker, int64_t dead_id, struct arena *arena, struct broker_dead *out,
               struct error *err)
{
    char id[24];
    struct str words[] = {STR("get"), format_i64(dead_id, id)};
    struct broker_dead dead;
    const struct redis_value *reply;
    bool is_copied = true;
    int rc = call(redis_broker_from(broker), words, COUNT_OF(words), &reply, err);

    if (rc < 0)
        return rc;
    if (reply->n_items != N_PARTS)
        return not_found(dead_id, err);
    read_entry(reply, arena, &dead, &is_copied);
    dead.bytes = arena_dup(arena, reply->items[9].text, &is_copied);
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for dead message %lld", (long long)dead_id);
    *out = dead;
    return 0;
}

static int
change(struct broker *broker, struct str verb, int64_t dead_id, struct error *err)
{
    char id[24];
    struct str words[] = {verb, format_i64(dead_id, id)};
    const struct redis_value *reply;
    int rc = call(redis_broker_from(broker), words, COUNT_OF(words), &reply, err);

    if (rc < 0)
        return rc;
    return reply->integer > 0 ? 0 : not_found(dead_id, err);
}

int
redis_dead_requeue(struct broker *broker, int64_t dead_id, struct error *err)
{
    return change(broker, STR("requeue"), dead_id, err);
}

int
redis_dead_drop(struct broker *broker, int64_t dead_id, struct error *err)
{
    return change(broker, STR("drop"), dead_id, err);
}
