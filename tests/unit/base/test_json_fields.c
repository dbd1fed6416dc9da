/* base/json_fields.h. */

#include "tests/unit/check.h"

#include "base/json_fields.h"

struct record {
    struct str id;
    int64_t count;
    double score;
    bool is_on;
    int64_t at_us;
};

static const struct json_field record_fields[] = {
    JSON_FIELD(STR, struct record, id, "id", JSON_REQUIRED),
    JSON_FIELD(I64, struct record, count, "count", 0),
    JSON_FIELD(F64, struct record, score, "score", 0),
    JSON_FIELD(BOOL, struct record, is_on, "on", 0),
    JSON_FIELD(TIME, struct record, at_us, "at", 0),
    JSON_FIELDS_END,
};

static const struct json_field strict_fields[] = {
    JSON_FIELD(I64, struct record, count, "count", JSON_REQUIRED),
    JSON_FIELD(TIME, struct record, at_us, "at", JSON_REQUIRED),
    JSON_FIELDS_END,
};

static const struct record untouched = {
    .id = STR_INIT("before"), .count = -7, .score = -0.5, .is_on = true, .at_us = -9};

static void
test_read(void **state)
{
    static const struct {
        const char *json;
        const char *id;
        int64_t count;
        double score;
        bool is_on;
        int64_t at_us;
        size_t n_mistyped;
    } rows[] = {
        {"{\"id\":\"a\",\"count\":3,\"score\":2.5,\"on\":false,\"at\":\"1970-01-01T00:00:01.5Z\"}",
         "a", 3, 2.5, false, 1500000, 0},
        /* absent, null and unknown fields */
        {"{\"id\":\"\"}", "", -7, -0.5, true, -9, 0},
        {"{\"id\":\"a\",\"count\":null,\"score\":null,\"on\":null,\"at\":null,\"x\":{}}", "a", -7,
         -0.5, true, -9, 0},
        /* whole numbers written otherwise, and the other way round */
        {"{\"id\":\"a\",\"count\":5.0,\"score\":4}", "a", 5, 4.0, true, -9, 0},
        {"{\"id\":\"a\",\"count\":5e2}", "a", 500, -0.5, true, -9, 0},
        /* other types count as absent, each is counted */
        {"{\"id\":\"a\",\"count\":\"3\",\"score\":[],\"on\":1,\"at\":17}", "a", -7, -0.5, true, -9,
         4},
        {"{\"id\":\"a\",\"count\":1.5,\"at\":\"yesterday\"}", "a", -7, -0.5, true, -9, 2},
        {"{\"id\":\"a\",\"count\":9223372036854775808}", "a", -7, -0.5, true, -9, 1},
        {"{\"id\":\"a\",\"count\":9223372036854775807}", "a", INT64_MAX, -0.5, true, -9, 0},
        {"{\"id\":\"a\",\"score\":1e999}", "a", -7, -0.5, true, -9, 1},
        /* the other date form that sources use; of a repeated field the last counts */
        {"{\"id\":\"a\",\"at\":\"01/02/1970 00:00:00\"}", "a", -7, -0.5, true, 86400000000, 0},
        {"{\"id\":\"a\",\"id\":\"b\",\"count\":1,\"count\":2}", "b", 2, -0.5, true, -9, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 16);
        struct record record = untouched;
        size_t n_mistyped = 99;
        struct error err;
        struct json json;

        assert_ok(json_parse(str_from_cstr(rows[i].json), NULL, &arena, &json, &err), err);
        assert_ok(json_fields_read(&json, record_fields, &record, &n_mistyped, &err), err);
        assert_str_equal(record.id, rows[i].id);
        assert_int_equal(record.count, rows[i].count);
        assert_true(record.score >= rows[i].score && record.score <= rows[i].score);
        assert_int_equal(record.is_on, rows[i].is_on);
        assert_int_equal(record.at_us, rows[i].at_us);
        assert_int_equal(n_mistyped, rows[i].n_mistyped);
        arena_fini(&arena);
    }
}

static void
test_refuse(void **state)
{
    static const struct {
        const struct json_field *fields;
        const char *json;
        const char *message;
    } rows[] = {
        {record_fields, "[]", "an object is expected, not this array"},
        {record_fields, "null", "an object is expected, not this null"},
        {record_fields, "{\"count\":1}", "field 'id' is missing"},
        {record_fields, "{\"count\":1,\"id\":null}", "field 'id' must be a string, not this null"},
        {record_fields, "{\"count\":1,\"id\":7}", "field 'id' must be a string, not this number"},
        {strict_fields, "{\"count\":1.5,\"at\":\"2024-01-01\"}",
         "field 'count' must be a whole number, not this number"},
        {strict_fields, "{\"count\":1,\"at\":\"soon\"}",
         "field 'at' must be a date in a string, not this string"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 16);
        struct record record;
        size_t n_mistyped = 99;
        struct error err;
        struct json json;

        (void)memcpy(&record, &untouched, sizeof(record)); /* the padding too: compared below */
        assert_ok(json_parse(str_from_cstr(rows[i].json), NULL, &arena, &json, &err), err);
        assert_int_equal(json_fields_read(&json, rows[i].fields, &record, &n_mistyped, &err),
                         -ERR_INVALID);
        assert_string_equal(err.message, rows[i].message);
        /* out survives a failure */
        assert_memory_equal(&record, &untouched, sizeof(record));
        assert_int_equal(n_mistyped, 99);
        arena_fini(&arena);
    }
}

static void
test_may_drop_everything(void **state)
{
    struct arena arena = ARENA_INIT((size_t)1 << 16);
    struct record record = untouched;
    struct json json;

    (void)state;
    assert_int_equal(json_parse(STR("{\"id\":1,\"on\":2}"), NULL, &arena, &json, NULL), 0);
    assert_int_equal(json_fields_read(&json, record_fields, &record, NULL, NULL), -ERR_INVALID);
    assert_int_equal(json_parse(STR("{\"id\":\"x\",\"on\":2}"), NULL, &arena, &json, NULL), 0);
    assert_int_equal(json_fields_read(&json, record_fields, &record, NULL, NULL), 0);
    assert_str_equal(record.id, "x");
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_may_drop_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
