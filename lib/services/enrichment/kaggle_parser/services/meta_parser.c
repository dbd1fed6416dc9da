/* The files in their order, and the books: every record ends in exactly one count. */

#include "lib/services/enrichment/kaggle_parser/services/meta_parser.h"

#include <stdlib.h>

#include "lib/services/enrichment/kaggle_parser/services/meta_run.h"

#define DEFAULT_BYTES        ((size_t)768 << 20)
#define MIN_BYTES            ((size_t)1 << 20)
#define TEXTS_BYTES          ((size_t)8 << 20) /* three fields of the CSV reader's limit fit */
#define REF_BYTES            ((size_t)2 * META_MAX_NAME + 64)
#define RECORDS_PER_PROGRESS 8192

const char *
kaggle_meta_skip_text(enum meta_skip skip)
{
    static const char *const texts[META_N_SKIPS] = {
        [META_SKIP_NOT_NEEDED] = "owns no dataset",
        [META_SKIP_OLD_VERSION] = "not the current version",
        [META_SKIP_NO_DATASET] = "of a dataset that Datasets.csv lacks",
        [META_SKIP_NO_TAG] = "a tag that Tags.csv lacks",
        [META_SKIP_DUPLICATE] = "seen before",
        [META_SKIP_NO_ROOM] = "past a ceiling",
    };

    return skip < META_N_SKIPS ? texts[skip] : "unknown";
}

static void
tell_reject(struct meta_run *run, uint64_t record_no, uint64_t offset, uint64_t line_no,
            const char *reason)
{
    struct meta_reject reject = {
        .file = run->file,
        .file_name = kaggle_meta_file_name(run->file),
        .record_no = record_no,
        .offset = offset,
        .line_no = line_no,
        .reason = reason,
    };

    run->counts.files[run->file].n_rejected++;
    if (run->sink->reject && !run->is_again)
        run->sink->reject(run->sink->context, &reject);
}

/* From the CSV reader: not even a record. */
static void
on_bad_record(void *context, const struct csv_reject *bad)
{
    tell_reject(context, bad->record_no, bad->offset, bad->line_no, csv_defect_text(bad->defect));
}

static int
tell_progress(const struct meta_run *run, const struct kaggle_meta_stream *stream,
              struct error *err)
{
    struct meta_progress progress = {
        .file = run->file,
        .n_bytes_read = run->n_bytes_done + (stream ? kaggle_meta_stream_bytes_in(stream) : 0),
        .n_bytes_total = run->n_bytes_total,
        .n_rows = run->n_rows,
    };

    return run->sink->progress ? run->sink->progress(run->sink->context, &progress, err) : 0;
}

static void
count_outcome(struct meta_run *run, const struct csv_record *record, int outcome)
{
    struct meta_file_counts *counts = &run->counts.files[run->file];

    if (outcome >= META_SKIPPED)
        counts->n_skipped[outcome - META_SKIPPED]++;
    else if (outcome == META_USED)
        counts->n_used++;
    else if (outcome == META_REJECTED)
        tell_reject(run, record->record_no, record->offset, csv_reader_line(run->reader),
                    run->reason);
}

static int
bind_header(struct meta_run *run, struct error *err)
{
    struct csv_record header;
    int rc = csv_reader_next(run->reader, &header, err);

    if (rc < 0)
        return error_wrap(err, rc, "%s", kaggle_meta_file_name(run->file));
    if (rc == 0)
        return error_set(err, ERR_INVALID, "%s is empty: it has no header",
                         kaggle_meta_file_name(run->file));
    rc = meta_columns_bind(run->file, &header, &run->binding, err);
    if (rc == 0 && run->file == META_VERSIONS)
        run->counts.is_2017_form = run->binding.is_2017_form;
    return rc;
}

static int
read_records(struct meta_run *run, const struct kaggle_meta_stream *stream, struct error *err)
{
    struct csv_record record;
    uint64_t n = 0;
    int rc;

    while ((rc = csv_reader_next(run->reader, &record, err)) > 0) {
        int outcome = meta_record_fns[run->file](run, &record, err);

        if (outcome < 0)
            return outcome;
        count_outcome(run, &record, outcome);
        if (++n % RECORDS_PER_PROGRESS == 0) {
            rc = tell_progress(run, stream, err);
            if (rc < 0)
                return rc;
        }
    }
    return rc < 0 ? error_wrap(err, rc, "%s", kaggle_meta_file_name(run->file)) : 0;
}

static int
read_file(struct meta_run *run, struct kaggle_meta_source *source, enum meta_file file,
          struct error *err)
{
    CLEANUP(kaggle_meta_stream_closep) struct kaggle_meta_stream *stream = NULL;
    CLEANUP(csv_reader_freep) struct csv_reader *reader = NULL;
    struct csv_options options = {.reject = on_bad_record, .context = run};
    int rc;

    run->file = file;
    if (!kaggle_meta_source_has(source, file) && file != META_DATASETS && file != META_VERSIONS) {
        run->counts.files[file].is_missing = true;
        return 0;
    }
    rc = kaggle_meta_stream_open(source, file, &stream, err);
    if (rc == 0)
        rc = csv_reader_create(&options, kaggle_meta_stream_input(stream), &reader, err);
    if (rc < 0)
        return rc;
    run->reader = reader;
    rc = bind_header(run, err);
    if (rc == 0)
        rc = read_records(run, stream, err);
    run->reader = NULL;
    if (rc < 0)
        return rc;
    run->counts.files[file].n_records = csv_reader_counts(reader)->n_records;
    run->counts.files[file].n_bytes = kaggle_meta_stream_bytes_out(stream);
    run->n_bytes_done += kaggle_meta_source_file_bytes(source, file);
    return tell_progress(run, NULL, err);
}

/* Datasets without a version of their own choice get the one kept aside; the others stay minimal.
 */
static int
send_rest(struct meta_run *run, struct error *err)
{
    for (size_t i = 0; i < run->tables.n_rows; i++) {
        struct meta_row *row = &run->tables.rows[i];
        struct meta_version version;
        bool is_kept;
        int rc;

        if (row->is_sent)
            continue;
        is_kept = meta_tables_kept_version(&run->tables, row, &version);
        rc = meta_run_send(run, row, is_kept ? &version : NULL, err);
        if (rc < 0)
            return rc;
        run->counts.files[META_VERSIONS].n_used += is_kept;
        if (is_kept && row->is_late) /* counted as old when it was first read */
            run->counts.files[META_VERSIONS].n_skipped[META_SKIP_OLD_VERSION]--;
    }
    return tell_progress(run, NULL, err);
}

/* Datasets whose version is not in the file; from here on any version will do for them. */
static size_t
mark_late_rows(struct meta_run *run)
{
    size_t n_late = 0;

    for (size_t i = 0; i < run->tables.n_rows; i++) {
        struct meta_row *row = &run->tables.rows[i];

        if (row->is_sent || row->version_id == 0)
            continue;
        row->version_id = 0;
        row->is_late = true;
        n_late++;
    }
    return n_late;
}

/* Look for the best version of the late rows.  The file was counted when it was first read. */
static int
read_versions_again(struct meta_run *run, struct kaggle_meta_source *source, struct error *err)
{
    struct meta_file_counts counts = run->counts.files[META_VERSIONS];
    int rc;

    run->is_again = true;
    run->n_bytes_total += kaggle_meta_source_file_bytes(source, META_VERSIONS);
    rc = read_file(run, source, META_VERSIONS, err);
    run->counts.files[META_VERSIONS] = counts;
    return rc;
}

static int
run_join(struct meta_run *run, struct kaggle_meta_source *source, struct error *err)
{
    static const enum meta_file order[] = {META_DATASETS, META_USERS,        META_ORGANIZATIONS,
                                           META_TAGS,     META_DATASET_TAGS, META_VERSIONS};

    for (size_t i = 0; i < META_N_FILES; i++)
        run->n_bytes_total += kaggle_meta_source_file_bytes(source, (enum meta_file)i);
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        int rc = read_file(run, source, order[i], err);

        if (rc < 0)
            return rc;
    }
    if (mark_late_rows(run) > 0) {
        int rc = read_versions_again(run, source, err);

        if (rc < 0)
            return rc;
    }
    return send_rest(run, err);
}

int
kaggle_meta_parser_run(struct kaggle_meta_source *source, const struct meta_options *options,
                       const struct meta_sink *sink, struct meta_counts *out, struct error *err)
{
    struct meta_run run = {
        .sink = sink,
        .skip_rows = options ? options->skip_rows : 0,
        .texts = BUF_INIT(TEXTS_BYTES),
        .ref = BUF_INIT(REF_BYTES),
    };
    size_t max_bytes = options && options->max_bytes ? options->max_bytes : DEFAULT_BYTES;
    int rc;

    if (max_bytes < MIN_BYTES)
        return error_set(err, ERR_ARGS, "max_bytes is %zu, less than %zu", max_bytes, MIN_BYTES);
    meta_tables_init(&run.tables, max_bytes);
    rc = run_join(&run, source, err);
    if (rc == 0)
        *out = run.counts;
    meta_tables_fini(&run.tables);
    buf_fini(&run.texts);
    buf_fini(&run.ref);
    return rc;
}
