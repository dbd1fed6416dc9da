/* Beat's store in the SQLite broker's file: handles and leadership.
 *
 * Each operation of a leader is one write transaction that begins by counting up the signs of its
 * term.  That no row was there to count up is the fence. */

#include "celery/broker/sqlite_beat.h"

#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_US (US_PER_S * 3 / 2)

static void
sqlite_close(struct beat_store *store)
{
    struct sqlite_beat *self = sqlite_beat_from(store);

    broker_close(self->broker);
    free(self);
}

static int
sqlite_open(struct str url, const struct beat_store_options *options, struct beat_store **out,
            struct error *err)
{
    struct sqlite_beat *self = calloc(1, sizeof(*self));
    struct broker_options broker_options = {.clock = options->clock,
                                            .must_exist = options->must_exist};
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for beat");
    self->base.ops = &beat_store_sqlite;
    self->timeout_us = options->timeout_us ? options->timeout_us : TIMEOUT_US;
    self->n_keys_kept = options->n_keys_kept ? options->n_keys_kept : BEAT_KEYS_KEPT;
    (void)memcpy(self->owner, options->owner.ptr, options->owner.len);
    broker_options.name = str_from_cstr(self->owner);
    broker_options.max_open_us = self->timeout_us;
    rc = broker_sqlite.open(url, &broker_options, &self->broker, err);
    if (rc < 0) {
        free(self);
        return rc;
    }
    *out = &self->base;
    return 0;
}

int
sqlite_beat_transact(struct sqlite_beat *self, sqlite_work_fn fn, struct beat_operation *operation,
                     struct error *err)
{
    operation->store = self;
    operation->answer = BEAT_FENCED;
    return sqlite_transact(sqlite_broker_from(self->broker), self->timeout_us, fn, operation, err);
}

static int
sqlite_look(struct beat_store *store, struct beat_lead *out, struct error *err)
{
    static const char sql[] = "SELECT term, n_signs, owner FROM beat_leader";
    struct sqlite_broker *broker = sqlite_broker_from(sqlite_beat_from(store)->broker);
    struct beat_lead lead = {0};
    struct statement *statement;
    int rc = database_prepare(broker->database, sql, &statement, err);

    if (rc == 0)
        rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        lead.term = statement_i64(statement, 0);
        lead.n_signs = statement_i64(statement, 1);
        (void)snprintf(lead.owner, sizeof(lead.owner), "%.*s",
                       STR_ARG(statement_str(statement, 2)));
    }
    statement_reset(statement);
    *out = lead;
    return 0;
}

/* The row is as it was seen: with term 0 it must not be there, else it must. */
static int
take(struct sqlite_broker *broker, void *context, struct error *err)
{
    static const char sql[] =
        "INSERT INTO beat_leader (leader_id, term, owner, n_signs) SELECT 1, $1, $2, 0"
        " WHERE $3 = 0 OR EXISTS (SELECT 1 FROM beat_leader)"
        " ON CONFLICT (leader_id) DO UPDATE SET term = excluded.term, owner = excluded.owner,"
        " n_signs = 0 WHERE term = $3 AND n_signs = $4 AND owner = $5";
    struct beat_operation *operation = context;
    const struct beat_lead *seen = operation->seen;
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(broker->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, seen->term + 1);
    statement_bind_str(statement, 2, str_from_cstr(operation->store->owner));
    statement_bind_i64(statement, 3, seen->term);
    statement_bind_i64(statement, 4, seen->n_signs);
    statement_bind_str(statement, 5, str_from_cstr(seen->owner));
    rc = statement_run(statement, &n_changed, err);
    if (rc == 0 && n_changed == 1)
        operation->answer = BEAT_DONE;
    return rc;
}

static int
sqlite_take(struct beat_store *store, const struct beat_lead *seen, enum beat_answer *out,
            struct error *err)
{
    struct sqlite_beat *self = sqlite_beat_from(store);
    struct beat_operation operation = {.seen = seen};
    int rc = sqlite_beat_transact(self, take, &operation, err);

    if (rc < 0)
        return rc;
    if (operation.answer == BEAT_DONE)
        self->term = seen->term + 1;
    *out = operation.answer;
    return 0;
}

static int
run_as_leader(struct sqlite_broker *broker, const char *sql, struct beat_operation *operation,
              struct error *err)
{
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(broker->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, operation->store->term);
    statement_bind_str(statement, 2, str_from_cstr(operation->store->owner));
    rc = statement_run(statement, &n_changed, err);
    if (rc == 0)
        operation->answer = n_changed == 1 ? BEAT_DONE : BEAT_FENCED;
    return rc;
}

int
sqlite_beat_give_sign(struct sqlite_broker *broker, struct beat_operation *operation,
                      struct error *err)
{
    static const char sql[] =
        "UPDATE beat_leader SET n_signs = n_signs + 1 WHERE term = $1 AND owner = $2";

    return run_as_leader(broker, sql, operation, err);
}

static int
keep(struct sqlite_broker *broker, void *context, struct error *err)
{
    return sqlite_beat_give_sign(broker, context, err);
}

/* Once a second, all day: not worth a sync of the disk.  A machine that loses it was down. */
static int
sqlite_keep(struct beat_store *store, enum beat_answer *out, struct error *err)
{
    struct sqlite_beat *self = sqlite_beat_from(store);
    struct beat_operation operation = {.store = self};
    int rc = sqlite_transact_with(sqlite_broker_from(self->broker), DATABASE_SYNC_NORMAL,
                                  self->timeout_us, keep, &operation, err);

    if (rc == 0)
        *out = operation.answer;
    return rc;
}

static int
release(struct sqlite_broker *broker, void *context, struct error *err)
{
    static const char sql[] = "UPDATE beat_leader SET owner = '' WHERE term = $1 AND owner = $2";

    return run_as_leader(broker, sql, context, err);
}

static int
sqlite_release(struct beat_store *store, struct error *err)
{
    struct beat_operation operation = {.name = NULL};

    return sqlite_beat_transact(sqlite_beat_from(store), release, &operation, err);
}

const struct beat_store_ops beat_store_sqlite = {
    .open = sqlite_open,
    .close = sqlite_close,
    .look = sqlite_look,
    .take = sqlite_take,
    .keep = sqlite_keep,
    .release = sqlite_release,
    .load = sqlite_beat_load,
    .send = sqlite_beat_send,
    .skip = sqlite_beat_skip,
    .list = sqlite_beat_list,
};
