#pragma once

/* The probe's parts; each file defines one. */

#include <trawl/task.h>

#include "celery/pool/pool.h"
#include "cli/cli.h"

extern const struct celery_task probe_tasks[];
extern const struct celery_task probe_canvas_tasks[];

/* Runs tasks without a container and without a row in the table `runs`: the runtime alone. */
extern const struct pool_runner probe_bare_runner;

int probe_command_depth(struct cli *cli, int argc, char **argv, struct error *err);
int probe_command_flood(struct cli *cli, int argc, char **argv, struct error *err);
int probe_command_inject(struct cli *cli, int argc, char **argv, struct error *err);
int probe_command_states(struct cli *cli, int argc, char **argv, struct error *err);
