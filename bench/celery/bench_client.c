/* Trawl's client in a loop, for the measurements beside Celery (bench/celery/run.py).
 *
 *   bench_client fill BROKER N [ignore] [COUNTDOWN_S]   batches of 1,000, each confirmed
 *   bench_client send BROKER N                          one by one, each confirmed
 *   bench_client trip BROKER BACKEND N                  send, wait for the result; one at a time
 *
 * The task is probe.noop, the queue celery.  Prints one JSON line: a rate in messages a second, or
 * times in microseconds. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/number.h"
#include "celery/broker/publisher.h"
#include "celery/client.h"
#include "celery/message.h"

#define BATCH           1000
#define WARM_UP         20
#define MAX_ENVELOPE    ((size_t)8192)
#define PUBLISH_US      (60 * US_PER_S)
#define TRIP_TIMEOUT_US (10 * US_PER_S)
#define RESULT_BYTES    ((size_t)1 << 20)
#define MAX_MESSAGES    INT64_C(100000000)
#define TASK            "probe.noop"

struct batch {
    char ids[BATCH][UUID_TEXT_BYTES];
    struct buf bytes[BATCH];
    struct broker_message messages[BATCH];
};

static void
print_rate(const char *name, int64_t n, int64_t span_us)
{
    (void)printf("{\"name\": \"%s\", \"unit\": \"1/s\", \"value\": %.1f, \"n\": %" PRId64 "}\n",
                 name, (double)n * (double)US_PER_S / (double)span_us, n);
}

static int
write_message(struct batch *self, size_t i, enum celery_flag ignore, int64_t eta_us,
              struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(4096);
    struct celery_message message;
    int rc = 0;

    uuid_random(self->ids[i]);
    celery_message_init(&message, STR(TASK), str_from_cstr(self->ids[i]));
    message.routing_key = STR(CELERY_DEFAULT_QUEUE);
    message.ignore_result = ignore;
    if (eta_us != TIME_UNKNOWN)
        rc = celery_message_set_eta(&message, eta_us, &arena, err);
    buf_clear(&self->bytes[i]);
    if (rc == 0)
        rc = celery_message_encode_envelope(&message, &self->bytes[i], err);
    self->messages[i] = (struct broker_message){
        .queue = message.routing_key,
        .id = message.id,
        .bytes = buf_str(&self->bytes[i]),
        .eta_us = eta_us,
        .expires_us = TIME_UNKNOWN,
    };
    return rc;
}

/* Making the messages is part of it, as it is of a producer's work. */
static int
fill_queue(struct publisher *publisher, int64_t n, enum celery_flag ignore, int64_t countdown_s,
           struct error *err)
{
    static struct batch batch;
    int64_t begin_us = clock_mono_us(&clock_system);
    int64_t n_sent = 0;
    int rc = 0;

    for (size_t i = 0; i < BATCH; i++)
        buf_init(&batch.bytes[i], MAX_ENVELOPE);
    while (rc == 0 && n_sent < n) {
        size_t n_now = n - n_sent < BATCH ? (size_t)(n - n_sent) : BATCH;
        int64_t eta_us =
            countdown_s ? clock_now_us(&clock_system) + countdown_s * US_PER_S : TIME_UNKNOWN;

        for (size_t i = 0; rc == 0 && i < n_now; i++)
            rc = write_message(&batch, i, ignore, eta_us, err);
        if (rc == 0)
            rc = publisher_send(publisher, batch.messages, n_now, PUBLISH_US, NULL, err);
        n_sent += (int64_t)n_now;
    }
    if (rc == 0)
        print_rate("fill", n, clock_mono_us(&clock_system) - begin_us);
    for (size_t i = 0; i < BATCH; i++)
        buf_fini(&batch.bytes[i]);
    return rc;
}

static int
run_fill(struct str broker, int64_t n, int argc, char **argv, struct error *err)
{
    CLEANUP(publisher_closep) struct publisher *publisher = NULL;
    struct broker_options options = {.name = STR("bench")};
    enum celery_flag ignore = CELERY_UNSET;
    int64_t countdown_s = 0;
    int rc = 0;

    for (int i = 0; rc == 0 && i < argc; i++) {
        if (strcmp(argv[i], "ignore") == 0)
            ignore = CELERY_TRUE;
        else
            rc = number_parse_i64(str_from_cstr(argv[i]), &countdown_s, err);
    }
    if (rc == 0)
        rc = publisher_open(broker, &options, &publisher, err);
    return rc < 0 ? rc : fill_queue(publisher, n, ignore, countdown_s, err);
}

static int
run_send(struct str broker, int64_t n, struct error *err)
{
    CLEANUP(celery_client_freep) struct celery_client *client = NULL;
    const struct celery_client_options options = {.broker_url = broker};
    struct celery_request request = CELERY_REQUEST_INIT;
    char id[UUID_TEXT_BYTES];
    int64_t begin_us = 0;
    int rc = celery_client_create(&options, &client, err);

    request.task = STR(TASK);
    for (int64_t i = 0; rc == 0 && i < n + WARM_UP; i++) {
        if (i == WARM_UP)
            begin_us = clock_mono_us(&clock_system);
        rc = celery_client_send(client, &request, id, err);
    }
    if (rc == 0)
        print_rate("send", n, clock_mono_us(&clock_system) - begin_us);
    return rc;
}

static int
make_trip(struct celery_client *client, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(RESULT_BYTES);
    struct celery_request request = CELERY_REQUEST_INIT;
    struct result result;
    char id[UUID_TEXT_BYTES];
    int rc;

    request.task = STR(TASK);
    rc = celery_client_send(client, &request, id, err);
    if (rc == 0)
        rc = celery_client_wait(client, str_from_cstr(id), TRIP_TIMEOUT_US, NULL, &arena, &result,
                                err);
    if (rc == 0 && !str_equal(result.status, STR("SUCCESS")))
        rc = error_set(err, ERR_INVALID, "a task ended as %.*s", STR_ARG(result.status));
    return rc;
}

static int
compare_times(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static int
run_trips(struct str broker, struct str backend, int64_t n, struct error *err)
{
    CLEANUP(celery_client_freep) struct celery_client *client = NULL;
    const struct celery_client_options options = {.broker_url = broker, .backend_url = backend};
    int64_t *spans_us = calloc((size_t)n, sizeof(*spans_us));
    int rc = spans_us ? celery_client_create(&options, &client, err)
                      : error_set(err, ERR_NOMEM, "no memory for %" PRId64 " times", n);

    for (int64_t i = -WARM_UP; rc == 0 && i < n; i++) {
        int64_t begin_us = clock_mono_us(&clock_system);

        rc = make_trip(client, err);
        if (i >= 0)
            spans_us[i] = clock_mono_us(&clock_system) - begin_us;
    }
    if (rc == 0) {
        qsort(spans_us, (size_t)n, sizeof(*spans_us), compare_times);
        (void)printf("{\"name\": \"trip\", \"unit\": \"us\", \"p50\": %" PRId64
                     ", \"p99\": %" PRId64 ", \"n\": %" PRId64 "}\n",
                     spans_us[n / 2], spans_us[n * 99 / 100], n);
    }
    free(spans_us);
    return rc;
}

int
main(int argc, char **argv)
{
    bool is_trip = argc > 4 && strcmp(argv[1], "trip") == 0;
    struct error err = {0};
    int64_t n = 0;
    int rc = -ERR_ARGS;

    if (argc < 4 || number_parse_i64(str_from_cstr(argv[is_trip ? 4 : 3]), &n, &err) < 0 || n < 1 ||
        n > MAX_MESSAGES) {
        (void)fprintf(stderr, "usage: bench_client fill|send|trip BROKER [BACKEND] N ...\n");
        return 2;
    }
    if (is_trip)
        rc = run_trips(str_from_cstr(argv[2]), str_from_cstr(argv[3]), n, &err);
    else if (strcmp(argv[1], "fill") == 0)
        rc = run_fill(str_from_cstr(argv[2]), n, argc - 4, argv + 4, &err);
    else if (strcmp(argv[1], "send") == 0)
        rc = run_send(str_from_cstr(argv[2]), n, &err);
    if (rc < 0) {
        (void)fprintf(stderr, "bench_client: %s\n", err.message);
        return 1;
    }
    return 0;
}
