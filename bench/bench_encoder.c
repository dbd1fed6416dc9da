/* How fast the encoder is on given texts, and how near to the matrix library's own speed.
 *
 *     bench_encoder MODEL_DIR TEXTS [N_THREADS [N_TEXTS]]
 *
 * TEXTS has one text per line.  One JSON object per line:
 *
 *     {"name": "open", "unit": "ms", "median": .., "p99": .., "n": ..}
 *     tokenize  tokens/s, one thread        query     ms for one short text
 *     embed     texts/s and tokens/s        gemm      GFLOP/s of oneDNN alone on this model's four
 *     share     of the gemm rate that                 shapes, all threads, in the same run
 *               embed's arithmetic reaches  memory    peak resident MB
 */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <trawl/encoder.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "encoder/encoder_state.h"
#include "encoder/parallel.h"

#define TEXTS_MAX   1000000
#define ROUNDS      5
#define GEMM_ROWS   384
#define GEMM_ROUNDS 300

struct bench {
    struct encoder *encoder;
    const char *dir;
    struct encoder_options options;
    struct str *texts;
    size_t n_texts;
    float *vectors;
    size_t n_tokens;  /* of all texts, as they are run */
    double n_squares; /* sum of their squares: attention's share */
    double embed_s;
};

static double
now_s(void)
{
    return (double)clock_mono_us(&clock_system) / 1e6;
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

static void
bench_embed(struct bench *self)
{
    struct error err = {0};
    double start = now_s();
    double rate;

    if (encoder_embed(self->encoder, self->texts, self->n_texts, self->vectors, NULL, &err) < 0)
        die(&err);
    self->embed_s = now_s() - start;
    rate = (double)self->n_texts / self->embed_s;
    print_row("embed", "texts/s", &rate, 1);
    rate = (double)self->n_tokens / self->embed_s;
    print_row("embed", "tokens/s", &rate, 1);
}

/* Each thread multiplies on its own, as the encoder does. */
struct gemm {
    const struct model *model;
    atomic_size_t n_done;
};

static void
multiply_some(void *context, size_t worker)
{
    struct gemm *gemm = context;
    const struct model *model = gemm->model;
    const struct layer *layer = &model->layers[0];
    struct forward_buffers buffers;
    struct error err = {0};
    int previous = model->ops->enter_thread();
    int rc = forward_buffers_init(&buffers, model, GEMM_ROWS, &err);

    for (; rc == 0 && atomic_fetch_add(&gemm->n_done, 1) < GEMM_ROUNDS;) {
        rc = model->ops->apply(model->kernels, worker, layer->qkv, buffers.x, GEMM_ROWS,
                               buffers.qkv, &err);
        if (rc == 0)
            rc = model->ops->apply(model->kernels, worker, layer->out, buffers.context, GEMM_ROWS,
                                   buffers.delta, &err);
        if (rc == 0)
            rc = model->ops->apply(model->kernels, worker, layer->up, buffers.x, GEMM_ROWS,
                                   buffers.inner, &err);
        if (rc == 0)
            rc = model->ops->apply(model->kernels, worker, layer->down, buffers.inner, GEMM_ROWS,
                                   buffers.delta, &err);
    }
    if (rc < 0)
        die(&err);
    forward_buffers_fini(&buffers);
    model->ops->leave_thread(previous);
}

/* Multiply-adds count two.  Attention is counted as embed's work, not in the gemm. */
static void
bench_gemm(struct bench *self)
{
    const struct model *model = &self->encoder->model;
    double hidden = (double)model->config.hidden;
    double inner = (double)model->config.inner;
    double flop_per_token = 8 * hidden * hidden + 4 * hidden * inner;
    double rates[ROUNDS];
    double embed_flop;
    double share;

    for (size_t i = 0; i < ROUNDS; i++) {
        struct gemm gemm = {.model = model};
        double start = now_s();

        parallel_run(self->encoder->n_threads, multiply_some, &gemm);
        rates[i] = flop_per_token * GEMM_ROWS * GEMM_ROUNDS / (now_s() - start) / 1e9;
    }
    print_row("gemm", "GFLOP/s", rates, ROUNDS);
    embed_flop = (double)model->config.n_layers *
                 (flop_per_token * (double)self->n_tokens + 4 * hidden * self->n_squares);
    share = embed_flop / self->embed_s / 1e9 / rates[ROUNDS - 1];
    print_row("share", "of the best gemm rate", &share, 1);
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

int
main(int argc, char **argv)
{
    struct bench bench = {0};
    struct file_map map;
    struct error err = {0};
    struct str rest;
    struct str line;
    int64_t limits[2] = {0, TEXTS_MAX}; /* threads, texts */

    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: bench_encoder MODEL_DIR TEXTS [N_THREADS [N_TEXTS]]\n");
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        if (number_parse_i64(str_from_cstr(argv[i]), &limits[i - 3], &err) < 0)
            die(&err);
    }
    bench.dir = argv[1];
    bench.options.n_threads = (size_t)limits[0];
    bench_open(&bench);
    print_memory();
    if (file_map_open(argv[2], &map, &err) < 0)
        die(&err);
    bench.texts = calloc(TEXTS_MAX, sizeof(*bench.texts));
    for (rest = map.bytes; bench.texts && bench.n_texts < (size_t)limits[1] &&
                           bench.n_texts < TEXTS_MAX && str_split(&rest, '\n', &line);) {
        if (line.len > 0)
            bench.texts[bench.n_texts++] = line;
    }
    bench.vectors = calloc((bench.n_texts + 1) * encoder_dim(bench.encoder), sizeof(float));
    if (!bench.texts || !bench.vectors)
        return 1;
    bench_tokenize(&bench);
    bench_query(&bench);
    bench_embed(&bench);
    bench_gemm(&bench);
    print_memory();
    encoder_close(bench.encoder);
    file_map_close(&map);
    free(bench.texts);
    free(bench.vectors);
    return 0;
}
