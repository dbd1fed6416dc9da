/* Commands: they block, on a connection of their own that is opened when first needed. */

#include <stdlib.h>

#include "celery/broker/check.h"
#include "celery/broker/redis_internal.h"
#include "celery/broker/redis_scripts.h"

#define MAX_QUEUE_NAMES ((size_t)100000)
#define NAMES_BYTES     ((size_t)64 << 20)
#define COMMAND_BYTES   ((size_t)1 << 20)
#define REVOKE_STEP     ((size_t)1000) /* ids in one call */

void
redis_admin_begin(const struct redis_broker *self, struct words *words, const char *text)
{
    words_add(words, STR("EVAL"));
    words_add(words, str_from_cstr(text));
    words_add(words, STR("0"));
    redis_call_add_common(self, words);
}

/* An error reply is an error.  A connection that failed is opened again by the next call. */
int
redis_admin_call(struct redis_broker *self, const struct words *words, int64_t timeout_us,
                 const struct redis_value **out, struct error *err)
{
    struct redis_options options = {
        .client_name = STR("trawl-command"), .reply_us = timeout_us, .connect_us = timeout_us};
    int rc = 0;

    if (words->is_failed)
        return error_set(err, ERR_NOMEM, "no memory for a command to the broker");
    if (!self->commands)
        rc = redis_open(&self->address, &options, &self->commands, err);
    if (rc == 0)
        rc = redis_call(self->commands, words->items, words->n_items, timeout_us, out, err);
    if (rc < 0) {
        redis_close(self->commands);
        self->commands = NULL;
        return rc;
    }
    return redis_check(*out, err);
}

static int
compare_names(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Names that come from the server in pages, in an arena of their own. */
struct names {
    struct arena arena;
    struct words found;
};

/* One page; *cursor is "0" after the last one. */
static int
read_page(struct redis_broker *self, struct str *cursor, struct names *names, struct error *err)
{
    struct words words = {.arena = &names->arena};
    const struct redis_value *reply;
    bool is_copied = true;
    int rc;

    redis_admin_begin(self, &words, redis_text_queues);
    words_add(&words, *cursor);
    words_add(&words, self->layout.binding);
    rc = redis_admin_call(self, &words, self->options.max_command_us, &reply, err);
    if (rc < 0)
        return rc;
    for (size_t i = 1; i < reply->n_items && names->found.n_items < MAX_QUEUE_NAMES; i++)
        if (check_queue(reply->items[i].text, NULL) == 0)
            words_add(&names->found, arena_dup(&names->arena, reply->items[i].text, &is_copied));
    *cursor =
        reply->n_items > 0 ? arena_dup(&names->arena, reply->items[0].text, &is_copied) : STR("0");
    return is_copied && !names->found.is_failed
               ? 0
               : error_set(err, ERR_NOMEM, "no memory for the names of queues");
}

/* Sorted, each once. */
static int
sort_names(const struct names *names, struct arena *arena, struct str_list *out, struct error *err)
{
    size_t n = names->found.n_items;
    struct str *items = arena_calloc(arena, n, sizeof(*items));
    bool is_copied = items != NULL;
    size_t n_kept = 0;

    if (n > 0)
        qsort(names->found.items, n, sizeof(*items), compare_names);
    for (size_t i = 0; is_copied && i < n; i++)
        if (n_kept == 0 || !str_equal(items[n_kept - 1], names->found.items[i]))
            items[n_kept++] = arena_dup(arena, names->found.items[i], &is_copied);
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for the names of %zu queues", n);
    *out = (struct str_list){items, n_kept};
    return 0;
}

int
redis_admin_list_queues(struct broker *broker, struct arena *arena, struct str_list *out,
                        struct error *err)
{
    struct names names = {.arena = ARENA_INIT(NAMES_BYTES)};
    struct str cursor = STR("0");
    int rc;

    names.found.arena = &names.arena;
    do {
        rc = read_page(redis_broker_from(broker), &cursor, &names, err);
    } while (rc == 0 && !str_equal(cursor, STR("0")));
    if (rc == 0)
        rc = sort_names(&names, arena, out, err);
    arena_fini(&names.arena);
    return rc;
}

static int
call_for_queue(struct redis_broker *self, const char *text, struct str queue,
               const struct redis_value **out, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(COMMAND_BYTES);
    struct words words = {.arena = &arena};

    redis_admin_begin(self, &words, text);
    words_add(&words, queue);
    for (size_t i = 0; i < self->layout.n_steps; i++)
        words_add(&words, self->layout.steps[i]);
    return redis_admin_call(self, &words, self->options.max_command_us, out, err);
}

int
redis_admin_count(struct broker *broker, struct str queue, struct broker_depth *out,
                  struct error *err)
{
    const struct redis_value *reply;
    int rc = call_for_queue(redis_broker_from(broker), redis_text_count, queue, &reply, err);

    if (rc < 0)
        return rc;
    if (reply->n_items < 3)
        return error_set(err, ERR_INVALID, "the server counts %zu kinds of messages",
                         reply->n_items);
    *out = (struct broker_depth){
        .n_ready = reply->items[0].integer,
        .n_scheduled = reply->items[1].integer,
        .n_claimed = reply->items[2].integer,
    };
    return 0;
}

int
redis_admin_purge(struct broker *broker, struct str queue, int64_t *n_purged, struct error *err)
{
    const struct redis_value *reply;
    int64_t n_all = 0;

    do {
        int rc = call_for_queue(redis_broker_from(broker), redis_text_purge, queue, &reply, err);

        if (rc < 0)
            return rc;
        n_all += reply->integer;
    } while (reply->integer > 0);
    *n_purged = n_all;
    return 0;
}

int
redis_admin_revoke(struct broker *broker, const struct str *ids, size_t n_ids, int64_t until_us,
                   struct error *err)
{
    struct redis_broker *self = redis_broker_from(broker);
    const struct redis_value *reply;
    int rc = check_ids(ids, n_ids, err);

    for (size_t from = 0; rc == 0 && from < n_ids; from += REVOKE_STEP) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(COMMAND_BYTES);
        struct words words = {.arena = &arena};

        redis_admin_begin(self, &words, redis_text_revoke);
        words_add_i64(&words, clock_now_us(self->options.clock));
        words_add_i64(&words, until_us);
        for (size_t i = from; i < n_ids && i < from + REVOKE_STEP; i++)
            words_add(&words, ids[i]);
        rc = redis_admin_call(self, &words, self->options.max_command_us, &reply, err);
    }
    return rc;
}
