#include "tests/unit/celery/backend/backend_suite.h"

#define START_US    (INT64_C(1795436986) * US_PER_S)
#define ARENA_BYTES ((size_t)64 << 20)

static const struct backend_factory *factory;

static int64_t
fake_now(const struct clock *clock)
{
    return ((const struct fake_clock *)clock)->now_us;
}

void
fake_clock_init(struct fake_clock *clock)
{
    *clock = (struct fake_clock){.base = clock_system, .now_us = START_US};
    clock->base.now_us = fake_now;
}

struct backend *
suite_open(const struct suite_fixture *fixture)
{
    struct backend *backend = NULL;
    struct error err;

    assert_ok(backend_open(str_from_cstr(fixture->place.url), &fixture->options, &backend, &err),
              err);
    return backend;
}

int
suite_setup(void **state)
{
    struct suite_fixture *fixture = calloc(1, sizeof(*fixture));

    if (!fixture)
        return -1;
    fake_clock_init(&fixture->clock);
    fixture->options.clock = &fixture->clock.base;
    fixture->arena = (struct arena)ARENA_INIT(ARENA_BYTES);
    factory->create(&fixture->place);
    fixture->backend = suite_open(fixture);
    *state = fixture;
    return 0;
}

int
suite_teardown(void **state)
{
    struct suite_fixture *fixture = *state;

    backend_close(fixture->backend);
    factory->destroy(&fixture->place);
    arena_fini(&fixture->arena);
    free(fixture);
    return 0;
}

struct backend_record
suite_record(const char *id, const char *status, int64_t run, const char *note,
             char text[SUITE_DOCUMENT_BYTES])
{
    (void)snprintf(text, SUITE_DOCUMENT_BYTES,
                   "{\"status\": \"%.99s\", \"result\": \"%.99s\", \"task_id\": \"%.99s\"}", status,
                   note, id);
    return (struct backend_record){.task_id = str_from_cstr(id),
                                   .status = str_from_cstr(status),
                                   .run = run,
                                   .document = str_from_cstr(text)};
}

enum backend_outcome
suite_store(struct backend *backend, const char *id, const char *status, int64_t run,
            const char *note)
{
    char text[SUITE_DOCUMENT_BYTES];
    struct backend_record record = suite_record(id, status, run, note, text);
    enum backend_outcome outcome = BACKEND_KEPT;
    struct error err;

    assert_ok(backend_store(backend, &record, 1, &outcome, &err), err);
    return outcome;
}

struct backend_record
suite_get(struct suite_fixture *fixture, const char *id)
{
    struct str ids[] = {str_from_cstr(id)};
    struct backend_record_list list;
    struct error err;

    assert_ok(backend_get(fixture->backend, ids, 1, &fixture->arena, &list, &err), err);
    return list.n_items == 1 ? list.items[0] : (struct backend_record){.task_id = STR_NULL};
}

static void
test_bytes_come_back(void **state)
{
    static const struct str documents[] = {
        STR_INIT("{\"result\": 1208925819614629174706176}"),
        STR_INIT(" {\"result\": [NaN, -Infinity, 1e400, \"\\ud83d\"]}\n"),
        STR_INIT("{\"result\": \"caf\xC3\xA9 \xF0\x9F\x98\x80 '; DROP TABLE results; --\"}"),
        STR_INIT("not JSON: a backend does not look"),
        STR_INIT("with\0NUL"),
    };
    struct suite_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        struct backend_record record = {.task_id = STR("id-\xC3\xA9'\"%"),
                                        .status = STR("my state"),
                                        .run = (int64_t)i + 1,
                                        .document = documents[i]};
        struct backend_record found;
        struct error err;

        assert_ok(backend_store(fixture->backend, &record, 1, NULL, &err), err);
        found = suite_get(fixture, "id-\xC3\xA9'\"%");
        assert_true(str_equal(found.document, documents[i]));
        assert_str_equal(found.status, "my state");
        assert_int_equal(found.run, i + 1);
        assert_true(found.expires_us == START_US + US_PER_DAY);
    }
    assert_null(suite_get(fixture, "id-").task_id.ptr);
}

static void
test_big_document(void **state)
{
    struct suite_fixture *fixture = *state;
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)16 << 20);
    struct backend_record record = {.task_id = STR("big"), .status = STR("SUCCESS")};
    char *bytes = buf_reserve(&text, (size_t)9 << 20);
    struct error err;

    assert_non_null(bytes);
    (void)memset(bytes, 'x', (size_t)9 << 20);
    buf_commit(&text, (size_t)9 << 20);
    record.document = buf_str(&text);
    assert_int_equal(backend_store(fixture->backend, &record, 1, NULL, &err), -ERR_TOO_LARGE);
    assert_int_equal(backend_advise(-ERR_TOO_LARGE), BACKEND_GIVE_UP);
    record.document.len = (size_t)8 << 20;
    assert_ok(backend_store(fixture->backend, &record, 1, NULL, &err), err);
    assert_true(str_equal(suite_get(fixture, "big").document, record.document));
}

static void
test_store_result(void **state)
{
    struct suite_fixture *fixture = *state;
    struct result result = RESULT_INIT;
    struct result found;
    enum backend_outcome outcome;
    struct error err;

    result.status = STR("SUCCESS");
    result.task_id = STR("id");
    result.result = STR("[1, 2.50]");
    result.parent_id = STR("parent");
    result.children = STR("[[[\"child\", null], null]]");
    result.date_done_us = START_US;
    assert_ok(backend_store_result(fixture->backend, &result, 5, &outcome, &err), err);
    assert_int_equal(outcome, BACKEND_STORED);
    assert_ok(result_decode(suite_get(fixture, "id").document, &fixture->arena, &found, &err), err);
    assert_str_equal(found.result, "[1, 2.50]");
    assert_str_equal(found.parent_id, "parent");
    assert_str_equal(found.children, "[[[\"child\", null], null]]");
    assert_true(found.date_done_us == START_US);
    result.task_id = STR_NULL;
    assert_int_equal(backend_store_result(fixture->backend, &result, 5, &outcome, NULL),
                     -ERR_INVALID);
}

static void
test_get_many(void **state)
{
    static const struct str ids[] = {STR_INIT("c"), STR_INIT("missing"), STR_INIT("a"),
                                     STR_INIT("c"), STR_INIT("")};
    struct suite_fixture *fixture = *state;
    struct backend_record_list list;
    struct error err;

    assert_ok(backend_get(fixture->backend, ids, COUNT_OF(ids), &fixture->arena, &list, &err), err);
    assert_int_equal(list.n_items, 0);
    (void)suite_store(fixture->backend, "a", "STARTED", 1, "a");
    (void)suite_store(fixture->backend, "b", "STARTED", 1, "b");
    (void)suite_store(fixture->backend, "c", "STARTED", 1, "c");
    assert_ok(backend_get(fixture->backend, ids, COUNT_OF(ids), &fixture->arena, &list, &err), err);
    assert_int_equal(list.n_items, 3);
    assert_str_equal(list.items[0].task_id, "c");
    assert_str_equal(list.items[1].task_id, "a");
    assert_str_equal(list.items[2].task_id, "c");
    assert_ok(backend_get(fixture->backend, NULL, 0, &fixture->arena, &list, &err), err);
    assert_int_equal(list.n_items, 0);
}

/* Every state over every other, in runs that are older, the same, newer and unknown. */
static void
test_every_pair_of_states(void **state)
{
    static const char *const names[] = {"STARTED", "PROGRESS", "RETRY",
                                        "FAILURE", "REVOKED",  "SUCCESS"};
    static const int64_t runs[] = {0, 4, 5, 6};
    struct suite_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT_OF(names); i++)
        for (size_t j = 0; j < COUNT_OF(names); j++)
            for (size_t k = 0; k < COUNT_OF(runs); k++) {
                struct result_standing old = {result_state_of(str_from_cstr(names[i])), 5};
                struct result_standing fresh = {result_state_of(str_from_cstr(names[j])), runs[k]};
                bool may = result_may_replace(old, fresh);
                char id[64];

                (void)snprintf(id, sizeof(id), "%zu-%zu-%zu", i, j, k);
                assert_int_equal(suite_store(fixture->backend, id, names[i], 5, "old"),
                                 BACKEND_STORED);
                assert_int_equal(suite_store(fixture->backend, id, names[j], runs[k], "fresh"),
                                 may ? BACKEND_STORED : BACKEND_KEPT);
                assert_str_equal(suite_get(fixture, id).status, may ? names[j] : names[i]);
                assert_int_equal(suite_get(fixture, id).run, may ? runs[k] : 5);
                assert_true(
                    str_find(suite_get(fixture, id).document, may ? STR("fresh") : STR("old")) <
                    suite_get(fixture, id).document.len);
            }
}

static void
test_batch_in_order(void **state)
{
    static const char *const statuses[] = {"SUCCESS", "STARTED", "STARTED", "PROGRESS"};
    static const char *const ids[] = {"x", "x", "y", "y"};
    struct suite_fixture *fixture = *state;
    char texts[4][SUITE_DOCUMENT_BYTES];
    struct backend_record records[4];
    enum backend_outcome outcomes[4];
    struct error err;

    for (size_t i = 0; i < 4; i++)
        records[i] = suite_record(ids[i], statuses[i], 1, "", texts[i]);
    assert_ok(backend_store(fixture->backend, records, 4, outcomes, &err), err);
    assert_int_equal(outcomes[0], BACKEND_STORED);
    assert_int_equal(outcomes[1], BACKEND_KEPT);
    assert_int_equal(outcomes[2], BACKEND_STORED);
    assert_int_equal(outcomes[3], BACKEND_STORED);
    assert_str_equal(suite_get(fixture, "x").status, "SUCCESS");
    assert_str_equal(suite_get(fixture, "y").status, "PROGRESS");
    assert_ok(backend_store(fixture->backend, NULL, 0, NULL, &err), err);
}

static void
test_bad_records(void **state)
{
    static const char long_text[257] = {[0 ... 255] = 'x'};
    static const struct {
        struct str id;
        struct str status;
        struct str document;
    } rows[] = {
        {STR_INIT(""), STR_INIT("SUCCESS"), STR_INIT("{}")},
        {{NULL, 0}, STR_INIT("SUCCESS"), STR_INIT("{}")},
        {{long_text, 256}, STR_INIT("SUCCESS"), STR_INIT("{}")},
        {STR_INIT("a\0b"), STR_INIT("SUCCESS"), STR_INIT("{}")},
        {STR_INIT("\xff"), STR_INIT("SUCCESS"), STR_INIT("{}")},
        {STR_INIT("a"), STR_INIT(""), STR_INIT("{}")},
        {STR_INIT("a"), {long_text, 256}, STR_INIT("{}")},
        {STR_INIT("a"), STR_INIT("SUCCESS"), STR_INIT("")},
        {STR_INIT("a"), STR_INIT("PENDING"), STR_INIT("{}")},
        {STR_INIT("a"), STR_INIT("RECEIVED"), STR_INIT("{}")},
        {STR_INIT("a"), STR_INIT("IGNORED"), STR_INIT("{}")},
        {STR_INIT("a"), STR_INIT("REJECTED"), STR_INIT("{}")},
    };
    struct suite_fixture *fixture = *state;
    char text[SUITE_DOCUMENT_BYTES];

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct backend_record records[] = {
            suite_record("good", "SUCCESS", 1, "", text),
            {.task_id = rows[i].id, .status = rows[i].status, .document = rows[i].document},
        };

        assert_int_equal(backend_check_record(&records[0], 1000, NULL), 0);
        assert_int_equal(backend_check_record(&records[1], 1000, NULL), -ERR_INVALID);
        if (backend_store(fixture->backend, records, 2, NULL, NULL) != -ERR_INVALID)
            fail_msg("row %zu", i);
        assert_null(suite_get(fixture, "good").task_id.ptr); /* all or nothing */
    }
}

static void
test_forget(void **state)
{
    static const struct str ids[] = {STR_INIT("a"), STR_INIT("missing"), STR_INIT("b")};
    struct suite_fixture *fixture = *state;
    struct error err;
    int64_t n = -1;

    (void)suite_store(fixture->backend, "a", "SUCCESS", 2, "");
    (void)suite_store(fixture->backend, "b", "FAILURE", 2, "");
    (void)suite_store(fixture->backend, "c", "FAILURE", 2, "");
    assert_ok(backend_forget(fixture->backend, ids, COUNT_OF(ids), &n, &err), err);
    assert_int_equal(n, 2);
    assert_null(suite_get(fixture, "a").task_id.ptr);
    assert_null(suite_get(fixture, "b").task_id.ptr);
    assert_non_null(suite_get(fixture, "c").task_id.ptr);
    assert_ok(backend_forget(fixture->backend, ids, COUNT_OF(ids), NULL, &err), err);
    /* Sent again under its old id. */
    assert_int_equal(suite_store(fixture->backend, "a", "STARTED", 1, ""), BACKEND_STORED);
}

static void
test_ttl(void **state)
{
    struct suite_fixture *fixture = *state;
    char text[SUITE_DOCUMENT_BYTES];
    struct backend_record record = suite_record("short", "SUCCESS", 1, "", text);
    struct error err;

    record.expires_us = START_US + US_PER_S;
    assert_ok(backend_store(fixture->backend, &record, 1, NULL, &err), err);
    (void)suite_store(fixture->backend, "day", "SUCCESS", 1, "");
    record = suite_record("ever", "SUCCESS", 1, "", text);
    record.expires_us = TIME_UNKNOWN;
    assert_ok(backend_store(fixture->backend, &record, 1, NULL, &err), err);

    fixture->clock.now_us += US_PER_S - 1;
    assert_non_null(suite_get(fixture, "short").task_id.ptr);
    fixture->clock.now_us += 1;
    assert_null(suite_get(fixture, "short").task_id.ptr);
    assert_non_null(suite_get(fixture, "day").task_id.ptr);
    /* What has expired protects nothing. */
    assert_int_equal(suite_store(fixture->backend, "short", "STARTED", 1, ""), BACKEND_STORED);
    fixture->clock.now_us += US_PER_DAY;
    assert_null(suite_get(fixture, "day").task_id.ptr);
    assert_null(suite_get(fixture, "short").task_id.ptr);
    fixture->clock.now_us += 1000 * US_PER_DAY;
    assert_true(suite_get(fixture, "ever").expires_us == TIME_UNKNOWN);
    assert_non_null(suite_get(fixture, "ever").task_id.ptr);
}

static void
test_ttl_options(void **state)
{
    static const struct {
        int64_t ttl_us;
        int64_t expires_us;
    } rows[] = {
        {0, START_US + US_PER_DAY},
        {5, START_US + 5},
        {TIME_UNKNOWN, TIME_UNKNOWN},
        {INT64_MAX, TIME_UNKNOWN}, /* beyond time */
    };
    struct suite_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char id[32];

        backend_close(fixture->backend);
        fixture->options.ttl_us = rows[i].ttl_us;
        fixture->backend = suite_open(fixture);
        (void)snprintf(id, sizeof(id), "id-%zu", i);
        (void)suite_store(fixture->backend, id, "SUCCESS", 1, "");
        assert_true(suite_get(fixture, id).expires_us == rows[i].expires_us);
    }
}

static void
test_clean(void **state)
{
    struct suite_fixture *fixture = *state;
    struct error err;
    size_t n = 77;

    for (size_t i = 0; i < 25; i++) {
        char id[32];

        (void)snprintf(id, sizeof(id), "id-%zu", i);
        (void)suite_store(fixture->backend, id, "SUCCESS", 1, "");
    }
    assert_ok(backend_clean(fixture->backend, 10, &n, &err), err);
    assert_int_equal(n, 0);
    fixture->clock.now_us += US_PER_DAY - 1;
    (void)suite_store(fixture->backend, "fresh", "SUCCESS", 1, "");
    fixture->clock.now_us += 1;
    for (size_t i = 0; i < 4; i++) {
        static const size_t steps[] = {10, 10, 5, 0};

        assert_ok(backend_clean(fixture->backend, 10, &n, &err), err);
        assert_int_equal(n, factory->is_self_cleaning ? 0 : steps[i]);
    }
    assert_null(suite_get(fixture, "id-0").task_id.ptr);
    assert_non_null(suite_get(fixture, "fresh").task_id.ptr);
}

int
backend_suite_run(const struct backend_factory *of)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, suite_setup, suite_teardown)
    static const struct CMUnitTest alone[] = {
        TEST(test_bytes_come_back),
        TEST(test_big_document),
        TEST(test_store_result),
        TEST(test_get_many),
        TEST(test_every_pair_of_states),
        TEST(test_batch_in_order),
        TEST(test_bad_records),
        TEST(test_forget),
        TEST(test_ttl),
        TEST(test_ttl_options),
        TEST(test_clean),
    };
    const struct {
        const struct CMUnitTest *tests;
        size_t n_tests;
    } parts[] = {
        {alone, COUNT_OF(alone)},
        {backend_suite_watch, n_backend_suite_watch},
        {backend_suite_processes, n_backend_suite_processes},
        {backend_suite_chord, n_backend_suite_chord},
    };
    struct CMUnitTest all[64];
    size_t n = 0;

    factory = of;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        assert_true(n + parts[i].n_tests <= COUNT_OF(all));
        (void)memcpy(all + n, parts[i].tests, parts[i].n_tests * sizeof(*all));
        n += parts[i].n_tests;
    }
    return _cmocka_run_group_tests("backend", all, n, NULL, NULL);
}
