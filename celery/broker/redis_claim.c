/* Taking messages: one script moves them from the queues to the unacknowledged ones. */

#include <stdlib.h>

#include "base/number.h"
#include "celery/broker/redis_internal.h"

#define CLAIM_LIMIT_BYTES ((size_t)1 << 20) /* after which no further one is taken */
#define RETRY_US          (100 * US_PER_MS)
#define LOOK_US           US_PER_S  /* in case a wake-up was missed */
#define POLL_MIN_US       US_PER_MS /* without wake-ups: doubled while nothing comes */
#define POLL_MAX_US       (50 * US_PER_MS)

static void
add_keys(struct redis_broker *self, struct words *words)
{
    words_add_i64(words, (int64_t)((self->layout.n_steps + 1) * self->n_queues));
    for (size_t step = 0; step < self->layout.n_steps; step++)
        for (size_t i = 0; i < self->n_queues; i++)
            words_add(words, redis_call_list_key(self, self->queues[i].name,
                                                 (int)self->layout.step_numbers[step]));
    for (size_t i = 0; i < self->n_queues; i++)
        words_add(words, str_from_cstr(arena_printf(&self->round, "%.*seta.%.*s",
                                                    STR_ARG(self->layout.own),
                                                    STR_ARG(self->queues[i].name))));
}

void
redis_claim_send(struct redis_broker *self)
{
    struct words words = {.arena = &self->round};
    size_t limit = self->credit < self->claim_most ? self->credit : self->claim_most;

    words_add(&words, STR("EVALSHA"));
    words_add(&words, str_from_cstr(self->scripts[SCRIPT_CLAIM].sha1));
    add_keys(self, &words);
    redis_call_add_common(self, &words);
    words_add_i64(&words, (int64_t)limit);
    words_add_i64(&words, (int64_t)CLAIM_LIMIT_BYTES);
    words_add_i64(&words, self->n_claims++);
    words_add_i64(&words, self->layout.is_in_turn ? (int64_t)self->turn_idx : 0);
    words_add_i64(&words, (int64_t)self->n_queues);
    for (size_t i = 0; i < self->n_queues; i++)
        words_add(&words, self->queues[i].name);
    for (size_t i = 0; i < self->layout.n_steps; i++)
        words_add(&words, self->layout.steps[i]);
    if (!redis_link_ask(self, ASKED_CLAIM, &words))
        return;
    self->is_claiming = true;
    self->may_be_ready = false;
    self->n_claim_queues = self->n_queues;
}

/* "step attempt crashes revoked queue" */
static bool
read_entry(struct str entry, int64_t numbers[4], struct str *queue)
{
    for (size_t i = 0; i < 4; i++) {
        struct str word;

        if (!str_split(&entry, ' ', &word) || number_parse_i64(word, &numbers[i], NULL) < 0)
            return false;
    }
    *queue = entry;
    return true;
}

static char *
copy_name(struct str name)
{
    char *copy = malloc(name.len + 1);

    if (!copy)
        return NULL;
    (void)memcpy(copy, name.ptr, name.len);
    copy[name.len] = '\0';
    return copy;
}

/* False: it could not be taken in, and is still the server's business. */
static bool
deliver(struct redis_broker *self, const struct redis_value *parts)
{
    struct broker_delivery delivery = {.bytes = parts[0].text};
    struct redis_envelope envelope;
    int64_t numbers[4];
    struct held *held;

    if (self->credit == 0 || !read_entry(parts[2].text, numbers, &delivery.queue))
        return false;
    held = window_take(&self->window);
    if (!held)
        return false;
    held->name = copy_name(parts[1].text);
    if (!held->name) {
        window_give_back(&self->window, held);
        return false;
    }
    redis_envelope_read(delivery.bytes, &self->round, &envelope);
    held->n_crashes = (uint32_t)numbers[2];
    delivery.tag = held->tag;
    delivery.id = envelope.id;
    delivery.priority = (int)(envelope.priority >= 0 ? envelope.priority : numbers[0]);
    delivery.expires_us = envelope.expires_us;
    delivery.attempt = (uint32_t)numbers[1];
    delivery.n_crashes = (uint32_t)numbers[2];
    delivery.is_redelivered = numbers[1] > 1;
    delivery.is_expired = envelope.expires_us != TIME_UNKNOWN &&
                          envelope.expires_us <= clock_now_us(self->options.clock);
    delivery.is_revoked = numbers[3] > 0;
    tell_delivery(redis_teller(self), &self->credit, &delivery);
    return true;
}

/* When to look again although nobody wakes us. */
static void
plan_look(struct redis_broker *self, bool is_empty)
{
    int64_t mono_us = redis_broker_mono_us(self);

    if (self->tracking == TRACKING_ON) {
        self->look_at_us = mono_us + LOOK_US;
        return;
    }
    self->look_span_us = is_empty && self->look_span_us ? self->look_span_us * 2 : POLL_MIN_US;
    if (self->look_span_us > POLL_MAX_US)
        self->look_span_us = POLL_MAX_US;
    self->look_at_us = mono_us + self->look_span_us;
}

void
redis_claim_on_reply(struct redis_broker *self, const struct redis_value *reply)
{
    int64_t mono_us = redis_broker_mono_us(self);
    bool is_kept = true;
    size_t i;

    self->is_claiming = false;
    if (reply->kind == REDIS_ARRAY && reply->n_items == 1) {
        if (self->membership == MEMBER_YES) {
            redis_consumer_note_lost(self);
            tell_lost(redis_teller(self));
        }
        return;
    }
    if (reply->kind != REDIS_ARRAY || reply->n_items < 5) {
        redis_link_log_refusal(self, "take messages", reply);
        self->may_be_ready = true;
        self->claim_at_us = mono_us + RETRY_US;
        return;
    }
    self->claim_most *= 2;
    if (self->claim_most > REDIS_CLAIM_LIMIT)
        self->claim_most = REDIS_CLAIM_LIMIT;
    self->eta_at_us = INT64_MAX;
    if (reply->items[2].kind == REDIS_INTEGER)
        self->eta_at_us = mono_us + (reply->items[2].integer - reply->items[1].integer);
    if (reply->items[3].integer > 0)
        self->may_be_ready = true;
    if (self->n_claim_queues == self->n_queues)
        self->turn_idx = (size_t)reply->items[4].integer;
    plan_look(self, reply->n_items == 5);
    for (i = 5; is_kept && i + 3 <= reply->n_items; i += 3)
        is_kept = deliver(self, &reply->items[i]);
    if (!is_kept)
        self->must_resume = true; /* the credit is gone, or memory is: they go back */
}
