#pragma once

/* A dataset repository on a fresh database, and short ways to put rows into it and look at them. */

#include "lib/repositories/dataset_repository.h"
#include "tests/unit/lib/core/database_fixture.h"

#define ARENA_BYTES ((size_t)64 << 20)

struct repo_fixture {
    struct fixture base;
    struct dataset_repo *repo;
    struct arena arena;
};

static inline void
repo_fixture_init(struct repo_fixture *fixture)
{
    struct error err;

    fixture_init_migrated(&fixture->base);
    assert_ok(dataset_repo_create(fixture->base.database, &fixture->repo, &err), err);
    fixture->arena = (struct arena)ARENA_INIT(ARENA_BYTES);
}

/* The keyword index must agree with the rows whatever the test did. */
static inline void
repo_fixture_fini(struct repo_fixture *fixture)
{
    struct error err;

    assert_ok(database_check(fixture->base.database, &err), err);
    arena_fini(&fixture->arena);
    dataset_repo_free(fixture->repo);
    fixture_fini(&fixture->base);
}

static inline struct dataset
make_row(const char *key, const char *name)
{
    struct dataset row;

    dataset_init(&row);
    row.source_name = STR("kaggle");
    row.source_key = str_from_cstr(key);
    row.external_id = str_from_cstr(name);
    return row;
}

static inline enum upsert_outcome
put_row(struct repo_fixture *fixture, const struct dataset *row, int64_t now_us)
{
    enum upsert_outcome outcome = UPSERT_UNCHANGED;
    struct error err;

    assert_ok(dataset_repo_upsert(fixture->repo, row, now_us, &outcome, &err), err);
    return outcome;
}

/* An enriched row with a title and a description. */
static inline void
put_text(struct repo_fixture *fixture, const char *key, const char *name, const char *title,
         const char *description)
{
    struct dataset row = make_row(key, name);

    row.title = str_from_cstr(title);
    row.description = str_from_cstr(description);
    row.status = DATASET_ENRICHED;
    (void)put_row(fixture, &row, 1);
}

static inline struct dataset
get_row(struct repo_fixture *fixture, const char *ref)
{
    struct dataset row;
    struct error err;

    assert_ok(dataset_repo_find(fixture->repo, str_from_cstr(ref), &fixture->arena, &row, &err),
              err);
    return row;
}

/* By its number, whatever the row is called now. */
static inline struct dataset
get_by_number(struct repo_fixture *fixture, int64_t row_id)
{
    struct dataset_list list;
    struct error err;

    assert_ok(dataset_repo_find_rows(fixture->repo, &row_id, 1, &fixture->arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    return list.items[0];
}

static inline struct dataset_filter
no_filter(void)
{
    return (struct dataset_filter){.min_size_bytes = DATASET_UNKNOWN,
                                   .max_size_bytes = DATASET_UNKNOWN,
                                   .updated_since_us = DATASET_UNKNOWN};
}

static inline struct dataset_hit_list
search(struct repo_fixture *fixture, struct str query, const struct dataset_filter *filter)
{
    struct dataset_hit_list hits = {0};
    struct error err;

    assert_ok(dataset_repo_search(fixture->repo, query, filter, 100, &fixture->arena, &hits, &err),
              err);
    return hits;
}

static inline size_t
count_hits(struct repo_fixture *fixture, const char *query)
{
    struct dataset_filter filter = no_filter();

    return search(fixture, str_from_cstr(query), &filter).n_items;
}
