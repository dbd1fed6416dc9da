/* What only the Redis backend has: Celery's keys and documents, and a server that comes and goes.
 */

#include "celery/backend/redis_internal.h"
#include "tests/unit/celery/backend/backend_suite.h"
#include "tests/unit/celery/redis/redis_server.h"

#define OUTAGE_US (10 * US_PER_S)

struct fixture {
    struct redis_server *server;
    struct backend *backend;
    struct arena arena;
    struct error err;
};

static struct backend *
open_backend(struct redis_server *server, const char *tail, int64_t max_block_us)
{
    const struct backend_options options = {.max_block_us = max_block_us};
    struct backend *backend = NULL;
    struct error err;

    assert_ok(backend_open(str_from_cstr(redis_server_url(server, tail)), &options, &backend, &err),
              err);
    return backend;
}

static int
setup(void **state)
{
    struct fixture *self = calloc(1, sizeof(*self));

    if (!self)
        return -1;
    self->arena = (struct arena)ARENA_INIT((size_t)16 << 20);
    self->server = redis_server_start(NULL);
    self->backend = open_backend(self->server, "", 0);
    *state = self;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *self = *state;

    backend_close(self->backend);
    redis_server_stop(self->server);
    arena_fini(&self->arena);
    free(self);
    return 0;
}

static int
store(struct fixture *self, const char *id, const char *status, int64_t run)
{
    char text[SUITE_DOCUMENT_BYTES];
    struct backend_record record = suite_record(id, status, run, "", text);

    return backend_store(self->backend, &record, 1, NULL, &self->err);
}

static struct backend_record
get(struct fixture *self, const char *id)
{
    const struct str ids[] = {str_from_cstr(id)};
    struct backend_record_list list;

    assert_ok(backend_get(self->backend, ids, 1, &self->arena, &list, &self->err), self->err);
    return list.n_items == 1 ? list.items[0] : (struct backend_record){.task_id = STR_NULL};
}

/* Store a document as Celery would: the key alone. */
static void
set_foreign(struct fixture *self, const char *id, const char *document)
{
    struct redis_backend *backend = redis_backend_from(self->backend);
    const struct redis_value *reply;
    struct redis *redis = NULL;
    char key[128];
    struct str words[] = {STR("SET"), STR_NULL, str_from_cstr(document)};

    (void)snprintf(key, sizeof(key), "celery-task-meta-%s", id);
    words[1] = str_from_cstr(key);
    assert_ok(redis_open(&backend->address, &backend->commands.options, &redis, &self->err),
              self->err);
    assert_ok(redis_call(redis, words, 3, 10 * US_PER_S, &reply, &self->err), self->err);
    redis_close(redis);
}

static void
test_keys(void **state)
{
    static const struct {
        const char *tail;
        const char *key;
        const char *note_key;
    } rows[] = {
        {"", "celery-task-meta-id", "trawl-task-note-id"},
        {"/0?global_keyprefix=p", "p_celery-task-meta-id", "p_trawl-task-note-id"},
        {"/0?global_keyprefix=p_", "p_celery-task-meta-id", "p_trawl-task-note-id"},
        {"/0?global_keyprefix=p:", "p:celery-task-meta-id", "p:trawl-task-note-id"},
        {"/0?global_keyprefix=p-", "p-celery-task-meta-id", "p-trawl-task-note-id"},
        {"/0?global_keyprefix=p.", "p.celery-task-meta-id", "p.trawl-task-note-id"},
    };
    struct fixture *self = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[SUITE_DOCUMENT_BYTES];
        char command[128];
        char reply[SUITE_DOCUMENT_BYTES + 32];

        (void)redis_server_say(self->server, "FLUSHALL");
        backend_close(self->backend);
        self->backend = open_backend(self->server, rows[i].tail, 0);
        assert_ok(store(self, "id", "SUCCESS", 1), self->err);
        assert_string_equal(redis_server_say(self->server, "DBSIZE"), ":2\r\n");
        (void)suite_record("id", "SUCCESS", 1, "", text);
        (void)snprintf(command, sizeof(command), "GET %s", rows[i].key);
        (void)snprintf(reply, sizeof(reply), "$%zu\r\n%s\r\n", strlen(text), text);
        assert_string_equal(redis_server_say(self->server, command), reply);
        (void)snprintf(command, sizeof(command), "TTL %s", rows[i].key);
        assert_string_equal(redis_server_say(self->server, command), ":86400\r\n");
        (void)snprintf(command, sizeof(command), "TTL %s", rows[i].note_key);
        assert_string_equal(redis_server_say(self->server, command), ":86400\r\n");
    }
}

/* The channel has the key's name, the message is the document; for ever is a plain SET. */
static void
test_publishes(void **state)
{
    struct fixture *self = *state;
    struct redis_backend *backend = redis_backend_from(self->backend);
    const struct str subscribe[] = {STR("SUBSCRIBE"), STR("celery-task-meta-id")};
    char text[SUITE_DOCUMENT_BYTES];
    struct backend_record record = suite_record("id", "FAILURE", 1, "", text);
    const struct redis_value *reply;
    struct redis *redis = NULL;

    record.expires_us = TIME_UNKNOWN;
    assert_ok(redis_open(&backend->address, &backend->commands.options, &redis, &self->err),
              self->err);
    assert_ok(redis_call(redis, subscribe, 2, 10 * US_PER_S, &reply, &self->err), self->err);
    assert_ok(backend_store(self->backend, &record, 1, NULL, &self->err), self->err);
    assert_ok(store(self, "id", "STARTED", 1), self->err); /* kept: told to nobody */
    assert_ok(store(self, "id", "SUCCESS", 1), self->err);
    for (int i = 0; i < 2; i++) {
        while (!redis_take(redis, &reply))
            assert_ok(redis_run(redis, &self->err), self->err);
        assert_str_equal(reply->items[0].text, "message");
        assert_str_equal(reply->items[1].text, "celery-task-meta-id");
        (void)suite_record("id", i == 0 ? "FAILURE" : "SUCCESS", 1, "", text);
        assert_str_equal(reply->items[2].text, text);
    }
    redis_close(redis);
    record = suite_record("ever", "SUCCESS", 1, "", text);
    record.expires_us = TIME_UNKNOWN;
    assert_ok(backend_store(self->backend, &record, 1, NULL, &self->err), self->err);
    assert_string_equal(redis_server_say(self->server, "TTL celery-task-meta-ever"), ":-1\r\n");
    assert_string_equal(redis_server_say(self->server, "TTL trawl-task-note-ever"), ":-1\r\n");
}

/* What a worker of Celery's has stored counts by its status; its run is not known. */
static void
test_documents_of_celery(void **state)
{
    static const struct {
        const char *document;
        const char *status;
        const char *fresh;
        bool may;
    } rows[] = {
        {"{\"status\": \"SUCCESS\", \"task_id\": \"id\"}", "SUCCESS", "SUCCESS", false},
        {"{\"status\": \"SUCCESS\", \"task_id\": \"id\"}", "SUCCESS", "STARTED", false},
        {"{\"status\":\"FAILURE\",\"task_id\":\"id\"}", "FAILURE", "STARTED", false},
        {"{\"status\": \"FAILURE\", \"task_id\": \"id\"}", "FAILURE", "REVOKED", true},
        {"{\"status\": \"STARTED\", \"task_id\": \"id\"}", "STARTED", "PROGRESS", true},
        {"{\"status\": \"my own\", \"task_id\": \"id\"}", "my own", "STARTED", false},
        {"{\"status\": \"my own\", \"task_id\": \"id\"}", "my own", "PROGRESS", true},
        {"{\"task_id\": \"id\", \"status\": \"SUCCESS\"}", "SUCCESS", "FAILURE", false},
        {"{\"result\": \"\\\"status\\\": \\\"SUCCESS\\\"\", \"status\": \"RETRY\","
         " \"task_id\": \"id\"}",
         "RETRY", "FAILURE", true},
        {"{\"status\": \"SUCC\\u0045SS\", \"task_id\": \"id\"}", "SUCCESS", "FAILURE", false},
        {"no JSON", "UNKNOWN", "STARTED", false},
        {"no JSON", "UNKNOWN", "PROGRESS", true},
        {"{\"status\": 5}", "UNKNOWN", "SUCCESS", true},
    };
    struct fixture *self = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct backend_record found;

        (void)redis_server_say(self->server, "FLUSHALL");
        /* A note of an older state of ours does not count for it. */
        assert_ok(store(self, "id", "PROGRESS", 7), self->err);
        set_foreign(self, "id", rows[i].document);
        found = get(self, "id");
        assert_str_equal(found.status, rows[i].status);
        assert_str_equal(found.document, rows[i].document);
        assert_int_equal(found.run, 0);
        assert_true(found.expires_us == TIME_UNKNOWN);
        assert_ok(store(self, "id", rows[i].fresh, 1), self->err);
        if (!str_equal(get(self, "id").status,
                       str_from_cstr(rows[i].may ? rows[i].fresh : rows[i].status)))
            fail_msg("row %zu", i);
    }
}

/* Of the same length as ours before it: its status still tells. */
static void
test_same_length(void **state)
{
    static const char *const documents[] = {
        "{\"status\": \"SUCCESS\", \"task_id\": \"id\"}",
        "{ \"status\" :\"SUCCESS\",\"task_id\": \"id\"}",
        "{\"status\":\"SUCCESS\",\"task_id\":\"id\"}",
    };
    struct fixture *self = *state;

    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        char text[64];
        struct backend_record record = {
            .task_id = STR("id"), .status = STR("STARTED"), .run = 9, .document = {text, 0}};

        (void)redis_server_say(self->server, "FLUSHALL");
        (void)snprintf(text, sizeof(text), "%s", documents[i]);
        (void)memcpy(strstr(text, "SUCCESS"), "STARTED", 7);
        record.document.len = strlen(text);
        assert_ok(backend_store(self->backend, &record, 1, NULL, &self->err), self->err);
        assert_int_equal(get(self, "id").run, 9);
        set_foreign(self, "id", documents[i]);
        assert_str_equal(get(self, "id").status, "SUCCESS");
        assert_int_equal(get(self, "id").run, 0);
        assert_ok(store(self, "id", "FAILURE", 10), self->err);
        assert_str_equal(get(self, "id").status, "SUCCESS");
    }
}

static void
test_foreign_keys(void **state)
{
    struct fixture *self = *state;

    (void)redis_server_say(self->server, "RPUSH celery-task-meta-list x");
    (void)redis_server_say(self->server, "RPUSH trawl-task-note-other x");
    assert_null(get(self, "list").task_id.ptr);
    assert_ok(store(self, "list", "STARTED", 1), self->err);
    assert_ok(store(self, "other", "STARTED", 1), self->err);
    assert_int_equal(get(self, "list").run, 1);
    assert_int_equal(get(self, "other").run, 1);
    set_foreign(self, "short", "{\"status\": \"STARTED\", \"task_id\": \"short\"}");
    (void)redis_server_say(self->server, "EXPIRE celery-task-meta-short 100");
    assert_in_range(get(self, "short").expires_us - clock_now_us(&clock_system), 90 * US_PER_S,
                    101 * US_PER_S);
}

/* All or nothing, and everything after the cure. */
static void
test_refusals(void **state)
{
    static const struct {
        const char *ill;
        const char *cure;
        int rc;
    } rows[] = {
        {"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", -ERR_DISK_FULL},
        {"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", -ERR_NETWORK},
        {"SCRIPT FLUSH", "PING", 0},
        {"CLIENT KILL TYPE normal", "PING", 0},
    };
    struct fixture *self = *state;

    assert_ok(store(self, "first", "STARTED", 1), self->err);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char id[32];

        (void)snprintf(id, sizeof(id), "id-%zu", i);
        (void)redis_server_say(self->server, rows[i].ill);
        assert_int_equal(store(self, id, "STARTED", 1), rows[i].rc);
        (void)redis_server_say(self->server, rows[i].cure);
        for (int n = 0; store(self, id, "STARTED", 1) < 0; n++) {
            assert_true(n < 100);
            clock_sleep_us(&clock_system, 20 * US_PER_MS);
        }
        assert_str_equal(get(self, id).status, "STARTED");
    }
}

/* Nobody sees that an idle connection has died; a server that is away is told at once, and found
 * again. */
static void
test_restart(void **state)
{
    struct fixture *self = *state;
    int64_t until_us;

    assert_ok(store(self, "a", "STARTED", 1), self->err);
    redis_server_restart(self->server);
    assert_ok(store(self, "b", "STARTED", 1), self->err);
    redis_server_kill(self->server);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store(self, "c", "STARTED", 1), -ERR_NETWORK);
        assert_non_null(strstr(self->err.message, "refused"));
    }
    redis_server_restart(self->server);
    until_us = clock_mono_us(&clock_system) + OUTAGE_US;
    while (store(self, "c", "STARTED", 1) < 0) {
        assert_true(clock_mono_us(&clock_system) < until_us);
        clock_sleep_us(&clock_system, 10 * US_PER_MS);
    }
    assert_str_equal(get(self, "c").status, "STARTED");
}

/* An event loop is not held up; what it repeats is not sent again when it was answered meanwhile.
 */
static void
test_late_answer(void **state)
{
    struct fixture *self = *state;
    char texts[3][SUITE_DOCUMENT_BYTES];
    struct backend_record records[] = {
        suite_record("a", "SUCCESS", 1, "", texts[0]),
        suite_record("b", "STARTED", 1, "", texts[1]),
        suite_record("c", "FAILURE", 1, "", texts[2]),
    };
    enum backend_outcome outcomes[3] = {BACKEND_KEPT, BACKEND_KEPT, BACKEND_KEPT};
    int64_t start_us;

    assert_ok(store(self, "b", "SUCCESS", 1), self->err);
    backend_close(self->backend);
    self->backend = open_backend(self->server, "", 5 * US_PER_MS);
    while (store(self, "first", "STARTED", 1) < 0)
        assert_int_equal(self->err.code, ERR_BUSY);
    (void)redis_server_say(self->server, "CONFIG RESETSTAT");
    redis_server_pause(self->server);
    start_us = clock_mono_us(&clock_system);
    for (int i = 0; i < 5; i++)
        assert_int_equal(backend_store(self->backend, records, 2, outcomes, &self->err), -ERR_BUSY);
    assert_true(clock_mono_us(&clock_system) - start_us < US_PER_S);
    redis_server_resume(self->server);
    while (backend_store(self->backend, records, 2, outcomes, &self->err) < 0)
        assert_int_equal(self->err.code, ERR_BUSY);
    assert_int_equal(outcomes[0], BACKEND_STORED);
    assert_int_equal(outcomes[1], BACKEND_KEPT);
    assert_non_null(
        strstr(redis_server_say(self->server, "INFO commandstats"), "cmdstat_evalsha:calls=1,"));

    /* A batch that has grown: the new one alone is sent. */
    redis_server_pause(self->server);
    records[0].run = 2;
    assert_int_equal(backend_store(self->backend, records, 2, outcomes, &self->err), -ERR_BUSY);
    redis_server_resume(self->server);
    while (backend_store(self->backend, records, 3, outcomes, &self->err) < 0)
        assert_int_equal(self->err.code, ERR_BUSY);
    assert_int_equal(outcomes[0], BACKEND_KEPT);
    assert_int_equal(outcomes[1], BACKEND_KEPT);
    assert_int_equal(outcomes[2], BACKEND_STORED);
    assert_non_null(
        strstr(redis_server_say(self->server, "INFO commandstats"), "cmdstat_evalsha:calls=3,"));
    assert_str_equal(get(self, "c").status, "FAILURE");
}

/* Killed while an answer is due: it is sent again to the next server. */
static void
test_late_answer_is_lost(void **state)
{
    struct fixture *self = *state;
    int64_t until_us = clock_mono_us(&clock_system) + OUTAGE_US;

    backend_close(self->backend);
    self->backend = open_backend(self->server, "", 5 * US_PER_MS);
    while (store(self, "first", "STARTED", 1) < 0)
        assert_int_equal(self->err.code, ERR_BUSY);
    redis_server_pause(self->server);
    assert_int_equal(store(self, "id", "SUCCESS", 1), -ERR_BUSY);
    redis_server_restart(self->server);
    while (store(self, "id", "SUCCESS", 1) < 0) {
        assert_true(clock_mono_us(&clock_system) < until_us);
        clock_sleep_us(&clock_system, 10 * US_PER_MS);
    }
    backend_close(self->backend);
    self->backend = open_backend(self->server, "", 0);
    assert_str_equal(get(self, "id").status, "SUCCESS");
}

/* For commands: an error within two seconds. */
static void
test_paused(void **state)
{
    struct fixture *self = *state;
    int64_t start_us;
    struct backend_record_list list;

    assert_ok(store(self, "id", "STARTED", 1), self->err);
    redis_server_pause(self->server);
    start_us = clock_mono_us(&clock_system);
    assert_int_equal(backend_get(self->backend, &STR("id"), 1, &self->arena, &list, &self->err),
                     -ERR_TIMEOUT);
    assert_true(clock_mono_us(&clock_system) - start_us < 2 * US_PER_S);
    redis_server_resume(self->server);
    assert_str_equal(get(self, "id").status, "STARTED");
}

/* Who waits outlives the server; what the next one is told is told. */
static void
test_watch_outlives(void **state)
{
    static const struct str ids[] = {STR_INIT("a"), STR_INIT("b")};
    struct fixture *self = *state;
    struct backend_record_list list;
    int64_t until_us = clock_mono_us(&clock_system) + OUTAGE_US;
    struct backend *other;

    assert_ok(store(self, "a", "STARTED", 1), self->err);
    assert_ok(backend_watch(self->backend, ids, 2, &self->err), self->err);
    assert_ok(backend_wait_changes(self->backend, OUTAGE_US, &self->arena, &list, &self->err),
              self->err);
    assert_int_equal(list.n_items, 1);
    redis_server_kill(self->server);
    for (int i = 0; i < 3; i++) {
        assert_ok(backend_take_changes(self->backend, &self->arena, &list, &self->err), self->err);
        assert_int_equal(list.n_items, 0);
    }
    redis_server_restart(self->server);
    other = open_backend(self->server, "", 0);
    assert_int_equal(suite_store(other, "b", "SUCCESS", 1, ""), BACKEND_STORED);
    do {
        assert_ok(backend_wait_changes(self->backend, OUTAGE_US, &self->arena, &list, &self->err),
                  self->err);
        assert_true(clock_mono_us(&clock_system) < until_us);
    } while (list.n_items == 0);
    assert_int_equal(list.n_items, 1);
    assert_str_equal(list.items[0].task_id, "b");
    backend_close(other);
}

static void
test_watch_nobody(void **state)
{
    struct fixture *self = *state;
    struct backend_record_list list;

    redis_server_kill(self->server);
    assert_ok(backend_watch(self->backend, &STR("a"), 1, &self->err), self->err);
    assert_int_equal(backend_take_changes(self->backend, &self->arena, &list, &self->err),
                     -ERR_NETWORK);
}

/* A server that never answers is an error soon, and no wait for ever. */
static void
test_watch_paused(void **state)
{
    struct fixture *self = *state;
    int64_t start_us = clock_mono_us(&clock_system);
    struct backend_record_list list;

    redis_server_pause(self->server);
    assert_ok(backend_watch(self->backend, &STR("a"), 1, &self->err), self->err);
    assert_int_equal(
        backend_wait_changes(self->backend, 60 * US_PER_S, &self->arena, &list, &self->err),
        -ERR_NETWORK);
    assert_true(clock_mono_us(&clock_system) - start_us < 10 * US_PER_S);
    redis_server_resume(self->server);
}

static void
test_urls(void **state)
{
    static const char *const bad[] = {"redis://h/x", "redis+socket://x", "sentinel://h",
                                      "redis://h?global_keyprefix=%zz",
                                      "rediss://h?ssl_keyfile=/k"};
    struct error err;
    struct backend *backend = NULL;
    const struct backend_options options = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(backend_open(str_from_cstr(bad[i]), &options, &backend, &err),
                         -ERR_CONFIG);
    assert_int_equal(backend_open(STR("mongodb://h"), &options, &backend, &err), -ERR_CONFIG);
    assert_non_null(strstr(err.message, "redis://"));
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_keys),         TEST(test_publishes),        TEST(test_documents_of_celery),
        TEST(test_same_length),  TEST(test_foreign_keys),     TEST(test_refusals),
        TEST(test_restart),      TEST(test_late_answer),      TEST(test_late_answer_is_lost),
        TEST(test_paused),       TEST(test_watch_outlives),   TEST(test_watch_nobody),
        TEST(test_watch_paused), cmocka_unit_test(test_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
