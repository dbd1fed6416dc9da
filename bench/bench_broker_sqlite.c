/* How fast the SQLite broker is, synchronous=FULL, on the disk below $TMPDIR (or DIR).
 *
 *   bench_broker_sqlite [--messages N] [--bytes N] [DIR]
 *
 *   sync                 write 4 KiB and fdatasync: what the disk gives anybody
 *   enqueue_batched      one handle, batches of 1000, durable after each
 *   enqueue_threads      4 threads, one message each time, one handle: group commit
 *   enqueue_processes    4 processes, one message each time, a handle and a sync each
 *   consume              claim and acknowledge what is there, credit 256
 *   consume_rounds       how long one call of broker_run took in there
 *   consume_backlog      the same in front of a backlog of --messages that stays
 *   wake                 one process publishes, another answers: the round trip of one message
 *   wake_contended       the same while a third publishes one message after another
 *
 * One JSON line per case: a rate in messages per second, or a time in microseconds. */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "celery/broker/broker.h"
#include "celery/broker/publisher.h"

#define BATCH      1000
#define N_PARALLEL 4
#define N_SYNCS    200
#define N_TRIPS    2000
#define CREDIT     256
#define MAX_ROUNDS 100000

static int64_t n_messages = 200000;
static int64_t n_bytes = 700; /* as a Celery envelope with a few arguments */
static char bytes[1 << 20];
static char url[PATH_MAX];

static void
give_up(const char *what, const struct error *err)
{
    (void)fprintf(stderr, "bench_broker_sqlite: %s: %s\n", what, err->message);
    exit(1);
}

static void
print_rate(const char *name, int64_t n, int64_t span_us)
{
    (void)printf("{\"bench\": \"broker_sqlite\", \"name\": \"%s\", \"unit\": \"1/s\","
                 " \"value\": %.0f, \"n\": %" PRId64 "}\n",
                 name, (double)n * (double)US_PER_S / (double)span_us, n);
    (void)fflush(stdout);
}

static int
compare(const void *a, const void *b)
{
    const int64_t *left = a;
    const int64_t *right = b;

    return *left < *right ? -1 : *left > *right;
}

static void
print_spans(const char *name, int64_t *spans_us, size_t n)
{
    qsort(spans_us, n, sizeof(*spans_us), compare);
    (void)printf("{\"bench\": \"broker_sqlite\", \"name\": \"%s\", \"unit\": \"us\","
                 " \"median\": %" PRId64 ", \"p99\": %" PRId64 ", \"max\": %" PRId64
                 ", \"n\": %zu}\n",
                 name, spans_us[n / 2], spans_us[n * 99 / 100], spans_us[n - 1], n);
    (void)fflush(stdout);
}

static struct broker_message
message_for(const char *queue)
{
    return (struct broker_message){
        .queue = str_from_cstr(queue),
        .id = STR("0c3f1a52-5d2c-4b7e-9d1e-5a3f0b6c7d8e"),
        .bytes = {bytes, (size_t)n_bytes},
        .eta_us = TIME_UNKNOWN,
        .expires_us = TIME_UNKNOWN,
    };
}

static void
bench_sync(const char *dir)
{
    static int64_t spans_us[N_SYNCS];
    char path[PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/sync", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (size_t i = 0; i < N_SYNCS; i++) {
        int64_t start_us = clock_mono_us(&clock_system);

        if (pwrite(fd, bytes, 4096, (off_t)i * 4096) != 4096 || fdatasync(fd) < 0)
            (void)fprintf(stderr, "bench_broker_sqlite: cannot write '%s'\n", path);
        spans_us[i] = clock_mono_us(&clock_system) - start_us;
    }
    (void)close(fd);
    print_spans("sync", spans_us, N_SYNCS);
}

static void
send_batches(const char *queue, int64_t n)
{
    static struct broker_message batch[BATCH];
    struct broker_options options = {0};
    struct publisher *publisher = NULL;
    struct error err;

    for (size_t i = 0; i < BATCH; i++)
        batch[i] = message_for(queue);
    if (publisher_open(str_from_cstr(url), &options, &publisher, &err) < 0)
        give_up("open", &err);
    for (int64_t sent = 0; sent < n; sent += BATCH)
        if (publisher_send(publisher, batch, BATCH, 10 * US_PER_S, NULL, &err) < 0)
            give_up("send", &err);
    publisher_close(publisher);
}

static void
bench_batched(void)
{
    int64_t start_us = clock_mono_us(&clock_system);

    send_batches("bench", n_messages);
    print_rate("enqueue_batched", n_messages, clock_mono_us(&clock_system) - start_us);
}

static void
send_singly(struct publisher *publisher, int64_t n)
{
    struct broker_message message = message_for("bench");
    struct error err;

    for (int64_t i = 0; i < n; i++)
        if (publisher_send(publisher, &message, 1, 10 * US_PER_S, NULL, &err) < 0)
            give_up("send", &err);
}

static void *
run_thread(void *publisher)
{
    send_singly(publisher, n_messages / 20);
    return NULL;
}

static void
bench_threads(void)
{
    struct broker_options options = {0};
    struct publisher *publisher = NULL;
    pthread_t threads[N_PARALLEL];
    struct error err;
    int64_t start_us;

    if (publisher_open(str_from_cstr(url), &options, &publisher, &err) < 0)
        give_up("open", &err);
    start_us = clock_mono_us(&clock_system);
    for (size_t i = 0; i < N_PARALLEL; i++)
        (void)pthread_create(&threads[i], NULL, run_thread, publisher);
    for (size_t i = 0; i < N_PARALLEL; i++)
        (void)pthread_join(threads[i], NULL);
    print_rate("enqueue_threads", N_PARALLEL * (n_messages / 20),
               clock_mono_us(&clock_system) - start_us);
    publisher_close(publisher);
}

static void
bench_processes(void)
{
    int64_t start_us = clock_mono_us(&clock_system);

    for (size_t i = 0; i < N_PARALLEL; i++) {
        struct broker_options options = {0};
        struct publisher *publisher = NULL;
        struct error err;

        if (fork() != 0)
            continue;
        if (publisher_open(str_from_cstr(url), &options, &publisher, &err) < 0)
            give_up("open", &err);
        send_singly(publisher, n_messages / 20);
        publisher_close(publisher);
        _exit(0);
    }
    while (wait(NULL) > 0)
        continue;
    print_rate("enqueue_processes", N_PARALLEL * (n_messages / 20),
               clock_mono_us(&clock_system) - start_us);
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

    self->n_done += completion->tag && completion->outcome == BROKER_DONE;
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
open_consumer(struct consumer *self, struct str queue)
{
    struct broker_options options = {
        .listener = {.delivered = on_delivered, .completed = on_completed, .context = self}};
    struct error err;

    if (broker_open(str_from_cstr(url), &options, &self->broker, &err) < 0 ||
        broker_consume(self->broker, &queue, 1, &err) < 0)
        give_up("open", &err);
}

static void
bench_consume(const char *name, const char *queue, int64_t n)
{
    static int64_t spans_us[MAX_ROUNDS];
    struct consumer consumer = {0};
    size_t n_rounds = 0;
    struct error err;
    int64_t start_us;

    open_consumer(&consumer, str_from_cstr(queue));
    start_us = clock_mono_us(&clock_system);
    while (consumer.n_done < n) {
        int64_t round_us;

        broker_set_credit(consumer.broker, CREDIT);
        wait_for(consumer.broker);
        round_us = clock_mono_us(&clock_system);
        if (broker_run(consumer.broker, &err) < 0)
            give_up("run", &err);
        if (n_rounds < MAX_ROUNDS)
            spans_us[n_rounds++] = clock_mono_us(&clock_system) - round_us;
    }
    print_rate(name, consumer.n_done, clock_mono_us(&clock_system) - start_us);
    print_spans("consume_rounds", spans_us, n_rounds);
    broker_close(consumer.broker);
}

/* The other side: whatever comes is published again to "back". */
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

static void
answer_for_ever(void)
{
    struct consumer consumer = {0};
    struct broker_options options = {
        .listener = {.delivered = on_ping, .completed = on_completed, .context = &consumer}};
    struct str queue = STR("ping");
    struct error err;

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

/* A third process that wants the write lock all the time; none for 0. */
static pid_t
start_rival(bool is_wanted)
{
    struct broker_options options = {0};
    struct publisher *publisher = NULL;
    struct error err;
    pid_t pid = is_wanted ? fork() : 0;

    if (pid != 0 || !is_wanted)
        return pid;
    if (publisher_open(str_from_cstr(url), &options, &publisher, &err) < 0)
        give_up("open", &err);
    for (;;)
        send_singly(publisher, 1000);
}

static void
bench_wake(const char *name, bool is_contended)
{
    static int64_t spans_us[N_TRIPS];
    struct broker_message ping = message_for("ping");
    struct consumer consumer = {0};
    struct error err;
    pid_t rival = start_rival(is_contended);
    pid_t pid = fork();

    if (pid == 0)
        answer_for_ever();
    open_consumer(&consumer, STR("back"));
    for (int64_t i = 0; i < N_TRIPS; i++) {
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
    if (rival) {
        (void)kill(rival, SIGKILL);
        (void)waitpid(rival, NULL, 0);
    }
    broker_close(consumer.broker);
    print_spans(name, spans_us, N_TRIPS);
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
    const char *root = getenv("TMPDIR");
    char dir[PATH_MAX - 64];

    for (int i = 1; i < argc; i++) {
        bool is_good = argv[i][0] != '-';

        if (is_good)
            root = argv[i];
        else if (strcmp(argv[i], "--messages") == 0)
            is_good = parse_count(argv[++i], INT64_C(10000000), &n_messages);
        else if (strcmp(argv[i], "--bytes") == 0)
            is_good = parse_count(argv[++i], (int64_t)sizeof(bytes), &n_bytes);
        if (is_good)
            continue;
        (void)fprintf(stderr, "usage: bench_broker_sqlite [--messages N] [--bytes N] [DIR]\n");
        return 2;
    }
    (void)memset(bytes, 'x', sizeof(bytes));
    (void)snprintf(dir, sizeof(dir), "%.3000s/trawl-bench-XXXXXX", root ? root : "/tmp");
    if (!mkdtemp(dir)) {
        (void)fprintf(stderr, "bench_broker_sqlite: cannot make '%s': %s\n", dir, strerror(errno));
        return 1;
    }
    (void)snprintf(url, sizeof(url), "sqlite:///%s/broker.db", dir);
    bench_sync(dir);
    bench_batched();
    bench_consume("consume", "bench", n_messages);
    bench_threads();
    bench_processes();
    send_batches("backlog", n_messages);
    bench_consume("consume_backlog", "backlog", n_messages / 10);
    bench_wake("wake", false);
    bench_wake("wake_contended", true);
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
