/* The parser sends rows in a fixed order; each batch commits its rows together with the position of
 * the last one.  A batch also ends when the files give no row for a while, so that nobody else
 * waits for the write lock while old versions are skipped. */

#include "lib/services/enrichment/kaggle_parser/seed_service.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json_writer.h"
#include "base/log.h"
#include "base/number.h"
#include "lib/services/enrichment/kaggle_parser/batch_writer.h"
#include "lib/services/enrichment/kaggle_parser/known_row.h"
#include "lib/services/enrichment/kaggle_parser/mapper.h"
#include "lib/services/enrichment/kaggle_parser/ref.h"
#include "lib/services/enrichment/kaggle_parser/reject_list.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_parser.h"

#define ROW_BYTES         ((size_t)32 << 20)
#define SEED_BYTES        ((size_t)1 << 20)
#define DETAIL_BYTES      ((size_t)4000)
#define MAX_BATCH_OPEN_US (US_PER_S / 2)

struct seed {
    const struct kaggle_seed_service *service;
    struct kaggle_batch_writer writer;
    struct kaggle_reject_list rejects;
    struct arena row; /* of the row being stored */
    int64_t batch_size;
    struct str version; /* of the dump */
    uint64_t fingerprint;
    uint64_t position; /* of the last row stored */
    int64_t started_at_us;
    int64_t batch_opened_us; /* monotonic */
    int64_t n_in_batch;      /* rows; 0 = no batch is open */
};

/* Where the stream stands: cursor "fingerprint:position" while the walk is not over. */
static int
commit_batch(struct seed *seed, struct str cursor, struct str detail, struct error *err)
{
    struct source_state state = {
        .source_name = KAGGLE_SOURCE_NAME,
        .stream = STR("meta_kaggle"),
        .cursor = cursor,
        .watermark_us = cursor.ptr ? DATABASE_NULL : seed->started_at_us,
        .walk_started_at_us = cursor.ptr ? seed->started_at_us : DATABASE_NULL,
        .etag = seed->version,
        .detail = detail,
        .updated_at_us = seed->writer.now_us,
    };
    int rc = kaggle_reject_list_flush(&seed->rejects, &seed->writer, err);

    if (rc == 0)
        rc = kaggle_batch_writer_commit(&seed->writer, &state, err);
    if (rc == 0)
        seed->n_in_batch = 0;
    return rc;
}

static int
end_batch(struct seed *seed, struct error *err)
{
    char cursor[64];
    int n =
        snprintf(cursor, sizeof(cursor), "%" PRIu64 ":%" PRIu64, seed->fingerprint, seed->position);
    int rc = commit_batch(seed, (struct str){cursor, (size_t)n}, STR_NULL, err);

    if (rc == 0 && progress_is_cancelled(seed->writer.ctx->progress))
        return error_set(err, ERR_CANCELLED, "cancelled after row %" PRIu64 " of Meta Kaggle",
                         seed->position);
    return rc;
}

/* A reference that the dump lacks but the catalogue knows is better than a placeholder. */
static int
keep_known_ref(struct seed *seed, struct dataset *row, struct error *err)
{
    struct dataset known;
    int rc;

    if (!kaggle_ref_is_placeholder(row->external_id))
        return 0;
    rc = kaggle_known_find(seed->service->datasets, row->source_key, &seed->row, &known, err);
    if (rc == -ERR_NOT_FOUND)
        return 0;
    if (rc == 0 && !kaggle_ref_is_placeholder(known.external_id)) {
        row->external_id = known.external_id;
        row->source_meta = STR_NULL;
    }
    return rc;
}

static int
store_row(struct seed *seed, const struct meta_dataset *in, struct error *err)
{
    struct run_reject place = {
        .source = STR("Meta Kaggle"),
        .record = (int64_t)in->position,
        .byte_offset = DATABASE_NULL,
    };
    struct dataset row;
    struct error why;
    int rc;

    arena_reset(&seed->row);
    rc = kaggle_mapper_from_meta(in, &seed->row, &row, &why);
    if (rc == -ERR_INVALID) {
        place.reason = str_from_cstr(why.message);
        return kaggle_batch_writer_reject(&seed->writer, &place, err);
    }
    if (rc < 0)
        return error_set(err, why.code, "%s", why.message);
    rc = keep_known_ref(seed, &row, err);
    return rc < 0 ? rc : kaggle_batch_writer_put(&seed->writer, &row, &place, err);
}

static int
on_row(void *context, const struct meta_dataset *row, struct error *err)
{
    struct seed *seed = context;
    int rc = 0;

    if (seed->n_in_batch == 0) {
        seed->batch_opened_us = clock_mono_us(seed->service->clock);
        rc = kaggle_batch_writer_begin(&seed->writer, err);
    }
    if (rc == 0)
        rc = store_row(seed, row, err);
    if (rc < 0)
        return error_wrap(err, rc, "dataset %" PRId64 " of Meta Kaggle", row->id);
    seed->position = row->position;
    seed->n_in_batch++;
    return seed->n_in_batch >= seed->batch_size ? end_batch(seed, err) : 0;
}

static void
on_reject(void *context, const struct meta_reject *reject)
{
    struct seed *seed = context;

    kaggle_reject_list_note(&seed->rejects, reject);
}

static int
on_progress(void *context, const struct meta_progress *progress, struct error *err)
{
    struct seed *seed = context;
    const struct progress *listener = seed->writer.ctx->progress;

    progress_report(listener, (int64_t)progress->n_bytes_read, (int64_t)progress->n_bytes_total);
    if (seed->n_in_batch > 0) {
        int64_t open_us = clock_mono_us(seed->service->clock) - seed->batch_opened_us;

        return open_us > MAX_BATCH_OPEN_US ? end_batch(seed, err) : 0;
    }
    if (progress_is_cancelled(listener))
        return error_set(err, ERR_CANCELLED, "cancelled after row %" PRIu64 " of Meta Kaggle",
                         seed->position);
    return 0;
}

/* Rows that an interrupted run on the same files has already stored. */
static int
load_position(struct seed *seed, uint64_t *out, struct error *err)
{
    struct source_state state;
    struct str rest;
    struct str fingerprint;
    char wanted[32];
    int64_t position;
    int n;
    int rc;

    *out = 0;
    rc = source_state_repo_find(seed->service->database, KAGGLE_SOURCE_NAME, STR("meta_kaggle"),
                                &seed->row, &state, err);
    if (rc < 0)
        return rc == -ERR_NOT_FOUND ? 0 : rc;
    rest = state.cursor;
    n = snprintf(wanted, sizeof(wanted), "%" PRIu64, seed->fingerprint);
    if (str_split(&rest, ':', &fingerprint) &&
        str_equal(fingerprint, (struct str){wanted, (size_t)n}) &&
        number_parse_i64(rest, &position, NULL) == 0 && position > 0)
        *out = (uint64_t)position;
    return 0;
}

/* What the run found in the dump, for people: {"version","rows","complete",...}. */
static void
describe(const struct seed *seed, const struct meta_counts *counts, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    json_begin_object(&json);
    if (seed->version.len)
        json_member_str(&json, STR("version"), seed->version);
    json_member_i64(&json, STR("rows"),
                    (int64_t)(counts->n_complete + counts->n_no_ref + counts->n_minimal));
    json_member_i64(&json, STR("complete"), (int64_t)counts->n_complete);
    json_member_i64(&json, STR("without_reference"), (int64_t)counts->n_no_ref);
    json_member_i64(&json, STR("without_version"), (int64_t)counts->n_minimal);
    json_name(&json, STR("files"));
    json_begin_object(&json);
    for (int file = 0; file < META_N_FILES; file++) {
        const struct meta_file_counts *of_file = &counts->files[file];

        if (of_file->is_missing)
            continue;
        json_name(&json, str_from_cstr(kaggle_meta_file_name((enum meta_file)file)));
        json_begin_object(&json);
        json_member_i64(&json, STR("records"), (int64_t)of_file->n_records);
        json_member_i64(&json, STR("used"), (int64_t)of_file->n_used);
        json_member_i64(&json, STR("rejected"), (int64_t)of_file->n_rejected);
        json_member_i64(&json, STR("bad_values"), (int64_t)of_file->n_bad_values);
        json_end_object(&json);
    }
    json_end_object(&json);
    json_end_object(&json);
}

static int
finish(struct seed *seed, const struct meta_counts *counts, struct error *err)
{
    CLEANUP(buf_fini) struct buf detail = BUF_INIT(DETAIL_BYTES);
    int rc = 0;

    describe(seed, counts, &detail);
    if (seed->n_in_batch == 0)
        rc = kaggle_batch_writer_begin(&seed->writer, err);
    if (rc == 0)
        rc = buf_status(&detail, err);
    if (rc == 0)
        rc = commit_batch(seed, STR_NULL, buf_str(&detail), err);
    return rc;
}

static int
seed_from(struct seed *seed, const char *path, struct error *err)
{
    CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;
    struct meta_sink sink = {on_row, on_reject, on_progress, seed};
    struct meta_options options = {.skip_rows = 0};
    struct meta_counts counts;
    int rc;

    rc = kaggle_meta_source_open(path, NULL, &source, err);
    if (rc < 0)
        return rc;
    seed->fingerprint = kaggle_meta_source_fingerprint(source);
    rc = load_position(seed, &options.skip_rows, err);
    if (rc < 0)
        return rc;
    if (options.skip_rows > 0)
        log_info("going on behind the last batch of an interrupted run: row=%" PRIu64,
                 options.skip_rows);
    seed->position = options.skip_rows;
    rc = kaggle_meta_parser_run(source, &options, &sink, &counts, err);
    if (rc == 0)
        rc = finish(seed, &counts, err);
    if (rc < 0)
        kaggle_batch_writer_rollback(&seed->writer);
    return rc;
}

/* The caller's path, or a dump that the fetcher brings. */
static int
find_dump(const struct kaggle_seed_service *self, bool force_redownload, struct str path,
          const struct run_context *ctx, struct arena *arena, struct kaggle_dump *out,
          struct error *err)
{
    *out = (struct kaggle_dump){.path = NULL};
    if (path.len) {
        out->path = arena_printf(arena, "%.*s", STR_ARG(path));
        return out->path ? 0 : error_set(err, ERR_NOMEM, "no memory for a path");
    }
    if (!self->dumps.fetch)
        return error_set(err, ERR_CONFIG,
                         "no path to Meta Kaggle is given, and nothing is set up to fetch it");
    return self->dumps.fetch(self->dumps.context, force_redownload, ctx->progress, arena, out, err);
}

int
kaggle_seed_run(const struct kaggle_seed_service *self, int64_t batch_size, bool force_redownload,
                struct str path, const struct run_context *ctx, struct ledger *out,
                struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(SEED_BYTES);
    struct seed seed = {
        .service = self,
        .writer = {.database = self->database,
                   .datasets = self->datasets,
                   .ctx = ctx,
                   .clock = self->clock},
        .row = ARENA_INIT(ROW_BYTES),
        .batch_size = batch_size,
        .started_at_us = clock_now_us(self->clock),
    };
    struct kaggle_dump dump;
    int rc;

    *out = (struct ledger){.n_fetched = 0};
    rc = find_dump(self, force_redownload, path, ctx, &arena, &dump, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot get Meta Kaggle");
    kaggle_reject_list_init(&seed.rejects);
    seed.version = dump.version;
    rc = seed_from(&seed, dump.path, err);
    if (dump.is_held)
        (void)close(dump.hold_fd);
    kaggle_reject_list_fini(&seed.rejects);
    arena_fini(&seed.row);
    *out = seed.writer.committed;
    return rc < 0 ? error_wrap(err, rc, "cannot seed from '%s'", dump.path) : 0;
}
