/* Tables first, in one transaction with the rows that they bring in line; then batch by batch. */

#include "lib/services/scoring/static_score_calculator.h"

#include <inttypes.h>
#include <math.h>

#include "base/log.h"
#include "lib/repositories/enrichment_log_repository.h"
#include "lib/repositories/score_repository.h"
#include "lib/services/scoring/score_book.h"
#include "lib/services/scoring/score_formula.h"

/* A table that has moved less is kept, else every new row would change every score. */
#define TABLE_TOLERANCE 0.005

/* A score that has moved less is no event in its row's history. */
#define HISTORY_THRESHOLD 0.005

/* Batches share a transaction up to so many rows or so long: each commit writes whole pages, and
 * the rows of a few batches lie on the same ones. */
#define COMMIT_ROWS INT64_C(10000)
#define COMMIT_US   (US_PER_S / 2)

#define BATCH_LIMIT_BYTES ((size_t)64 << 20)

struct scoring {
    struct static_score_calculator *calculator;
    const struct run_context *run;
    struct score_book book;      /* the tables that count */
    struct score_class unscored; /* empty tables, for a class without active rows */
    struct score_counts *counts;
    int64_t now_us;
    int64_t begin_us;    /* of the batch, monotonic */
    int64_t last_row_id; /* 0 before the first: numbers begin at 1 */
};

/* Take what has moved from the fresh class to the stored one; rows follow. */
static int
update_class(struct scoring *self, struct score_class *stored, const struct score_class *fresh,
             struct error *err)
{
    struct database *database = self->calculator->database;
    bool is_moved = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < SCORE_N_COUNTERS; i++) {
        const struct score_table *table = &fresh->tables[i];
        const struct score_table_key key = {stored->source_name, stored->age,
                                            (enum score_counter)i};

        if (score_table_distance(table, &stored->tables[i]) <= TABLE_TOLERANCE)
            continue;
        rc = score_repo_save_table(database, &key, table->knots, table->n_knots, err);
        stored->tables[i] = *table;
        is_moved = true;
    }
    if (rc == 0 && is_moved)
        rc = score_repo_queue_class(database, stored->source_name, stored->age, err);
    return rc;
}

static int
update_book(struct scoring *self, const struct score_book *fresh, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < fresh->n_classes; i++) {
        const struct score_class *class = fresh->classes[i];
        struct score_class *stored = NULL;

        rc = score_book_get(&self->book, class->source_name, class->age, &stored, err);
        if (rc == 0)
            rc = update_class(self, stored, class, err);
    }
    for (size_t i = 0; rc == 0 && i < self->book.n_classes; i++) {
        struct score_class *stored = self->book.classes[i];

        if (!score_book_find(fresh, stored->source_name, stored->age))
            rc = update_class(self, stored, &self->unscored, err);
    }
    return rc;
}

/* The write lock is held for the comparison and the line, not for the pass over the catalogue. */
static int
prepare(struct scoring *self, int64_t *n_queued, struct error *err)
{
    CLEANUP(score_book_fini) struct score_book fresh;
    struct database *database = self->calculator->database;
    int rc;

    score_book_init(&fresh);
    rc = score_book_make(&fresh, database, self->now_us, err);
    if (rc == 0)
        rc = database_begin(database, err);
    if (rc < 0)
        return rc;
    rc = score_book_load(&self->book, database, err);
    if (rc == 0)
        rc = update_book(self, &fresh, err);
    if (rc == 0)
        rc = score_repo_queue_due(database, SCORE_FORMULA, self->now_us, err);
    if (rc == 0)
        rc = score_repo_count_queue(database, n_queued, err);
    if (rc == 0)
        rc = database_commit(database, err);
    if (rc < 0)
        database_rollback(database);
    return rc;
}

static void
log_outcome(const struct scoring *self, int64_t row_id, const struct error *why)
{
    const struct clock *clock = self->calculator->clock;
    struct enrichment_log entry = {
        .row_id = row_id,
        .stage = STAGE_STATIC_SCORE,
        .outcome = why ? OUTCOME_FAILED : OUTCOME_SUCCESS,
        .attempt = 1,
        .error_type = why ? str_from_cstr(error_exception_name((int)why->code)) : STR_NULL,
        .error_message = why ? str_from_cstr(why->message) : STR_NULL,
        .duration_ms = (clock_mono_us(clock) - self->begin_us) / US_PER_MS,
        .worker_id = self->run->worker_id,
        .task_id = self->run->task_id,
        .at_us = self->now_us,
    };
    struct error err;

    /* The history of a row is worth less than the row: its loss is told, and the work goes on. */
    if (enrichment_log_repo_append(self->calculator->database, &entry, &err) < 0)
        log_warning("enrichment log not written, work goes on: row=%" PRId64 " reason=%s", row_id,
                    err.message);
}

static int
save_row(struct scoring *self, const struct score_inputs *row, const struct static_score *score,
         enum score_age age, struct error *err)
{
    struct database *database = self->calculator->database;
    struct static_score before;
    int rc = score_repo_find(database, row->row_id, &before, err);

    if (rc == 0)
        rc = score_repo_save(database, row, age, score,
                             score_next_at(row->created_at_us, self->now_us), err);
    if (rc == 0 && (before.formula != score->formula ||
                    fabs(before.value - score->value) >= HISTORY_THRESHOLD))
        log_outcome(self, row->row_id, NULL);
    return rc;
}

static int
score_row(struct scoring *self, const struct score_inputs *row, struct score_counts *counts,
          struct error *err)
{
    enum score_age age = score_age_of(row->created_at_us, self->now_us);
    const struct score_class *class = score_book_find(&self->book, row->source_name, age);
    struct static_score score;
    struct error why;
    int rc = score_compute(row, class ? class->tables : self->unscored.tables, self->now_us, &score,
                           &why);

    if (rc < 0) {
        log_warning("dataset not scored, it is passed over: row=%" PRId64 " reason=%s", row->row_id,
                    why.message);
        log_outcome(self, row->row_id, &why);
        counts->n_failed++;
        return 0;
    }
    rc = save_row(self, row, &score, age, err);
    if (rc == 0)
        counts->n_processed++;
    return rc;
}

static int
score_rows(struct scoring *self, int64_t batch_size, struct score_inputs_list *rows,
           struct score_counts *counts, struct error *err)
{
    struct arena arena = ARENA_INIT(BATCH_LIMIT_BYTES);
    int rc = score_repo_list_queue(self->calculator->database, self->last_row_id, batch_size,
                                   &arena, rows, err);

    for (size_t i = 0; rc == 0 && i < rows->n_items; i++)
        rc = score_row(self, &rows->items[i], counts, err);
    if (rc == 0 && rows->n_items > 0)
        self->last_row_id = rows->items[rows->n_items - 1].row_id;
    arena_fini(&arena);
    return rc;
}

/* One transaction.  1 while there may be more, 0 at the end of the line, negative on failure. */
static int
run_transaction(struct scoring *self, int64_t batch_size, struct error *err)
{
    struct database *database = self->calculator->database;
    struct score_inputs_list rows = {0};
    struct score_counts counts = {0};
    int rc = database_begin(database, err);

    if (rc < 0)
        return rc;
    self->begin_us = clock_mono_us(self->calculator->clock);
    do
        rc = score_rows(self, batch_size, &rows, &counts, err);
    while (rc == 0 && (int64_t)rows.n_items == batch_size &&
           counts.n_processed + counts.n_failed < COMMIT_ROWS &&
           clock_mono_us(self->calculator->clock) - self->begin_us < COMMIT_US);
    if (rc == 0)
        rc = database_commit(database, err);
    if (rc < 0) {
        database_rollback(database);
        return rc;
    }
    self->counts->n_processed += counts.n_processed;
    self->counts->n_failed += counts.n_failed;
    return (int64_t)rows.n_items == batch_size;
}

static int
run_all(struct scoring *self, int64_t batch_size, struct error *err)
{
    int64_t n_queued = 0;
    int rc = prepare(self, &n_queued, err);

    if (rc < 0)
        return rc;
    do {
        progress_report(self->run->progress, self->counts->n_processed + self->counts->n_failed,
                        n_queued);
        rc = run_transaction(self, batch_size, err);
    } while (rc > 0 && !progress_is_cancelled(self->run->progress));
    progress_report(self->run->progress, self->counts->n_processed + self->counts->n_failed,
                    n_queued);
    return rc < 0 ? rc : 0;
}

int
static_score_calculator_run(struct static_score_calculator *self, int64_t batch_size,
                            const struct run_context *run, struct score_counts *out,
                            struct error *err)
{
    struct scoring scoring = {
        .calculator = self,
        .run = run,
        .counts = out,
        .now_us = clock_now_us(self->clock),
    };
    int rc;

    *out = (struct score_counts){0};
    /* What a power cut takes from the end is made again: it need not wait for the disk. */
    rc = database_set_sync(self->database, DATABASE_SYNC_NORMAL, err);
    if (rc < 0)
        return rc;
    score_book_init(&scoring.book);
    rc = run_all(&scoring, batch_size, err);
    score_book_fini(&scoring.book);
    if (rc < 0) {
        error_ignore(database_set_sync(self->database, DATABASE_SYNC_FULL, NULL)); /* rc counts */
        return rc;
    }
    return database_set_sync(self->database, DATABASE_SYNC_FULL, err);
}
