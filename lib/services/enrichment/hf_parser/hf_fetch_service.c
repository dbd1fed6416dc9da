/* A run is one or two walks; a walk is a loop of fetch, store, advance. */

#include "lib/services/enrichment/hf_parser/hf_fetch_service.h"

#include <inttypes.h>

#include "base/log.h"
#include "lib/services/enrichment/hf_parser/mapper.h"
#include "lib/services/enrichment/hf_parser/page_store.h"
#include "lib/services/enrichment/hf_parser/walk.h"

/* Parsed pages of 500 rows take some megabytes; this is for strange ones. */
#define PAGE_BYTES ((size_t)512 << 20)

struct harvest {
    struct hf_fetch_service *service;
    const struct run_context *run;
    int64_t limit; /* 0 = none */
    int64_t days_back;
    struct ledger ledger;
    struct hf_walk walk;
    struct arena arena; /* the page in hand */
    struct buf mark;    /* a reference passed before: to be met again is to run in a circle */
    int64_t n_pages;    /* of this walk in this run */
    int64_t page_rows;  /* what is asked for, once a page was too large */
    bool is_resumed;
    bool has_warned;
};

/* What a page in hand means for the walk. */
struct page_view {
    size_t n_taken; /* rows up to the bound */
    int64_t top_us; /* newest key, or TIME_UNKNOWN */
    bool at_bound;
};

/* Rows that are still wanted; more than any page without a limit. */
static int64_t
rows_left(const struct harvest *self)
{
    if (self->limit == 0)
        return INT64_MAX;
    return self->limit > self->ledger.n_fetched ? self->limit - self->ledger.n_fetched : 0;
}

static int64_t
row_key(const struct harvest *self, const struct json *row)
{
    return self->walk.order == HF_BY_CREATED ? hf_mapper_created_at_us(row)
                                             : hf_mapper_updated_at_us(row);
}

/* Rows behind the last one that is not older than the bound are left out.  A row without a date, or
 * one old date among newer ones, ends nothing. */
static struct page_view
view_page(const struct harvest *self, const struct hf_page *page)
{
    struct page_view view = {.top_us = TIME_UNKNOWN};

    for (size_t i = 0; i < page->n_rows; i++) {
        int64_t key_us = row_key(self, &page->rows[i]);

        if (key_us > view.top_us)
            view.top_us = key_us;
        if (key_us == TIME_UNKNOWN)
            continue;
        view.at_bound = key_us < self->walk.bound_us;
        if (!view.at_bound)
            view.n_taken = i + 1;
    }
    if (!view.at_bound)
        view.n_taken = page->n_rows;
    return view;
}

/* Rows, place and counts in one transaction; the walk's end, where this is it. */
static int
store_page(struct harvest *self, const struct hf_page *page, struct error *err)
{
    struct database *database = self->service->database;
    struct page_view view = view_page(self, page);
    struct hf_page_store store = {
        .database = database,
        .datasets = self->service->datasets,
        .run = self->run,
        .now_us = clock_now_us(self->service->clock),
        .page_number = self->walk.n_pages + 1,
    };
    struct ledger counts;
    int rc;

    rc = database_begin(database, err);
    if (rc < 0)
        return rc;
    rc = hf_page_store_rows(&store, page, view.n_taken, &counts, err);
    if (rc == 0)
        rc = hf_walk_advance(&self->walk, view.at_bound ? STR_NULL : page->next, view.top_us,
                             &counts, err);
    if (rc == 0)
        rc = hf_walk_is_open(&self->walk)
                 ? hf_walk_save(database, &self->walk, store.now_us, err)
                 : hf_walk_finish(database, &self->walk, store.now_us, err);
    if (rc == 0)
        rc = database_commit(database, err);
    if (rc < 0) {
        database_rollback(database);
        return rc;
    }
    ledger_add(&self->ledger, &counts);
    log_debug("page stored: page=%" PRId64 " rows=%" PRId64 " requests=%u", store.page_number,
              counts.n_fetched, page->n_requests);
    return 0;
}

/* Fetch the page at the cursor, in smaller pieces where it is too large as a whole. */
static int
fetch_page(struct harvest *self, struct hf_page *out, struct error *err)
{
    for (;;) {
        int64_t left = rows_left(self);
        int64_t n_rows = left < self->page_rows ? left : self->page_rows;
        int rc = hf_client_fetch_page(self->service->client, buf_str(&self->walk.cursor), n_rows,
                                      &self->arena, out, err);

        if (rc != -ERR_TOO_LARGE || n_rows == 1)
            return rc;
        self->page_rows = n_rows / 2;
        log_warning("page too large, asking for fewer rows: rows=%" PRId64, self->page_rows);
    }
}

/* A cursor that the Hub does not know any more (*err says why): the walk begins again, with the
 * same end. */
static int
restart(struct harvest *self, struct hf_page *out, struct error *err)
{
    int rc;

    log_warning("stored cursor refused, the walk starts again: reason=%s", err->message);
    rc = hf_walk_begin(&self->walk, clock_now_us(self->service->clock), self->walk.bound_us, err);
    self->is_resumed = false;
    return rc < 0 ? rc : fetch_page(self, out, err);
}

/* The next page, checked against circles.  Source: Brent 1980, "An improved Monte Carlo
 * factorization algorithm", section 2: the mark moves on at powers of two. */
static int
next_page(struct harvest *self, struct hf_page *out, struct error *err)
{
    int rc = fetch_page(self, out, err);

    if (rc == -ERR_INVALID && self->is_resumed && self->n_pages == 0)
        rc = restart(self, out, err);
    if (rc < 0)
        return rc;
    if ((self->n_pages & (self->n_pages - 1)) == 0) {
        buf_clear(&self->mark);
        buf_append(&self->mark, buf_str(&self->walk.cursor));
    }
    self->n_pages++;
    if (out->next.len && str_equal(out->next, buf_str(&self->mark)))
        return error_set(err, ERR_INVALID, "the Hub's listing runs in a circle at page %" PRId64,
                         self->n_pages);
    if (out->warning.len && !self->has_warned) {
        self->has_warned = true;
        log_warning("the Hub warns: %.*s", STR_ARG(str_slice(out->warning, 0, 300)));
    }
    return buf_status(&self->mark, err);
}

/* Follow the open walk to its end, the limit or a wish to stop. */
static int
follow(struct harvest *self, struct error *err)
{
    while (hf_walk_is_open(&self->walk) && rows_left(self) > 0) {
        struct hf_page page;
        int rc;

        if (progress_is_cancelled(self->run->progress))
            return error_set(err, ERR_CANCELLED,
                             "stopped after %" PRId64 " rows; the next run goes on there",
                             self->ledger.n_fetched);
        rc = next_page(self, &page, err);
        if (rc < 0)
            return rc;
        if (page.n_rows == 0 && self->walk.n_pages == 0) {
            log_warning("the Hub lists no dataset at all, nothing is done");
            buf_clear(&self->walk.cursor);
            return 0;
        }
        rc = store_page(self, &page, err);
        if (rc < 0)
            return rc;
        progress_report(self->run->progress, self->ledger.n_fetched, self->limit);
    }
    return 0;
}

/* Go on with the stored walk, or begin one. */
static int
open_walk(struct harvest *self, struct error *err)
{
    struct hf_walk *walk = &self->walk;
    int64_t now_us = clock_now_us(self->service->clock);
    int64_t bound_us = 0;

    if (walk->order == HF_BY_MODIFIED) {
        bound_us = hf_coverage_bound(&walk->coverage, now_us, self->days_back);
        if (walk->top_us != TIME_UNKNOWN &&
            hf_coverage_has(&walk->coverage, walk->bound_us, walk->top_us))
            buf_clear(&walk->cursor); /* a sweep has done its work meanwhile */
    }
    self->n_pages = 0;
    self->is_resumed = hf_walk_is_open(walk);
    if (!self->is_resumed)
        return hf_walk_begin(walk, now_us, bound_us, err);
    if (bound_us < walk->bound_us)
        walk->bound_us = bound_us;
    return 0;
}

static int
harvest_run(struct harvest *self, struct error *err)
{
    enum hf_order order = self->days_back == 0 ? HF_BY_CREATED : HF_BY_MODIFIED;
    bool was_resumed;
    int rc;

    rc = hf_walk_load(self->service->database, order, &self->walk, err);
    if (rc < 0)
        return rc;
    do {
        rc = open_walk(self, err);
        was_resumed = self->is_resumed;
        if (rc == 0)
            rc = follow(self, err);
    } while (rc == 0 && was_resumed && order == HF_BY_MODIFIED && !hf_walk_is_open(&self->walk) &&
             rows_left(self) > 0);
    if (rc == 0 && hf_walk_is_open(&self->walk))
        log_info("limit reached, the next run goes on there: rows=%" PRId64 " pages=%" PRId64,
                 self->ledger.n_fetched, self->walk.n_pages);
    return rc;
}

int
hf_fetch_run(struct hf_fetch_service *self, int64_t limit, int64_t days_back,
             const struct run_context *run, struct ledger *out, struct error *err)
{
    struct harvest harvest = {
        .service = self,
        .run = run,
        .limit = limit,
        .days_back = days_back,
        .arena = ARENA_INIT(PAGE_BYTES),
        .mark = BUF_INIT(HF_REFERENCE_BYTES),
        .page_rows = HF_PAGE_ROWS,
    };
    struct error own;
    int rc;

    if (limit < 0 || days_back < 0)
        rc = error_set(&own, ERR_INVALID,
                       "limit and days_back must not be negative: %" PRId64 ", %" PRId64, limit,
                       days_back);
    else
        rc = harvest_run(&harvest, &own);
    if (rc < 0 && err)
        *err = own;
    *out = harvest.ledger;
    hf_walk_fini(&harvest.walk);
    buf_fini(&harvest.mark);
    arena_fini(&harvest.arena);
    return rc;
}
