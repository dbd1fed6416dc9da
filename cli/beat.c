/* trawl beat: the schedule's tasks to the broker, until told to stop. */

#include "cli/beat.h"

#include <stdio.h>

#include "base/log.h"
#include "celery/beat.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/log_file.h"

#define RUNS_MAX 1000

static const struct celery_schedule no_schedule[] = {CELERY_SCHEDULE_END};

int
cli_schedule_load(const struct cli *cli, struct arena *arena, struct schedule_table *out,
                  struct error *err)
{
    const struct celery_schedule *defaults =
        cli->program->schedule ? cli->program->schedule : no_schedule;

    return schedule_config_load(cli->config, defaults, cli->program->registry, arena, out, err);
}

void
cli_beat_make_words(const struct cli *cli, struct str log_path, const char *out[CLI_BEAT_WORDS])
{
    struct str yaml = config_yaml_path(cli->config);
    size_t n = 0;

    out[n++] = "trawl";
    out[n++] = "beat";
    if (yaml.ptr) {
        out[n++] = "--config";
        out[n++] = yaml.ptr;
    }
    out[n++] = "--data-dir";
    out[n++] = config_get(cli->config, CONFIG_DATA_DIR).ptr;
    out[n++] = "--log-format";
    out[n++] = config_get(cli->config, CONFIG_LOG_FORMAT).ptr;
    if (log_path.ptr) {
        out[n++] = "--logfile";
        out[n++] = log_path.ptr; /* of argv, so it ends */
    }
    if (log_is_enabled(LOG_DEBUG)) {
        out[n++] = "--verbose";
    } else if (cli->quiet) {
        out[n++] = "--quiet";
    } else {
        out[n++] = "--log-level";
        out[n++] = config_get(cli->config, CONFIG_LOG_LEVEL).ptr;
    }
    out[n] = NULL;
}

static int
run_beat(const struct cli *cli, const struct schedule_table *table, struct str log_path,
         struct error *err)
{
    CLEANUP(celery_beat_freep) struct celery_beat *beat = NULL;
    struct celery_beat_options options = {
        .broker_url = config_get(cli->config, CONFIG_BROKER_URL),
        .rows = table->rows,
        .schedule_options = &table->options,
    };
    int rc = cli_log_open(log_path, err);

    if (rc == 0)
        rc = celery_beat_create(&options, &beat, err);
    if (rc < 0)
        return rc;
    if (table->n_rows == 0)
        log_warning("the schedule is empty: beat has nothing to send");
    return celery_beat_run(beat, interrupt_is_pending, NULL, err);
}

int
command_beat(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CLI_SCHEDULE_BYTES);
    struct str log_path = STR_NULL;
    bool is_dry = false;
    int64_t n_runs = 3;
    const struct cli_option options[] = {
        CLI_OPTION_FLAG("dry-run", &is_dry, "show what is due and when, send nothing"),
        CLI_OPTION_WHOLE("count", "N", &n_runs, 1, RUNS_MAX,
                         "with --dry-run: so many next runs of each (3)"),
        CLI_OPTION_TEXT("logfile", "FILE", &log_path, "log to this file; SIGHUP opens it again"),
        CLI_OPTIONS_END,
    };
    struct schedule_table table;
    struct cli_words words;
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 0, err);
    if (rc == 0)
        rc = cli_schedule_load(cli, &arena, &table, err);
    if (rc != 0)
        return rc;
    return is_dry ? cli_beat_print_plan(cli, &table, (size_t)n_runs, err)
                  : run_beat(cli, &table, log_path, err);
}
