/* Page by page: fetch outside, write inside a transaction.  Pages are cut by number from a moving
 * order, so a row may be seen twice or slip by; upserts and the next run take care of both. */

#include "lib/services/enrichment/kaggle_parser/latest_service.h"

#include <inttypes.h>

#include "base/json_writer.h"
#include "base/log.h"
#include "lib/services/enrichment/kaggle_parser/batch_writer.h"
#include "lib/services/enrichment/kaggle_parser/enrich_question.h"
#include "lib/services/enrichment/kaggle_parser/known_row.h"
#include "lib/services/enrichment/kaggle_parser/mapper.h"

#define PAGE_BYTES   ((size_t)64 << 20)
#define ANSWER_BYTES ((size_t)512 << 20)
#define DETAIL_BYTES ((size_t)1000)

struct walk {
    const struct kaggle_latest_service *service;
    struct kaggle_batch_writer writer;
    enum kaggle_sort sort;
    int64_t page;
    int64_t n_left; /* rows still wanted */
    int64_t newest_us;
    struct arena arena;                        /* of the page */
    struct dataset given_up[KAGGLE_PAGE_ROWS]; /* rows of the page that we had given up */
    size_t n_given_up;
};

/* A row that is new gets the one text that the list shows; a known one keeps what it has.  One that
 * we had given up is alive after all. */
static int
complete_row(struct walk *walk, const struct kaggle_api_dataset *dataset, struct dataset *row,
             struct error *err)
{
    struct dataset known;
    bool ok = true;
    int rc = kaggle_known_find(walk->service->datasets, row->source_key, &walk->arena, &known, err);

    if (rc == 0 && known.status == DATASET_FAILED && walk->n_given_up < COUNT_OF(walk->given_up)) {
        known.external_id = row->external_id;
        walk->given_up[walk->n_given_up++] = known;
    }
    if (rc != -ERR_NOT_FOUND)
        return rc;
    row->description = kaggle_mapper_subtitle(dataset, &walk->arena, &ok);
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for a dataset of Kaggle");
}

static int
store_row(struct walk *walk, const struct kaggle_api_row *in, const struct run_reject *place,
          struct error *err)
{
    struct run_reject reject = *place;
    struct dataset row;
    struct error why;
    int rc;

    if (in->reject) {
        reject.reason = str_from_cstr(in->reject);
        return kaggle_batch_writer_reject(&walk->writer, &reject, err);
    }
    rc = kaggle_mapper_from_api(&in->dataset, KAGGLE_LIST_ROW, &walk->arena, &row, &why);
    if (rc == -ERR_INVALID) {
        reject.reason = str_from_cstr(why.message);
        return kaggle_batch_writer_reject(&walk->writer, &reject, err);
    }
    if (rc < 0)
        return error_set(err, ERR_NOMEM, "%s", why.message);
    rc = complete_row(walk, &in->dataset, &row, err);
    if (rc < 0)
        return rc;
    if (row.source_updated_at_us > walk->newest_us)
        walk->newest_us = row.source_updated_at_us;
    return kaggle_batch_writer_put(&walk->writer, &row, place, err);
}

/* {"sort_by":"updated","pages":5} */
static int
commit_page(struct walk *walk, struct error *err)
{
    CLEANUP(buf_fini) struct buf detail = BUF_INIT(DETAIL_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&detail);
    struct source_state state = {
        .source_name = KAGGLE_SOURCE_NAME,
        .stream = STR("latest"),
        .watermark_us = walk->newest_us,
        .walk_started_at_us = DATABASE_NULL,
        .updated_at_us = walk->writer.now_us,
    };
    int rc;

    json_begin_object(&json);
    json_member_str(&json, STR("sort_by"), str_from_cstr(kaggle_sort_name(walk->sort)));
    json_member_i64(&json, STR("pages"), walk->page);
    json_end_object(&json);
    rc = buf_status(&detail, err);
    state.detail = buf_str(&detail);
    return rc < 0 ? rc : kaggle_batch_writer_commit(&walk->writer, &state, err);
}

static int
store_page(struct walk *walk, const struct kaggle_api_page *page, struct error *err)
{
    int rc = kaggle_batch_writer_begin(&walk->writer, err);

    for (size_t i = 0; rc == 0 && i < page->n_rows && walk->n_left > 0; i++) {
        struct run_reject place = {
            .source = STR("datasets/list"),
            .record = (walk->page - 1) * KAGGLE_PAGE_ROWS + (int64_t)i + 1,
            .byte_offset = DATABASE_NULL,
        };

        rc = store_row(walk, &page->rows[i], &place, err);
        walk->n_left--;
    }
    if (rc == 0)
        rc = commit_page(walk, err);
    if (rc < 0)
        kaggle_batch_writer_rollback(&walk->writer);
    return rc;
}

/* Write what a view has brought; a row that the catalogue refuses stays given up. */
static int
store_view(struct walk *walk, const struct dataset *row, struct error *err)
{
    struct database *database = walk->service->database;
    enum upsert_outcome outcome;
    int rc = database_begin(database, err);

    if (rc == 0)
        rc = dataset_repo_upsert(walk->service->datasets, row, clock_now_us(walk->service->clock),
                                 &outcome, err);
    if (rc == 0)
        rc = database_commit(database, err);
    if (rc < 0 && database_in_transaction(database))
        database_rollback(database);
    return rc == -ERR_INVALID || rc == -ERR_TOO_LARGE ? 0 : rc;
}

/* The list shows datasets that enrichment had given up (private for a while, or without a
 * reference): an upsert of a list row does not raise them, a view does. */
static int
revive_given_up(struct walk *walk, struct error *err)
{
    struct arena answer = ARENA_INIT(ANSWER_BYTES);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < walk->n_given_up; i++) {
        struct enrich_result result;

        arena_reset(&answer);
        rc = kaggle_enrich_ask(walk->service->client, &walk->given_up[i], &answer, &result, err);
        if (rc == 0 && result.fate == ENRICH_FOUND)
            rc = store_view(walk, &result.row, err);
    }
    arena_fini(&answer);
    return rc;
}

/* 1 when a page was stored, 0 when the list has no more. */
static int
take_page(struct walk *walk, struct error *err)
{
    struct kaggle_list_query query = {.sort = walk->sort, .page = walk->page};
    struct kaggle_api_page page;
    int rc;

    arena_reset(&walk->arena);
    walk->n_given_up = 0;
    rc = kaggle_client_list(walk->service->client, &query, &walk->arena, &page, err);
    if (rc < 0)
        return rc;
    if (page.n_rows == 0)
        return 0;
    rc = store_page(walk, &page, err);
    if (rc == 0)
        rc = revive_given_up(walk, err);
    return rc < 0 ? rc : 1;
}

/* The stream's watermark never goes back. */
static int
load_watermark(struct walk *walk, struct error *err)
{
    struct source_state state;
    int rc = source_state_repo_find(walk->service->database, KAGGLE_SOURCE_NAME, STR("latest"),
                                    &walk->arena, &state, err);

    if (rc == -ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        walk->newest_us = state.watermark_us;
    return rc;
}

static int
walk_pages(struct walk *walk, int64_t limit, struct error *err)
{
    const struct progress *progress = walk->writer.ctx->progress;
    int rc = load_watermark(walk, err);

    while (rc >= 0 && walk->n_left > 0) {
        if (walk->page == KAGGLE_LAST_PAGE) {
            log_info("Kaggle's list ends at its wall, the rest is for kaggle.seed_initial: "
                     "page=%" PRId64,
                     walk->page);
            break;
        }
        if (progress_is_cancelled(progress))
            return error_set(err, ERR_CANCELLED, "cancelled after page %" PRId64, walk->page);
        walk->page++;
        rc = take_page(walk, err);
        if (rc == 0)
            break;
        progress_report(progress, limit - walk->n_left, limit);
    }
    return rc < 0 ? rc : 0;
}

int
kaggle_fetch_latest_run(const struct kaggle_latest_service *self, int64_t limit, struct str sort_by,
                        const struct run_context *ctx, struct ledger *out, struct error *err)
{
    struct walk walk = {
        .service = self,
        .writer = {.database = self->database,
                   .datasets = self->datasets,
                   .ctx = ctx,
                   .clock = self->clock},
        .n_left = limit,
        .newest_us = DATABASE_NULL,
        .arena = ARENA_INIT(PAGE_BYTES),
    };
    int rc = kaggle_parse_sort(sort_by, &walk.sort, err);

    if (rc == 0)
        rc = walk_pages(&walk, limit, err);
    arena_fini(&walk.arena);
    *out = walk.writer.committed;
    return rc;
}
