/* How long a search takes in a process that stays: per step, over many queries.
 *
 *   bench_search QUERY ...     (settings from the environment, as trawl has them)
 *
 * Prints one JSON line per step: encode, keywords, meaning, all together without the encoding, and
 * the processor time of all on all cores, which says what a search costs where others use the
 * machine too.
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "lib/core/container.h"
#include "lib/services/search/search_service.h"

#define ROUNDS      25
#define ARENA_BYTES ((size_t)256 << 20)
#define RUNS_MAX    10000

enum step { STEP_ENCODE, STEP_KEYWORDS, STEP_MEANING, STEP_ALL, STEP_CPU, N_STEPS };

static const char *const names[N_STEPS] = {"encode", "keywords", "meaning", "all_but_encode",
                                           "cpu"};
static int64_t times_us[N_STEPS][RUNS_MAX];

static int
compare_times(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static int64_t
cpu_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static int
ask(struct search_service *service, struct str text, size_t run, struct error *err)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct search_query query = {
        .text = text,
        .limit = 10,
        .filter = {.min_size_bytes = DATASET_UNKNOWN,
                   .max_size_bytes = DATASET_UNKNOWN,
                   .updated_since_us = DATASET_UNKNOWN},
    };
    struct search_answer answer;
    int64_t begin_us = clock_mono_us(&clock_system);
    int64_t begin_cpu_us = cpu_us();
    int rc = search_service_run(service, &query, &arena, &answer, err);

    if (rc == 0 && answer.note.ptr)
        rc = error_set(err, ERR_CONFIG, "%.*s", STR_ARG(answer.note));
    if (rc == 0) {
        times_us[STEP_ENCODE][run] = answer.encode_us;
        times_us[STEP_KEYWORDS][run] = answer.keyword_us;
        times_us[STEP_MEANING][run] = answer.dense_us;
        times_us[STEP_ALL][run] = clock_mono_us(&clock_system) - begin_us - answer.encode_us;
        times_us[STEP_CPU][run] = cpu_us() - begin_cpu_us;
    }
    arena_fini(&arena);
    return rc;
}

int
main(int argc, char **argv)
{
    const struct config_options options = {0};
    struct config *config = NULL;
    struct container *app = NULL;
    struct search_service *service;
    struct error err = {0};
    size_t n_runs = 0;
    int rc = config_create(&options, &config, &err);

    if (rc == 0)
        rc = container_create(config, NULL, NULL, &app, &err);
    if (rc == 0)
        rc = container_get_search(app, &service, &err);
    for (int round = 0; rc == 0 && round < ROUNDS + 1; round++) {
        if (round == 1)
            n_runs = 0; /* the first one was to warm up */
        for (int i = 1; rc == 0 && i < argc && n_runs < RUNS_MAX; i++)
            rc = ask(service, str_from_cstr(argv[i]), n_runs++, &err);
    }
    for (int step = 0; rc == 0 && n_runs > 0 && step < N_STEPS; step++) {
        qsort(times_us[step], n_runs, sizeof(**times_us), compare_times);
        (void)printf(
            "{\"name\":\"search/%s\",\"unit\":\"ms\",\"median\":%.3f,\"p99\":%.3f,\"n\":%zu}\n",
            names[step], (double)times_us[step][n_runs / 2] / 1000,
            (double)times_us[step][n_runs * 99 / 100] / 1000, n_runs);
    }
    if (rc < 0)
        (void)fprintf(stderr, "%s\n", err.message);
    container_free(app);
    config_free(config);
    return rc < 0;
}
