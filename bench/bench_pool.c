/* How fast the pool hands out requests that do nothing.
 *
 *   bench_pool [--pool prefork|thread|solo] [--children N] [--prefetch N] [--requests N]
 *
 * One JSON line per case: start-up until all children are ready; one request at a time (round trip
 * from pool_submit to events.done); as many as the pool takes, as a worker with a full queue
 * submits them (requests/s, and the round trip under that load); memory per idle child: its share
 * of the pages (PSS) and what is its own (private dirty). */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/number.h"
#include "celery/pool/pool.h"

#define MAX_REQUESTS  10000000
#define LATENCY_SHARE 10 /* a tenth of the requests goes one at a time */
#define PAYLOAD                                                                                    \
    "[[], {}, {\"callbacks\": null, \"errbacks\": null, \"chain\": null, \"chord\": null}]"

struct bench {
    const char *pool_name;
    int64_t n_children;
    int64_t n_requests;
    struct loop *loop;
    struct pool *pool;
    size_t n_ready;
    size_t n_sent;
    size_t n_done;
    size_t n_wanted;
    size_t n_returned;
    size_t n_window; /* under way at most */
    int64_t *sent_us;
    int64_t *trip_us;
};

static const struct celery_task noop = {.name = "bench.noop"};

static int
run_noop(void *state, const struct pool_call *call, struct buf *result, struct error *err)
{
    (void)state;
    (void)call;
    (void)err;
    buf_append(result, STR("null"));
    return 0;
}

static void
fill(struct bench *self)
{
    while (self->n_sent < self->n_wanted && self->n_sent - self->n_done < self->n_window &&
           pool_n_free(self->pool) > 0) {
        struct pool_request request = {.id = self->n_sent, .task = &noop, .payload = STR(PAYLOAD)};

        self->sent_us[self->n_sent] = clock_mono_us(&clock_system);
        if (pool_submit(self->pool, &request, NULL) < 0)
            return;
        self->n_sent++;
    }
}

static void
on_done(void *context, uint64_t id, const struct pool_outcome *outcome)
{
    struct bench *self = context;

    self->trip_us[self->n_done++] = clock_mono_us(&clock_system) - self->sent_us[id];
    if (outcome->kind == POOL_RETURNED) { /* waited behind another: once more */
        self->n_returned++;
        self->n_wanted++;
    } else if (outcome->kind != POOL_OK) {
        (void)fprintf(stderr, "a request failed: %.*s\n", STR_ARG(outcome->message));
        exit(1);
    }
    fill(self);
    if (self->n_done == self->n_wanted)
        loop_stop(self->loop);
}

static void
on_ready(void *context, pid_t pid)
{
    struct bench *self = context;

    (void)pid;
    if (++self->n_ready == (size_t)self->n_children)
        loop_stop(self->loop);
}

static int
compare_times(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static void
print_case(const struct bench *self, const char *name, const char *unit, double median, double p99,
           size_t n)
{
    (void)printf(
        "{\"name\":\"pool/%s/%s\",\"unit\":\"%s\",\"median\":%.1f,\"p99\":%.1f,\"n\":%zu}\n",
        self->pool_name, name, unit, median, p99, n);
}

static void
print_trips(struct bench *self, const char *name)
{
    size_t n = self->n_done;

    qsort(self->trip_us, n, sizeof(*self->trip_us), compare_times);
    print_case(self, name, "us", (double)self->trip_us[n / 2], (double)self->trip_us[n * 99 / 100],
               n);
}

/* Requests per second. */
static double
run_requests(struct bench *self, size_t n_requests, size_t n_window)
{
    int64_t begin_us = clock_mono_us(&clock_system);

    self->n_sent = self->n_done = self->n_returned = 0;
    self->n_wanted = n_requests;
    self->n_window = n_window;
    fill(self);
    loop_run(self->loop);
    return (double)(n_requests * US_PER_S) / (double)(clock_mono_us(&clock_system) - begin_us);
}

/* The sum of a field of smaps_rollup in KiB. */
static int64_t
read_memory(pid_t pid, const char *field)
{
    char path[64], line[256];
    int64_t kib = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        struct str rest = str_from_cstr(line);
        struct str name;

        if (str_split(&rest, ':', &name) && str_equal(name, str_from_cstr(field)))
            (void)!number_parse_i64(str_trim(str_slice(rest, 0, str_find(rest, STR("kB")))), &kib,
                                    NULL);
    }
    if (file)
        (void)fclose(file);
    return kib;
}

static void
print_memory(const struct bench *self)
{
    static const struct {
        const char *field;
        const char *name;
    } rows[] = {{"Pss", "child_pss"}, {"Private_Dirty", "child_private_dirty"}};
    static struct pool_child_stats stats[POOL_MAX_CHILDREN];
    size_t n = pool_stats(self->pool, stats, POOL_MAX_CHILDREN);

    for (size_t i = 0; i < COUNT_OF(rows) && n > 0; i++) {
        double kib = (double)read_memory(stats[0].pid, rows[i].field);

        print_case(self, rows[i].name, "KiB", kib, kib, 1);
    }
}

static int
run_all(struct bench *self, struct pool_options *options, struct error *err)
{
    int64_t begin_us = clock_mono_us(&clock_system);
    double start_us, rate;
    int rc = loop_create(&self->loop, err);

    if (rc < 0)
        return rc;
    options->loop = self->loop;
    rc = pool_create(str_from_cstr(self->pool_name), options, &self->pool, err);
    if (rc == 0)
        rc = pool_start(self->pool, (size_t)self->n_children, err);
    if (rc < 0)
        return rc;
    loop_run(self->loop);
    start_us = (double)(clock_mono_us(&clock_system) - begin_us);
    print_case(self, "start", "us", start_us, start_us, 1);
    print_memory(self);
    (void)run_requests(self, (size_t)self->n_requests / LATENCY_SHARE, 1);
    print_trips(self, "round_trip_alone");
    rate = run_requests(self, (size_t)self->n_requests, SIZE_MAX);
    print_case(self, "throughput", "requests/s", rate, rate, self->n_done);
    print_case(self, "returned", "requests", (double)self->n_returned, (double)self->n_returned, 1);
    print_trips(self, "round_trip_under_load");
    return 0;
}

int
main(int argc, char **argv)
{
    struct bench self = {.pool_name = "prefork", .n_children = 2, .n_requests = 500000};
    int64_t prefetch = 4;
    struct pool_options options = {
        .runner = {.run = run_noop},
        .events = {.ready = on_ready, .done = on_done, .context = &self},
    };
    const struct {
        const char *name;
        int64_t *value;
    } numbers[] = {{"--children", &self.n_children},
                   {"--prefetch", &prefetch},
                   {"--requests", &self.n_requests}};
    struct error err;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--pool") == 0)
            self.pool_name = argv[i + 1];
        for (size_t k = 0; k < COUNT_OF(numbers); k++) {
            if (strcmp(argv[i], numbers[k].name) == 0 &&
                number_parse_i64(str_from_cstr(argv[i + 1]), numbers[k].value, &err) < 0) {
                (void)fprintf(stderr, "%s: %s\n", argv[i], err.message);
                return 2;
            }
        }
    }
    if (self.n_requests < LATENCY_SHARE || self.n_requests > MAX_REQUESTS || prefetch < 0) {
        (void)fprintf(stderr, "requests: %d to %d\n", LATENCY_SHARE, MAX_REQUESTS);
        return 2;
    }
    options.child_prefetch = (unsigned)prefetch;
    /* What is returned is sent again under a new number. */
    self.sent_us = calloc(2 * (size_t)self.n_requests, sizeof(*self.sent_us));
    self.trip_us = calloc(2 * (size_t)self.n_requests, sizeof(*self.trip_us));
    if (!self.sent_us || !self.trip_us || run_all(&self, &options, &err) < 0) {
        (void)fprintf(stderr, "bench_pool: %s\n", self.sent_us ? err.message : "out of memory");
        return 1;
    }
    pool_free(self.pool);
    loop_free(self.loop);
    free(self.sent_us);
    free(self.trip_us);
    return 0;
}
