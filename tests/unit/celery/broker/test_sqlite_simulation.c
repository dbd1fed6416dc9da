/* Random schedules of publishing, consuming, settling, dying, locked and failing transactions, with
 * three consumers on one broker, against a model of what each message may do next.
 *
 *     a message that a live consumer holds is delivered to nobody else
 *     attempts and crashes are exact; first deliveries come in the order of publishing
 *     a verdict of the holder counts; one of a consumer that was taken for dead changes nothing
 *     in the end, published = done + dead, and the tables are empty
 *
 * TRAWL_TEST_SCHEDULES says how many (100,000; a tenth of it under a sanitizer), TRAWL_TEST_SEED
 * where to begin; a failure names the schedule. */

#include "tests/unit/celery/broker/party.h"

#include "base/number.h"
#include "celery/broker/sqlite_internal.h"

#define N_HANDLES    3
#define MAX_MESSAGES 24
#define MAX_VERDICTS 128

enum message_state { PUBLISHING, LIVE, DONE, DEAD, FAILED };

struct model_message {
    enum message_state state;
    int publisher;
    uint64_t ticket;
    int64_t eta_us;
    int order;  /* of its commit */
    int holder; /* -1 = nobody */
    uint64_t tag;
    bool is_exposed; /* its holder is, or was, taken for dead */
    bool was_delivered;
    uint32_t attempt;
    uint32_t n_crashes;
};

struct model_verdict {
    int handle;
    uint64_t ticket;
    uint64_t tag;
    size_t message;
    enum broker_action action;
    int64_t delay_us;
    uint64_t after;
};

struct handle {
    struct simulation *simulation;
    struct broker *broker;
    int idx;
    size_t credit;
};

struct simulation {
    char dir[64];
    struct fake_clock clock;
    uint64_t random;
    uint64_t schedule;
    struct handle handles[N_HANDLES];
    struct model_message messages[MAX_MESSAGES];
    size_t n_messages;
    struct model_verdict verdicts[MAX_VERDICTS];
    size_t n_verdicts;
    int n_committed;
    int last_first; /* order of the last first delivery */
    int64_t n_dead;
    int n_lost_verdicts; /* given for lost tags, not told yet */
    bool must_fail;      /* the next commit */
    uint64_t n_redelivered;
    uint64_t n_fenced;
    uint64_t n_failed;
};

#define CHECK(simulation, condition)                                                               \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("schedule %llu: %s", (unsigned long long)(simulation)->schedule, #condition); \
    } while (0)

/* Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators". */
static uint64_t
draw(struct simulation *self, uint64_t limit)
{
    uint64_t z = self->random += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % limit;
}

/* It works under a number whose byte it does not hold: anybody may take its messages. */
static bool
is_presumed_dead(const struct handle *handle)
{
    const struct sqlite_broker *broker = sqlite_broker_from(handle->broker);

    return broker->consumer_id != 0 && broker->live.held == 0;
}

static void
on_delivered(void *context, const struct broker_delivery *delivery)
{
    struct handle *handle = context;
    struct simulation *self = handle->simulation;
    int64_t number = -1;
    struct model_message *message;

    CHECK(self, number_parse_i64(delivery->bytes, &number, NULL) == 0);
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
    message->is_exposed = is_presumed_dead(handle);
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
    struct broker_message message = party_message("q", "");
    struct model_message *model = &self->messages[self->n_messages];
    char text[8];
    struct error err;

    if (self->n_messages == MAX_MESSAGES)
        return 0;
    (void)snprintf(text, sizeof(text), "%zu", self->n_messages);
    message.bytes = str_from_cstr(text);
    if (draw(self, 5) == 0)
        message.eta_us = self->clock.now_us + (int64_t)draw(self, 4000) * US_PER_MS;
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

static int
on_commit(void *context, struct error *err)
{
    struct simulation *self = context;

    if (!self->must_fail)
        return 0;
    self->must_fail = false;
    return error_set(err, ERR_DISK_FULL, "the simulated disk is full");
}

static void
run_once(struct simulation *self, struct handle *handle)
{
    struct error err;

    if (broker_run(handle->broker, &err) < 0)
        fail_msg("schedule %llu: %s", (unsigned long long)self->schedule, err.message);
}

/* Another process has the write lock. */
static void
run_locked(struct simulation *self, struct handle *handle)
{
    struct handle *other = &self->handles[(handle->idx + 1) % N_HANDLES];
    struct database *database = sqlite_broker_from(other->broker)->database;
    struct error err;

    assert_ok(database_begin(database, &err), err);
    run_once(self, handle);
    database_rollback(database);
}

static void
abandon(struct simulation *self, struct handle *handle)
{
    live_file_release(&sqlite_broker_from(handle->broker)->live);
    for (size_t i = 0; i < self->n_messages; i++)
        if (self->messages[i].holder == handle->idx)
            self->messages[i].is_exposed = true;
}

static void
step(struct simulation *self)
{
    struct handle *handle = &self->handles[draw(self, N_HANDLES)];

    switch (draw(self, 16)) {
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
            settle(self, handle, draw(self, self->n_messages),
                   (enum broker_action)draw(self, BROKER_BURY + 1),
                   (int64_t)draw(self, 3) * 700 * US_PER_MS, draw(self, 6) == 0);
        break;
    case 7:
        abandon(self, handle);
        break;
    case 8:
    case 9:
        fake_clock_advance(&self->clock, (int64_t)draw(self, 2500) * US_PER_MS);
        break;
    case 10:
        self->must_fail = draw(self, 2) == 0;
        run_once(self, handle);
        self->must_fail = false;
        break;
    case 11:
        if (draw(self, 8) == 0)
            run_locked(self, handle);
        break;
    default:
        handle->credit = draw(self, 5);
        broker_set_credit(handle->broker, handle->credit);
        run_once(self, handle);
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

static int64_t
query(struct simulation *self, const char *sql)
{
    struct database *database = sqlite_broker_from(self->handles[0].broker)->database;
    struct statement *statement;
    struct error err;
    int64_t value;

    assert_ok(database_prepare(database, sql, &statement, &err), err);
    assert_int_equal(statement_step(statement, &err), 1);
    value = statement_i64(statement, 0);
    statement_reset(statement);
    return value;
}

/* Everybody works and acknowledges: within some rounds nothing is left. */
static void
drain(struct simulation *self)
{
    for (int round = 0; round < 40 && !is_over(self); round++) {
        fake_clock_advance(&self->clock, 2 * US_PER_S);
        for (size_t i = 0; i < N_HANDLES; i++) {
            struct handle *handle = &self->handles[i];

            handle->credit = MAX_MESSAGES;
            broker_set_credit(handle->broker, handle->credit);
            run_once(self, handle);
            for (size_t k = 0; k < self->n_messages; k++)
                settle(self, handle, k, BROKER_ACK, 0, false);
            run_once(self, handle);
        }
    }
    CHECK(self, is_over(self));
    CHECK(self,
          query(self, "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM ready)"
                      " + (SELECT count(*) FROM scheduled) + (SELECT count(*) FROM claims)") == 0);
    CHECK(self, query(self, "SELECT count(*) FROM dead") == self->n_dead);
}

static void
run_schedule(struct simulation *self)
{
    size_t n_steps = 6 + draw(self, 20);

    self->n_messages = 0;
    self->n_committed = 0;
    self->last_first = 0;
    for (size_t i = 0; i < n_steps; i++)
        step(self);
    drain(self);
}

/* In memory where the system has such a place: it is the states that are tried here, not the disk.
 */
static void
open_simulation(struct simulation *self)
{
    struct str queue = STR("q");
    char url[128];
    struct error err;

    (void)snprintf(self->dir, sizeof(self->dir), "/dev/shm/trawl-test-XXXXXX");
    if (!mkdtemp(self->dir))
        test_dir_make(self->dir);
    (void)snprintf(url, sizeof(url), "sqlite:///%s/broker.db", self->dir);
    fake_clock_init(&self->clock);
    for (int i = 0; i < N_HANDLES; i++) {
        struct handle *handle = &self->handles[i];
        struct broker_options options = {
            .listener = {on_delivered, on_completed, on_lost, handle},
            .clock = &self->clock.clock,
            .max_block_us = 1,
        };

        *handle = (struct handle){.simulation = self, .idx = i};
        assert_ok(broker_open(str_from_cstr(url), &options, &handle->broker, &err), err);
        assert_ok(broker_consume(handle->broker, &queue, 1, &err), err);
        database_set_commit_hook(sqlite_broker_from(handle->broker)->database, on_commit, self);
    }
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

static void
test_schedules(void **state)
{
#ifdef __SANITIZE_ADDRESS__
    uint64_t n_schedules = read_environment("TRAWL_TEST_SCHEDULES", 10000);
#else
    uint64_t n_schedules = read_environment("TRAWL_TEST_SCHEDULES", 100000);
#endif
    uint64_t seed = read_environment("TRAWL_TEST_SEED", 1);
    struct simulation *self = calloc(1, sizeof(*self));

    (void)state;
    assert_non_null(self);
    open_simulation(self);
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
    for (size_t i = 0; i < N_HANDLES; i++)
        broker_close(self->handles[i].broker);
    test_dir_remove(self->dir);
    free(self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
