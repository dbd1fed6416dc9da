/* Claim a few rows, ask for each outside of any transaction, finish it and its log entry inside
 * one. */

#include "lib/services/enrichment/kaggle_parser/enrich_service.h"

#include <inttypes.h>

#include "base/log.h"
#include "lib/repositories/enrichment_log_repository.h"
#include "lib/services/enrichment/kaggle_parser/enrich_question.h"
#include "lib/services/enrichment/kaggle_parser/mapper.h"

#define CLAIM_ROWS    ((int64_t)10) /* leased together: few, because each takes a second or more */
#define LEASE_US      (INT64_C(3600) * US_PER_S)
#define CLAIM_BYTES   ((size_t)16 << 20)
#define ROW_BYTES     ((size_t)512 << 20)
#define MAX_TRANSIENT 3

struct enrich_run {
    const struct kaggle_enrich_service *service;
    const struct run_context *ctx;
    struct kaggle_enrich_counts counts;
    struct arena claims;  /* the leased rows */
    struct arena row;     /* answers about one of them */
    unsigned n_transient; /* in a row */
};

/* Pause before the next attempt, by the number of attempts that failed. */
static int64_t
backoff_us(int64_t n_attempts)
{
    static const int64_t hours[] = {1, 6, 24};
    size_t i = n_attempts < 1 ? 0 : (size_t)n_attempts - 1;

    return hours[i < COUNT_OF(hours) ? i : COUNT_OF(hours) - 1] * 3600 * US_PER_S;
}

static enum enrichment_result
result_of(enum enrich_fate fate, int64_t n_attempts)
{
    if (fate == ENRICH_FOUND)
        return ENRICHMENT_SUCCESS;
    if (fate == ENRICH_GONE || (fate == ENRICH_FAILED && n_attempts >= KAGGLE_MAX_ATTEMPTS))
        return ENRICHMENT_GIVE_UP;
    return ENRICHMENT_RETRY;
}

static int
append_log(struct enrich_run *run, const struct dataset *known, enum enrichment_outcome outcome,
           enum error_code code, struct str message, int64_t duration_ms, struct error *err)
{
    struct enrichment_log entry = {
        .row_id = known->row_id,
        .stage = STAGE_API_METADATA,
        .outcome = outcome,
        .attempt = known->enrichment_attempts + 1,
        .duration_ms = duration_ms,
        .worker_id = run->ctx->worker_id,
        .task_id = run->ctx->task_id,
        .at_us = clock_now_us(run->service->clock),
    };

    if (outcome != OUTCOME_SUCCESS) {
        entry.error_type = str_from_cstr(error_exception_name((int)code));
        entry.error_message = message;
    }
    return enrichment_log_repo_append(run->service->database, &entry, err);
}

/* The end of a claim and its log entry, in the open transaction. */
static int
write_result(struct enrich_run *run, const struct dataset *known,
             const struct enrich_result *result, int64_t duration_ms, struct error *err)
{
    bool is_found = result->fate == ENRICH_FOUND;
    int64_t now_us = clock_now_us(run->service->clock);
    int64_t n_attempts = known->enrichment_attempts + 1;
    int rc;

    rc = dataset_repo_finish_enrichment(
        run->service->datasets, known->row_id, run->ctx->worker_id,
        result_of(result->fate, n_attempts), is_found ? &result->row : NULL,
        now_us + backoff_us(n_attempts), result->message, now_us, err);
    if (rc < 0)
        return rc;
    return append_log(run, known, is_found ? OUTCOME_SUCCESS : OUTCOME_FAILED, result->code,
                      result->message, duration_ms, err);
}

static int
save_result(struct enrich_run *run, const struct dataset *known, const struct enrich_result *result,
            int64_t duration_ms, struct error *err)
{
    struct database *database = run->service->database;
    int rc = database_begin(database, err);

    if (rc == 0)
        rc = write_result(run, known, result, duration_ms, err);
    if (rc == 0)
        rc = database_commit(database, err);
    if (rc < 0 && database_in_transaction(database))
        database_rollback(database);
    return rc;
}

/* A row that the catalogue refuses is a failed attempt like any other. */
static int
save_or_fail(struct enrich_run *run, const struct dataset *known, struct enrich_result *result,
             int64_t duration_ms, struct error *err)
{
    struct error why;
    int rc = save_result(run, known, result, duration_ms, &why);

    if (result->fate == ENRICH_FOUND && (rc == -ERR_INVALID || rc == -ERR_TOO_LARGE)) {
        bool ok = true;
        struct str reason = arena_dup(&run->row, str_from_cstr(why.message), &ok);

        if (!ok)
            return error_set(err, ERR_NOMEM, "no memory for the reason '%s'", why.message);
        *result =
            (struct enrich_result){.fate = ENRICH_FAILED, .code = why.code, .message = reason};
        return save_result(run, known, result, duration_ms, err);
    }
    if (rc < 0 && err)
        *err = why;
    return rc;
}

static void
count_result(struct enrich_run *run, const struct dataset *known,
             const struct enrich_result *result)
{
    run->n_transient = result->fate == ENRICH_TRANSIENT ? run->n_transient + 1 : 0;
    if (result->fate == ENRICH_FOUND) {
        run->counts.n_enriched++;
        return;
    }
    run->counts.n_failed++;
    log_warning("dataset not enriched, %s: dataset=%.*s attempt=%" PRId64 " reason=%.*s",
                result_of(result->fate, known->enrichment_attempts + 1) == ENRICHMENT_GIVE_UP
                    ? "given up"
                    : "tried again later",
                STR_ARG(known->external_id), known->enrichment_attempts + 1,
                STR_ARG(result->message));
}

static int
enrich_one(struct enrich_run *run, const struct dataset *known, struct error *err)
{
    int64_t started_us = clock_mono_us(run->service->clock);
    struct enrich_result result;
    int64_t duration_ms;
    int rc;

    arena_reset(&run->row);
    rc = kaggle_enrich_ask(run->service->client, known, &run->row, &result, err);
    if (rc < 0)
        return rc;
    duration_ms = (clock_mono_us(run->service->clock) - started_us) / US_PER_MS;
    rc = save_or_fail(run, known, &result, duration_ms, err);
    if (rc == -ERR_NOT_FOUND) {
        log_warning("lease lost, another worker has the dataset: dataset=%.*s",
                    STR_ARG(known->external_id));
        return 0;
    }
    if (rc == 0)
        count_result(run, known, &result);
    return rc;
}

static int
claim(struct enrich_run *run, int64_t limit, struct dataset_list *out, struct error *err)
{
    int64_t now_us = clock_now_us(run->service->clock);
    struct lease lease = {.owner = run->ctx->worker_id, .until_us = now_us + LEASE_US};
    int rc = database_begin(run->service->database, err);

    arena_reset(&run->claims);
    if (rc == 0)
        rc = dataset_repo_claim_unenriched(run->service->datasets, KAGGLE_SOURCE_NAME, limit,
                                           &lease, now_us, &run->claims, out, err);
    if (rc == 0)
        rc = database_commit(run->service->database, err);
    if (rc < 0 && database_in_transaction(run->service->database))
        database_rollback(run->service->database);
    return rc;
}

/* Give back what is still leased; limited is the row that met the limit, or NULL. */
static int
release(struct enrich_run *run, const struct dataset *limited, struct str message,
        int64_t *n_released, struct error *err)
{
    struct database *database = run->service->database;
    int rc = database_begin(database, err);

    if (rc == 0)
        rc = dataset_repo_release(run->service->datasets, run->ctx->worker_id,
                                  clock_now_us(run->service->clock), n_released, err);
    if (rc == 0 && limited)
        rc = append_log(run, limited, OUTCOME_RATE_LIMITED, ERR_RATE_LIMIT, message, 0, err);
    if (rc == 0)
        rc = database_commit(database, err);
    if (rc < 0 && database_in_transaction(database))
        database_rollback(database);
    return rc;
}

/* Give the rest back and say why; the leases end by themselves where even that fails. */
static int
stop_early(struct enrich_run *run, int rc, const struct error *why, struct error *err)
{
    int64_t n_released = 0;
    struct error second;

    if (release(run, NULL, STR_NULL, &n_released, &second) < 0)
        log_warning("claimed datasets not given back, their leases will run out: reason=%s",
                    second.message);
    if (err)
        *err = *why;
    return rc;
}

/* 1 when the limit was met and everything is given back. */
static int
end_limited(struct enrich_run *run, const struct dataset *known, const struct error *why,
            struct error *err)
{
    int rc = release(run, known, str_from_cstr(why->message), &run->counts.n_rate_limited, err);

    if (rc < 0)
        return rc;
    log_warning("Kaggle limits us, the rest waits for the next run: given_back=%" PRId64
                " retry_after_ms=%" PRId64,
                run->counts.n_rate_limited, why->retry_after_ms);
    return 1;
}

/* 0 to go on, 1 when the run is over. */
static int
enrich_claimed(struct enrich_run *run, const struct dataset_list *claimed, int64_t batch_size,
               int64_t n_before, struct error *err)
{
    for (size_t i = 0; i < claimed->n_items; i++) {
        struct error why;
        int rc = 0;

        if (progress_is_cancelled(run->ctx->progress))
            rc = error_set(&why, ERR_CANCELLED, "cancelled after %" PRId64 " datasets",
                           n_before + (int64_t)i);
        if (rc == 0)
            rc = enrich_one(run, &claimed->items[i], &why);
        if (rc == 0 && run->n_transient >= MAX_TRANSIENT)
            rc =
                error_set(&why, ERR_NETWORK,
                          "Kaggle failed for %d datasets in a row: the rest waits for the next run",
                          MAX_TRANSIENT);
        if (rc == -ERR_RATE_LIMIT)
            return end_limited(run, &claimed->items[i], &why, err);
        if (rc < 0)
            return stop_early(run, rc, &why, err);
        progress_report(run->ctx->progress, n_before + (int64_t)i + 1, batch_size);
    }
    return 0;
}

static int
enrich_all(struct enrich_run *run, int64_t batch_size, struct error *err)
{
    int64_t n_done = 0;
    int rc = 0;

    while (rc == 0 && n_done < batch_size) {
        int64_t n_left = batch_size - n_done;
        struct dataset_list claimed;

        rc = claim(run, n_left < CLAIM_ROWS ? n_left : CLAIM_ROWS, &claimed, err);
        if (rc < 0 || claimed.n_items == 0)
            break;
        rc = enrich_claimed(run, &claimed, batch_size, n_done, err);
        n_done += (int64_t)claimed.n_items;
    }
    return rc < 0 ? rc : 0;
}

int
kaggle_enrich_run(const struct kaggle_enrich_service *self, int64_t batch_size,
                  const struct run_context *ctx, struct kaggle_enrich_counts *out,
                  struct error *err)
{
    struct enrich_run run = {
        .service = self,
        .ctx = ctx,
        .claims = ARENA_INIT(CLAIM_BYTES),
        .row = ARENA_INIT(ROW_BYTES),
    };
    int rc = enrich_all(&run, batch_size, err);

    arena_fini(&run.claims);
    arena_fini(&run.row);
    *out = run.counts;
    return rc;
}
