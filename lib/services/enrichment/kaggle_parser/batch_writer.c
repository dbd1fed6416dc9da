/* Counters of the open batch join the committed ones only when the database has them on disk. */

#include "lib/services/enrichment/kaggle_parser/batch_writer.h"

int
kaggle_batch_writer_begin(struct kaggle_batch_writer *self, struct error *err)
{
    self->open = (struct ledger){.n_fetched = 0};
    self->now_us = clock_now_us(self->clock);
    return database_begin(self->database, err);
}

int
kaggle_batch_writer_keep(struct kaggle_batch_writer *self, const struct run_reject *reject,
                         struct error *err)
{
    int rc;

    if (self->ctx->run_id == 0 || self->n_stored_rejects >= KAGGLE_STORED_REJECTS)
        return 0;
    rc = run_repo_add_reject(self->database, self->ctx->run_id, reject, err);
    if (rc == 0)
        self->n_stored_rejects++;
    return rc;
}

/* Whether the row is to blame, and not the database. */
static bool
is_of_row(int rc)
{
    return rc == -ERR_INVALID || rc == -ERR_TOO_LARGE;
}

static int
fail_row(struct kaggle_batch_writer *self, const struct run_reject *place, const struct error *why,
         struct error *err)
{
    struct run_reject reject = *place;

    database_undo(self->database);
    self->open.n_fetched++;
    self->open.n_failed++;
    reject.reason = str_from_cstr(why->message);
    return kaggle_batch_writer_keep(self, &reject, err);
}

int
kaggle_batch_writer_put(struct kaggle_batch_writer *self, const struct dataset *row,
                        const struct run_reject *place, struct error *err)
{
    enum upsert_outcome outcome;
    struct error why;
    int rc;

    rc = database_savepoint(self->database, err);
    if (rc < 0)
        return rc;
    rc = dataset_repo_upsert(self->datasets, row, self->now_us, &outcome, &why);
    if (is_of_row(rc))
        return fail_row(self, place, &why, err);
    if (rc < 0) {
        if (err)
            *err = why;
        return rc;
    }
    rc = database_release(self->database, err);
    if (rc < 0)
        return rc;
    self->open.n_fetched++;
    self->open.n_inserted += outcome == UPSERT_INSERTED;
    self->open.n_updated += outcome == UPSERT_UPDATED;
    self->open.n_unchanged += outcome == UPSERT_UNCHANGED;
    return 0;
}

void
kaggle_batch_writer_count_rejects(struct kaggle_batch_writer *self, int64_t n_rejects)
{
    self->open.n_fetched += n_rejects;
    self->open.n_rejected += n_rejects;
}

int
kaggle_batch_writer_reject(struct kaggle_batch_writer *self, const struct run_reject *reject,
                           struct error *err)
{
    kaggle_batch_writer_count_rejects(self, 1);
    return kaggle_batch_writer_keep(self, reject, err);
}

int
kaggle_batch_writer_commit(struct kaggle_batch_writer *self, const struct source_state *state,
                           struct error *err)
{
    int rc = 0;

    if (state)
        rc = source_state_repo_save(self->database, state, err);
    if (rc == 0)
        rc = database_commit(self->database, err);
    if (rc < 0)
        return rc;
    ledger_add(&self->committed, &self->open);
    self->open = (struct ledger){.n_fetched = 0};
    return 0;
}

void
kaggle_batch_writer_rollback(struct kaggle_batch_writer *self)
{
    if (database_in_transaction(self->database))
        database_rollback(self->database);
    self->open = (struct ledger){.n_fetched = 0};
}
