#pragma once

/* Where the encoder's test data is, and reading it: gzip or plain lines, JSON rows.
 *
 * Data that is not part of the repository (the shared sets, a real model) may be missing; then
 * tests print what they looked for and are skipped. */

#include <stdio.h>
#include <stdlib.h>

#include <zlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/unit/check.h"

#define DATA_MAX_BYTES ((size_t)256 << 20)
#define PATH_BYTES     512

/* The repository's root: meson runs tests with it in TRAWL_SOURCE_ROOT. */
static inline const char *
source_root(void)
{
    const char *root = getenv("TRAWL_SOURCE_ROOT");

    return root ? root : ".";
}

/* Where the shared data or a file of it should be. */
static inline const char *
shared_path(const char *name)
{
    static char path[2 * PATH_BYTES];
    const char *dir = getenv("TRAWL_SHARED_DATA");

    if (dir)
        (void)snprintf(path, sizeof(path), "%s/embedding/%s", dir, name);
    else
        (void)snprintf(path, sizeof(path), "%s/../shared/data/embedding/%s", source_root(), name);
    return path;
}

/* Where all-MiniLM-L6-v2 should be. */
static inline const char *
real_model_dir(void)
{
    static char path[2 * PATH_BYTES];
    const char *dir = getenv("TRAWL_MODEL_DIR");

    if (dir)
        (void)snprintf(path, sizeof(path), "%s", dir);
    else
        (void)snprintf(path, sizeof(path), "%s/.cache/models/all-MiniLM-L6-v2", source_root());
    return path;
}

/* What a test needs besides the repository; bits. */
enum data_need { NEED_NOTHING = 0, NEED_SHARED = 1, NEED_MODEL = 2 };

struct data_test {
    struct CMUnitTest test;
    unsigned needs; /* enum data_need */
};

/* clang-format off */
#define DATA_TEST(function, what) {cmocka_unit_test(function), (what)}
/* clang-format on */

/* The first of a test's needs that is missing, or NULL. */
static inline const char *
find_missing(unsigned needs)
{
    static char path[2 * PATH_BYTES + 32];

    if ((needs & NEED_SHARED) != 0 && !file_exists(shared_path("INDEX.md")))
        return shared_path("INDEX.md");
    (void)snprintf(path, sizeof(path), "%s/model.safetensors", real_model_dir());
    return (needs & NEED_MODEL) != 0 && !file_exists(path) ? path : NULL;
}

/* Run those tests whose needs are met; none at all is a skipped program. */
static inline int
run_data_tests(const char *name, const struct data_test *rows, size_t n_rows)
{
    struct CMUnitTest tests[16];
    size_t n_tests = 0;

    assert_true(n_rows <= COUNT_OF(tests));
    for (size_t i = 0; i < n_rows; i++) {
        const char *missing = find_missing(rows[i].needs);

        if (missing)
            printf("# left out %s: no '%s' (TRAWL_SHARED_DATA, TRAWL_MODEL_DIR name places)\n",
                   rows[i].test.name, missing);
        else
            tests[n_tests++] = rows[i].test;
    }
    if (n_tests == 0) {
        printf("1..0 # SKIP the data of %s is missing\n", name);
        return 0;
    }
    return _cmocka_run_group_tests(name, tests, n_tests, NULL, NULL);
}

/* A whole file, unpacked if it is gzip; for free(). */
static inline struct str
read_all(const char *path)
{
    gzFile file = gzopen(path, "rb");
    size_t cap = (size_t)1 << 20;
    char *bytes = malloc(cap);
    size_t len = 0;
    int n;

    assert_non_null(file);
    assert_non_null(bytes);
    while ((n = gzread(file, bytes + len, (unsigned)(cap - len))) > 0) {
        len += (size_t)n;
        if (len == cap) {
            cap *= 2;
            bytes = realloc(bytes, cap);
            assert_non_null(bytes);
            assert_true(cap <= DATA_MAX_BYTES);
        }
    }
    assert_int_equal(n, 0);
    (void)gzclose(file);
    return (struct str){bytes, len};
}

static inline void
free_text(struct str text)
{
    free((void *)(uintptr_t)text.ptr);
}

/* Parse one JSON text; fails the test if it is none. */
static inline struct json
parse_json(struct str text, struct arena *arena)
{
    struct json value = {0};
    struct error err = {0};

    assert_ok(json_parse(text, NULL, arena, &value, &err), err);
    return value;
}

/* The numbers of an array into out [max_n]; returns how many. */
static inline size_t
read_floats(const struct json *array, float *out, size_t max_n)
{
    assert_non_null(array);
    assert_int_equal(array->type, JSON_ARRAY);
    assert_true(array->array.n_items <= max_n);
    for (size_t i = 0; i < array->array.n_items; i++) {
        double value = 0;

        assert_true(json_is_f64(&array->array.items[i], &value));
        out[i] = (float)value;
    }
    return array->array.n_items;
}

static inline size_t
read_ids(const struct json *array, int32_t *out, size_t max_n)
{
    assert_non_null(array);
    assert_int_equal(array->type, JSON_ARRAY);
    assert_true(array->array.n_items <= max_n);
    for (size_t i = 0; i < array->array.n_items; i++) {
        int64_t value = 0;

        assert_true(json_is_i64(&array->array.items[i], &value));
        out[i] = (int32_t)value;
    }
    return array->array.n_items;
}
