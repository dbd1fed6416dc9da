/* Each upsert stands in a savepoint: what it began is undone before the next row. */

#include "lib/services/enrichment/hf_parser/page_store.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/utf8.h"
#include "lib/repositories/run_repository.h"
#include "lib/services/enrichment/hf_parser/mapper.h"

/* More than the ceilings of one mapped row add up to. */
#define ROW_BYTES ((size_t)32 << 20)

/* For the log: the id that a row claims to have. */
static struct str
claimed_id(const struct json *row)
{
    struct str id = json_get_str(row, STR("id"));

    return id.ptr ? utf8_cut(id, 200) : STR("unknown");
}

static int
reject_row(const struct hf_page_store *self, const struct json *row, size_t row_idx,
           const struct error *reason, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(2048);
    struct str id = claimed_id(row);
    struct run_reject reject = {
        .source = STR("api/datasets"),
        .record = (int64_t)row_idx + 1,
        .byte_offset = DATABASE_NULL,
    };

    log_warning("row rejected, passed over: id=%.*s page=%" PRId64 " row=%zu reason=%s",
                STR_ARG(id), self->page_number, row_idx + 1, reason->message);
    if (self->run->run_id == 0)
        return 0;
    buf_printf(&text, "page %" PRId64 ", id '%.*s': %s", self->page_number, STR_ARG(id),
               reason->message);
    reject.reason = buf_str(&text);
    return run_repo_add_reject(self->database, self->run->run_id, &reject, err);
}

/* A failure that lies in the row; any other would meet the next one, too. */
static bool
is_fault_of_row(int rc)
{
    return rc == -ERR_INVALID || rc == -ERR_TOO_LARGE || rc == -ERR_NOT_FOUND;
}

static int
store_row(const struct hf_page_store *self, const struct dataset *row, struct ledger *counts,
          struct error *err)
{
    enum upsert_outcome outcome;
    int rc;

    rc = database_savepoint(self->database, err);
    if (rc < 0)
        return rc;
    rc = dataset_repo_upsert(self->datasets, row, self->now_us, &outcome, err);
    if (rc == 0)
        rc = database_release(self->database, err);
    if (rc < 0) {
        database_undo(self->database);
        return rc;
    }
    counts->n_inserted += outcome == UPSERT_INSERTED;
    counts->n_updated += outcome == UPSERT_UPDATED;
    counts->n_unchanged += outcome == UPSERT_UNCHANGED;
    return 0;
}

static int
take_row(const struct hf_page_store *self, const struct json *json, size_t row_idx,
         struct arena *arena, struct ledger *counts, struct error *err)
{
    struct dataset row;
    struct error reason;
    size_t n_mistyped;
    int rc;

    counts->n_fetched++;
    rc = hf_mapper_map(json, arena, &row, &n_mistyped, &reason);
    if (rc == -ERR_INVALID) {
        counts->n_rejected++;
        return reject_row(self, json, row_idx, &reason, err);
    }
    if (rc == 0) {
        if (n_mistyped)
            log_debug("fields of undocumented types, taken as absent: id=%.*s n=%zu",
                      STR_ARG(row.external_id), n_mistyped);
        rc = store_row(self, &row, counts, &reason);
    }
    if (is_fault_of_row(rc)) {
        counts->n_failed++;
        log_warning("row not stored, passed over: id=%.*s reason=%s", STR_ARG(claimed_id(json)),
                    reason.message);
        return 0;
    }
    if (rc < 0 && err)
        *err = reason;
    return rc < 0 ? error_wrap(err, rc, "cannot store '%.*s'", STR_ARG(claimed_id(json))) : 0;
}

int
hf_page_store_rows(const struct hf_page_store *self, const struct hf_page *page, size_t n_rows,
                   struct ledger *counts, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ROW_BYTES);
    struct ledger sum = {0};

    for (size_t i = 0; i < n_rows; i++) {
        int rc;

        arena_reset(&arena);
        rc = take_row(self, &page->rows[i], i, &arena, &sum, err);
        if (rc < 0)
            return rc;
    }
    *counts = sum;
    return 0;
}
