/* A source's rows: pages into the catalogue, the place where the next run goes on. */

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/repositories/enrichment_log_repository.h"
#include "lib/repositories/run_repository.h"
#include "lib/repositories/source_state_repository.h"
#include "lib/source/source_internal.h"

int
source_open_catalogue(struct source *self, struct error *err)
{
    int rc = 0;

    if (!self->database)
        rc = container_get_datasets(self->app, CONTAINER_WRITES, &self->datasets, err);
    return rc < 0 ? rc : container_get_database(self->app, CONTAINER_WRITES, &self->database, err);
}

static int64_t
now_us(const struct source *self)
{
    return clock_now_us(container_clock(self->app));
}

int
source_load_place(struct source *source, struct str stream, struct source_place *out,
                  struct error *err)
{
    struct source_place place = SOURCE_PLACE_INIT;
    struct source_state state;
    size_t n_bytes = out->bytes < sizeof(place) ? out->bytes : sizeof(place);
    int rc = source_open_catalogue(source, err);

    if (rc < 0)
        return rc;
    rc = source_state_repo_find(source->database, str_from_cstr(source->name), stream,
                                &source->place, &state, err);
    if (rc < 0 && rc != -ERR_NOT_FOUND)
        return rc;
    if (rc == 0) {
        place.cursor = state.cursor;
        place.etag = state.etag;
        place.detail = state.detail;
        place.watermark_us = state.watermark_us;
    }
    place.bytes = out->bytes;
    (void)memcpy(out, &place, n_bytes);
    return 0;
}

int
source_begin_page(struct source *source, struct error *err)
{
    int rc = source_open_catalogue(source, err);

    if (rc == 0 && source->is_page_open)
        rc = error_set(err, ERR_INVALID, "the page before is still open");
    if (rc == 0)
        rc = database_begin(source->database, err);
    if (rc < 0)
        return rc;
    source->is_page_open = true;
    source->page_counts = (struct ledger){0};
    return 0;
}

void
source_abandon_page(struct source *source)
{
    if (source->is_page_open)
        database_rollback(source->database);
    source->is_page_open = false;
}

static int
check_page(const struct source *source, struct error *err)
{
    return source->is_page_open ? 0
                                : error_set(err, ERR_INVALID, "no page is open: source_begin_page");
}

/* In a savepoint: what it began is undone before the next row. */
static int
upsert(struct source *source, const struct dataset *row, struct error *err)
{
    struct ledger *counts = &source->page_counts;
    enum upsert_outcome outcome;
    int rc = database_savepoint(source->database, err);

    if (rc < 0)
        return rc;
    rc = dataset_repo_upsert(source->datasets, row, now_us(source), &outcome, err);
    if (rc == 0)
        rc = database_release(source->database, err);
    if (rc < 0) {
        database_undo(source->database);
        return rc;
    }
    counts->n_inserted += outcome == UPSERT_INSERTED;
    counts->n_updated += outcome == UPSERT_UPDATED;
    counts->n_unchanged += outcome == UPSERT_UNCHANGED;
    return 0;
}

static struct str
cut(struct str text, size_t max_bytes)
{
    return text.ptr ? utf8_cut(text, max_bytes) : text;
}

static struct str_list
cut_list(struct str_list list)
{
    if (list.n_items > DATASET_LIST_ITEMS)
        list.n_items = DATASET_LIST_ITEMS;
    return list;
}

static void
make_row(const struct source *source, const struct source_dataset *in, struct dataset *out)
{
    dataset_init(out);
    out->source_name = str_from_cstr(source->name);
    out->external_id = in->external_id;
    out->source_key = in->source_key;
    out->title = cut(in->title, DATASET_TITLE_BYTES);
    out->url = in->url;
    out->description = cut(in->description, DATASET_DESCRIPTION_BYTES);
    out->license = in->license;
    out->tags = cut_list(in->tags);
    out->file_formats = cut_list(in->file_formats);
    out->column_names = cut_list(in->column_names);
    out->total_size_bytes = in->total_size_bytes;
    out->row_count = in->row_count;
    out->download_count = in->download_count;
    out->view_count = in->view_count;
    out->like_count = in->like_count;
    out->source_created_at_us = in->created_at_us;
    out->source_updated_at_us = in->updated_at_us;
    out->source_meta = in->meta.len <= DATASET_META_BYTES ? in->meta : STR_NULL;
    out->status = in->is_minimal ? DATASET_MINIMAL : DATASET_ENRICHED;
    out->is_active = !in->is_withdrawn;
}

/* Lies in the row; any other failure would meet the next one, too. */
static bool
is_fault_of_row(int rc)
{
    return rc == -ERR_INVALID || rc == -ERR_TOO_LARGE || rc == -ERR_NOT_FOUND;
}

int
source_put(struct source *source, const struct source_dataset *row, struct error *err)
{
    struct source_dataset known = SOURCE_DATASET_INIT;
    struct dataset dataset;
    struct error reason = {0};
    int rc = check_page(source, err);

    if (rc == 0)
        rc = source_read_record(row, row->bytes, &known, sizeof(known),
                                offsetof(struct source_dataset, title), "source_dataset", err);
    if (rc == 0 && source->is_out_of_memory)
        rc = error_set(err, ERR_NOMEM, "no memory for a page of '%s'", source->name);
    if (rc < 0)
        return rc;
    if (known.external_id.len == 0 || known.source_key.len == 0)
        return source_reject(source, (size_t)source->page_counts.n_fetched,
                             "it has no external_id or no source_key", err);
    make_row(source, &known, &dataset);
    rc = upsert(source, &dataset, &reason);
    if (rc < 0 && !is_fault_of_row(rc)) {
        if (err)
            *err = reason;
        return error_wrap(err, rc, "cannot store '%.*s'",
                          STR_ARG(str_slice(known.external_id, 0, 100)));
    }
    source->page_counts.n_fetched++;
    if (rc < 0) {
        source->page_counts.n_failed++;
        log_warning("row not stored, passed over: id=%.*s reason=%s",
                    STR_ARG(utf8_cut(known.external_id, 200)), reason.message);
    }
    return 0;
}

int
source_reject(struct source *source, size_t record_idx, const char *why, struct error *err)
{
    const struct run_context *run = container_run(source->app);
    struct run_reject reject = {
        .source = str_from_cstr(source->name),
        .record = (int64_t)record_idx + 1,
        .byte_offset = DATABASE_NULL,
        .reason = str_from_cstr(why),
    };
    int rc = check_page(source, err);

    if (rc < 0)
        return rc;
    log_warning("record rejected, passed over: source=%s record=%zu reason=%s", source->name,
                record_idx + 1, why);
    source->page_counts.n_fetched++;
    source->page_counts.n_rejected++;
    return run->run_id ? run_repo_add_reject(source->database, run->run_id, &reject, err) : 0;
}

static int
save_place(struct source *source, struct str stream, const struct source_place *place,
           struct error *err)
{
    struct source_place known = SOURCE_PLACE_INIT;
    struct source_state state = {
        .source_name = str_from_cstr(source->name),
        .stream = stream,
        .walk_started_at_us = DATABASE_NULL,
        .updated_at_us = now_us(source),
    };
    int rc = source_read_record(place, place->bytes, &known, sizeof(known),
                                offsetof(struct source_place, cursor), "source_place", err);

    if (rc < 0)
        return rc;
    state.cursor = known.cursor;
    state.etag = known.etag;
    state.detail = known.detail;
    state.watermark_us = known.watermark_us == SOURCE_UNKNOWN ? DATABASE_NULL : known.watermark_us;
    return source_state_repo_save(source->database, &state, err);
}

int
source_commit_page(struct source *source, struct str stream, const struct source_place *place,
                   struct error *err)
{
    int rc = check_page(source, err);

    if (rc < 0)
        return rc;
    if (place)
        rc = save_place(source, stream, place, err);
    if (rc == 0)
        rc = database_commit(source->database, err);
    if (rc < 0) {
        source_abandon_page(source);
        return rc;
    }
    source->is_page_open = false;
    ledger_add(&source->ledger, &source->page_counts);
    celery_call_progress(source->call, source->ledger.n_fetched, source->n_expected);
    return 0;
}

int
source_log_attempt(struct source *source, struct str external_id, enum source_outcome outcome,
                   int64_t duration_ms, int err_code, const char *message, struct error *err)
{
    static const enum enrichment_outcome outcomes[] = {
        [SOURCE_SUCCESS] = OUTCOME_SUCCESS,
        [SOURCE_FAILED] = OUTCOME_FAILED,
        [SOURCE_RATE_LIMITED] = OUTCOME_RATE_LIMITED,
        [SOURCE_SKIPPED] = OUTCOME_SKIPPED,
    };
    const struct run_context *run = container_run(source->app);
    struct enrichment_log entry = {
        .stage = STAGE_API_METADATA,
        .duration_ms = duration_ms,
        .error_message = str_from_cstr(message),
        .worker_id = run->worker_id,
        .task_id = run->task_id,
        .at_us = now_us(source),
    };
    struct dataset row;
    char *ref;
    int rc = source_open_catalogue(source, err);

    if (rc < 0)
        return rc;
    if ((unsigned)outcome >= COUNT_OF(outcomes))
        return error_set(err, ERR_INVALID, "unknown outcome %d", (int)outcome);
    ref = source_printf(source, "%s:%.*s", source->name, STR_ARG(external_id));
    if (!ref)
        return error_set(err, ERR_NOMEM, "no memory for a name");
    rc = dataset_repo_find(source->datasets, str_from_cstr(ref), &source->page, &row, err);
    if (rc < 0)
        return rc;
    entry.row_id = row.row_id;
    entry.outcome = outcomes[outcome];
    entry.attempt = row.enrichment_attempts + 1;
    if (err_code < 0)
        entry.error_type = str_from_cstr(error_exception_name(err_code));
    return enrichment_log_repo_append(source->database, &entry, err);
}
