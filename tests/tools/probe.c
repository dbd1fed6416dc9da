/* probe: trawl's own commands with tasks that count, sleep, fail and crash.  For tests, not
 * installed.
 *
 *     probe worker -c 2 &                                  exactly trawl's options
 *     probe call probe.add --x 2 --y 3 --wait
 *     probe flood 1000 --task probe.record --kwargs '{"path": "/tmp/r", "token": "{i}"}'
 *     probe depth --json                                   ready, scheduled, claimed, dead
 *
 * Settings are trawl's: TRAWL_DATA_DIR or --data-dir for everything, CELERY_BROKER_URL and
 * CELERY_RESULT_BACKEND for other brokers.  With PROBE_RUNNER=bare the worker's children keep no
 * rows in `runs` and open no catalogue: what is left is the runtime itself. */

#include "tests/tools/probe.h"

#include <stdlib.h>

#include "lib/worker_runtime.h"

static const struct celery_task *const modules[] = {probe_tasks, probe_canvas_tasks, NULL};

static const struct celery_removed_task removed[] = {
    {"probe.old_noop", "probe.noop"},
    {NULL, NULL},
};

static const struct celery_registry registry = {modules, removed};

static const struct cli_command commands[] = {
    {"depth", "[QUEUE]", "count what waits, is held and is dead",
     "Example:\n"
     "  probe depth celery --json",
     probe_command_depth},
    {"flood", "N --task NAME [options]", "send a task many times",
     "{i} in the arguments is the message's number.  Prints how many the broker confirmed.\n\n"
     "Example:\n"
     "  probe flood 1000 --task probe.add --args '[{i}, 1]' --ids sent.txt",
     probe_command_flood},
    {"inject", "FILE [options]", "put the bytes of a file into a queue as they are",
     "Example:\n"
     "  probe inject broken.json --queue celery",
     probe_command_inject},
    {"states", "FILE", "count the states of the tasks whose ids a file has, one a line",
     "Example:\n"
     "  probe states sent.txt --json",
     probe_command_states},
    {NULL, NULL, NULL, NULL, NULL},
};

static struct pool_runner
choose_runner(const struct worker_runtime *runtime)
{
    const char *name = getenv("PROBE_RUNNER"); /* NOLINT: one thread */

    return name && strcmp(name, "bare") == 0 ? probe_bare_runner : worker_runtime_runner(runtime);
}

int
main(int argc, char **argv)
{
    static const struct cli_program program = {
        .registry = &registry, .runner = choose_runner, .more = commands};

    return cli_main(&program, argc, argv);
}
