/* The detail of a stream is one JSON object, written and read here only. */

#include "lib/services/enrichment/hf_parser/walk.h"

#include "base/json_fields.h"
#include "base/json_writer.h"
#include "lib/repositories/source_state_repository.h"
#include "lib/services/enrichment/hf_parser/mapper.h"

#define STATE_BYTES  ((size_t)1 << 20)
#define DETAIL_BYTES ((size_t)4096)

static const struct json_field detail_fields[] = {
    JSON_FIELD(I64, struct hf_walk, top_us, "top_us", 0),
    JSON_FIELD(I64, struct hf_walk, bound_us, "bound_us", 0),
    JSON_FIELD(I64, struct hf_walk, n_pages, "pages", 0),
    JSON_FIELD(I64, struct hf_walk, ledger.n_fetched, "fetched", 0),
    JSON_FIELD(I64, struct hf_walk, ledger.n_inserted, "inserted", 0),
    JSON_FIELD(I64, struct hf_walk, ledger.n_updated, "updated", 0),
    JSON_FIELD(I64, struct hf_walk, ledger.n_unchanged, "unchanged", 0),
    JSON_FIELD(I64, struct hf_walk, ledger.n_rejected, "rejected", 0),
    JSON_FIELD(I64, struct hf_walk, ledger.n_failed, "failed", 0),
    JSON_FIELD(I64, struct hf_walk, coverage.since_us, "covered_since_us", 0),
    JSON_FIELD(I64, struct hf_walk, finished_at_us, "finished_at_us", 0),
    JSON_FIELD(I64, struct hf_walk, n_finished_rows, "finished_fetched", 0),
    JSON_FIELDS_END,
};

static struct str
stream_name(enum hf_order order)
{
    return order == HF_BY_CREATED ? STR("sweep") : STR("listing");
}

static int
read_state(const struct source_state *state, struct arena *arena, struct hf_walk *out,
           struct error *err)
{
    struct json detail;
    int rc;

    rc = json_parse(state->detail, NULL, arena, &detail, err);
    if (rc == 0)
        rc = json_fields_read(&detail, detail_fields, out, NULL, err);
    if (rc == -ERR_INVALID || rc == -ERR_TOO_LARGE)
        rc = error_set(err, ERR_CORRUPT, "stored detail is no JSON object");
    if (rc < 0)
        return rc;
    out->started_at_us = state->walk_started_at_us;
    out->coverage.until_us = state->watermark_us;
    buf_append(&out->cursor, state->cursor);
    return buf_status(&out->cursor, err);
}

int
hf_walk_load(struct database *database, enum hf_order order, struct hf_walk *out, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(STATE_BYTES);
    struct source_state state;
    int rc;

    *out = (struct hf_walk){
        .order = order,
        .cursor = BUF_INIT(HF_REFERENCE_BYTES),
        .started_at_us = TIME_UNKNOWN,
        .top_us = TIME_UNKNOWN,
        .coverage = {0, TIME_UNKNOWN},
        .finished_at_us = TIME_UNKNOWN,
    };
    rc = source_state_repo_find(database, HF_SOURCE_NAME, stream_name(order), &arena, &state, err);
    if (rc == -ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = read_state(&state, &arena, out, err);
    return rc < 0 ? error_wrap(err, rc, "cannot read where the walk '%.*s' stands",
                               STR_ARG(stream_name(order)))
                  : 0;
}

void
hf_walk_fini(struct hf_walk *walk)
{
    buf_fini(&walk->cursor);
}

static void
write_detail(const struct hf_walk *walk, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    json_begin_object(&json);
    for (const struct json_field *field = detail_fields; field->name.ptr; field++) {
        int64_t value;

        (void)memcpy(&value, (const char *)walk + field->offset, sizeof(value));
        if (value != TIME_UNKNOWN)
            json_member_i64(&json, field->name, value);
    }
    json_end_object(&json);
}

int
hf_walk_save(struct database *database, const struct hf_walk *walk, int64_t now_us,
             struct error *err)
{
    CLEANUP(buf_fini) struct buf detail = BUF_INIT(DETAIL_BYTES);
    struct source_state state = {
        .source_name = HF_SOURCE_NAME,
        .stream = stream_name(walk->order),
        .cursor = hf_walk_is_open(walk) ? buf_str(&walk->cursor) : STR_NULL,
        .watermark_us = walk->coverage.until_us,
        .walk_started_at_us = walk->started_at_us,
        .updated_at_us = now_us,
    };
    int rc = buf_status(&walk->cursor, err);

    write_detail(walk, &detail);
    if (rc == 0)
        rc = buf_status(&detail, err);
    if (rc < 0)
        return rc;
    state.detail = buf_str(&detail);
    return source_state_repo_save(database, &state, err);
}

int
hf_walk_begin(struct hf_walk *walk, int64_t now_us, int64_t bound_us, struct error *err)
{
    buf_clear(&walk->cursor);
    buf_append(&walk->cursor, hf_listing_first(walk->order));
    walk->started_at_us = now_us;
    walk->top_us = TIME_UNKNOWN;
    walk->bound_us = bound_us;
    walk->n_pages = 0;
    walk->ledger = (struct ledger){0};
    return buf_status(&walk->cursor, err);
}

int
hf_walk_advance(struct hf_walk *walk, struct str next, int64_t top_us, const struct ledger *page,
                struct error *err)
{
    /* A date in the future would cover what has not happened yet. */
    if (walk->n_pages == 0)
        walk->top_us = top_us < walk->started_at_us ? top_us : walk->started_at_us;
    walk->n_pages++;
    ledger_add(&walk->ledger, page);
    buf_clear(&walk->cursor);
    buf_append(&walk->cursor, next);
    return buf_status(&walk->cursor, err);
}

int
hf_walk_finish(struct database *database, struct hf_walk *walk, int64_t now_us, struct error *err)
{
    struct hf_walk listing;
    int rc;

    buf_clear(&walk->cursor);
    walk->finished_at_us = now_us;
    walk->n_finished_rows = walk->ledger.n_fetched;
    walk->started_at_us = TIME_UNKNOWN;
    if (walk->order == HF_BY_MODIFIED || walk->top_us == TIME_UNKNOWN) {
        if (walk->top_us != TIME_UNKNOWN)
            hf_coverage_add(&walk->coverage, walk->bound_us, walk->top_us);
        return hf_walk_save(database, walk, now_us, err);
    }
    rc = hf_walk_load(database, HF_BY_MODIFIED, &listing, err);
    if (rc == 0) {
        hf_coverage_add(&listing.coverage, walk->bound_us, walk->top_us);
        rc = hf_walk_save(database, &listing, now_us, err);
    }
    hf_walk_fini(&listing);
    return rc < 0 ? rc : hf_walk_save(database, walk, now_us, err);
}
