/* trawl export: rows of the catalogue to a file or to standard output, in one of several forms. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/filter_options.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "lib/services/export/export_service.h"

#define PATH_BYTES    4096
#define SUMMARY_BYTES ((size_t)16 << 10)
#define N_OWN_OPTIONS 4 /* format, output, since, jsonl */

struct export_options {
    struct filter_options filters;
    struct str format;
    struct str output;
    bool jsonl;
};

struct exporter {
    struct cli *cli;
    FILE *file;
    struct cli_progress progress;
    const struct export_format *format;
    const struct str *refs;
    size_t n_refs;
    struct dataset_filter filter;
    struct export_counts counts;
    int64_t took_us;
};

static int
write_bytes(void *context, struct str bytes, struct error *err)
{
    struct exporter *self = context;

    if (fwrite(bytes.ptr, 1, bytes.len, self->file) != bytes.len)
        return error_set_errno(err, "cannot write %zu bytes", bytes.len);
    return 0;
}

static void
show_progress(void *context, int64_t n_done, int64_t n_total)
{
    struct exporter *self = context;

    cli_progress_update(&self->progress, n_done, n_total);
}

static int
export_rows(struct exporter *self, struct error *err)
{
    const struct clock *clock = container_clock(self->cli->app);
    struct export_service service = {.clock = clock};
    struct export_sink sink = {
        .write = write_bytes,
        .progress = show_progress,
        .is_cancelled = interrupt_is_pending,
        .context = self,
    };
    int64_t begin_us = clock_now_us(clock);
    int rc = container_get_datasets(self->cli->app, CONTAINER_READS, &service.datasets, err);

    cli_progress_init(&self->progress, STR("export"), self->cli->has_progress);
    if (rc == 0 && self->n_refs)
        rc = export_service_run_refs(&service, self->format, self->refs, self->n_refs, &sink,
                                     &self->counts, err);
    else if (rc == 0)
        rc = export_service_run(&service, self->format, &self->filter, &sink, &self->counts, err);
    cli_progress_clear(&self->progress);
    self->took_us = clock_now_us(clock) - begin_us;
    return rc;
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

/* A pipe or a device keeps its name: it is written as it comes. */
static int
export_to_device(struct exporter *self, const char *path, struct error *err)
{
    int rc;

    self->file = fopen(path, "we");
    if (!self->file)
        return error_set_errno(err, "cannot open '%s'", path);
    rc = export_rows(self, err);
    if (fclose(self->file) == EOF && rc == 0)
        rc = error_set_errno(err, "cannot write '%s'", path);
    return rc;
}

static int
export_to_file(struct exporter *self, const char *path, struct error *err)
{
    char temporary[PATH_BYTES];
    struct stat status;
    int rc;

    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return error_set(err, ERR_INVALID, "cannot write '%s': it is a directory", path);
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return export_to_device(self, path, err);
    if (snprintf(temporary, sizeof(temporary), "%s.part", path) >= (int)sizeof(temporary))
        return error_set(err, ERR_INVALID, "path '%.80s...' is too long", path);
    self->file = fopen(temporary, "we");
    if (!self->file)
        return error_set_errno(err, "cannot create '%s'", temporary);
    rc = export_rows(self, err);
    return finish_file(self->file, temporary, path, rc, err);
}

static int
export_to_stdout(struct exporter *self, struct error *err)
{
    int rc;

    self->file = stdout;
    rc = export_rows(self, err);
    if (rc == 0 && fflush(stdout) == EOF)
        rc = error_set_errno(err, "cannot write to standard output");
    return rc;
}

static int
print_summary(const struct exporter *self, struct str output, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(SUMMARY_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int rc;

    json_begin_object(&json);
    json_member_str(&json, STR("format"), self->format->name);
    json_member_str(&json, STR("output"), output);
    json_member_i64(&json, STR("rows"), self->counts.n_rows);
    json_member_i64(&json, STR("incomplete"), self->counts.n_incomplete);
    json_member_i64(&json, STR("bytes"), self->counts.n_bytes);
    json_member_i64(&json, STR("took_ms"), self->took_us / 1000);
    json_end_object(&json);
    if (output.ptr)
        return cli_print(&out, err);
    rc = buf_status(&out, err); /* the rows have stdout */
    if (rc == 0)
        (void)fprintf(stderr, "%s\n", buf_cstr(&out));
    return rc;
}

static void
say_summary(const struct exporter *self, struct str output)
{
    char rows[32];
    char bytes[32];
    char span[32];

    (void)fprintf(stderr, "%s datasets written to %.*s: %s in %s\n",
                  cli_format_count(self->counts.n_rows, rows), STR_ARG(output),
                  cli_format_bytes(self->counts.n_bytes, bytes),
                  cli_format_span(self->took_us, span));
    if (self->counts.n_incomplete)
        (void)fprintf(stderr, "%s of them lack what %.*s requires (docs/export.md)\n",
                      cli_format_count(self->counts.n_incomplete, rows),
                      STR_ARG(self->format->name));
}

static bool
has_filter(const struct filter_options *filters)
{
    return filters->source.ptr || filters->license.ptr || filters->format.ptr || filters->tag.ptr ||
           filters->min_size.ptr || filters->max_size.ptr || filters->updated_since.ptr ||
           filters->with_inactive;
}

/* --jsonl FILE is the short form of --format jsonl --output FILE. */
static int
read_words(struct export_options *options, const struct cli_words *words, struct exporter *self,
           struct error *err)
{
    self->refs = words->items;
    self->n_refs = words->n_items;
    if (options->jsonl && options->format.ptr)
        return error_set(err, ERR_ARGS, "--jsonl and --format exclude each other");
    if (options->jsonl) {
        options->format = STR("jsonl");
        if (self->n_refs == 1 && !options->output.ptr) {
            options->output = self->refs[0];
            self->n_refs = 0;
        }
    }
    if (!options->format.ptr)
        return error_set(err, ERR_ARGS,
                         "say the format: trawl export --format "
                         "jsonl|csv|dcat|croissant|croissant-1.0 [REF...] [--output FILE]");
    if (self->n_refs && has_filter(&options->filters))
        return error_set(err, ERR_ARGS,
                         "references and filters exclude each other: got '%.*s' and a filter",
                         STR_ARG(str_slice(self->refs[0], 0, 100)));
    if (str_equal(options->output, STR("-")))
        options->output = STR_NULL;
    if (options->output.ptr && !options->output.len)
        return error_set(err, ERR_ARGS, "--output needs a path, got ''");
    return export_format_find(options->format, &self->format, err);
}

/* The filters of search, where --format means the file format: here it has another name. */
static void
list_options(struct export_options *values, struct cli_option *out)
{
    const struct cli_option own[N_OWN_OPTIONS] = {
        CLI_OPTION_TEXT("format", "NAME", &values->format,
                        "jsonl, csv, dcat, croissant or croissant-1.0"),
        CLI_OPTION_TEXT("output", "FILE", &values->output,
                        "write this file, which appears when it is whole"),
        CLI_OPTION_FLAG("jsonl", &values->jsonl, "short for --format jsonl; FILE may follow"),
        CLI_OPTION_TEXT("since", "DATE", &values->filters.updated_since,
                        "short for --updated-since"),
    };

    (void)memcpy(out, own, sizeof(own));
    filter_options_list(&values->filters, out + N_OWN_OPTIONS);
    for (struct cli_option *option = out + N_OWN_OPTIONS; option->name; option++)
        if (strcmp(option->name, "format") == 0)
            option->name = "file-format";
}

int
command_export(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct export_options values = {.filters = FILTER_OPTIONS_INIT};
    struct cli_option options[N_OWN_OPTIONS + N_FILTER_OPTIONS + 1];
    struct exporter exporter = {.cli = cli};
    struct cli_words words;
    int rc;

    list_options(&values, options);
    rc = cli_parse(cli, options, argc, argv, &words, err);
    if (rc != 0)
        return rc;
    rc = read_words(&values, &words, &exporter, err);
    if (rc == 0)
        rc = filter_options_read(&values.filters, &exporter.filter, err);
    if (rc == 0 && values.output.ptr)
        rc = export_to_file(&exporter, values.output.ptr, err);
    else if (rc == 0)
        rc = export_to_stdout(&exporter, err);
    if (rc == 0 && cli->json)
        rc = print_summary(&exporter, values.output, err);
    else if (rc == 0 && values.output.ptr && !cli->quiet)
        say_summary(&exporter, values.output);
    return rc;
}
