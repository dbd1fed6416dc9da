/* Results in and out of any backend, for tests/integration/test_redis_results.py:
 *
 *     celery_result_tool URL store    lines "ID STATUS RUN JSON" on stdin; prints stored or kept
 *     celery_result_tool URL await    ids on stdin; when all are ready, their documents, one a line
 */

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "celery/backend/backend.h"

#define WAIT_US    (30 * US_PER_S)
#define MAX_IDS    ((size_t)100)
#define LINE_BYTES 65536

static int
store_line(struct backend *backend, struct str line, struct error *err)
{
    struct result result = RESULT_INIT;
    enum backend_outcome outcome;
    struct str words[3];
    int64_t run;
    int rc;

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (!str_split(&line, ' ', &words[i]))
            return error_set(err, ERR_ARGS, "a line is not ID STATUS RUN JSON");
    rc = number_parse_i64(words[2], &run, err);
    if (rc < 0)
        return rc;
    result.task_id = words[0];
    result.status = words[1];
    result.result = line;
    result.date_done_us = clock_now_us(&clock_system);
    rc = backend_store_result(backend, &result, run, &outcome, err);
    if (rc == 0)
        (void)puts(outcome == BACKEND_STORED ? "stored" : "kept");
    return rc;
}

static int
store_lines(struct backend *backend, struct error *err)
{
    static char text[LINE_BYTES];
    int rc = 0;

    while (rc == 0 && fgets(text, sizeof(text), stdin))
        rc = store_line(backend, str_trim(str_from_cstr(text)), err);
    return rc;
}

static int
await_lines(struct backend *backend, struct arena *arena, struct error *err)
{
    static char text[LINE_BYTES];
    struct str ids[MAX_IDS];
    struct backend_record_list list;
    size_t n = 0;
    bool ok = true;
    int rc;

    while (n < MAX_IDS && fgets(text, sizeof(text), stdin))
        ids[n++] = arena_dup(arena, str_trim(str_from_cstr(text)), &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "too many ids");
    rc = backend_await(backend, ids, n, WAIT_US, arena, &list, err);
    for (size_t i = 0; rc == 0 && i < list.n_items; i++)
        (void)printf("%.*s\n", STR_ARG(list.items[i].document));
    return rc;
}

int
main(int argc, char **argv)
{
    const struct backend_options options = {0};
    struct arena arena = ARENA_INIT((size_t)16 << 20);
    struct backend *backend = NULL;
    struct error err = {.message = "usage: celery_result_tool URL store|await"};
    int rc = argc == 3 ? 0 : -ERR_ARGS;

    if (rc == 0)
        rc = backend_open(str_from_cstr(argv[1]), &options, &backend, &err);
    if (rc == 0)
        rc = strcmp(argv[2], "store") == 0 ? store_lines(backend, &err)
                                           : await_lines(backend, &arena, &err);
    if (rc < 0)
        (void)fprintf(stderr, "%s\n", err.message);
    backend_close(backend);
    arena_fini(&arena);
    return rc < 0 ? 1 : 0;
}
