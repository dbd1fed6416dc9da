/* How fast the nearest vectors are found: the 8-bit scan beside a plain f32 scan and memory itself.
 *
 *   bench_vector_scan [--rows N] [--dim N] [--k N] [--threads N] [--runs N] [FILE]
 *
 * FILE holds vectors, f32, row after row; they are repeated, each time with a little noise, up to N
 * rows.  Without it they are random ones around a thousand centres.  One JSON line per case and
 * instruction set: the median and 99th percentile in milliseconds, bytes read per second, and the
 * ratio to the plain scan of the same run and to the speed at which this machine reads memory. */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "encoder/cpu_count.h"
#include "encoder/cpu_level.h"
#include "encoder/parallel.h"
#include "encoder/vector_scan.h"
#include "encoder/vector_search.h"

#define RUNS_MAX    1001
#define N_QUERIES   16
#define CENTRES     1000
#define CHUNK_BYTES ((size_t)256 << 10)

struct bench {
    size_t n_rows;
    size_t dim;
    size_t k;
    size_t n_threads;
    size_t n_runs;
    const char *path;
    float *vectors;
    int8_t *codes;
    float *scales;
    float *errors;
    int64_t *ids;
    float max_norm;
    float queries[N_QUERIES][4096];
    size_t next; /* what the threads of one pass over memory take */
};

static uint64_t random_state = 88172645463325252ull;

static float
random_unit(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (float)(random_state >> 40) / (float)(1 << 23) - 1.0f;
}

static void
normalize(float *x, size_t dim)
{
    float sum = 0;

    for (size_t i = 0; i < dim; i++)
        sum += x[i] * x[i];
    for (size_t i = 0; i < dim; i++)
        x[i] /= sqrtf(sum);
}

/* Row `row` near row `row % n_seeds` of the seeds. */
static void
make_row(const struct bench *self, const float *seeds, size_t n_seeds, size_t row, float noise,
         float *out)
{
    const float *seed = seeds + row % n_seeds * self->dim; /* [dim] */

    for (size_t i = 0; i < self->dim; i++)
        out[i] = seed[i] + (row < n_seeds ? 0 : noise * random_unit());
    normalize(out, self->dim);
}

static float *
make_seeds(const struct bench *self, size_t *n_seeds)
{
    CLEANUP(file_map_close) struct file_map map = {0};
    size_t row_bytes = self->dim * sizeof(float);
    float *seeds;
    struct error err;

    *n_seeds = CENTRES;
    if (self->path) {
        if (file_map_open(self->path, &map, &err) < 0) {
            (void)fprintf(stderr, "%s\n", err.message);
            return NULL;
        }
        *n_seeds = map.bytes.len / row_bytes;
    }
    seeds = *n_seeds ? calloc(*n_seeds, row_bytes) : NULL;
    if (!seeds)
        return NULL;
    if (self->path)
        (void)memcpy(seeds, map.bytes.ptr, *n_seeds * row_bytes);
    for (size_t i = 0; !self->path && i < *n_seeds * self->dim; i++)
        seeds[i] = random_unit();
    for (size_t i = 0; i < *n_seeds; i++)
        normalize(seeds + i * self->dim, self->dim);
    return seeds;
}

static bool
make_rows(struct bench *self)
{
    size_t code_bytes = vector_code_bytes(self->dim);
    size_t n_seeds;
    float *seeds = make_seeds(self, &n_seeds);
    float noise = self->path ? 0.05f : 0.06f;

    self->vectors = aligned_alloc(64, (self->n_rows * self->dim * sizeof(float) + 63) / 64 * 64);
    self->codes = aligned_alloc(64, self->n_rows * code_bytes);
    self->scales = calloc(self->n_rows, sizeof(float));
    self->errors = calloc(self->n_rows, sizeof(float));
    self->ids = calloc(self->n_rows, sizeof(*self->ids));
    if (!seeds || !self->vectors || !self->codes || !self->scales || !self->errors || !self->ids)
        return false;
    for (size_t row = 0; row < self->n_rows; row++) {
        float *x = self->vectors + row * self->dim; /* [dim] */
        struct vector_code code;

        make_row(self, seeds, n_seeds, row, noise, x);
        if (vector_quantize(x, self->dim, self->codes + row * code_bytes, &code, NULL) < 0)
            return false;
        self->scales[row] = code.scale;
        self->errors[row] = code.error;
        self->ids[row] = (int64_t)row;
        self->max_norm = code.norm > self->max_norm ? code.norm : self->max_norm;
    }
    for (size_t i = 0; i < N_QUERIES; i++) /* beyond the first copy: like a row, and no row */
        make_row(self, seeds, n_seeds, n_seeds + i * 997, 0.6f * noise, self->queries[i]);
    free(seeds);
    return true;
}

static int
compare_times(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

/* What one case takes, run after run; the queries take turns. */
static double
measure(struct bench *self, void (*run)(struct bench *self, size_t query_idx), double *p99)
{
    static double times[RUNS_MAX];

    run(self, 0);
    for (size_t i = 0; i < self->n_runs; i++) {
        int64_t begin_us = clock_mono_us(&clock_system);

        run(self, i % N_QUERIES);
        times[i] = (double)(clock_mono_us(&clock_system) - begin_us) / 1000;
    }
    qsort(times, self->n_runs, sizeof(*times), compare_times);
    *p99 = times[self->n_runs * 99 / 100];
    return times[self->n_runs / 2];
}

static void
read_chunks(void *context, size_t worker)
{
    struct bench *self = context;
    size_t n_bytes = self->n_rows * vector_code_bytes(self->dim);
    uint64_t sums[32] = {0};

    (void)worker;
    for (;;) {
        size_t from = __atomic_fetch_add(&self->next, CHUNK_BYTES, __ATOMIC_RELAXED);
        size_t n = from < n_bytes ? n_bytes - from : 0;
        const uint64_t *words = (const void *)(self->codes + (n ? from : 0));

        n = n < CHUNK_BYTES ? n : CHUNK_BYTES;
        for (size_t i = 0; i + 32 <= n / 8; i += 32) {
            __builtin_prefetch(words + i + 512);
            __builtin_prefetch(words + i + 520);
            __builtin_prefetch(words + i + 528);
            __builtin_prefetch(words + i + 536);
            for (size_t k = 0; k < 32; k++)
                sums[k] ^= words[i + k];
        }
        if (n < CHUNK_BYTES)
            break;
    }
    for (size_t k = 0; k < 32; k++) /* so that no load is left out */
        __asm__ volatile("" : : "r"(sums[k]));
}

static void
run_memory(struct bench *self, size_t query_idx)
{
    (void)query_idx;
    self->next = 0;
    parallel_run(self->n_threads, read_chunks, self);
}

struct plain {
    struct bench *bench;
    size_t query_idx;
    size_t next; /* row */
};

static void
scan_plain(void *context, size_t worker)
{
    struct plain *self = context;
    const struct bench *bench = self->bench;
    struct vector_hit hits[1000];

    (void)worker;
    for (;;) {
        size_t first = __atomic_fetch_add(&self->next, 65536, __ATOMIC_RELAXED);
        struct vector_scan scan = {.rows = bench->vectors + first * bench->dim, .dim = bench->dim};
        size_t n_hits;

        if (first >= bench->n_rows)
            return;
        scan.n_rows = bench->n_rows - first < 65536 ? bench->n_rows - first : 65536;
        vector_scan_top(&scan, bench->queries[self->query_idx], 1, bench->k, hits, &n_hits);
    }
}

static void
run_plain(struct bench *self, size_t query_idx)
{
    struct plain plain = {self, query_idx, 0};

    parallel_run(self->n_threads, scan_plain, &plain);
}

static struct vector_search_counts counts;

static void
run_search(struct bench *self, size_t query_idx)
{
    const struct vector_part part = {self->codes, self->scales, self->errors, self->vectors, NULL,
                                     self->ids,   NULL,         self->n_rows, self->max_norm};
    struct vector_found found[1000];
    size_t n_found;

    if (vector_search_top(&part, 1, self->dim, self->queries[query_idx], self->k, self->n_threads,
                          found, &n_found, &counts, NULL) < 0)
        abort();
}

/* Every query's answer against a full scan in f32. */
static double
measure_recall(struct bench *self)
{
    const struct vector_part part = {self->codes, self->scales, self->errors, self->vectors, NULL,
                                     self->ids,   NULL,         self->n_rows, self->max_norm};
    const struct vector_scan scan = {self->vectors, NULL, self->n_rows, self->dim};
    size_t n_same = 0;
    size_t n_all = 0;

    for (size_t q = 0; q < N_QUERIES; q++) {
        struct vector_found found[1000];
        struct vector_hit hits[1000];
        size_t n_found;
        size_t n_hits;

        if (vector_search_top(&part, 1, self->dim, self->queries[q], self->k, self->n_threads,
                              found, &n_found, NULL, NULL) < 0)
            abort();
        vector_scan_top(&scan, self->queries[q], 1, self->k, hits, &n_hits);
        for (size_t i = 0; i < n_hits; i++)
            n_same += i < n_found && found[i].id == (int64_t)hits[i].row;
        n_all += n_hits;
    }
    return (double)n_same / (double)n_all;
}

static void
begin_line(const struct bench *self, const char *name, double median_ms, double p99_ms)
{
    (void)printf("{\"name\":\"vector_scan/%s\",\"unit\":\"ms\",\"median\":%.3f,\"p99\":%.3f,"
                 "\"n\":%zu,\"rows\":%zu,\"dim\":%zu,\"k\":%zu,\"threads\":%zu",
                 name, median_ms, p99_ms, self->n_runs, self->n_rows, self->dim, self->k,
                 self->n_threads);
}

static void
run_all(struct bench *self)
{
    static const char *const levels[] = {"baseline", "avx2", "avx512", "vnni"};
    double code_bytes = (double)(self->n_rows * vector_code_bytes(self->dim));
    double p99_ms;
    double memory_ms = measure(self, run_memory, &p99_ms);
    double plain_ms;

    begin_line(self, "memory", memory_ms, p99_ms);
    (void)printf(",\"gb_per_s\":%.1f}\n", code_bytes / memory_ms / 1e6);
    plain_ms = measure(self, run_plain, &p99_ms);
    begin_line(self, "plain_f32", plain_ms, p99_ms);
    (void)printf(",\"gb_per_s\":%.1f}\n",
                 (double)(self->n_rows * self->dim * sizeof(float)) / plain_ms / 1e6);
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        double median_ms;

        (void)setenv(CPU_LEVEL_ENV, levels[i], 1);
        if (strcmp(cpu_level_name(cpu_level()), levels[i]) != 0)
            continue; /* beyond this CPU */
        median_ms = measure(self, run_search, &p99_ms);
        begin_line(self, levels[i], median_ms, p99_ms);
        (void)printf(",\"gb_per_s\":%.1f,\"times_plain_f32\":%.2f,\"of_memory_speed\":%.2f,"
                     "\"rescored\":%zu,\"recall\":%.6f}\n",
                     code_bytes / median_ms / 1e6, plain_ms / median_ms, memory_ms / median_ms,
                     counts.n_rescored, measure_recall(self));
    }
}

static bool
read_option(struct bench *self, const char *name, const char *value)
{
    const struct {
        const char *name;
        size_t *to;
        int64_t max;
    } options[] = {
        {"--rows", &self->n_rows, 100000000},
        {"--dim", &self->dim, 4096},
        {"--k", &self->k, 1000},
        {"--threads", &self->n_threads, PARALLEL_THREADS_MAX},
        {"--runs", &self->n_runs, RUNS_MAX},
    };
    int64_t number;

    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (strcmp(name, options[i].name) != 0)
            continue;
        if (number_parse_i64(str_from_cstr(value), &number, NULL) < 0 || number < 1 ||
            number > options[i].max)
            return false;
        *options[i].to = (size_t)number;
        return true;
    }
    return false;
}

int
main(int argc, char **argv)
{
    static struct bench bench = {.n_rows = 1000000, .dim = 384, .k = 200, .n_runs = 51};

    bench.n_threads = cpu_count();
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' && !bench.path) {
            bench.path = argv[i];
        } else if (i + 1 == argc || !read_option(&bench, argv[i], argv[i + 1])) {
            (void)fprintf(stderr, "usage: bench_vector_scan [--rows N] [--dim N] [--k N]"
                                  " [--threads N] [--runs N] [FILE]\n");
            return 2;
        } else {
            i++;
        }
    }
    if (!make_rows(&bench)) {
        (void)fprintf(stderr, "cannot make %zu rows of %zu numbers\n", bench.n_rows, bench.dim);
        return 1;
    }
    run_all(&bench);
    return 0;
}
