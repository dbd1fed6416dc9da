#pragma once

/* Real data that is not part of the project: "../shared/data" beside its root, or where
 * TRAWL_SHARED_DATA says. */

#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

#define SHARED_PATH_BYTES 4096

/* The path of a file there. */
static inline const char *
shared_data_path(const char *name, char path[SHARED_PATH_BYTES])
{
    const char *data = getenv("TRAWL_SHARED_DATA");
    const char *root = getenv("TRAWL_SOURCE_ROOT"); /* set by the build */

    if (data)
        (void)snprintf(path, SHARED_PATH_BYTES, "%s/%s", data, name);
    else
        (void)snprintf(path, SHARED_PATH_BYTES, "%s/../shared/data/%s", root ? root : ".", name);
    return path;
}

/* For main, before any test: false where name is missing, and the whole program is skipped in TAP.
 * (cmocka's own skip() prints "not ok", which Meson takes for a failure.) */
static inline bool
shared_data_is_there(const char *name)
{
    char path[SHARED_PATH_BYTES];

    if (file_exists(shared_data_path(name, path)))
        return true;
    (void)printf("1..0 # SKIP no '%s' (TRAWL_SHARED_DATA names its place)\n", path);
    return false;
}
