/* The Redis broker: publishing one by one and in batches, claiming and acknowledging with several
 * windows, and the way from a publish to a waiting consumer.
 *
 *     bench_broker_redis [--messages N] [--bytes N] [--appendonly] [URL]
 *
 * Without a URL it runs a redis-server of its own on a socket in a temporary directory; with one,
 * the queues bench and ping there must not be of use to anybody.  A JSON line per case. */

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/number.h"
#include "celery/broker/broker.h"
#include "celery/message.h"

#define BATCH     1000
#define N_SINGLE  10000
#define N_TRIPS   2000
#define MAX_SPANS 100000

static char url[PATH_MAX];
static int64_t n_messages = 200000;
static int64_t n_bytes = 300;
static bool is_durable;
static struct buf envelope = BUF_INIT((size_t)1 << 20);

static _Noreturn void
give_up(const char *what, const struct error *err)
{
    (void)fprintf(stderr, "bench_broker_redis: cannot %s: %s\n", what, err->message);
    exit(1);
}

static int
compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void
print_rate(const char *name, int64_t n, int64_t span_us)
{
    (void)printf("{\"name\": \"%s\", \"unit\": \"1/s\", \"value\": %.0f, \"n\": %lld}\n", name,
                 (double)n * 1e6 / (double)span_us, (long long)n);
    (void)fflush(stdout);
}

static void
print_spans(const char *name, int64_t *spans_us, size_t n)
{
    qsort(spans_us, n, sizeof(*spans_us), compare);
    (void)printf("{\"name\": \"%s\", \"unit\": \"us\", \"median\": %lld, \"p99\": %lld,"
                 " \"max\": %lld, \"n\": %zu}\n",
                 name, (long long)spans_us[n / 2], (long long)spans_us[n * 99 / 100],
                 (long long)spans_us[n - 1], n);
    (void)fflush(stdout);
}

/* What Celery sends, with an argument of so many bytes. */
static void
make_envelope(void)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct celery_message message;
    char *argument = arena_alloc(&arena, (size_t)n_bytes + 1);
    struct error err;

    if (!argument)
        give_up("make a message", &(struct error){.message = "no memory"});
    (void)memset(argument, 'x', (size_t)n_bytes);
    argument[n_bytes] = '\0';
    celery_message_init(&message, STR("bench.work"), STR("9f3ad7ba-0b0d-4b6d-9a56-2ba0e6f3a0f1"));
    message.args = str_from_cstr(arena_printf(&arena, "[\"%s\"]", argument));
    message.routing_key = STR("bench");
    if (celery_message_encode_envelope(&message, &envelope, &err) < 0)
        give_up("make a message", &err);
}

/* Each with a tag of its own: they all have the same length, in the same place. */
static struct broker_message
message_for(const char *queue)
{
    static uint64_t n;
    char digits[17];
    struct str text = buf_str(&envelope);

    (void)snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)++n);
    (void)memcpy(envelope.ptr + text.len - 3 - 16, digits, 16);
    return (struct broker_message){
        .queue = str_from_cstr(queue),
        .id = STR("9f3ad7ba-0b0d-4b6d-9a56-2ba0e6f3a0f1"),
        .bytes = text,
        .eta_us = TIME_UNKNOWN,
        .expires_us = TIME_UNKNOWN,
    };
}

static void
wait_for(struct broker *broker)
{
    struct broker_wait wait;
    struct pollfd poll_fd;
    int64_t span_us;

    broker_get_wait(broker, &wait);
    span_us = wait.deadline_us - clock_mono_us(&clock_system);
    poll_fd = (struct pollfd){.fd = wait.fd, .events = wait.events};
    if (span_us > 0)
        (void)poll(&poll_fd, 1, (int)((span_us + 999) / 1000));
}

static void
bench_publish(const char *name, int64_t n, int64_t batch)
{
    static int64_t spans_us[MAX_SPANS];
    struct broker_options options = {0};
    struct broker *broker = NULL;
    size_t n_spans = 0;
    int64_t start_us;
    struct error err;

    if (broker_open(str_from_cstr(url), &options, &broker, &err) < 0)
        give_up("open", &err);
    start_us = clock_mono_us(&clock_system);
    for (int64_t i = 0; i < n; i += batch) {
        int64_t batch_us = clock_mono_us(&clock_system);

        for (int64_t k = 0; k < batch; k++) {
            struct broker_message message = message_for("bench");

            if (broker_publish(broker, &message, NULL, &err) < 0)
                give_up("publish", &err);
        }
        if (broker_flush(broker, 10 * US_PER_S, &err) < 0)
            give_up("flush", &err);
        if (n_spans < MAX_SPANS)
            spans_us[n_spans++] = clock_mono_us(&clock_system) - batch_us;
    }
    print_rate(name, n, clock_mono_us(&clock_system) - start_us);
    if (batch == 1)
        print_spans("publish_one_latency", spans_us, n_spans);
    broker_close(broker);
}

struct consumer {
    struct broker *broker;
    int64_t n_done;
};

static void
on_delivered(void *context, const struct broker_delivery *delivery)
{
    static const struct broker_verdict done = {.action = BROKER_ACK};
    struct consumer *self = context;
    struct error err;

    if (broker_settle(self->broker, delivery->tag, &done, NULL, &err) < 0)
        give_up("settle", &err);
}

static void
on_completed(void *context, const struct broker_completion *completion)
{
    struct consumer *self = context;

    if (!completion->tag)
        return;
    if (completion->outcome != BROKER_DONE)
        give_up("acknowledge", &(struct error){.message = "not done"});
    self->n_done++;
}

static void
open_consumer(struct consumer *self, struct str queue)
{
    struct broker_options options = {
        .listener = {.delivered = on_delivered, .completed = on_completed, .context = self}};
    struct error err;

    if (broker_open(str_from_cstr(url), &options, &self->broker, &err) < 0 ||
        broker_consume(self->broker, &queue, 1, &err) < 0)
        give_up("open", &err);
}

/* Batches of at most so many: the verdicts of one travel with the claim of the next. */
static void
bench_consume(int64_t batch, int64_t n)
{
    struct consumer consumer = {0};
    int64_t start_us;
    struct error err;
    char name[64];

    open_consumer(&consumer, STR("bench"));
    start_us = clock_mono_us(&clock_system);
    while (consumer.n_done < n) {
        broker_set_credit(consumer.broker, (size_t)batch);
        wait_for(consumer.broker);
        if (broker_run(consumer.broker, &err) < 0)
            give_up("run", &err);
    }
    (void)snprintf(name, sizeof(name), "consume_batch_%lld", (long long)batch);
    print_rate(name, consumer.n_done, clock_mono_us(&clock_system) - start_us);
    broker_close(consumer.broker);
}

/* The other side: whatever comes is acknowledged, and one more "back" goes out. */
static void
on_ping(void *context, const struct broker_delivery *delivery)
{
    struct consumer *self = context;
    struct broker_message answer = message_for("back");
    struct error err;

    on_delivered(context, delivery);
    if (broker_publish(self->broker, &answer, NULL, &err) < 0)
        give_up("answer", &err);
    broker_set_credit(self->broker, 1);
}

static _Noreturn void
answer_for_ever(void)
{
    struct consumer consumer = {0};
    struct broker_options options = {
        .listener = {.delivered = on_ping, .completed = on_completed, .context = &consumer}};
    struct str queue = STR("ping");
    struct error err;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (broker_open(str_from_cstr(url), &options, &consumer.broker, &err) < 0 ||
        broker_consume(consumer.broker, &queue, 1, &err) < 0)
        give_up("open", &err);
    broker_set_credit(consumer.broker, 1);
    for (;;) {
        if (broker_run(consumer.broker, &err) < 0)
            give_up("run", &err);
        wait_for(consumer.broker);
    }
}

static void
bench_wake(void)
{
    static int64_t spans_us[N_TRIPS];
    struct consumer consumer = {0};
    struct error err;
    pid_t pid = fork();

    if (pid == 0)
        answer_for_ever();
    open_consumer(&consumer, STR("back"));
    for (int64_t i = 0; i < N_TRIPS; i++) {
        struct broker_message ping = message_for("ping");
        int64_t start_us = clock_mono_us(&clock_system);

        if (broker_publish(consumer.broker, &ping, NULL, &err) < 0)
            give_up("ping", &err);
        broker_set_credit(consumer.broker, 1);
        while (consumer.n_done <= i) {
            wait_for(consumer.broker);
            if (broker_run(consumer.broker, &err) < 0)
                give_up("run", &err);
        }
        spans_us[i] = clock_mono_us(&clock_system) - start_us;
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    broker_close(consumer.broker);
    print_spans("round_trip_two_processes", spans_us, N_TRIPS);
}

static pid_t
start_server(char dir[64])
{
    struct broker_options options = {0};
    struct broker *broker = NULL;
    struct error err;
    pid_t pid;

    (void)snprintf(dir, 64, "/tmp/trawl-bench-XXXXXX");
    if (!mkdtemp(dir))
        give_up("make a directory", &(struct error){.message = "/tmp is not writable"});
    (void)snprintf(url, sizeof(url), "redis+socket://%s/redis.sock", dir);
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir(dir) == 0)
            (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
                         "redis.sock", "--save", "", "--appendonly", is_durable ? "yes" : "no",
                         "--appendfsync", "always", "--logfile", "log", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 200; i++) {
        if (broker_open(str_from_cstr(url), &options, &broker, &err) == 0) {
            broker_close(broker);
            return pid;
        }
        (void)poll(NULL, 0, 20);
    }
    give_up("start redis-server", &err);
}

static int
remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static bool
parse_count(const char *text, int64_t max, int64_t *out)
{
    return text && number_parse_i64(str_from_cstr(text), out, NULL) == 0 && *out > 0 && *out <= max;
}

int
main(int argc, char **argv)
{
    static const int64_t batches[] = {8, 16, 64, 256};
    char dir[64] = "";
    pid_t pid = 0;

    for (int i = 1; i < argc; i++) {
        bool is_good = argv[i][0] != '-';

        if (is_good)
            (void)snprintf(url, sizeof(url), "%s", argv[i]);
        else if (strcmp(argv[i], "--messages") == 0)
            is_good = parse_count(argv[++i], INT64_C(10000000), &n_messages);
        else if (strcmp(argv[i], "--bytes") == 0)
            is_good = parse_count(argv[++i], INT64_C(100000), &n_bytes);
        else if (strcmp(argv[i], "--appendonly") == 0)
            is_good = is_durable = true;
        if (is_good)
            continue;
        (void)fprintf(stderr, "usage: bench_broker_redis [--messages N] [--bytes N]"
                              " [--appendonly] [URL]\n");
        return 2;
    }
    make_envelope();
    if (url[0] == '\0')
        pid = start_server(dir);
    bench_publish("publish_one", N_SINGLE, 1);
    bench_publish("publish_pipelined", n_messages, BATCH);
    for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++)
        bench_consume(batches[i], n_messages / 4);
    bench_wake();
    if (pid > 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    buf_fini(&envelope);
    return 0;
}
