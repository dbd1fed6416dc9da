/* trawl export --jsonl: the catalogue, one JSON object a line. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/dataset_json.h"
#include "cli/filter_options.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

#define ROW_BYTES ((size_t)4 << 20)

struct exporter {
    FILE *file;
    struct buf line;
    struct cli_progress progress;
    int64_t n_rows;
};

static int
write_row(void *context, const struct dataset *row, struct error *err)
{
    struct exporter *self = context;
    struct json_writer json = JSON_WRITER_INIT(&self->line);
    int rc;

    if (interrupt_is_pending(NULL))
        return error_set(err, ERR_CANCELLED, "export interrupted after %" PRId64 " rows",
                         self->n_rows);
    buf_clear(&self->line);
    json_begin_object(&json);
    dataset_json_members(&json, row);
    json_end_object(&json);
    buf_append_char(&self->line, '\n');
    rc = buf_status(&self->line, err);
    if (rc < 0)
        return rc;
    if (fwrite(self->line.ptr, 1, self->line.len, self->file) != self->line.len)
        return error_set_errno(err, "cannot write row %" PRId64, self->n_rows + 1);
    self->n_rows++;
    cli_progress_update(&self->progress, self->n_rows, 0);
    return 0;
}

/* A file is written beside its name and takes it only when whole. */
static int
finish_file(FILE *file, const char *temporary, const char *path, int rc, struct error *err)
{
    bool is_whole = rc == 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;

    if (rc == 0 && !is_whole)
        rc = error_set_errno(err, "cannot write '%s'", path);
    (void)fclose(file);
    if (rc == 0 && rename(temporary, path) < 0)
        rc = error_set_errno(err, "cannot write '%s'", path);
    if (rc < 0)
        (void)unlink(temporary);
    return rc;
}

static int
export_rows(struct cli *cli, const struct dataset_filter *filter, struct exporter *exporter,
            struct error *err)
{
    struct dataset_repo *datasets;
    int rc = container_get_datasets(cli->app, CONTAINER_READS, &datasets, err);

    cli_progress_init(&exporter->progress, STR("export"), cli->has_progress);
    buf_init(&exporter->line, ROW_BYTES);
    if (rc == 0)
        rc = dataset_repo_each(datasets, filter, write_row, exporter, err);
    cli_progress_clear(&exporter->progress);
    buf_fini(&exporter->line);
    return rc;
}

static int
export_to_file(struct cli *cli, const struct dataset_filter *filter, const char *path,
               struct error *err)
{
    struct exporter exporter = {0};
    char temporary[4096];
    int rc;

    if (snprintf(temporary, sizeof(temporary), "%s.part", path) >= (int)sizeof(temporary))
        return error_set(err, ERR_INVALID, "path '%.80s...' is too long", path);
    exporter.file = fopen(temporary, "we");
    if (!exporter.file)
        return error_set_errno(err, "cannot create '%s'", temporary);
    rc = export_rows(cli, filter, &exporter, err);
    rc = finish_file(exporter.file, temporary, path, rc, err);
    if (rc == 0 && !cli->quiet)
        (void)fprintf(stderr, "%" PRId64 " datasets written to %s\n", exporter.n_rows, path);
    return rc;
}

static int
export_to_stdout(struct cli *cli, const struct dataset_filter *filter, struct error *err)
{
    struct exporter exporter = {.file = stdout};
    int rc = export_rows(cli, filter, &exporter, err);

    if (rc == 0 && fflush(stdout) == EOF)
        rc = error_set_errno(err, "cannot write to standard output");
    return rc;
}

int
command_export(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct filter_options filters = FILTER_OPTIONS_INIT;
    struct dataset_filter filter;
    struct cli_words words;
    bool jsonl = false;
    struct cli_option options[N_FILTER_OPTIONS + 2] = {
        CLI_OPTION_FLAG("jsonl", &jsonl, "JSON Lines, the only format so far"),
    };
    int rc;

    filter_options_list(&filters, options + 1);
    rc = cli_parse(cli, options, argc, argv, &words, err);
    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 1, err);
    if (rc != 0)
        return rc;
    if (!jsonl)
        return error_set(err, ERR_ARGS, "say the format: trawl export --jsonl [FILE]");
    rc = filter_options_read(&filters, &filter, err);
    if (rc < 0)
        return rc;
    if (words.n_items && !str_equal(words.items[0], STR("-")))
        return export_to_file(cli, &filter, words.items[0].ptr, err);
    return export_to_stdout(cli, &filter, err);
}
