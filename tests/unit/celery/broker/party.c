#include "tests/unit/celery/broker/party.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>

#define ANSWER_MS 2000 /* of a server on this machine */

const struct party_wire *party_wire;

static int64_t
fake_now_us(const struct clock *clock)
{
    return ((const struct fake_clock *)clock)->now_us;
}

static int64_t
fake_mono_us(const struct clock *clock)
{
    return ((const struct fake_clock *)clock)->mono_us;
}

static void
fake_sleep_us(const struct clock *clock, int64_t span_us)
{
    (void)clock;
    (void)span_us;
    fail_msg("nobody sleeps on the test's clock");
}

void
fake_clock_init(struct fake_clock *clock)
{
    *clock = (struct fake_clock){
        .clock = {fake_now_us, fake_mono_us, fake_sleep_us},
        .now_us = INT64_C(1800000000) * US_PER_S,
        .mono_us = 1000 * US_PER_S,
    };
}

void
fake_clock_advance(struct fake_clock *clock, int64_t span_us)
{
    clock->now_us += span_us;
    clock->mono_us += span_us;
}

static void
copy_text(char out[32], struct str text)
{
    text = str_slice(text, 0, 31);
    (void)memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
}

static struct str
unwrap(struct str message, struct arena *arena)
{
    return party_wire ? party_wire->unwrap(message, arena) : message;
}

static void
on_delivered(void *context, const struct broker_delivery *delivery)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct party *self = context;
    struct received *received = &self->received[self->n_received++ % PARTY_MAX];

    *received = (struct received){
        .tag = delivery->tag,
        .priority = delivery->priority,
        .attempt = delivery->attempt,
        .n_crashes = delivery->n_crashes,
        .is_redelivered = delivery->is_redelivered,
        .is_expired = delivery->is_expired,
        .is_revoked = delivery->is_revoked,
    };
    copy_text(received->text, unwrap(delivery->bytes, &arena));
    copy_text(received->queue, delivery->queue);
}

static void
on_completed(void *context, const struct broker_completion *completion)
{
    struct party *self = context;
    struct told *told = &self->told[self->n_told++ % PARTY_MAX];

    *told = (struct told){
        .ticket = completion->ticket,
        .tag = completion->tag,
        .outcome = completion->outcome,
        .code = completion->err ? completion->err->code : ERR_NONE,
    };
    (void)snprintf(told->holder, sizeof(told->holder), "%.*s", STR_ARG(completion->holder));
}

static void
on_lost(void *context, uint64_t tag)
{
    struct party *self = context;

    self->lost[self->n_lost++ % COUNT_OF(self->lost)] = tag;
}

struct broker_options
party_options(struct party *party, const struct clock *clock)
{
    return (struct broker_options){
        .listener = {on_delivered, on_completed, on_lost, party},
        .clock = clock,
        .name = STR("party"),
    };
}

void
party_open(struct party *party, const char *url, const struct broker_options *options)
{
    struct error err;

    party->n_received = 0;
    party->n_told = 0;
    party->n_lost = 0;
    party->clock = options->clock ? options->clock : &clock_system;
    assert_ok(broker_open(str_from_cstr(url), options, &party->broker, &err), err);
}

void
party_consume(struct party *party, const char *queue, size_t credit)
{
    struct str name = str_from_cstr(queue);
    struct error err;

    assert_ok(broker_consume(party->broker, &name, 1, &err), err);
    broker_set_credit(party->broker, credit);
}

/* Wait for the server's answer; false when there is none to wait for. */
static bool
wait_for_answer(struct party *party, const struct broker_wait *wait)
{
    struct pollfd poll_fd = {.fd = wait->fd, .events = wait->events};

    if (party_stats(party).n_asked == 0)
        return false;
    assert_true(wait->fd >= 0);
    if (wait->deadline_us > clock_mono_us(party->clock)) /* else it was read already */
        (void)poll(&poll_fd, 1, ANSWER_MS);
    return true;
}

void
party_run(struct party *party)
{
    struct broker_wait wait;
    struct error err;
    int64_t deadline_us = INT64_MIN;

    for (size_t i = 0; i < 10000; i++) {
        assert_ok(broker_run(party->broker, &err), err);
        broker_get_wait(party->broker, &wait);
        if (wait_for_answer(party, &wait)) {
            deadline_us = INT64_MIN;
            continue;
        }
        /* It asks for a moment that the test's clock has to reach first. */
        if (wait.deadline_us == deadline_us || wait.deadline_us == INT64_MAX)
            return;
        if (wait.fd >= 0 && wait.deadline_us > clock_mono_us(party->clock) &&
            party_stats(party).n_pending == 0)
            return;
        deadline_us = wait.deadline_us;
        if (party_stats(party).n_pending > 0)
            deadline_us = INT64_MIN;
    }
    fail_msg("the broker asks for rounds without end");
}

struct broker_message
party_message(const char *queue, const char *text)
{
    return (struct broker_message){
        .queue = str_from_cstr(queue),
        .id = str_from_cstr(text),
        .bytes = str_from_cstr(text),
        .eta_us = TIME_UNKNOWN,
        .expires_us = TIME_UNKNOWN,
    };
}

uint64_t
party_publish_with(struct party *party, const struct broker_message *message)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT((size_t)64 << 20);
    struct broker_message wrapped = *message;
    uint64_t ticket = 0;
    struct error err;

    if (party_wire) {
        party_wire->wrap(message, &bytes);
        assert_ok(buf_status(&bytes, &err), err);
        wrapped.bytes = buf_str(&bytes);
    }
    assert_ok(broker_publish(party->broker, &wrapped, &ticket, &err), err);
    return ticket;
}

uint64_t
party_publish(struct party *party, const char *queue, const char *text)
{
    struct broker_message message = party_message(queue, text);

    return party_publish_with(party, &message);
}

uint64_t
party_settle_with(struct party *party, uint64_t tag, const struct broker_verdict *verdict)
{
    uint64_t ticket = UINT64_MAX;
    struct error err;

    assert_ok(broker_settle(party->broker, tag, verdict, &ticket, &err), err);
    return ticket;
}

uint64_t
party_settle(struct party *party, uint64_t tag, enum broker_action action)
{
    struct broker_verdict verdict = {.action = action, .reason = STR("test")};

    return party_settle_with(party, tag, &verdict);
}

enum broker_outcome
party_outcome(const struct party *party, uint64_t ticket)
{
    const struct told *found = NULL;

    for (size_t i = 0; i < party->n_told && i < PARTY_MAX; i++) {
        if (party->told[i].ticket != ticket)
            continue;
        if (found)
            fail_msg("ticket %llu was told twice", (unsigned long long)ticket);
        found = &party->told[i];
    }
    if (!found)
        fail_msg("ticket %llu was not told", (unsigned long long)ticket);
    return found->outcome;
}

const char *
party_texts(struct party *party)
{
    static char line[PARTY_MAX];
    size_t len = 0;

    line[0] = '\0';
    for (size_t i = 0; i < party->n_received && len < sizeof(line) - 40; i++)
        len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%s", i ? " " : "",
                                party->received[i].text);
    party->n_received = 0;
    return line;
}

struct broker_stats
party_stats(const struct party *party)
{
    struct broker_stats stats;

    broker_get_stats(party->broker, &stats);
    return stats;
}

int64_t
party_count(struct party *party, const char *queue)
{
    struct broker_depth depth;
    struct error err;

    assert_ok(broker_count(party->broker, str_from_cstr(queue), &depth, &err), err);
    return depth.n_ready + depth.n_scheduled + depth.n_claimed;
}

int64_t
party_count_dead(struct party *party)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)16 << 20);
    struct broker_dead_list list;
    struct error err;

    assert_ok(broker_list_dead(party->broker, STR_NULL, 0, 10000, &arena, &list, &err), err);
    return (int64_t)list.n_items;
}

pid_t
test_fork(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
        _exit(99);
    return pid;
}

void
test_dir_make(char dir[64])
{
    const char *root = getenv("TMPDIR");

    (void)snprintf(dir, 64, "%.40s/trawl-test-XXXXXX", root ? root : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static int
remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

void
test_dir_remove(const char *dir)
{
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

uint64_t
party_admit(struct party *party, uint64_t tag, const struct broker_admission *admission)
{
    struct error err = {0};
    uint64_t ticket = 0;

    assert_ok(broker_admit(party->broker, tag, admission, &ticket, &err), err);
    return ticket;
}

const char *
party_holder(const struct party *party, uint64_t ticket)
{
    for (size_t i = 0; i < party->n_told; i++)
        if (party->told[i % PARTY_MAX].ticket == ticket)
            return party->told[i % PARTY_MAX].holder;
    fail_msg("nobody told of ticket %llu", (unsigned long long)ticket);
    return "";
}
