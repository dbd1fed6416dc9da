#pragma once

/* A Hub in memory behind the client's interface: rows that change, keyset cursors, scripted faults;
 * and a service on a real database that reads from it. */

#include <inttypes.h>

#include "base/timestamp.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/enrichment/hf_parser/hf_fetch_service.h"
#include "tests/unit/lib/core/database_fixture.h"

#define FAKE_ROWS 200

/* 2024-11-25T00:00:00Z: where the tests' clock starts. */
#define FAKE_NOW_US (INT64_C(1732492800) * US_PER_S)

struct fake_row {
    int64_t number; /* the row is "o/n<number>" */
    int64_t created_us;
    int64_t modified_us;
    int64_t version;  /* its description is "v<version>" */
    const char *json; /* sent instead, when set */
};

struct fake_hub {
    struct hf_client client; /* first: the service sees only this */
    struct clock clock;
    struct progress progress;
    int64_t now_us;
    struct fake_row rows[FAKE_ROWS];
    size_t n_rows;
    size_t page_cap;         /* most rows of a page, whatever is asked for */
    bool ignores_size;       /* every page has page_cap rows */
    bool refuses_cursors;    /* only first pages are served */
    bool runs_in_circle;     /* the page after the second is the first again */
    int64_t too_large_above; /* pages of more rows are too large; 0 = none are */
    size_t fails_at;         /* this request fails, from 1; 0 = none */
    int fails_with;
    size_t cancels_at; /* the caller wants to stop after this request */
    size_t n_requests;
    int64_t last_size;                         /* what the last request asked for */
    void (*on_request)(struct fake_hub *self); /* changes rows during a walk */
    int64_t reported;                          /* the last progress */
    int64_t expected;
};

static inline struct fake_hub *
fake_of_client(struct hf_client *client)
{
    return (struct fake_hub *)client;
}

static inline int64_t
fake_key(const struct fake_row *row, bool by_created)
{
    return by_created ? row->created_us : row->modified_us;
}

/* Whether a stands behind the position (key, number) in descending order. */
static inline bool
fake_is_behind(const struct fake_row *a, bool by_created, int64_t key_us, int64_t number)
{
    int64_t own_us = fake_key(a, by_created);

    return own_us < key_us || (own_us == key_us && a->number > number);
}

/* The first row behind a position, NULL at the end. */
static inline const struct fake_row *
fake_next(const struct fake_hub *self, bool by_created, int64_t key_us, int64_t number)
{
    const struct fake_row *best = NULL;

    for (size_t i = 0; i < self->n_rows; i++) {
        const struct fake_row *row = &self->rows[i];

        if (fake_is_behind(row, by_created, key_us, number) &&
            (!best || fake_is_behind(best, by_created, fake_key(row, by_created), row->number)))
            best = row;
    }
    return best;
}

static inline void
fake_write_row(const struct fake_row *row, struct buf *out)
{
    char created[TIMESTAMP_TEXT_BYTES];
    char modified[TIMESTAMP_TEXT_BYTES];

    if (row->json) {
        buf_append(out, str_from_cstr(row->json));
        return;
    }
    buf_printf(out,
               "{\"_id\":\"id%" PRId64 "\",\"id\":\"o/n%" PRId64 "\",\"createdAt\":\"%s\","
               "\"lastModified\":\"%s\",\"description\":\"v%" PRId64 "\"}",
               row->number, row->number, timestamp_format(row->created_us, created),
               timestamp_format(row->modified_us, modified), row->version);
}

static inline int
fake_refuse(struct fake_hub *self, struct str reference, int64_t n_rows, struct error *err)
{
    self->n_requests++;
    self->last_size = n_rows;
    if (self->n_requests == self->fails_at)
        return error_set(err, (enum error_code) - self->fails_with, "scripted");
    if (self->too_large_above && n_rows > self->too_large_above)
        return error_set(err, ERR_TOO_LARGE, "scripted");
    if (self->refuses_cursors && str_find(reference, STR("cursor=")) < reference.len)
        return error_set(err, ERR_INVALID, "cursor refused");
    return 0;
}

static inline int
fake_fetch_page(struct hf_client *client, struct str reference, int64_t n_rows, struct arena *arena,
                struct hf_page *out, struct error *err)
{
    struct fake_hub *self = fake_of_client(client);
    bool by_created = str_find(reference, STR("sort=createdAt")) < reference.len;
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)1 << 20);
    const struct fake_row *row;
    int64_t key_us = INT64_MAX;
    int64_t number = 0;
    char copy[512];
    size_t n = 0;
    struct json json;
    int rc = fake_refuse(self, reference, n_rows, err);

    if (rc < 0)
        return rc;
    if (self->on_request)
        self->on_request(self);
    (void)snprintf(copy, sizeof(copy), "%.*s", STR_ARG(reference));
    if (strstr(copy, "cursor="))
        assert_int_equal(
            sscanf(strstr(copy, "cursor="), "cursor=%" SCNd64 ".%" SCNd64, &key_us, &number), 2);
    if (self->ignores_size || n_rows > (int64_t)self->page_cap)
        n_rows = (int64_t)self->page_cap;
    arena_reset(arena);
    buf_append_char(&text, '[');
    while (n < (size_t)n_rows && (row = fake_next(self, by_created, key_us, number))) {
        if (n++)
            buf_append_char(&text, ',');
        fake_write_row(row, &text);
        key_us = fake_key(row, by_created);
        number = row->number;
    }
    buf_append_char(&text, ']');
    *out = (struct hf_page){.n_requests = 1};
    if (fake_next(self, by_created, key_us, number))
        out->next =
            str_from_cstr(arena_printf(arena, "/api/datasets?sort=%s&cursor=%" PRId64 ".%" PRId64,
                                       by_created ? "createdAt" : "lastModified", key_us, number));
    if (self->runs_in_circle && self->n_requests >= 2)
        out->next =
            str_from_cstr(arena_printf(arena, "%.*s", STR_ARG(hf_listing_first(HF_BY_CREATED))));
    rc = json_parse(str_from_cstr(arena_printf(arena, "%s", buf_cstr(&text))), NULL, arena, &json,
                    err);
    out->rows = json.array.items;
    out->n_rows = json.array.n_items;
    return rc;
}

static const struct hf_client_ops fake_ops = {.fetch_page = fake_fetch_page};

static inline int64_t
fake_now_us(const struct clock *clock)
{
    const char *hub = (const char *)clock - offsetof(struct fake_hub, clock);

    return ((const struct fake_hub *)(const void *)hub)->now_us;
}

static inline const struct fake_hub *
fake_of_progress(const struct progress *progress)
{
    const char *hub = (const char *)progress - offsetof(struct fake_hub, progress);

    return (const struct fake_hub *)(const void *)hub;
}

static inline void
fake_report(const struct progress *progress, int64_t done, int64_t total)
{
    /* The interface is const for its users; this one was made writable by its test. */
    struct fake_hub *self = (struct fake_hub *)(uintptr_t)fake_of_progress(progress);

    self->reported = done;
    self->expected = total;
}

static inline bool
fake_is_cancelled(const struct progress *progress)
{
    const struct fake_hub *self = fake_of_progress(progress);

    return self->cancels_at && self->n_requests >= self->cancels_at;
}

static inline void
fake_init(struct fake_hub *self)
{
    *self = (struct fake_hub){
        .client = {&fake_ops},
        .clock = {.now_us = fake_now_us, .mono_us = fake_now_us},
        .progress = {.report = fake_report, .is_cancelled = fake_is_cancelled},
        .now_us = FAKE_NOW_US,
        .page_cap = 10,
    };
}

/* Add a row, created and modified so long before now. */
static inline struct fake_row *
fake_add(struct fake_hub *self, int64_t created_ago_us, int64_t modified_ago_us)
{
    struct fake_row *row = &self->rows[self->n_rows];

    assert_true(self->n_rows < FAKE_ROWS);
    *row = (struct fake_row){
        .number = (int64_t)self->n_rows++,
        .created_us = self->now_us - created_ago_us,
        .modified_us = self->now_us - modified_ago_us,
        .version = 1,
    };
    return row;
}

/* A push to a dataset, now. */
static inline void
fake_touch(struct fake_hub *self, size_t row_idx)
{
    self->rows[row_idx].modified_us = self->now_us;
    self->rows[row_idx].version++;
}

/* A harvest of the fake Hub with a fresh connection, as a process of its own would do it. */
static inline int
fake_harvest(struct fake_hub *hub, struct fixture *fixture, int64_t run_id, int64_t limit,
             int64_t days_back, struct ledger *out, struct error *err)
{
    struct hf_fetch_service service = {
        .database = fixture->database, .client = &hub->client, .clock = &hub->clock};
    struct run_context run = {.run_id = run_id, .progress = &hub->progress};
    int rc;

    hub->n_requests = 0;
    hub->reported = -1;
    assert_int_equal(dataset_repo_create(fixture->database, &service.datasets, NULL), 0);
    rc = hf_fetch_run(&service, limit, days_back, &run, out, err);
    dataset_repo_free(service.datasets);
    assert_true(ledger_is_balanced(out));
    assert_false(database_in_transaction(fixture->database));
    return rc;
}

/* As above, and it must succeed. */
static inline struct ledger
fake_harvest_ok(struct fake_hub *hub, struct fixture *fixture, int64_t limit, int64_t days_back)
{
    struct ledger ledger;
    struct error err;

    assert_ok(fake_harvest(hub, fixture, 0, limit, days_back, &ledger, &err), err);
    return ledger;
}

/* The version that the catalogue has of a row, 0 where it has none. */
static inline int64_t
fake_stored_version(struct fixture *fixture, int64_t number)
{
    static const char sql[] =
        "SELECT CAST(substr(description, 2) AS INTEGER) FROM datasets WHERE source_key = $1";
    struct statement *statement;
    int64_t version = 0;
    char key[32];
    struct error err;
    int rc;

    (void)snprintf(key, sizeof(key), "id%" PRId64, number);
    assert_ok(database_prepare(fixture->database, sql, &statement, &err), err);
    statement_bind_str(statement, 1, str_from_cstr(key));
    rc = statement_step(statement, &err);
    assert_true(rc >= 0);
    if (rc == 1)
        version = statement_i64(statement, 0);
    statement_reset(statement);
    return version;
}
