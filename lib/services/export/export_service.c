/* Rows go through one buffer, which is given to the sink whenever it holds enough. */

#include "lib/services/export/export_service.h"

#include <inttypes.h>

#define KEYS_BYTES  ((size_t)256 << 20) /* of 32 million rows */
#define BATCH_ROWS  ((size_t)256)
#define BATCH_BYTES ((size_t)64 << 20)  /* of rows that are held; a batch that needs more is cut */
#define CHUNK_BYTES ((size_t)256 << 10) /* what the sink gets at least, but for the last */
#define OUT_BYTES   ((size_t)512 << 20) /* a row at the ceiling of 64 MiB, every byte escaped */

struct export_run {
    struct export_service *service;
    const struct export_format *format;
    const struct export_sink *sink;
    struct export_document document;
    struct export_counts counts;
    struct buf out;
    int64_t n_done;
    int64_t n_total;
};

static int
flush(struct export_run *self, struct error *err)
{
    int rc = buf_status(&self->out, err);

    if (rc == 0 && self->out.len)
        rc = self->sink->write(self->sink->context, buf_str(&self->out), err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot write after %" PRId64 " rows", self->counts.n_rows);
    self->counts.n_bytes += (int64_t)self->out.len;
    buf_clear(&self->out);
    return 0;
}

static int
write_row(struct export_run *self, const struct dataset *row, struct error *err)
{
    enum export_verdict verdict = self->format->append(&self->document, row, &self->out);

    self->counts.n_rows++;
    self->counts.n_incomplete += verdict == EXPORT_INCOMPLETE;
    self->document.n_rows++;
    return self->out.len < CHUNK_BYTES && self->out.rc == 0 ? 0 : flush(self, err);
}

static int
write_list(struct export_run *self, const struct dataset_list *list, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; i < list->n_items && rc == 0; i++)
        rc = write_row(self, &list->items[i], err);
    return rc;
}

static void
begin(struct export_run *self, enum export_scope scope, int64_t n_total)
{
    self->document = (struct export_document){
        .scope = scope,
        .now_us = clock_now_us(self->service->clock),
    };
    self->n_total = n_total;
    if (self->format->begin)
        self->format->begin(&self->document, &self->out);
}

static int
end(struct export_run *self, struct error *err)
{
    if (self->format->end)
        self->format->end(&self->document, &self->out);
    return flush(self, err);
}

/* Told between batches, where stopping is cheap. */
static int
report(struct export_run *self, size_t n_more, struct error *err)
{
    const struct export_sink *sink = self->sink;

    self->n_done += (int64_t)n_more;
    if (sink->progress)
        sink->progress(sink->context, self->n_done, self->n_total);
    if (sink->is_cancelled && sink->is_cancelled(sink->context))
        return error_set(err, ERR_CANCELLED, "export interrupted after %" PRId64 " rows",
                         self->counts.n_rows);
    return 0;
}

/* Rows by key; where they are too large to be held together, half of them, down to one. */
static int
write_batch(struct export_run *self, const int64_t *row_ids, size_t n_row_ids, size_t *n_written,
            struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(BATCH_BYTES);
    size_t n = n_row_ids < BATCH_ROWS ? n_row_ids : BATCH_ROWS;
    struct dataset_list list;
    int rc;

    for (;;) {
        rc = dataset_repo_find_rows(self->service->datasets, row_ids, n, &arena, &list, err);
        if (rc != -ERR_NOMEM || n == 1)
            break;
        arena_reset(&arena);
        n /= 2;
    }
    if (rc == 0)
        rc = write_list(self, &list, err);
    *n_written = n;
    return rc;
}

static int
write_keys(struct export_run *self, const int64_t *row_ids, size_t n_row_ids, struct error *err)
{
    int rc = report(self, 0, err);

    for (size_t at = 0; at < n_row_ids && rc == 0;) {
        size_t n = 0;

        rc = write_batch(self, row_ids + at, n_row_ids - at, &n, err);
        at += n;
        if (rc == 0)
            rc = report(self, n, err);
    }
    return rc;
}

int
export_service_run(struct export_service *self, const struct export_format *format,
                   const struct dataset_filter *filter, const struct export_sink *sink,
                   struct export_counts *out, struct error *err)
{
    CLEANUP(arena_fini) struct arena keys = ARENA_INIT(KEYS_BYTES);
    struct export_run run = {
        .service = self, .format = format, .sink = sink, .out = BUF_INIT(OUT_BYTES)};
    const int64_t *row_ids;
    size_t n_row_ids;
    int rc = dataset_repo_filter(self->datasets, filter, &keys, &row_ids, &n_row_ids, err);

    if (rc < 0)
        return error_wrap(err, rc, "cannot list the rows to export");
    begin(&run, EXPORT_CATALOGUE, (int64_t)n_row_ids);
    rc = write_keys(&run, row_ids, n_row_ids, err);
    if (rc == 0)
        rc = end(&run, err);
    if (rc == 0)
        *out = run.counts;
    buf_fini(&run.out);
    return rc;
}

static int
find_refs(struct export_service *self, const struct str *refs, size_t n_refs, struct arena *arena,
          struct dataset *rows, struct error *err)
{
    for (size_t i = 0; i < n_refs; i++) {
        int rc = dataset_repo_find(self->datasets, refs[i], arena, &rows[i], err);

        if (rc == -ERR_NOT_FOUND)
            return error_set(err, ERR_NOT_FOUND,
                             "no dataset '%.*s' in the catalogue: 'trawl search' finds its "
                             "reference, --output names a file",
                             STR_ARG(str_slice(refs[i], 0, 100)));
        if (rc < 0)
            return rc;
    }
    return 0;
}

int
export_service_run_refs(struct export_service *self, const struct export_format *format,
                        const struct str *refs, size_t n_refs, const struct export_sink *sink,
                        struct export_counts *out, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(KEYS_BYTES);
    struct export_run run = {
        .service = self, .format = format, .sink = sink, .out = BUF_INIT(OUT_BYTES)};
    struct dataset *rows = arena_calloc(&arena, n_refs, sizeof(*rows));
    int rc;

    if (!rows)
        return error_set(err, ERR_NOMEM, "no memory for %zu datasets", n_refs);
    rc = find_refs(self, refs, n_refs, &arena, rows, err);
    if (rc < 0)
        return rc;
    begin(&run, n_refs == 1 ? EXPORT_ONE : EXPORT_CATALOGUE, (int64_t)n_refs);
    rc = write_list(&run, &(struct dataset_list){rows, n_refs}, err);
    if (rc == 0)
        rc = end(&run, err);
    if (rc == 0)
        *out = run.counts;
    buf_fini(&run.out);
    return rc;
}
