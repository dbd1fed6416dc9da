/* A batch is two short transactions with the encoding between them, so the write lock is never held
 * while the processor computes. */

#include "lib/services/ml/embedding_processor.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "lib/repositories/enrichment_log_repository.h"

/* Ten minutes are hundreds of times what a batch takes; a dead worker's rows come back after them.
 */
#define LEASE_US (INT64_C(600) * US_PER_S)

/* A batch's texts: 10,000 of 64 KiB at most would be 640 MiB; 256 MiB fit what is usual many times.
 */
#define BATCH_LIMIT_BYTES ((size_t)256 << 20)

#define CLEAR_ROWS INT64_C(500) /* in one short transaction */

struct batch {
    struct embedding_processor *processor;
    const struct run_context *run;
    struct arena arena;
    struct dataset_list rows;
    struct str *texts; /* [n_rows] */
    float *vectors;    /* [n_rows, dim] */
    bool *is_encoded;  /* [n_rows] */
    int64_t begin_us;  /* monotonic */
};

static int
claim(struct batch *self, int64_t batch_size, struct error *err)
{
    struct embedding_processor *processor = self->processor;
    int64_t now_us = clock_now_us(processor->clock);
    struct lease lease = {.owner = self->run->worker_id, .until_us = now_us + LEASE_US};
    int rc = database_begin(processor->database, err);

    if (rc < 0)
        return rc;
    rc = dataset_repo_claim_unembedded(processor->datasets, processor->embedder->model, batch_size,
                                       &lease, now_us, &self->arena, &self->rows, err);
    if (rc == 0)
        rc = database_commit(processor->database, err);
    if (rc < 0)
        database_rollback(processor->database);
    return rc;
}

static int
build_texts(struct batch *self, struct error *err)
{
    size_t n_rows = self->rows.n_items;
    size_t n_floats;
    bool ok = true;

    self->texts = arena_calloc(&self->arena, n_rows, sizeof(*self->texts));
    self->is_encoded = arena_calloc(&self->arena, n_rows, sizeof(*self->is_encoded));
    if (__builtin_mul_overflow(n_rows, self->processor->embedder->dim, &n_floats))
        return error_set(err, ERR_TOO_LARGE, "a batch of %zu rows is too large", n_rows);
    self->vectors = arena_calloc(&self->arena, n_floats, sizeof(*self->vectors));
    for (size_t i = 0; self->texts && i < n_rows; i++) {
        struct buf text = BUF_INIT(2 * DATASET_TITLE_BYTES + DATASET_DESCRIPTION_BYTES + 2);

        dataset_append_text(&self->rows.items[i], &text);
        ok = ok && text.rc == 0;
        self->texts[i] = arena_dup(&self->arena, buf_str(&text), &ok);
        buf_fini(&text);
    }
    if (!ok || !self->texts || !self->is_encoded || !self->vectors)
        return error_set(err, ERR_NOMEM, "no memory for a batch of %zu texts", n_rows);
    return 0;
}

static void
log_outcome(const struct batch *self, size_t i, enum enrichment_outcome outcome,
            const struct error *why)
{
    struct embedding_processor *processor = self->processor;
    struct enrichment_log entry = {
        .row_id = self->rows.items[i].row_id,
        .stage = STAGE_EMBEDDING,
        .outcome = outcome,
        .attempt = 1,
        .error_type = why ? str_from_cstr(error_exception_name((int)why->code)) : STR_NULL,
        .error_message = why ? str_from_cstr(why->message) : STR_NULL,
        .duration_ms = (clock_mono_us(processor->clock) - self->begin_us) / US_PER_MS,
        .worker_id = self->run->worker_id,
        .task_id = self->run->task_id,
        .at_us = clock_now_us(processor->clock),
    };
    struct error err;

    /* The history of a row is worth less than the row: its loss is told, and the work goes on. */
    if (enrichment_log_repo_append(processor->database, &entry, &err) < 0)
        log_warning("enrichment log not written, work goes on: row=%" PRId64 " reason=%s",
                    entry.row_id, err.message);
}

/* All at once; if that fails, one by one, so that a single text cannot hold the others back. */
static void
encode(struct batch *self)
{
    struct embedder *embedder = self->processor->embedder;
    struct error err;

    if (embedder_embed(embedder, self->texts, self->rows.n_items, self->vectors, &err) == 0) {
        for (size_t i = 0; i < self->rows.n_items; i++)
            self->is_encoded[i] = true;
        return;
    }
    log_warning("batch not encoded, rows are tried one by one: rows=%zu reason=%s",
                self->rows.n_items, err.message);
    for (size_t i = 0; i < self->rows.n_items; i++) {
        float *vector = self->vectors + i * embedder->dim; /* [dim] */

        self->is_encoded[i] = embedder_embed(embedder, &self->texts[i], 1, vector, &err) == 0;
        if (self->is_encoded[i])
            continue;
        log_warning("row not encoded, it is passed over: row=%" PRId64 " reason=%s",
                    self->rows.items[i].row_id, err.message);
        log_outcome(self, i, OUTCOME_FAILED, &err);
    }
}

/* 1 stored, 0 not (lease lost to another worker, which will store it), negative on failure. */
static int
save_row(const struct batch *self, size_t i, struct error *err)
{
    struct embedding_processor *processor = self->processor;
    const struct dataset *row = &self->rows.items[i];
    const float *vector = self->vectors + i * processor->embedder->dim; /* [dim] */
    unsigned char hash[DATASET_HASH_BYTES];
    int rc = dataset_text_hash(row, hash, err);

    if (rc == 0)
        rc = dataset_repo_save_embedding(
            processor->datasets, row->row_id, self->run->worker_id, processor->embedder->model,
            hash, vector, processor->embedder->dim, clock_now_us(processor->clock), err);
    if (rc == -ERR_NOT_FOUND) {
        log_warning("lease lost while encoding, vector dropped: row=%" PRId64, row->row_id);
        return 0;
    }
    return rc < 0 ? rc : 1;
}

static int
save_all(const struct batch *self, struct embedding_counts *counts, struct error *err)
{
    struct database *database = self->processor->database;
    struct embedding_counts batch = {0};
    int rc = database_begin(database, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < self->rows.n_items; i++) {
        rc = self->is_encoded[i] ? save_row(self, i, err) : 0;
        if (rc < 0)
            break;
        if (rc == 1) {
            log_outcome(self, i, OUTCOME_SUCCESS, NULL);
            batch.n_processed++;
        } else {
            batch.n_failed++;
        }
    }
    if (rc >= 0)
        rc = database_commit(database, err);
    if (rc < 0) {
        database_rollback(database);
        return rc;
    }
    counts->n_processed += batch.n_processed;
    counts->n_failed += batch.n_failed;
    return 0;
}

/* Returns the number of rows in the batch, 0 when nothing is left, negative on failure. */
static int
run_batch(struct embedding_processor *processor, int64_t batch_size, const struct run_context *run,
          struct embedding_counts *counts, struct error *err)
{
    struct batch batch = {
        .processor = processor,
        .run = run,
        .arena = ARENA_INIT(BATCH_LIMIT_BYTES),
        .begin_us = clock_mono_us(processor->clock),
    };
    int rc = claim(&batch, batch_size, err);

    if (rc == 0 && batch.rows.n_items > 0) {
        rc = build_texts(&batch, err);
        if (rc == 0) {
            encode(&batch);
            rc = save_all(&batch, counts, err);
        }
        if (rc == 0)
            rc = (int)batch.rows.n_items;
    }
    arena_fini(&batch.arena);
    return rc;
}

/* After a switch, or back at the model that is searched: what was put aside goes, or goes back. */
static int
clear_old(struct embedding_processor *self, const struct run_context *run, struct error *err)
{
    int64_t n_cleared = 0;
    int rc;

    do {
        rc = dataset_repo_clear_vectors(self->datasets, CLEAR_ROWS, &n_cleared, err);
    } while (rc == 0 && n_cleared > 0 && !progress_is_cancelled(run->progress));
    return rc;
}

static int
begin_run(struct embedding_processor *self, const struct run_context *run, struct error *err)
{
    int rc = dataset_repo_begin_vectors(self->datasets, self->embedder->model, self->location, err);

    return rc < 0 ? rc : clear_old(self, run, err);
}

static int
end_run(struct embedding_processor *self, const struct run_context *run,
        const struct embedding_counts *counts, struct error *err)
{
    bool did_switch = false;
    int rc = dataset_repo_switch_vectors(self->datasets, self->embedder->model, &did_switch, err);

    if (rc == 0 && did_switch)
        log_info("search goes over to the new vectors: model=%.*s", STR_ARG(self->embedder->model));
    if (rc == 0 && self->on_vectors && (did_switch || counts->n_processed > 0))
        self->on_vectors(self->context);
    return rc == 0 && did_switch ? clear_old(self, run, err) : rc;
}

int
embedding_processor_run(struct embedding_processor *self, int64_t batch_size, bool drain,
                        const struct run_context *run, struct embedding_counts *out,
                        struct error *err)
{
    int64_t n_total;
    int rc = begin_run(self, run, err);

    *out = (struct embedding_counts){0};
    if (rc == 0)
        rc = dataset_repo_count_unembedded(self->datasets, self->embedder->model, &n_total, err);
    if (rc < 0)
        return rc;
    if (!drain && n_total > batch_size)
        n_total = batch_size;
    do {
        progress_report(run->progress, out->n_processed + out->n_failed, n_total);
        rc = run_batch(self, batch_size, run, out, err);
    } while (drain && rc > 0 && !progress_is_cancelled(run->progress));
    if (rc < 0)
        return rc;
    progress_report(run->progress, out->n_processed + out->n_failed, n_total);
    rc = end_run(self, run, out, err);
    if (rc < 0)
        return rc;
    return dataset_repo_count_unembedded(self->datasets, self->embedder->model, &out->n_remaining,
                                         err);
}
