/* Embed a file of texts, one per line, for measurements outside of this program.
 *
 *     embed_file MODEL_DIR TEXTS PRECISION [OUT [N_TEXTS [N_THREADS [PROMPT]]]]
 *
 * OUT gets the vectors, f32 [n_texts, dim], in the file's order; "-" = none.  Prints one JSON
 * object: how long opening, the first text and all texts took, how many tokens they had, peak
 * memory.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include <trawl/encoder.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"

#define TEXTS_MAX   ((size_t)1000000)
#define ARENA_BYTES ((size_t)1 << 30)

static double
now_s(void)
{
    return (double)clock_mono_us(&clock_system) / 1e6;
}

static double
cpu_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
die(const struct error *err)
{
    fprintf(stderr, "embed_file: %s\n", err->message);
    exit(1);
}

static size_t
split_lines(struct str rest, struct str *out, size_t max_n)
{
    struct str line;
    size_t n = 0;

    while (n < max_n && str_split(&rest, '\n', &line))
        out[n++] = line;
    return n > 0 && out[n - 1].len == 0 ? n - 1 : n; /* behind the last line's end */
}

static size_t
count_tokens(struct encoder *encoder, const struct str *texts, size_t n_texts)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct error err = {0};
    size_t n_tokens = 0;

    for (size_t i = 0; i < n_texts; i++) {
        struct encoder_ids ids;

        arena_reset(&arena);
        if (encoder_tokenize(encoder, texts[i], &arena, &ids, NULL, &err) < 0)
            die(&err);
        n_tokens += ids.n_ids;
    }
    arena_fini(&arena);
    return n_tokens;
}

static void
write_vectors(const char *path, const float *vectors, size_t n_floats)
{
    const struct str bytes = {(const char *)vectors, n_floats * sizeof(*vectors)};
    struct error err = {0};

    if (file_write_atomic(path, bytes, &err) < 0)
        die(&err);
}

int
main(int argc, char **argv)
{
    int64_t limits[2] = {(int64_t)TEXTS_MAX, 0}; /* texts, threads */
    struct encoder_options options = {0};
    struct encoder_description facts;
    struct encoder *encoder = NULL;
    double times[4]; /* start, opened, first text done, end */
    struct rusage usage;
    struct file_map map;
    struct str *texts = calloc(TEXTS_MAX, sizeof(*texts));
    struct str prompt = argc > 7 ? str_from_cstr(argv[7]) : STR_NULL;
    struct error err = {0};
    double start_cpu;
    size_t n_tokens;
    size_t n_texts;
    float *vectors;

    if (argc < 4 || argc > 8) {
        fprintf(stderr, "usage: embed_file MODEL_DIR TEXTS PRECISION [OUT [N_TEXTS [N_THREADS "
                        "[PROMPT]]]]\n");
        return 2;
    }
    if (encoder_precision_parse(str_from_cstr(argv[3]), &options.precision, &err) < 0)
        die(&err);
    for (int i = 5; i < argc && i < 7; i++) {
        if (number_parse_i64(str_from_cstr(argv[i]), &limits[i - 5], &err) < 0)
            die(&err);
    }
    options.n_threads = (size_t)limits[1];
    if (file_map_open(argv[2], &map, &err) < 0)
        die(&err);
    n_texts = texts ? split_lines(map.bytes, texts, (size_t)limits[0]) : 0;
    times[0] = now_s();
    if (encoder_open(argv[1], &options, &encoder, &err) < 0)
        die(&err);
    times[1] = now_s();
    vectors = calloc((n_texts + 1) * encoder_dim(encoder), sizeof(*vectors));
    if (n_texts == 0 || !vectors)
        return 1;
    if (encoder_embed_prompted(encoder, prompt, texts, 1, vectors, NULL, &err) < 0)
        die(&err);
    times[2] = now_s();
    start_cpu = cpu_s();
    if (encoder_embed_prompted(encoder, prompt, texts, n_texts, vectors, NULL, &err) < 0)
        die(&err);
    times[3] = now_s();
    start_cpu = cpu_s() - start_cpu;
    (void)getrusage(RUSAGE_SELF, &usage);
    n_tokens = count_tokens(encoder, texts, n_texts);
    encoder_describe(encoder, &facts);
    printf("{\"precision\": \"%.*s\", \"threads\": %zu, \"texts\": %zu, \"tokens\": %zu,"
           " \"start_s\": %.4f, \"first_s\": %.4f, \"embed_s\": %.4f, \"cpu_s\": %.4f,"
           " \"peak_mb\": %.1f}\n",
           STR_ARG(facts.precision), facts.n_threads, n_texts, n_tokens, times[1] - times[0],
           times[2] - times[1], times[3] - times[2], start_cpu, (double)usage.ru_maxrss / 1024);
    if (argc > 4 && argv[4][0] != '-')
        write_vectors(argv[4], vectors, n_texts * encoder_dim(encoder));
    encoder_close(encoder);
    file_map_close(&map);
    free(texts);
    free(vectors);
    return 0;
}
