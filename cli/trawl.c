/* trawl: all commands, with the tasks of the catalogue. */

#include "cli/cli.h"
#include "lib/worker.h"
#include "lib/worker_runtime.h"

int
main(int argc, char **argv)
{
    static const struct cli_program program = {
        .registry = &worker_registry,
        .schedule = worker_schedule,
        .runner = worker_runtime_runner,
    };

    return cli_main(&program, argc, argv);
}
