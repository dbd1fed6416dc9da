/* How fast the encoder is on given texts, and how near to the matrix library's own speed.
 *
 *     bench_encoder MODEL_DIR TEXTS [PRECISION [N_THREADS [N_TEXTS]]]
 *
 * TEXTS has one text per line; PRECISION is auto, f32, bf16 or int8.  One JSON object per line:
 *
 *     {"name": "open", "unit": "ms", "median": .., "p99": .., "n": ..}
 *     tokenize  tokens/s, one thread        query     ms for one short text
 *     embed     texts/s and tokens/s        gemm      GFLOP/s of the matrix library alone on this
 *     share     of the gemm rate that                 model's four shapes, all threads
 *               embed's arithmetic reaches  memory    peak resident MB
 *
 * Rates are by the clock.  The share compares CPU time with CPU time, embedding and multiplying by
 * turns, so that a machine that does other things too does not decide it. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include <trawl/encoder.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "encoder/encoder_state.h"
#include "encoder/parallel.h"
#include "encoder/products.h"

#define TEXTS_MAX   1000000
#define ROUNDS      5
#define GEMM_ROWS   384
#define GEMM_ROUNDS 100
#define N_SHAPES    4

/* The four products of a layer without bias or activation, in the precision's types. */
struct gemm {
    struct products *products;
    struct product *shapes[N_SHAPES];
    void *x;     /* [GEMM_ROWS, widest] of anything */
    void **y;    /* [n_threads][GEMM_ROWS, widest] */
    double flop; /* of one run of the four, times two for a multiply-add */
    atomic_size_t n_done;
};

struct bench {
    struct encoder *encoder;
    const char *dir;
    struct encoder_options options;
    struct str *texts;
    size_t n_texts;
    float *vectors;
    size_t n_tokens;  /* of all texts, as they are run */
    double n_squares; /* sum of their squares: attention's share */
    struct gemm gemm;
};

static double
now_s(void)
{
    return (double)clock_mono_us(&clock_system) / 1e6;
}

/* CPU time of all threads. */
static double
cpu_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void
print_row(const char *name, const char *unit, double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare_doubles);
    printf("{\"name\": \"%s\", \"unit\": \"%s\", \"median\": %.4g, \"p99\": %.4g, \"n\": %zu}\n",
           name, unit, values[n / 2], values[(n * 99 - 1) / 100], n);
}

static void
die(const struct error *err)
{
    fprintf(stderr, "bench_encoder: %s\n", err->message);
    exit(1);
}

static void
bench_open(struct bench *self)
{
    double times_ms[ROUNDS];
    struct error err = {0};

    for (size_t i = 0; i < ROUNDS; i++) {
        double start = now_s();

        encoder_close(self->encoder);
        self->encoder = NULL;
        if (encoder_open(self->dir, &self->options, &self->encoder, &err) < 0)
            die(&err);
        times_ms[i] = (now_s() - start) * 1e3;
    }
    print_row("open", "ms", times_ms, ROUNDS);
}

static void
bench_tokenize(struct bench *self)
{
    struct arena arena = ARENA_INIT((size_t)1 << 30);
    double rates[ROUNDS];
    struct error err = {0};

    for (size_t round = 0; round < ROUNDS; round++) {
        double start = now_s();

        self->n_tokens = 0;
        self->n_squares = 0;
        for (size_t i = 0; i < self->n_texts; i++) {
            struct encoder_ids ids;

            arena_reset(&arena);
            if (encoder_tokenize(self->encoder, self->texts[i], &arena, &ids, NULL, &err) < 0)
                die(&err);
            self->n_tokens += ids.n_ids;
            self->n_squares += (double)ids.n_ids * (double)ids.n_ids;
        }
        rates[round] = (double)self->n_tokens / (now_s() - start);
    }
    arena_fini(&arena);
    print_row("tokenize", "tokens/s", rates, ROUNDS);
}

static void
bench_query(struct bench *self)
{
    static const struct str text =
        STR_INIT("hourly air quality measurements from urban stations in southern europe 2020");
    double times_ms[200];
    struct error err = {0};

    for (size_t i = 0; i < COUNT_OF(times_ms); i++) {
        double start = now_s();

        if (encoder_embed(self->encoder, &text, 1, self->vectors, NULL, &err) < 0)
            die(&err);
        times_ms[i] = (now_s() - start) * 1e3;
    }
    print_row("query", "ms", times_ms, COUNT_OF(times_ms));
}

/* -- The matrix library alone -------------------------------------------------------------- */

static enum product_type
type_of(const struct model *model)
{
    if (strcmp(model->ops->precision, "bf16") == 0)
        return PRODUCT_BF16;
    return strcmp(model->ops->precision, "int8") == 0 ? PRODUCT_U8S8 : PRODUCT_F32;
}

static void
pack_shape(struct gemm *self, size_t idx, enum product_type type, size_t n_in, size_t n_out)
{
    static const enum product_out outs[] = {PRODUCT_OUT_F32, PRODUCT_OUT_BF16, PRODUCT_OUT_S32};
    void *weights = calloc(n_in * n_out, sizeof(float));
    const struct product_source source = {
        .type = type, .out = outs[type], .n_in = n_in, .n_out = n_out, .weights = weights};
    struct error err = {0};

    if (!weights || products_pack(self->products, &source, &self->shapes[idx], &err) < 0)
        die(&err);
    free(weights);
    self->flop += 2.0 * GEMM_ROWS * (double)n_in * (double)n_out;
}

static void
create_gemm(struct bench *bench)
{
    const struct model *model = &bench->encoder->model;
    size_t n_threads = bench->encoder->n_threads;
    size_t hidden = model->config.hidden;
    size_t inner = model->config.inner;
    size_t n_bytes = GEMM_ROWS * (inner > 3 * hidden ? inner : 3 * hidden) * sizeof(float);
    struct gemm *self = &bench->gemm;
    struct error err = {0};
    int previous = products_enter_thread();

    if (products_create(n_threads, GEMM_ROWS, &self->products, &err) < 0)
        die(&err);
    self->x = aligned_alloc(64, n_bytes);
    self->y = calloc(n_threads, sizeof(*self->y));
    if (!self->x || !self->y)
        exit(1);
    (void)memset(self->x, 0, n_bytes);
    for (size_t i = 0; i < n_threads; i++)
        self->y[i] = aligned_alloc(64, n_bytes);
    pack_shape(self, 0, type_of(model), hidden, 3 * hidden);
    pack_shape(self, 1, type_of(model), hidden, hidden);
    pack_shape(self, 2, type_of(model), hidden, inner);
    pack_shape(self, 3, type_of(model), inner, hidden);
    products_leave_thread(previous);
}

/* Each thread multiplies on its own, as the encoder does. */
static void
multiply_some(void *context, size_t worker)
{
    struct gemm *self = context;
    struct error err = {0};
    int previous = products_enter_thread();

    while (atomic_fetch_add(&self->n_done, 1) < GEMM_ROUNDS) {
        for (size_t i = 0; i < N_SHAPES; i++) {
            if (products_apply(self->products, worker, self->shapes[i], self->x, GEMM_ROWS,
                               self->y[worker], &err) < 0)
                die(&err);
        }
    }
    products_leave_thread(previous);
}

/* -- Embedding ----------------------------------------------------------------------------- */

/* Multiply-adds count two; attention counts as embed's work, not in the gemm. */
static void
bench_embed(struct bench *self)
{
    const struct model *model = &self->encoder->model;
    double hidden = (double)model->config.hidden;
    double layer_flop = self->gemm.flop / GEMM_ROWS * (double)self->n_tokens +
                        4 * hidden * self->n_squares; /* attention: q k' and weights v */
    double texts_s[ROUNDS];
    double tokens_s[ROUNDS];
    double gemm_s[ROUNDS];
    double shares[ROUNDS];
    struct error err = {0};

    for (size_t i = 0; i < ROUNDS; i++) {
        double start = now_s();
        double start_cpu = cpu_s();
        double embed_cpu;
        double gemm_cpu;

        if (encoder_embed(self->encoder, self->texts, self->n_texts, self->vectors, NULL, &err) < 0)
            die(&err);
        embed_cpu = cpu_s() - start_cpu;
        texts_s[i] = (double)self->n_texts / (now_s() - start);
        tokens_s[i] = (double)self->n_tokens / (now_s() - start);

        atomic_store(&self->gemm.n_done, 0);
        start = now_s();
        start_cpu = cpu_s();
        parallel_run(self->encoder->n_threads, multiply_some, &self->gemm);
        gemm_cpu = cpu_s() - start_cpu;
        gemm_s[i] = self->gemm.flop * GEMM_ROUNDS / (now_s() - start) / 1e9;
        shares[i] = (double)model->config.n_layers * layer_flop / embed_cpu /
                    (self->gemm.flop * GEMM_ROUNDS / gemm_cpu);
    }
    print_row("embed", "texts/s", texts_s, ROUNDS);
    print_row("embed", "tokens/s", tokens_s, ROUNDS);
    print_row("gemm", "GFLOP/s", gemm_s, ROUNDS);
    print_row("share", "of the gemm rate", shares, ROUNDS);
}

static void
print_memory(void)
{
    struct rusage usage;
    double peak_mb;

    (void)getrusage(RUSAGE_SELF, &usage);
    peak_mb = (double)usage.ru_maxrss / 1024;
    print_row("memory", "MB", &peak_mb, 1);
}

static void
read_texts(struct bench *self, const char *path, size_t max_texts, struct file_map *map)
{
    struct error err = {0};
    struct str rest;
    struct str line;

    if (file_map_open(path, map, &err) < 0)
        die(&err);
    self->texts = calloc(TEXTS_MAX, sizeof(*self->texts));
    for (rest = map->bytes; self->texts && self->n_texts < max_texts && self->n_texts < TEXTS_MAX &&
                            str_split(&rest, '\n', &line);) {
        if (line.len > 0)
            self->texts[self->n_texts++] = line;
    }
    self->vectors = calloc((self->n_texts + 1) * encoder_dim(self->encoder), sizeof(float));
    if (!self->texts || !self->vectors)
        exit(1);
}

static void
close_bench(struct bench *self)
{
    for (size_t i = 0; i < self->encoder->n_threads; i++)
        free(self->gemm.y[i]);
    free(self->gemm.y);
    free(self->gemm.x);
    products_free(self->gemm.products);
    encoder_close(self->encoder);
    free(self->texts);
    free(self->vectors);
}

int
main(int argc, char **argv)
{
    struct bench bench = {0};
    struct file_map map;
    struct error err = {0};
    int64_t limits[2] = {0, TEXTS_MAX}; /* threads, texts */

    if (argc < 3 || argc > 6) {
        fprintf(stderr, "usage: bench_encoder MODEL_DIR TEXTS [PRECISION [N_THREADS [N_TEXTS]]]\n");
        return 2;
    }
    if (argc > 3 &&
        encoder_precision_parse(str_from_cstr(argv[3]), &bench.options.precision, &err) < 0)
        die(&err);
    for (int i = 4; i < argc; i++) {
        if (number_parse_i64(str_from_cstr(argv[i]), &limits[i - 4], &err) < 0)
            die(&err);
    }
    bench.dir = argv[1];
    bench.options.n_threads = (size_t)limits[0];
    bench_open(&bench);
    print_memory();
    read_texts(&bench, argv[2], (size_t)limits[1], &map);
    bench_tokenize(&bench);
    bench_query(&bench);
    create_gemm(&bench);
    bench_embed(&bench);
    print_memory();
    close_bench(&bench);
    file_map_close(&map);
    return 0;
}
