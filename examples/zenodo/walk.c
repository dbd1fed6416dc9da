/* Which records a run asks for: the newest first, and nothing twice that could be helped.
 *
 * What is known of Zenodo is two stretches of time at most:
 *
 *     older <-- floor ====== gap_from ------ gap_to ====== newest --> now
 *                 known        missing          known
 *
 * A run fills the gap, then takes what is newer than `newest`, then goes on below `floor`; a limit
 * or a kill while it takes the new ones leaves a gap for the next run.  All four are stored with
 * each page, in the page's transaction.  Every span begins a little before its bound, since a
 * record is listed some time after it was created: rows seen twice are rows unchanged. */

#include "zenodo.h"

#include <inttypes.h>
#include <time.h>

#include <trawl/log.h>

#define STREAM     STR("listing")
#define OVERLAP_US (INT64_C(600) * 1000000)

enum span_kind { SPAN_GAP, SPAN_NEW, SPAN_OLD };

struct walk {
    struct celery_call *call;
    struct source *source;
    int64_t limit; /* 0 = none */
    int64_t newest_us;
    int64_t gap_from_us; /* SOURCE_UNKNOWN = no gap */
    int64_t gap_to_us;
    int64_t floor_us; /* 0 = nothing is older */
};

/* A page in hand. */
struct taken {
    size_t n_rows;
    int64_t newest_us;
    int64_t oldest_us;
    bool is_last;
};

static int64_t
now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t
rows_left(const struct walk *self)
{
    int64_t n_fetched = source_n_fetched(self->source);

    if (self->limit == 0)
        return INT64_MAX;
    return self->limit > n_fetched ? self->limit - n_fetched : 0;
}

static int64_t
number_of(const struct json *object, struct str name)
{
    int64_t value;

    return json_is_i64(json_get(object, name), &value) ? value : SOURCE_UNKNOWN;
}

static int
load(struct walk *self, struct error *err)
{
    struct source_place place = SOURCE_PLACE_INIT;
    const struct json *detail = NULL;
    int rc = source_load_place(self->source, STREAM, &place, err);

    if (rc == 0 && place.detail.len)
        rc = source_parse(self->source, place.detail, &detail, err);
    if (rc < 0)
        return rc;
    self->newest_us = place.watermark_us;
    self->gap_from_us = number_of(detail, STR("gap_from_us"));
    self->gap_to_us = number_of(detail, STR("gap_to_us"));
    self->floor_us = number_of(detail, STR("floor_us"));
    return 0;
}

static int
commit(struct walk *self, struct error *err)
{
    struct source_place place = SOURCE_PLACE_INIT;
    char *detail;

    if (self->gap_from_us == SOURCE_UNKNOWN)
        detail = source_printf(self->source, "{\"floor_us\":%" PRId64 "}", self->floor_us);
    else
        detail = source_printf(self->source,
                               "{\"floor_us\":%" PRId64 ",\"gap_from_us\":%" PRId64
                               ",\"gap_to_us\":%" PRId64 "}",
                               self->floor_us, self->gap_from_us, self->gap_to_us);
    if (!detail)
        return error_set(err, ERR_NOMEM, "no memory for the place");
    place.watermark_us = self->newest_us;
    place.detail = str_from_cstr(detail);
    return source_commit_page(self->source, STREAM, &place, err);
}

/* What the page means for the place; old_us is where the new ones end. */
static void
advance(struct walk *self, enum span_kind kind, const struct taken *page, int64_t old_us)
{
    if (page->newest_us != SOURCE_UNKNOWN && page->newest_us > self->newest_us)
        self->newest_us = page->newest_us;
    if (kind == SPAN_OLD) {
        self->floor_us = page->is_last ? 0 : page->oldest_us;
    } else if (page->is_last) {
        self->gap_from_us = SOURCE_UNKNOWN;
        self->gap_to_us = SOURCE_UNKNOWN;
    } else {
        self->gap_from_us = old_us;
        self->gap_to_us = page->oldest_us;
    }
}

static int
store_rows(struct walk *self, const struct zenodo_page *page, struct taken *out, struct error *err)
{
    int64_t left = rows_left(self);

    *out = (struct taken){.newest_us = SOURCE_UNKNOWN, .oldest_us = SOURCE_UNKNOWN};
    for (; out->n_rows < page->n_rows && (int64_t)out->n_rows < left; out->n_rows++) {
        const struct json *record = json_item(page->rows, out->n_rows);
        int64_t created_us = zenodo_mapper_created_at_us(record);
        struct source_dataset row;
        const char *why = zenodo_mapper_map(self->source, record, &row);
        int rc = why ? source_reject(self->source, out->n_rows, why, err)
                     : source_put(self->source, &row, err);

        if (rc < 0)
            return rc;
        if (created_us == SOURCE_UNKNOWN)
            continue;
        if (out->newest_us == SOURCE_UNKNOWN || created_us > out->newest_us)
            out->newest_us = created_us;
        if (out->oldest_us == SOURCE_UNKNOWN || created_us < out->oldest_us)
            out->oldest_us = created_us;
    }
    out->is_last = page->n_rows < ZENODO_PAGE_ROWS && out->n_rows == page->n_rows;
    if (!out->is_last && out->oldest_us == SOURCE_UNKNOWN)
        return error_set(err, ERR_INVALID, "a whole page of records without a date");
    return 0;
}

static int
take_page(struct walk *self, enum span_kind kind, const struct zenodo_span *span,
          size_t page_number, int64_t old_us, struct taken *out, struct error *err)
{
    struct zenodo_page page;
    int rc = zenodo_client_fetch(self->source, span, page_number, &page, err);

    if (rc == 0)
        rc = source_begin_page(self->source, err);
    if (rc < 0)
        return rc;
    rc = store_rows(self, &page, out, err);
    if (rc == 0) {
        advance(self, kind, out, old_us);
        rc = commit(self, err);
    }
    if (rc < 0)
        source_abandon_page(self->source);
    return rc;
}

/* Page by page to the span's end, the limit, or a wish to stop. */
static int
follow(struct walk *self, enum span_kind kind, struct zenodo_span span, struct error *err)
{
    int64_t old_us = kind == SPAN_GAP ? self->gap_from_us : self->newest_us;
    struct taken taken = {.is_last = false};

    for (size_t page = 1; rows_left(self) > 0 && !taken.is_last; page++) {
        int rc;

        if (celery_call_is_cancelled(self->call))
            return error_set(err, ERR_CANCELLED,
                             "stopped after %" PRId64 " rows; the next run goes on there",
                             source_n_fetched(self->source));
        if (page * ZENODO_PAGE_ROWS > ZENODO_WINDOW_RESULTS) { /* a narrower search goes on */
            if (taken.oldest_us >= span.to_us)
                return error_set(err, ERR_INVALID, "more than %d records of one moment",
                                 ZENODO_WINDOW_RESULTS);
            span.to_us = taken.oldest_us;
            page = 1;
        }
        rc = take_page(self, kind, &span, page, old_us, &taken, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int
zenodo_walk_run(struct celery_call *call, struct source *source, int64_t limit, struct error *err)
{
    struct walk walk = {.call = call, .source = source, .limit = limit};
    int64_t begin_us = now_us();
    int rc = load(&walk, err);

    source_expect(source, limit);
    if (rc == 0 && walk.newest_us == SOURCE_UNKNOWN) /* the first run: all is older than now */
        return follow(&walk, SPAN_OLD, (struct zenodo_span){SOURCE_UNKNOWN, begin_us}, err);
    if (rc == 0 && walk.gap_from_us != SOURCE_UNKNOWN)
        rc = follow(&walk, SPAN_GAP,
                    (struct zenodo_span){walk.gap_from_us - OVERLAP_US, walk.gap_to_us}, err);
    if (rc == 0)
        rc = follow(&walk, SPAN_NEW, (struct zenodo_span){walk.newest_us - OVERLAP_US, begin_us},
                    err);
    if (rc == 0 && walk.floor_us > 0)
        rc = follow(&walk, SPAN_OLD, (struct zenodo_span){SOURCE_UNKNOWN, walk.floor_us}, err);
    if (rc == 0 && rows_left(&walk) == 0)
        log_info("limit reached, the next run goes on there: rows=%" PRId64,
                 source_n_fetched(source));
    return rc;
}
