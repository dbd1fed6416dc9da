/* The SQLite broker against the model: locked and failing transactions, dead processes.  100,000
 * schedules, a tenth of it under a sanitizer. */

#include "celery/broker/sqlite_internal.h"
#include "tests/unit/celery/broker/simulation.h"

static void
run(struct simulation *self, struct handle *handle)
{
    struct error err;

    if (broker_run(handle->broker, &err) < 0)
        fail_msg("schedule %llu: %s", (unsigned long long)self->schedule, err.message);
}

static int
on_commit(void *context, struct error *err)
{
    struct simulation *self = context;

    if (!self->must_fail)
        return 0;
    self->must_fail = false;
    return error_set(err, ERR_DISK_FULL, "the simulated disk is full");
}

/* Another process has the write lock. */
static void
run_locked(struct simulation *self, struct handle *handle)
{
    struct handle *other = &self->handles[(handle->idx + 1) % N_HANDLES];
    struct database *database = sqlite_broker_from(other->broker)->database;
    struct error err;

    assert_ok(database_begin(database, &err), err);
    run(self, handle);
    database_rollback(database);
}

static void
run_hurt(struct simulation *self, struct handle *handle)
{
    if (simulation_draw(self, 16) == 0) {
        run_locked(self, handle);
        return;
    }
    self->must_fail = simulation_draw(self, 4) == 0;
    run(self, handle);
    self->must_fail = false;
}

static void
abandon(struct simulation *self, struct handle *handle)
{
    (void)self;
    live_file_release(&sqlite_broker_from(handle->broker)->live);
}

/* It works under a number whose byte it does not hold: anybody may take its messages. */
static bool
is_presumed_dead(const struct handle *handle)
{
    const struct sqlite_broker *broker = sqlite_broker_from(handle->broker);

    return broker->consumer_id != 0 && broker->live.held == 0;
}

static int64_t
query(struct simulation *self, const char *sql)
{
    struct database *database = sqlite_broker_from(self->handles[0].broker)->database;
    struct statement *statement;
    struct error err;
    int64_t value;

    assert_ok(database_prepare(database, sql, &statement, &err), err);
    assert_int_equal(statement_step(statement, &err), 1);
    value = statement_i64(statement, 0);
    statement_reset(statement);
    return value;
}

static int64_t
count_left(struct simulation *self)
{
    return query(self, "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM ready)"
                       " + (SELECT count(*) FROM scheduled) + (SELECT count(*) FROM claims)");
}

static int64_t
count_dead(struct simulation *self)
{
    return query(self, "SELECT count(*) FROM dead");
}

/* In memory where the system has such a place: it is the states that are tried here, not the disk.
 */
static void
test_schedules(void **state)
{
    static const struct simulation_ops ops = {run,        run_hurt,  abandon, is_presumed_dead,
                                              count_left, count_dead};
#ifdef __SANITIZE_ADDRESS__
    uint64_t n_schedules = 10000;
#else
    uint64_t n_schedules = 100000;
#endif
    struct simulation *self = calloc(1, sizeof(*self));
    char dir[64] = "/dev/shm/trawl-test-XXXXXX";
    char url[128];

    (void)state;
    assert_non_null(self);
    if (!mkdtemp(dir))
        test_dir_make(dir);
    (void)snprintf(url, sizeof(url), "sqlite:///%s/broker.db", dir);
    simulation_open(self, &ops, url);
    for (size_t i = 0; i < N_HANDLES; i++)
        database_set_commit_hook(sqlite_broker_from(self->handles[i].broker)->database, on_commit,
                                 self);
    simulation_run(self, n_schedules);
    simulation_close(self);
    test_dir_remove(dir);
    free(self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
