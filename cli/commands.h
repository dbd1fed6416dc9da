#pragma once

/* The commands; each file defines one. */

#include "cli/cli.h"

int command_beat(struct cli *cli, int argc, char **argv, struct error *err);
int command_call(struct cli *cli, int argc, char **argv, struct error *err);
int command_config(struct cli *cli, int argc, char **argv, struct error *err);
int command_control(struct cli *cli, int argc, char **argv, struct error *err);
int command_db(struct cli *cli, int argc, char **argv, struct error *err);
int command_dead(struct cli *cli, int argc, char **argv, struct error *err);
int command_eval(struct cli *cli, int argc, char **argv, struct error *err);
int command_events(struct cli *cli, int argc, char **argv, struct error *err);
int command_export(struct cli *cli, int argc, char **argv, struct error *err);
int command_inspect(struct cli *cli, int argc, char **argv, struct error *err);
int command_model(struct cli *cli, int argc, char **argv, struct error *err);
int command_queue(struct cli *cli, int argc, char **argv, struct error *err);
int command_purge(struct cli *cli, int argc, char **argv, struct error *err);
int command_result(struct cli *cli, int argc, char **argv, struct error *err);
int command_run(struct cli *cli, int argc, char **argv, struct error *err);
int command_runs(struct cli *cli, int argc, char **argv, struct error *err);
int command_search(struct cli *cli, int argc, char **argv, struct error *err);
int command_show(struct cli *cli, int argc, char **argv, struct error *err);
int command_stats(struct cli *cli, int argc, char **argv, struct error *err);
int command_status(struct cli *cli, int argc, char **argv, struct error *err);
int command_task(struct cli *cli, int argc, char **argv, struct error *err);
int command_tasks(struct cli *cli, int argc, char **argv, struct error *err);
int command_top(struct cli *cli, int argc, char **argv, struct error *err);
int command_worker(struct cli *cli, int argc, char **argv, struct error *err);
