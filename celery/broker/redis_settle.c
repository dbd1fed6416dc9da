/* The outbox: one script carries out a batch.
 *
 * One batch is under way at a time.  The server keeps the number and the outcomes of a handle's
 * last batch, so a batch whose reply was lost is said again as it was, and is carried out once. */

#include "base/utf8.h"
#include "celery/broker/redis_internal.h"

#define BATCH_LIMIT       ((size_t)512) /* operations */
#define BATCH_LIMIT_BYTES ((size_t)1 << 20)
#define BATCH_MOST        (2 * BATCH_LIMIT) /* for messages and the verdict bound to them */
#define BATCH_MOST_BYTES  ((size_t)16 << 20)
#define RETRY_MIN_US      (10 * US_PER_MS) /* after a refusal, doubled up to the maximum */
#define RETRY_MAX_US      US_PER_S
#define CLOSE_WAIT_US     (200 * US_PER_MS)

/* Carried out by nobody: its lease is lost. */
static bool
is_local(const struct pending *pending)
{
    return pending->outcome == BROKER_FENCED;
}

/* Move a batch to the running operations; how many of them the server has to see. */
static size_t
start_batch(struct redis_broker *self)
{
    struct pending *pending = NULL;
    size_t n_bytes = 0;
    size_t n_sent = 0;

    for (size_t n = 0; (n < BATCH_LIMIT && n_bytes < BATCH_LIMIT_BYTES) ||
                       (n < BATCH_MOST && n_bytes < BATCH_MOST_BYTES &&
                        outbox_must_go_on(&self->outbox, pending));
         n++) {
        struct held *held;

        if (self->outbox.waiting.head && !self->outbox.waiting.head->tag &&
            !redis_bind_one(self, self->outbox.waiting.head->queue))
            break;
        pending = outbox_start(&self->outbox);
        if (!pending)
            break;
        held = pending->tag ? window_find(&self->window, pending->tag) : NULL;
        pending->outcome = BROKER_FAILED; /* unless the server says otherwise */
        if (pending->tag && (!held || held->is_lost))
            pending->outcome = BROKER_FENCED;
        else
            n_sent++;
        n_bytes += pending->bytes.len;
    }
    return n_sent;
}

static bool
must_wait(struct redis_broker *self, const struct pending *publish)
{
    struct redis_envelope envelope;

    if (publish->eta_us == TIME_UNKNOWN || publish->eta_us <= clock_now_us(self->options.clock))
        return false;
    redis_envelope_read(publish->bytes, &self->round, &envelope);
    return !envelope.has_eta; /* else who consumes it sees to it, and Python workers may */
}

static bool
is_of_group(const struct redis_broker *self, const struct pending *first,
            const struct pending *pending)
{
    if (is_local(pending) || !pending->tag != !first->tag || pending->admission)
        return false;
    if (first->tag)
        return pending->action == BROKER_ACK && !pending->after;
    return str_equal(pending->queue, first->queue) &&
           redis_call_step(self, pending->priority) == redis_call_step(self, first->priority) &&
           pending->eta_us == TIME_UNKNOWN;
}

/* Neighbours of one kind go together.  Returns the last one of the group. */
static const struct pending *
add_group(struct redis_broker *self, const struct pending *first, struct words *words)
{
    const struct pending *last = first;
    size_t n = 1;

    while (last->next && is_of_group(self, first, last->next)) {
        last = last->next;
        n++;
    }
    words_add_i64(words, (int64_t)n);
    for (const struct pending *pending = first;; pending = pending->next) {
        if (first->tag)
            words_add(words, str_from_cstr(window_find(&self->window, pending->tag)->name));
        else
            words_add(words, pending->bytes);
        if (pending == last)
            return last;
    }
}

/* One that there was no memory for must not be written to the key of no name. */
static void
add_key(struct words *words, struct str key)
{
    words->is_failed |= !key.ptr;
    words_add(words, key);
}

static const struct pending *
add_publish(struct redis_broker *self, const struct pending *publish, struct words *words)
{
    if (publish->admission) {
        redis_limits_add_publish(self, publish,
                                 must_wait(self, publish) ? REDIS_LATER : REDIS_AT_ONCE, words);
        return publish;
    }
    if (must_wait(self, publish)) {
        words_add(words, STR("S"));
        words_add(words, publish->queue);
        words_add_i64(words, redis_call_step(self, publish->priority));
        words_add_i64(words, publish->eta_us);
        words_add(words, publish->bytes);
        return publish;
    }
    words_add(words, STR("P"));
    add_key(words, redis_call_list_key(self, publish->queue, publish->priority));
    return add_group(self, publish, words);
}

/* The place of a publish among what is sent, from 1; 0 when it is not of this batch. */
static int64_t
find_place(const struct redis_broker *self, uint64_t ticket)
{
    int64_t place = 0;

    for (const struct pending *p = self->outbox.running.head; p && p->ticket <= ticket;
         p = p->next) {
        place += !is_local(p);
        if (p->ticket == ticket)
            return place;
    }
    return 0;
}

static const struct pending *
add_verdict(struct redis_broker *self, const struct pending *verdict, struct words *words)
{
    static const struct str names[] = {
        [BROKER_ACK] = STR_INIT("ack"),         [BROKER_REQUEUE] = STR_INIT("requeue"),
        [BROKER_RELEASE] = STR_INIT("release"), [BROKER_CRASHED] = STR_INIT("crashed"),
        [BROKER_BURY] = STR_INIT("bury"),
    };

    if (verdict->is_question) {
        redis_limits_add_question(self, verdict, words);
        return verdict;
    }
    if (verdict->action == BROKER_ACK && !verdict->after && !verdict->admission) {
        words_add(words, STR("A"));
        return add_group(self, verdict, words);
    }
    words_add(words, STR("V"));
    words_add(words, names[verdict->action]);
    words_add(words, str_from_cstr(window_find(&self->window, verdict->tag)->name));
    words_add_i64(words, verdict->after ? find_place(self, verdict->after) : 0);
    words_add_i64(words, verdict->delay_us > 0 ? verdict->delay_us : 0);
    words_add_i64(words, self->options.poison_cap);
    words_add(words, utf8_cut(verdict->reason, BROKER_MAX_REASON_BYTES));
    words_add_i64(words, clock_now_us(self->options.clock));
    redis_limits_add_free(verdict, words);
    return verdict;
}

/* What the server remembers this handle's last batch under. */
static struct str
mark_key(struct redis_broker *self)
{
    return str_from_cstr(
        arena_printf(&self->round, "%.*smark.%s", STR_ARG(self->layout.own), self->handle));
}

static const struct pending *
last_of(const struct pending_list *list)
{
    const struct pending *last = list->head;

    while (last->next)
        last = last->next;
    return last;
}

static void
back_off(struct redis_broker *self)
{
    self->settle_span_us = self->settle_span_us ? self->settle_span_us * 2 : RETRY_MIN_US;
    if (self->settle_span_us > RETRY_MAX_US)
        self->settle_span_us = RETRY_MAX_US;
    self->settle_at_us = redis_broker_mono_us(self) + self->settle_span_us;
}

/* Messages for one list, and nothing else. */
static bool
is_plain_publish(struct redis_broker *self)
{
    const struct pending *first = self->outbox.running.head;
    const struct pending *last = first;

    if (first->tag || first->admission || is_local(first) || must_wait(self, first))
        return false;
    while (last->next && is_of_group(self, first, last->next))
        last = last->next;
    return !last->next && self->membership != MEMBER_YES;
}

static void
add_plain_publish(struct redis_broker *self, struct words *words)
{
    const struct pending *first = self->outbox.running.head;

    words_add(words, STR("EVALSHA"));
    words_add(words, str_from_cstr(self->scripts[SCRIPT_PUBLISH].sha1));
    words_add(words, STR("0"));
    add_key(words, mark_key(self));
    words_printf(words, "%llu", (unsigned long long)last_of(&self->outbox.running)->ticket);
    add_key(words, redis_call_list_key(self, first->queue, first->priority));
    for (const struct pending *p = first; p; p = p->next)
        words_add(words, p->bytes);
}

static void
add_batch(struct redis_broker *self, struct words *words)
{
    redis_call_begin(self, words, SCRIPT_SETTLE);
    words_add(words, str_from_cstr(self->handle));
    words_printf(words, "%llu", (unsigned long long)last_of(&self->outbox.running)->ticket);
    for (const struct pending *p = self->outbox.running.head; p; p = p->next) {
        if (is_local(p))
            continue;
        p = p->tag ? add_verdict(self, p, words) : add_publish(self, p, words);
    }
}

static void
send_batch(struct redis_broker *self)
{
    struct words words = {.arena = &self->round};

    if (is_plain_publish(self))
        add_plain_publish(self, &words);
    else
        add_batch(self, &words);
    self->is_settling = redis_link_ask(self, ASKED_SETTLE, &words);
    if (!self->is_settling)
        back_off(self);
}

static void
finish(struct redis_broker *self, bool has_failed, const struct error *trouble)
{
    struct pending_list done;

    outbox_finish(&self->outbox, &done);
    if (has_failed)
        outbox_fail_bound(&self->outbox, &done);
    tell_done(redis_teller(self), &done, trouble);
}

void
redis_settle_send(struct redis_broker *self)
{
    if (!self->is_greeted || self->is_settling || self->is_resuming ||
        redis_broker_mono_us(self) < self->settle_at_us)
        return;
    if (!self->outbox.running.head && self->outbox.waiting.head && start_batch(self) == 0)
        finish(self, false, NULL); /* all of it is of lost leases */
    else if (self->outbox.running.head)
        send_batch(self);
}

/* On a new connection, before anything else. */
void
redis_settle_repeat(struct redis_broker *self)
{
    if (self->outbox.running.head)
        send_batch(self);
}

static void
on_refused(struct redis_broker *self, const struct redis_value *reply)
{
    struct pending_list failed;
    struct error err;

    error_ignore(redis_check(reply, &err));
    redis_link_log_refusal(self, "publish and settle", reply);
    back_off(self);
    if (str_starts_with(reply->text, STR("BUSY ")))
        return; /* somebody's script runs: the same again */
    redis_bind_forget(self);
    outbox_undo(&self->outbox, &failed);
    tell_failed(redis_teller(self), &failed, &err);
}

/* One letter for each operation that was sent. */
static enum broker_outcome
read_outcome(char letter)
{
    switch (letter) {
    case 'D':
        return BROKER_DONE;
    case 'K':
        return BROKER_BURIED;
    case 'X':
        return BROKER_FENCED;
    case 'H':
        return BROKER_HELD;
    case 'W':
        return BROKER_WAITS;
    default:
        return BROKER_FAILED;
    }
}

void
redis_settle_on_reply(struct redis_broker *self, const struct redis_value *reply)
{
    struct error trouble;
    struct str letters;
    bool has_failed = false;
    size_t n_holders = 0;
    size_t n = 0;

    self->is_settling = false;
    if (reply->kind == REDIS_ERROR || reply->n_items < 3) {
        on_refused(self, reply);
        return;
    }
    letters = reply->items[0].text;
    error_ignore(error_set(&trouble, ERR_IO, "the server did not say what came of it"));
    if (reply->items[2].text.len > 0)
        error_ignore(redis_check(
            &(struct redis_value){.kind = REDIS_ERROR, .text = reply->items[2].text}, &trouble));
    for (struct pending *p = self->outbox.running.head; p; p = p->next) {
        if (!is_local(p) && n < letters.len)
            p->outcome = read_outcome(letters.ptr[n++]);
        if (p->outcome == BROKER_HELD && reply->n_items > 3 && n_holders < reply->items[3].n_items)
            p->holder = reply->items[3].items[n_holders++].text;
        has_failed |= p->outcome == BROKER_FAILED;
    }
    self->settle_span_us = 0;
    self->stats.n_commits++;
    self->has_marked = true;
    self->may_be_ready = true; /* writes of our own wake nobody here, and end the watch */
    if (reply->items[1].integer == 0 && self->membership == MEMBER_YES)
        redis_consumer_note_lost(self);
    finish(self, has_failed, &trouble);
    tell_lost(redis_teller(self));
}

/* Closing: nothing will be repeated any more.  Where a connection was lost, a batch of it may still
 * be on its way, and the mark stays until it expires. */
void
redis_settle_forget(struct redis_broker *self)
{
    const struct redis_value *reply;
    struct str words[2] = {STR("DEL")};

    if (!self->has_marked || self->was_lost || self->n_asked > 0 ||
        redis_count_pending(self->main.redis) > 0)
        return;
    words[1] = mark_key(self);
    if (words[1].ptr)
        error_ignore(
            redis_call(self->main.redis, words, COUNT_OF(words), CLOSE_WAIT_US, &reply, NULL));
}
