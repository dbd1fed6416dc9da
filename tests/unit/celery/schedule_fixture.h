#pragma once

/* Reading the tables of tests/fixtures/schedule: lines of fields between tabs. */

#include <trawl/error.h>

#include "base/file.h"
#include "base/number.h"
#include "celery/time_zone.h"
#include "tests/unit/check.h"

/* The whole file, for buf_fini. */
static inline void
fixture_read(const char *name, struct buf *out)
{
    const char *root = getenv("TRAWL_SOURCE_ROOT");
    char path[4096];
    struct error err;

    buf_init(out, (size_t)16 << 20);
    (void)snprintf(path, sizeof(path), "%s/tests/fixtures/schedule/%s", root ? root : ".", name);
    assert_ok(file_read(path, out, &err), err);
}

/* The next field of a line as a text, and as a number. */
static inline struct str
fixture_text(struct str *line)
{
    struct str field = STR_NULL;

    assert_true(str_split(line, '\t', &field));
    return field;
}

static inline int64_t
fixture_number(struct str *line)
{
    int64_t number;
    struct error err;

    assert_ok(number_parse_i64(fixture_text(line), &number, &err), err);
    return number;
}

/* Skips the test, with the reason, where the system has no zone data. */
static inline void
zone_data_or_skip(void)
{
    struct celery_time_zone *zone = NULL;
    struct error err;
    int rc = celery_time_zone_open(NULL, STR("Europe/Berlin"), &zone, &err);

    celery_time_zone_free(zone);
    if (rc == -ERR_UNSUPPORTED) {
        print_message("# skipped: %s\n", err.message);
        skip();
    }
    assert_ok(rc, err);
}
