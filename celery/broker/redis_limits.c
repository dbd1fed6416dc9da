/* Words of a batch that have to do with limits: a publish under a lock, and whether a delivery may
 * start. */

#include "celery/broker/redis_internal.h"

static struct str
span_name(enum broker_lock_span span)
{
    static const struct str names[] = {
        [BROKER_LOCK_NONE] = STR_INIT("none"),
        [BROKER_LOCK_QUEUED] = STR_INIT("queued"),
        [BROKER_LOCK_ENDED] = STR_INIT("ended"),
        [BROKER_LOCK_TIMED] = STR_INIT("timed"),
    };

    return names[span];
}

static void
add_lock(const struct broker_lock *lock, struct words *words)
{
    words_add(words, lock->key);
    words_add(words, span_name(lock->span));
    words_add_i64(words, lock->span_us);
}

void
redis_limits_add_publish(struct redis_broker *self, const struct pending *publish,
                         enum redis_when when, struct words *words)
{
    words_add(words, STR("U"));
    words_add(words, redis_call_list_key(self, publish->queue, publish->priority));
    words_add(words, publish->queue);
    words_add_i64(words, redis_call_step(self, publish->priority));
    if (when == REDIS_LATER)
        words_add_i64(words, publish->eta_us);
    else
        words_add(words, STR(""));
    words_add(words, publish->bytes);
    add_lock(&publish->admission->lock, words);
    words_add(words, publish->admission->id);
    words_add(words, publish->admission->lock.may_share ? STR("1") : STR("0"));
}

void
redis_limits_add_question(struct redis_broker *self, const struct pending *question,
                          struct words *words)
{
    const struct broker_admission *admission = question->admission;

    words_add(words, STR("G"));
    words_add(words, str_from_cstr(window_find(&self->window, question->tag)->name));
    words_add(words, admission->id);
    add_lock(&admission->lock, words);
    words_add_i64(words, (int64_t)admission->n_gates);
    for (size_t i = 0; i < admission->n_gates; i++) {
        words_add(words, admission->gates[i].key);
        words_add_i64(words, admission->gates[i].interval_us);
        words_add_i64(words, admission->gates[i].n);
    }
}

void
redis_limits_add_free(const struct pending *verdict, struct words *words)
{
    const struct broker_admission *admission = verdict->admission;
    bool has_lock = admission && admission->lock.span != BROKER_LOCK_TIMED;

    words_add(words, has_lock ? admission->lock.key : STR(""));
    words_add(words, has_lock ? admission->id : STR(""));
}
