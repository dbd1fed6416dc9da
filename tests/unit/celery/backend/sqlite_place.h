#pragma once

/* A directory for one result database. */

#include <ftw.h>

#include "tests/unit/celery/backend/backend_suite.h"

static inline int
sqlite_place_remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void
sqlite_place_create(struct backend_place *place)
{
    const char *root = getenv("TMPDIR");

    (void)snprintf(place->dir, sizeof(place->dir), "%.80s/trawl-test-XXXXXX", root ? root : "/tmp");
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->url, sizeof(place->url), "sqlite:///%s/results.db", place->dir);
}

static inline void
sqlite_place_destroy(struct backend_place *place)
{
    (void)nftw(place->dir, sqlite_place_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
