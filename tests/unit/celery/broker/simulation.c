/* The model, and the draws. */

#include "tests/unit/celery/broker/simulation.h"

#include "base/number.h"

/* Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators". */
uint64_t
simulation_draw(struct simulation *self, uint64_t limit)
{
    uint64_t z = self->random += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % limit;
}

/* The lease of whoever was not run for so long is over: anybody may have its messages. */
static void
expose_overdue(struct simulation *self)
{
    for (size_t i = 0; i < self->n_messages; i++) {
        struct model_message *message = &self->messages[i];

        if (message->holder >= 0 &&
            self->clock.mono_us >= self->handles[message->holder].lease_until_us)
            message->is_exposed = true;
    }
}

static void
on_delivered(void *context, const struct broker_delivery *delivery)
{
    struct handle *handle = context;
    struct simulation *self = handle->simulation;
    int64_t number = -1;
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct str bytes = delivery->bytes;
    struct model_message *message;

    if (party_wire)
        bytes = party_wire->unwrap(bytes, &arena);
    CHECK(self, number_parse_i64(bytes, &number, NULL) == 0);
    CHECK(self, number >= 0 && (size_t)number < self->n_messages);
    message = &self->messages[number];
    CHECK(self, message->state == LIVE);
    CHECK(self, message->holder < 0 || message->is_exposed);
    CHECK(self, message->eta_us <= self->clock.now_us);
    CHECK(self, delivery->attempt == message->attempt + 1);
    CHECK(self, delivery->n_crashes == message->n_crashes);
    CHECK(self, handle->credit > 0);
    if (!message->was_delivered && message->eta_us == TIME_UNKNOWN) {
        CHECK(self, message->order > self->last_first);
        self->last_first = message->order;
    }
    self->n_redelivered += message->was_delivered;
    handle->credit--;
    message->was_delivered = true;
    message->attempt = delivery->attempt;
    message->holder = handle->idx;
    message->tag = delivery->tag;
    message->is_exposed = self->ops->is_presumed_dead(handle);
}

static void
publish_completed(struct simulation *self, int handle, const struct broker_completion *completion)
{
    for (size_t i = 0; i < self->n_messages; i++) {
        struct model_message *message = &self->messages[i];

        if (message->publisher != handle || message->ticket != completion->ticket)
            continue;
        CHECK(self, message->state == PUBLISHING);
        message->state = completion->outcome == BROKER_DONE ? LIVE : FAILED;
        message->order = ++self->n_committed;
        self->n_failed += message->state == FAILED;
        return;
    }
    fail_msg("schedule %llu: a ticket that nobody drew", (unsigned long long)self->schedule);
}

static void
apply_verdict(struct simulation *self, const struct model_verdict *verdict,
              struct model_message *message)
{
    message->holder = -1;
    message->is_exposed = false;
    switch (verdict->action) {
    case BROKER_ACK:
        message->state = DONE;
        break;
    case BROKER_BURY:
        message->state = DEAD;
        self->n_dead++;
        break;
    case BROKER_RELEASE:
        message->attempt--;
        break;
    case BROKER_CRASHED:
        message->n_crashes++;
        message->eta_us = self->clock.now_us + verdict->delay_us;
        break;
    case BROKER_REQUEUE:
        message->eta_us = self->clock.now_us + verdict->delay_us;
        break;
    }
}

static bool
has_failed(const struct simulation *self, int handle, uint64_t ticket)
{
    for (size_t i = 0; i < self->n_messages; i++)
        if (self->messages[i].publisher == handle && self->messages[i].ticket == ticket)
            return self->messages[i].state == FAILED;
    return false;
}

static void
verdict_completed(struct simulation *self, const struct model_verdict *verdict,
                  enum broker_outcome outcome)
{
    struct model_message *message = &self->messages[verdict->message];
    bool is_holder = message->holder == verdict->handle && message->tag == verdict->tag &&
                     message->state == LIVE;

    switch (outcome) {
    case BROKER_DONE:
        CHECK(self, is_holder);
        CHECK(self, verdict->action != BROKER_CRASHED || message->n_crashes < 2);
        CHECK(self, !verdict->after || !has_failed(self, verdict->handle, verdict->after));
        apply_verdict(self, verdict, message);
        break;
    case BROKER_BURIED:
        CHECK(self, is_holder && verdict->action == BROKER_CRASHED && message->n_crashes == 2);
        message->holder = -1;
        message->state = DEAD;
        self->n_dead++;
        break;
    case BROKER_FENCED:
        CHECK(self, !is_holder || message->is_exposed);
        if (is_holder)
            message->holder = -1;
        self->n_fenced++;
        break;
    case BROKER_HELD:
    case BROKER_WAITS: /* nothing has limits here */
        CHECK(self, false);
        break;
    case BROKER_FAILED:
        CHECK(self, verdict->after && has_failed(self, verdict->handle, verdict->after));
        break;
    }
}

static void
on_completed(void *context, const struct broker_completion *completion)
{
    struct handle *handle = context;
    struct simulation *self = handle->simulation;

    if (!completion->tag) {
        publish_completed(self, handle->idx, completion);
        return;
    }
    for (size_t i = 0; i < self->n_verdicts; i++) {
        struct model_verdict verdict = self->verdicts[i];

        if (verdict.handle != handle->idx || verdict.ticket != completion->ticket)
            continue;
        self->verdicts[i] = self->verdicts[--self->n_verdicts];
        CHECK(self, verdict.tag == completion->tag);
        verdict_completed(self, &verdict, completion->outcome);
        return;
    }
    CHECK(self, completion->outcome == BROKER_FENCED && self->n_lost_verdicts-- > 0);
}

static void
on_lost(void *context, uint64_t tag)
{
    static const struct broker_verdict verdict = {.action = BROKER_ACK};
    struct handle *handle = context;
    struct simulation *self = handle->simulation;
    uint64_t ticket = 0;
    struct error err;

    for (size_t i = 0; i < self->n_messages; i++) {
        struct model_message *message = &self->messages[i];

        if (message->holder != handle->idx || message->tag != tag)
            continue;
        CHECK(self, message->is_exposed);
        message->holder = -1;
    }
    /* The tag is settled all the same, which frees it. */
    assert_ok(broker_settle(handle->broker, tag, &verdict, &ticket, &err), err);
    self->n_lost_verdicts += ticket > 0;
}

static bool
is_known_verdict(const struct simulation *self, int handle, uint64_t tag)
{
    for (size_t i = 0; i < self->n_verdicts; i++)
        if (self->verdicts[i].handle == handle && self->verdicts[i].tag == tag)
            return true;
    return false;
}

static uint64_t
publish(struct simulation *self, struct handle *handle)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT((size_t)1 << 20);
    struct broker_message message = party_message("q", "");
    struct model_message *model = &self->messages[self->n_messages];
    char text[8];
    struct error err;

    if (self->n_messages == MAX_MESSAGES)
        return 0;
    (void)snprintf(text, sizeof(text), "%zu", self->n_messages);
    message.bytes = str_from_cstr(text);
    if (simulation_draw(self, 5) == 0)
        message.eta_us = self->clock.now_us + (int64_t)simulation_draw(self, 4000) * US_PER_MS;
    if (party_wire) {
        party_wire->wrap(&message, &bytes);
        message.bytes = buf_str(&bytes);
    }
    *model = (struct model_message){
        .state = PUBLISHING, .publisher = handle->idx, .eta_us = message.eta_us, .holder = -1};
    self->n_messages++;
    assert_ok(broker_publish(handle->broker, &message, &model->ticket, &err), err);
    return model->ticket;
}

static void
settle(struct simulation *self, struct handle *handle, size_t idx, enum broker_action action,
       int64_t delay_us, bool is_bound)
{
    struct model_message *message = &self->messages[idx];
    struct broker_verdict verdict = {.action = action, .delay_us = delay_us};
    struct error err;
    uint64_t ticket = 0;

    if (message->holder != handle->idx || is_known_verdict(self, handle->idx, message->tag) ||
        self->n_verdicts == MAX_VERDICTS)
        return;
    if (is_bound)
        verdict.after = publish(self, handle);
    assert_ok(broker_settle(handle->broker, message->tag, &verdict, &ticket, &err), err);
    CHECK(self, ticket > 0);
    self->verdicts[self->n_verdicts++] = (struct model_verdict){
        .handle = handle->idx,
        .ticket = ticket,
        .tag = message->tag,
        .message = idx,
        .action = action,
        .delay_us = delay_us,
        .after = verdict.after,
    };
}

static void
abandon(struct simulation *self, struct handle *handle)
{
    self->ops->abandon(self, handle);
    for (size_t i = 0; i < self->n_messages; i++)
        if (self->messages[i].holder == handle->idx)
            self->messages[i].is_exposed = true;
}

static void
step(struct simulation *self)
{
    struct handle *handle = &self->handles[simulation_draw(self, N_HANDLES)];

    switch (simulation_draw(self, 16)) {
    case 0:
    case 1:
    case 2:
        (void)publish(self, handle);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        if (self->n_messages > 0)
            settle(self, handle, simulation_draw(self, self->n_messages),
                   (enum broker_action)simulation_draw(self, BROKER_BURY + 1),
                   (int64_t)simulation_draw(self, 3) * 700 * US_PER_MS,
                   simulation_draw(self, 6) == 0);
        break;
    case 7:
        abandon(self, handle);
        break;
    case 8:
    case 9:
        fake_clock_advance(&self->clock, (int64_t)simulation_draw(self, 2500) * US_PER_MS);
        expose_overdue(self);
        break;
    case 10:
    case 11:
        self->ops->run_hurt(self, handle);
        break;
    default:
        handle->credit = simulation_draw(self, 5);
        broker_set_credit(handle->broker, handle->credit);
        self->ops->run(self, handle);
        break;
    }
}

static bool
is_over(const struct simulation *self)
{
    for (size_t i = 0; i < self->n_messages; i++)
        if (self->messages[i].state == LIVE || self->messages[i].state == PUBLISHING)
            return false;
    return self->n_verdicts == 0;
}

/* Everybody works and acknowledges: within some rounds nothing is left. */
static void
drain(struct simulation *self)
{
    for (int round = 0; round < 40 && !is_over(self); round++) {
        fake_clock_advance(&self->clock, 2 * US_PER_S);
        expose_overdue(self);
        for (size_t i = 0; i < N_HANDLES; i++) {
            struct handle *handle = &self->handles[i];

            handle->credit = MAX_MESSAGES;
            broker_set_credit(handle->broker, handle->credit);
            self->ops->run(self, handle);
            for (size_t k = 0; k < self->n_messages; k++)
                settle(self, handle, k, BROKER_ACK, 0, false);
            self->ops->run(self, handle);
        }
    }
    CHECK(self, is_over(self));
    CHECK(self, self->ops->count_left(self) == 0);
    CHECK(self, self->ops->count_dead(self) == self->n_dead);
}

static void
run_schedule(struct simulation *self)
{
    size_t n_steps = 6 + simulation_draw(self, 20);

    self->n_messages = 0;
    self->n_committed = 0;
    self->last_first = 0;
    for (size_t i = 0; i < n_steps; i++)
        step(self);
    drain(self);
}

void
simulation_open(struct simulation *self, const struct simulation_ops *ops, const char *url)
{
    struct str queue = STR("q");
    struct error err;

    self->ops = ops;
    fake_clock_init(&self->clock);
    for (int i = 0; i < N_HANDLES; i++) {
        struct handle *handle = &self->handles[i];
        struct broker_options options = {
            .listener = {on_delivered, on_completed, on_lost, handle},
            .clock = &self->clock.clock,
            .max_block_us = 1,
        };

        *handle = (struct handle){.simulation = self, .idx = i, .lease_until_us = INT64_MAX};
        assert_ok(broker_open(str_from_cstr(url), &options, &handle->broker, &err), err);
        assert_ok(broker_consume(handle->broker, &queue, 1, &err), err);
    }
}

void
simulation_close(struct simulation *self)
{
    for (size_t i = 0; i < N_HANDLES; i++)
        broker_close(self->handles[i].broker);
}

static uint64_t
read_environment(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    int64_t value;

    return text && number_parse_i64(str_from_cstr(text), &value, NULL) == 0 && value > 0
               ? (uint64_t)value
               : fallback;
}

void
simulation_run(struct simulation *self, uint64_t fallback)
{
    uint64_t n_schedules = read_environment("TRAWL_TEST_SCHEDULES", fallback);
    uint64_t seed = read_environment("TRAWL_TEST_SEED", 1);

    for (uint64_t i = 0; i < n_schedules; i++) {
        self->schedule = seed + i;
        self->random = self->schedule * UINT64_C(0xD1342543DE82EF95);
        run_schedule(self);
    }
    print_message(
        "# %llu schedules: %llu redeliveries, %llu fenced verdicts, %llu failed publishes\n",
        (unsigned long long)n_schedules, (unsigned long long)self->n_redelivered,
        (unsigned long long)self->n_fenced, (unsigned long long)self->n_failed);
    assert_true(self->n_redelivered > n_schedules / 10);
    assert_true(self->n_fenced > n_schedules / 100);
    assert_true(self->n_failed > n_schedules / 100);
}
