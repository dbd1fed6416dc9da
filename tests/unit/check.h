#pragma once

/* cmocka with the headers that it forgets, for every unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <trawl/str.h>

/* A view equals a literal; shows both when it does not. */
#define assert_str_equal(view, text)                                                               \
    do {                                                                                           \
        struct str check_view_ = (view);                                                           \
        struct str check_text_ = str_from_cstr(text);                                              \
        if (!str_equal(check_view_, check_text_))                                                  \
            fail_msg("'%.*s' is not '%.*s'", STR_ARG(check_view_), STR_ARG(check_text_));          \
    } while (0)

/* rc is 0; shows the error's message when it is not. */
#define assert_ok(rc, err)                                                                         \
    do {                                                                                           \
        if ((rc) != 0)                                                                             \
            fail_msg("failed: %s", (err).message);                                                 \
    } while (0)

/* The path of a file of the shared data set: below $TRAWL_SHARED_DATA, else ../shared/data (tests
 * run in the project's root).  Skips the test, with the reason, where it is missing. */
static inline void
shared_data_or_skip(const char *name, char *path, size_t path_bytes)
{
    const char *root = getenv("TRAWL_SHARED_DATA");

    (void)snprintf(path, path_bytes, "%s/%s", root ? root : "../shared/data", name);
    if (access(path, R_OK) != 0) {
        print_message("# skipped: the shared data set is not here: %s\n", path);
        skip();
    }
}
