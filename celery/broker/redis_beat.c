/* Beat's store on Redis: one script, one call per operation, on a connection of its own.
 *
 *     trawl.beat.leader         hash: term, signs, owner
 *     trawl.beat.entries        hash: name -> "last_slot n_runs sent_at task_id"
 *     trawl.beat.slots.NAME     hash: slot key -> task id; the newest of them
 *     trawl.beat.order.NAME     list: the same keys, in the order of sending
 *
 * A call without a reply may still be carried out, however late: by then its term has passed. */

#include "celery/broker/beat_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "celery/broker/check.h"
#include "celery/broker/redis_internal.h"
#include "celery/broker/redis_scripts.h"
#include "celery/schedule_timing.h"

#define TIMEOUT_US    (US_PER_S * 3 / 2)
#define ADDRESS_BYTES ((size_t)256 << 10)
#define CALL_BYTES    ((size_t)16 << 20) /* words of a call, borrowed texts not counted */
#define NEVER         (-1)

struct redis_beat {
    struct beat_store base;
    struct arena arena; /* for the handle's life: address, layout */
    struct redis_address address;
    struct redis_layout layout;
    struct redis_script script;
    struct redis *redis;
    const struct clock *clock;
    int64_t timeout_us;
    int64_t n_keys_kept;
    int64_t term; /* of ours; 0 = we never led */
    char owner[BEAT_OWNER_BYTES];
};

/* One call: its words, its reply. */
struct beat_call {
    struct arena arena;
    struct words words;
    const struct redis_value *reply; /* an array of texts that begins with one */
};

static struct redis_beat *
from_store(struct beat_store *store)
{
    return (struct redis_beat *)store;
}

static void
close_store(struct beat_store *store)
{
    struct redis_beat *self = from_store(store);

    redis_close(self->redis);
    arena_fini(&self->arena);
    free(self);
}

static void
free_storep(struct redis_beat **self)
{
    if (*self)
        close_store(&(*self)->base);
}

/* Bytes that are no answer of Redis's are no fault of the message that was to be sent. */
static int
call_server(struct redis_beat *self, const struct str *words, size_t n_words,
            const struct redis_value **out, struct error *err)
{
    int rc;

    if (!self->redis)
        return error_set(err, ERR_NETWORK, "the connection to the Redis server failed earlier");
    rc = redis_call(self->redis, words, n_words, self->timeout_us, out, err);
    if (rc == 0)
        return redis_check(*out, err);
    redis_close(self->redis);
    self->redis = NULL;
    if (rc == -ERR_INVALID || rc == -ERR_TOO_LARGE) {
        if (err)
            err->code = ERR_NETWORK;
        rc = -ERR_NETWORK;
    }
    return rc;
}

static int
connect_server(struct redis_beat *self, struct error *err)
{
    const struct redis_options options = {
        .client_name = STR("trawl-beat"),
        .connect_us = self->timeout_us,
        .reply_us = self->timeout_us,
    };
    const struct str load[] = {STR("SCRIPT"), STR("LOAD"), str_from_cstr(self->script.text)};
    const struct redis_value *reply;
    int rc = redis_open(&self->address, &options, &self->redis, err);

    return rc < 0 ? rc : call_server(self, load, COUNT_OF(load), &reply, err);
}

static int
open_store(struct str url, const struct beat_store_options *options, struct beat_store **out,
           struct error *err)
{
    CLEANUP(free_storep) struct redis_beat *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for beat");
    self->base.ops = &beat_store_redis;
    self->arena = (struct arena)ARENA_INIT(ADDRESS_BYTES);
    self->clock = options->clock ? options->clock : &clock_system;
    self->timeout_us = options->timeout_us ? options->timeout_us : TIMEOUT_US;
    self->n_keys_kept = options->n_keys_kept ? options->n_keys_kept : BEAT_KEYS_KEPT;
    (void)memcpy(self->owner, options->owner.ptr, options->owner.len);
    rc = redis_address_parse(url, &self->arena, &self->address, err);
    if (rc == 0)
        rc = redis_layout_read(&self->address, &self->arena, &self->layout, err);
    if (rc == 0)
        rc = redis_script_init(&self->script, redis_text_beat, err);
    if (rc == 0)
        rc = connect_server(self, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot open the broker");
    *out = &TAKE(self)->base;
    return 0;
}

static void
begin_call(const struct redis_beat *self, struct beat_call *call, const char *operation,
           int64_t term)
{
    call->arena = (struct arena)ARENA_INIT(CALL_BYTES);
    call->words = (struct words){.arena = &call->arena};
    words_add(&call->words, STR("EVALSHA"));
    words_add(&call->words, str_from_cstr(self->script.sha1));
    words_add(&call->words, STR("0"));
    redis_layout_add_keys(&self->layout, &call->words);
    words_add(&call->words, str_from_cstr(self->owner));
    words_add(&call->words, STR(""));
    words_add(&call->words, STR(""));
    words_add(&call->words, self->layout.separator);
    words_add(&call->words, str_from_cstr(operation));
    words_add_i64(&call->words, term);
}

static void
end_call(struct beat_call *call)
{
    arena_fini(&call->arena);
}

static int
refuse_reply(struct error *err)
{
    return error_set(err, ERR_NETWORK, "the Redis server's answer to beat makes no sense");
}

/* Carry it out; the first text of the reply says what came of it. */
static int
finish_call(struct redis_beat *self, struct beat_call *call, enum beat_answer *out,
            struct error *err)
{
    static const struct {
        struct str word;
        enum beat_answer answer;
    } answers[] = {
        {STR_INIT("done"), BEAT_DONE},
        {STR_INIT("repeated"), BEAT_REPEATED},
        {STR_INIT("fenced"), BEAT_FENCED},
    };
    struct str word;
    int rc;

    if (call->words.is_failed)
        return error_set(err, ERR_NOMEM, "no memory for a command to the broker");
    rc = call_server(self, call->words.items, call->words.n_items, &call->reply, err);
    if (rc < 0)
        return rc;
    if (call->reply->kind != REDIS_ARRAY || call->reply->n_items == 0)
        return refuse_reply(err);
    for (size_t i = 0; i < call->reply->n_items; i++)
        if (call->reply->items[i].kind != REDIS_BULK)
            return refuse_reply(err);
    word = call->reply->items[0].text;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        if (str_equal(word, answers[i].word)) {
            *out = answers[i].answer;
            return 0;
        }
    }
    if (str_equal(word, STR("unknown")))
        return error_set(err, ERR_NOT_FOUND, "this schedule is not known to the broker");
    if (str_equal(word, STR("refused")) && call->reply->n_items == 2)
        return error_set(err, ERR_INVALID, "the Redis server refused the message: '%.*s'",
                         STR_ARG(str_slice(call->reply->items[1].text, 0, 200)));
    return refuse_reply(err);
}

/* "last_slot n_runs sent_at task_id" */
static int
read_entry(struct str text, struct beat_state *out, struct str *task_id, struct error *err)
{
    struct str rest = text;
    struct str words[3] = {STR_NULL, STR_NULL, STR_NULL};
    int64_t numbers[3];

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!str_split(&rest, ' ', &words[i]) || number_parse_i64(words[i], &numbers[i], NULL) < 0)
            return error_set(err, ERR_CORRUPT,
                             "what the Redis server remembers of a schedule makes no sense: '%.*s'",
                             STR_ARG(str_slice(text, 0, 64)));
    }
    *out = (struct beat_state){numbers[0], numbers[1],
                               numbers[2] == NEVER ? TIME_UNKNOWN : numbers[2]};
    if (task_id)
        *task_id = rest.ptr ? rest : STR("");
    return 0;
}

static int
redis_beat_look(struct beat_store *store, struct beat_lead *out, struct error *err)
{
    struct redis_beat *self = from_store(store);
    struct beat_lead lead = {0};
    enum beat_answer answer;
    struct beat_call call;
    int rc;

    begin_call(self, &call, "look", 0);
    rc = finish_call(self, &call, &answer, err);
    end_call(&call);
    if (rc < 0)
        return rc;
    if (call.reply->n_items != 4 ||
        number_parse_i64(call.reply->items[1].text, &lead.term, NULL) < 0 ||
        number_parse_i64(call.reply->items[2].text, &lead.n_signs, NULL) < 0)
        return refuse_reply(err);
    (void)snprintf(lead.owner, sizeof(lead.owner), "%.*s", STR_ARG(call.reply->items[3].text));
    *out = lead;
    return 0;
}

static int
redis_beat_take(struct beat_store *store, const struct beat_lead *seen, enum beat_answer *out,
                struct error *err)
{
    struct redis_beat *self = from_store(store);
    enum beat_answer answer;
    struct beat_call call;
    int rc;

    begin_call(self, &call, "take", seen->term);
    words_add_i64(&call.words, seen->n_signs);
    words_add(&call.words, str_from_cstr(seen->owner));
    rc = finish_call(self, &call, &answer, err);
    end_call(&call);
    if (rc < 0)
        return rc;
    if (answer == BEAT_DONE)
        self->term = seen->term + 1;
    *out = answer;
    return 0;
}

static int
redis_beat_keep(struct beat_store *store, enum beat_answer *out, struct error *err)
{
    struct redis_beat *self = from_store(store);
    struct beat_call call;
    int rc;

    begin_call(self, &call, "keep", self->term);
    rc = finish_call(self, &call, out, err);
    end_call(&call);
    return rc;
}

static int
redis_beat_release(struct beat_store *store, struct error *err)
{
    struct redis_beat *self = from_store(store);
    enum beat_answer answer;
    struct beat_call call;
    int rc;

    begin_call(self, &call, "release", self->term);
    rc = finish_call(self, &call, &answer, err);
    end_call(&call);
    return rc;
}

static int
redis_beat_load(struct beat_store *store, const char *const *names, size_t n_names,
                int64_t anchor_us, struct beat_state *states, enum beat_answer *out,
                struct error *err)
{
    struct redis_beat *self = from_store(store);
    enum beat_answer answer;
    struct beat_call call;
    int rc;

    begin_call(self, &call, "load", self->term);
    words_add_i64(&call.words, anchor_us);
    for (size_t i = 0; i < n_names; i++)
        words_add(&call.words, str_from_cstr(names[i]));
    rc = finish_call(self, &call, &answer, err);
    end_call(&call);
    if (rc == 0 && answer == BEAT_DONE && call.reply->n_items != n_names + 1)
        rc = refuse_reply(err);
    for (size_t i = 0; rc == 0 && answer == BEAT_DONE && i < n_names; i++)
        rc = read_entry(call.reply->items[i + 1].text, &states[i], NULL, err);
    if (rc == 0)
        *out = answer;
    return rc;
}

static void
add_send(const struct redis_beat *self, struct beat_call *call, const char *name, int64_t slot_us,
         const struct broker_message *message, const char *key)
{
    struct words *words = &call->words;

    words_add(words, str_from_cstr(name));
    words_add_i64(words, slot_us);
    words_add(words, str_from_cstr(key));
    words_add(words, message->queue);
    words_add_i64(words, redis_layout_step(&self->layout, message->priority));
    words_add(words, message->id);
    words_add_i64(words, clock_now_us(self->clock));
    words_add_i64(words, self->n_keys_kept);
    words_add(words, self->layout.binding);
    words_add(words, message->bytes);
}

static int
redis_beat_send(struct beat_store *store, const char *name, int64_t slot_us,
                const struct broker_message *message, struct beat_state *state,
                enum beat_answer *out, struct error *err)
{
    struct redis_beat *self = from_store(store);
    char key[CELERY_SLOT_KEY_BYTES];
    enum beat_answer answer;
    struct beat_call call;
    int rc = check_message(message, BROKER_MESSAGE_BYTES, err);

    if (rc < 0)
        return rc;
    begin_call(self, &call, "send", self->term);
    add_send(self, &call, name, slot_us, message, celery_slot_key(name, slot_us, key));
    rc = finish_call(self, &call, &answer, err);
    end_call(&call);
    if (rc == 0 && answer != BEAT_FENCED)
        rc = call.reply->n_items == 2 ? read_entry(call.reply->items[1].text, state, NULL, err)
                                      : refuse_reply(err);
    if (rc == 0)
        *out = answer;
    return rc;
}

static int
redis_beat_skip(struct beat_store *store, const char *name, int64_t slot_us, enum beat_answer *out,
                struct error *err)
{
    struct redis_beat *self = from_store(store);
    struct beat_call call;
    int rc;

    begin_call(self, &call, "skip", self->term);
    words_add(&call.words, str_from_cstr(name));
    words_add_i64(&call.words, slot_us);
    rc = finish_call(self, &call, out, err);
    end_call(&call);
    return rc;
}

static int
compare_records(const void *a, const void *b)
{
    return str_compare(((const struct beat_record *)a)->name,
                       ((const struct beat_record *)b)->name);
}

/* The reply's pairs of name and entry. */
static int
read_records(const struct redis_value *reply, struct arena *arena, struct beat_record_list *out,
             struct error *err)
{
    size_t n_items = (reply->n_items - 1) / 2;
    struct beat_record *items = arena_calloc(arena, n_items, sizeof(*items));
    bool is_copied = true;

    for (size_t i = 0; items && i < n_items; i++) {
        struct str task_id;
        int rc = read_entry(reply->items[2 * i + 2].text, &items[i].state, &task_id, err);

        if (rc < 0)
            return rc;
        items[i].name = arena_dup(arena, reply->items[2 * i + 1].text, &is_copied);
        items[i].task_id = arena_dup(arena, task_id, &is_copied);
    }
    if (!items || !is_copied)
        return error_set(err, ERR_NOMEM, "no memory for %zu schedules", n_items);
    qsort(items, n_items, sizeof(*items), compare_records);
    *out = (struct beat_record_list){items, n_items};
    return 0;
}

static int
redis_beat_list(struct beat_store *store, struct arena *arena, struct beat_record_list *out,
                struct error *err)
{
    struct redis_beat *self = from_store(store);
    enum beat_answer answer;
    struct beat_call call;
    int rc;

    begin_call(self, &call, "list", 0);
    rc = finish_call(self, &call, &answer, err);
    end_call(&call);
    return rc < 0 ? rc : read_records(call.reply, arena, out, err);
}

const struct beat_store_ops beat_store_redis = {
    .open = open_store,
    .close = close_store,
    .look = redis_beat_look,
    .take = redis_beat_take,
    .keep = redis_beat_keep,
    .release = redis_beat_release,
    .load = redis_beat_load,
    .send = redis_beat_send,
    .skip = redis_beat_skip,
    .list = redis_beat_list,
};
