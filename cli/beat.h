#pragma once

/* What `trawl beat` and `trawl worker --beat` share. */

#include "cli/cli.h"
#include "lib/schedule_config.h"

#define CLI_SCHEDULE_BYTES ((size_t)64 << 20)

/* The program's schedule with what trawl.yaml changes; in the arena.  Errors: ERR_CONFIG,
 * ERR_NOMEM.
 */
MUST_CHECK int cli_schedule_load(const struct cli *cli, struct arena *arena,
                                 struct schedule_table *out, struct error *err);

/* The words that start a beat with this program's settings and log file; borrowed from both. */
#define CLI_BEAT_WORDS 14
void cli_beat_make_words(const struct cli *cli, struct str log_path,
                         const char *out[CLI_BEAT_WORDS]);

/* cli/beat_plan.c: print what is due and when. */
MUST_CHECK int cli_beat_print_plan(const struct cli *cli, const struct schedule_table *table,
                                   size_t n_runs, struct error *err);
