/* celery/control: which states a revoke replaces, on a backend of SQLite. */

#include "tests/unit/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "celery/control/revoked_store.h"

static const char *const states[] = {"STARTED", "PROGRESS", "RETRY",
                                     "FAILURE", "REVOKED",  "SUCCESS"};

struct fixture {
    char dir[32];
    struct backend *backend;
};

static void
open_backend(struct fixture *self)
{
    struct error err;
    char path[64];

    (void)snprintf(self->dir, sizeof(self->dir), "/tmp/revokedXXXXXX");
    assert_non_null(mkdtemp(self->dir));
    (void)snprintf(path, sizeof(path), "%s/results.db", self->dir);
    assert_ok(backend_open(str_from_cstr(path), &(struct backend_options){0}, &self->backend, &err),
              err);
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        struct result result = RESULT_INIT;

        result.status = str_from_cstr(states[i]);
        result.task_id = str_from_cstr(states[i]);
        assert_ok(backend_store_result(self->backend, &result, 0, NULL, &err), err);
    }
}

static void
close_backend(struct fixture *self)
{
    char command[64];

    backend_close(self->backend);
    (void)snprintf(command, sizeof(command), "rm -r %s", self->dir);
    assert_int_equal(system(command), 0);
}

static void
check_state(struct fixture *self, const char *id, const char *state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct str name = str_from_cstr(id);
    struct backend_record_list list;
    struct error err;

    assert_ok(backend_get(self->backend, &name, 1, &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_str_equal(list.items[0].status, state);
}

static void
revoke_all(struct fixture *self, enum revoked_store_over over)
{
    struct str ids[COUNT_OF(states) + 2] = {STR("unknown"), STR("\xff is no id")};
    struct error err;

    for (size_t i = 0; i < COUNT_OF(states); i++)
        ids[i + 2] = str_from_cstr(states[i]);
    assert_ok(revoked_store(self->backend, ids, COUNT_OF(ids), over, STR("w@h"), &err), err);
}

static void
test_states(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct str unknown = STR("unknown");
    struct backend_record_list list;
    struct result result;
    struct fixture self;
    struct error err;

    (void)state;
    open_backend(&self);
    revoke_all(&self, REVOKED_OVER_WAITING);
    check_state(&self, "unknown", "REVOKED");
    check_state(&self, "RETRY", "REVOKED");
    for (size_t i = 0; i < COUNT_OF(states); i++)
        if (strcmp(states[i], "RETRY") != 0)
            check_state(&self, states[i], states[i]);
    assert_ok(backend_get(self.backend, &unknown, 1, &arena, &list, &err), err);
    assert_ok(result_decode(list.items[0].document, &arena, &result, &err), err);
    assert_str_equal(result.result, "{\"exc_type\":\"TaskRevokedError\",\"exc_message\":"
                                    "[\"revoked\"],\"exc_module\":\"celery.exceptions\"}");
    assert_true(result.date_done_us > 0);

    revoke_all(&self, REVOKED_OVER_STARTED);
    check_state(&self, "STARTED", "REVOKED");
    check_state(&self, "PROGRESS", "REVOKED");
    check_state(&self, "FAILURE", "FAILURE");
    check_state(&self, "SUCCESS", "SUCCESS");
    assert_ok(revoked_store(self.backend, NULL, 0, REVOKED_OVER_STARTED, STR_NULL, &err), err);
    close_backend(&self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_states)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
