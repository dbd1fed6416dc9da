/* Opens, checks and times one precision; the built-in texts are all different, so none of them is
 * spared by the encoder's eye for equal ones. */

#include "lib/services/ml/model_probe.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"

#define ARENA_BYTES ((size_t)4 << 20)
#define N_QUERIES   31
#define N_ROUNDS    7

static double
now_ms(void)
{
    return (double)clock_mono_us(&clock_system) / 1e3;
}

/* What the process holds in memory now; 0 where the system does not tell. */
static uint64_t
resident_bytes(void)
{
    CLEANUP(file_closep) FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long n_pages = 0;

    if (!file || fscanf(file, "%*u %llu", &n_pages) != 1)
        return 0;
    return n_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int
count_tokens(struct encoder *encoder, const struct str *texts, size_t n_texts, size_t *out,
             struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    int rc = 0;

    *out = 0;
    for (size_t i = 0; rc == 0 && i < n_texts; i++) {
        struct encoder_ids ids = {0};

        arena_reset(&arena);
        rc = encoder_tokenize(encoder, texts[i], &arena, &ids, NULL, err);
        *out += ids.n_ids;
    }
    return rc;
}

static int
time_query(struct encoder *encoder, float *vectors, struct model_probe *out, struct error *err)
{
    static const struct str query = STR_INIT("air quality in cities by hour");
    double times_ms[N_QUERIES];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < N_QUERIES; i++) {
        double start = now_ms();

        rc = encoder_embed(encoder, &query, 1, vectors, NULL, err);
        times_ms[i] = now_ms() - start;
    }
    if (rc < 0)
        return rc;
    qsort(times_ms, N_QUERIES, sizeof(*times_ms), compare_doubles);
    out->query_ms = times_ms[N_QUERIES / 2];
    return 0;
}

static int
time_texts(struct encoder *encoder, float *vectors, struct model_probe *out, struct error *err)
{
    size_t n_texts;
    const struct str *texts = encoder_check_texts(&n_texts);
    double best_ms = 0;
    size_t n_tokens;
    int rc = count_tokens(encoder, texts, n_texts, &n_tokens, err);

    for (size_t i = 0; rc == 0 && i < N_ROUNDS; i++) {
        double start = now_ms();
        double took_ms;

        rc = encoder_embed(encoder, texts, n_texts, vectors, NULL, err);
        took_ms = now_ms() - start;
        best_ms = i == 0 || took_ms < best_ms ? took_ms : best_ms;
    }
    if (rc < 0)
        return rc;
    out->texts_per_s = (double)n_texts / (best_ms / 1e3);
    out->tokens_per_s = (double)n_tokens / (best_ms / 1e3);
    return 0;
}

static int
probe(struct encoder *encoder, struct model_probe *out, struct error *err)
{
    struct encoder_description facts;
    size_t n_texts;
    float *vectors;
    int rc;

    (void)encoder_check_texts(&n_texts);
    vectors = calloc(n_texts * encoder_dim(encoder), sizeof(*vectors));
    if (!vectors)
        return error_set(err, ERR_NOMEM, "cannot hold %zu vectors", n_texts);
    encoder_describe(encoder, &facts);
    out->n_threads = facts.n_threads;
    (void)snprintf(out->fingerprint, sizeof(out->fingerprint), "%.*s", STR_ARG(facts.fingerprint));
    rc = time_texts(encoder, vectors, out, err);
    if (rc == 0)
        out->memory_bytes = resident_bytes();
    if (rc == 0)
        rc = encoder_measure(encoder, &out->accuracy, err);
    if (rc == 0)
        rc = time_query(encoder, vectors, out, err);
    free(vectors);
    return rc;
}

int
model_probe_run(const char *dir, enum encoder_precision precision, size_t n_threads,
                struct model_probe *out, struct error *err)
{
    const struct encoder_options options = {.precision = precision, .n_threads = n_threads};
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    struct model_probe found = {.is_available = encoder_precision_is_available(precision)};
    uint64_t memory_before;
    double start;
    int rc = 0;

    (void)malloc_trim(0); /* what an earlier probe gave back counts for nobody */
    memory_before = resident_bytes();
    start = now_ms();
    if (found.is_available)
        rc = encoder_open(dir, &options, &encoder, err);
    found.open_ms = now_ms() - start;
    if (rc == 0 && found.is_available)
        rc = probe(encoder, &found, err);
    found.memory_bytes -= found.memory_bytes > memory_before ? memory_before : found.memory_bytes;
    if (rc == 0)
        *out = found;
    return rc;
}
