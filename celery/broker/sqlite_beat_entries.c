/* Beat's store in the SQLite broker's file: what is remembered of entries, and slots with their
 * messages. */

#include "base/json_writer.h"
#include "celery/broker/check.h"
#include "celery/broker/sqlite_beat.h"
#include "celery/schedule_timing.h"

#define NAMES_BYTES ((size_t)16 << 20)
#define MAX_RECORDS ((size_t)100000)

static int
add_entries(struct sqlite_broker *broker, const struct beat_operation *operation, struct error *err)
{
    static const char sql[] =
        "INSERT OR IGNORE INTO beat_entries (name, last_slot, n_runs, task_id)"
        " SELECT value, $1, 0, '' FROM json_each($2)";
    struct statement *statement;
    int rc = database_prepare(broker->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, operation->slot_us);
    statement_bind_str(statement, 2, operation->names);
    return statement_run(statement, NULL, err);
}

static int
forget_others(struct sqlite_broker *broker, const char *sql, struct str names, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(broker->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, names);
    return statement_run(statement, NULL, err);
}

static int
load(struct sqlite_broker *broker, void *context, struct error *err)
{
    static const char slots_sql[] =
        "DELETE FROM beat_slots WHERE name NOT IN (SELECT value FROM json_each($1))";
    static const char entries_sql[] =
        "DELETE FROM beat_entries WHERE name NOT IN (SELECT value FROM json_each($1))";
    struct beat_operation *operation = context;
    int rc = sqlite_beat_give_sign(broker, operation, err);

    if (rc < 0 || operation->answer == BEAT_FENCED)
        return rc;
    rc = add_entries(broker, operation, err);
    if (rc == 0)
        rc = forget_others(broker, slots_sql, operation->names, err);
    return rc < 0 ? rc : forget_others(broker, entries_sql, operation->names, err);
}

static int
read_state(struct sqlite_broker *broker, const char *name, struct beat_state *out,
           struct error *err)
{
    static const char sql[] = "SELECT last_slot, n_runs, sent_at FROM beat_entries WHERE name = $1";
    struct statement *statement;
    int rc = database_prepare(broker->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, str_from_cstr(name));
    rc = statement_step(statement, err);
    if (rc == 0)
        return error_set(err, ERR_NOT_FOUND, "schedule '%s' is not known to the broker", name);
    if (rc < 0)
        return rc;
    *out = (struct beat_state){statement_i64(statement, 0), statement_i64(statement, 1),
                               statement_i64(statement, 2)};
    statement_reset(statement);
    return 0;
}

int
sqlite_beat_load(struct beat_store *store, const char *const *names, size_t n_names,
                 int64_t anchor_us, struct beat_state *states, enum beat_answer *out,
                 struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(NAMES_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&text);
    struct sqlite_beat *self = sqlite_beat_from(store);
    struct beat_operation operation = {.slot_us = anchor_us};
    int rc;

    json_begin_array(&json);
    for (size_t i = 0; i < n_names; i++)
        json_str(&json, str_from_cstr(names[i]));
    json_end_array(&json);
    rc = buf_status(&text, err);
    if (rc < 0)
        return rc;
    operation.names = buf_str(&text);
    rc = sqlite_beat_transact(self, load, &operation, err);
    /* Behind the transaction: whoever changes a state meanwhile has fenced us. */
    for (size_t i = 0; rc == 0 && operation.answer == BEAT_DONE && i < n_names; i++)
        rc = read_state(sqlite_broker_from(self->broker), names[i], &states[i], err);
    if (rc == 0)
        *out = operation.answer;
    return rc;
}

/* *is_new: nobody has written down this slot before. */
static int
insert_slot(struct sqlite_broker *broker, const struct beat_operation *operation, bool *is_new,
            struct error *err)
{
    static const char sql[] = "INSERT OR IGNORE INTO beat_slots (slot_key, name, run, task_id)"
                              " VALUES ($1, $2, $3, $4)";
    char key[CELERY_SLOT_KEY_BYTES];
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(broker->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    (void)celery_slot_key(operation->name, operation->slot_us, key);
    statement_bind_str(statement, 1, str_from_cstr(key));
    statement_bind_str(statement, 2, str_from_cstr(operation->name));
    statement_bind_i64(statement, 3, operation->state.n_runs + 1);
    statement_bind_str(statement, 4, operation->message->id);
    rc = statement_run(statement, &n_changed, err);
    if (rc == 0)
        *is_new = n_changed == 1;
    return rc;
}

static int
trim_slots(struct sqlite_broker *broker, const struct beat_operation *operation, struct error *err)
{
    static const char sql[] = "DELETE FROM beat_slots WHERE name = $1 AND run <= $2";
    struct statement *statement;
    int rc = database_prepare(broker->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, str_from_cstr(operation->name));
    statement_bind_i64(statement, 2, operation->state.n_runs - operation->store->n_keys_kept);
    return statement_run(statement, NULL, err);
}

/* task_id absent: the last run stays the last one. */
static int
write_state(struct sqlite_broker *broker, const char *name, const struct beat_state *state,
            struct str task_id, struct error *err)
{
    static const char sql[] = "UPDATE beat_entries SET last_slot = $1, n_runs = $2, sent_at = $3,"
                              " task_id = coalesce($4, task_id) WHERE name = $5";
    struct statement *statement;
    int rc = database_prepare(broker->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, state->last_slot_us);
    statement_bind_i64(statement, 2, state->n_runs);
    statement_bind_i64(statement, 3, state->sent_at_us);
    statement_bind_str(statement, 4, task_id);
    statement_bind_str(statement, 5, str_from_cstr(name));
    return statement_run(statement, NULL, err);
}

static int
insert_message(struct sqlite_broker *broker, const struct broker_message *message,
               struct error *err)
{
    struct pending pending = {
        .queue = message->queue,
        .id = message->id,
        .bytes = message->bytes,
        .priority = message->priority,
        .eta_us = TIME_UNKNOWN,
        .expires_us = message->expires_us,
    };

    return sqlite_message_insert(broker, &pending, err);
}

/* The slot is later than the last one. */
static int
send_slot(struct sqlite_broker *broker, struct beat_operation *operation, struct error *err)
{
    struct beat_state *state = &operation->state;
    bool is_new = false;
    int rc = insert_slot(broker, operation, &is_new, err);

    if (rc < 0)
        return rc;
    state->last_slot_us = operation->slot_us;
    if (!is_new) /* sent before the clock went far back */
        return write_state(broker, operation->name, state, STR_NULL, err);
    state->n_runs++;
    state->sent_at_us = clock_now_us(broker->options.clock);
    rc = insert_message(broker, operation->message, err);
    if (rc == 0)
        rc = trim_slots(broker, operation, err);
    if (rc == 0)
        rc = write_state(broker, operation->name, state, operation->message->id, err);
    operation->answer = BEAT_DONE;
    return rc;
}

static int
send(struct sqlite_broker *broker, void *context, struct error *err)
{
    struct beat_operation *operation = context;
    int rc = sqlite_beat_give_sign(broker, operation, err);

    if (rc < 0 || operation->answer == BEAT_FENCED)
        return rc;
    rc = read_state(broker, operation->name, &operation->state, err);
    operation->answer = BEAT_REPEATED;
    if (rc == 0 && operation->slot_us > operation->state.last_slot_us)
        rc = send_slot(broker, operation, err);
    return rc;
}

int
sqlite_beat_send(struct beat_store *store, const char *name, int64_t slot_us,
                 const struct broker_message *message, struct beat_state *state,
                 enum beat_answer *out, struct error *err)
{
    struct sqlite_beat *self = sqlite_beat_from(store);
    struct beat_operation operation = {.name = name, .slot_us = slot_us, .message = message};
    int rc =
        check_message(message, sqlite_broker_from(self->broker)->options.max_message_bytes, err);

    if (rc == 0)
        rc = sqlite_beat_transact(self, send, &operation, err);
    if (rc < 0)
        return rc;
    if (operation.answer != BEAT_FENCED)
        *state = operation.state;
    *out = operation.answer;
    return 0;
}

static int
skip(struct sqlite_broker *broker, void *context, struct error *err)
{
    struct beat_operation *operation = context;
    int rc = sqlite_beat_give_sign(broker, operation, err);

    if (rc < 0 || operation->answer == BEAT_FENCED)
        return rc;
    rc = read_state(broker, operation->name, &operation->state, err);
    operation->state.last_slot_us = operation->slot_us;
    return rc < 0 ? rc : write_state(broker, operation->name, &operation->state, STR_NULL, err);
}

int
sqlite_beat_skip(struct beat_store *store, const char *name, int64_t slot_us, enum beat_answer *out,
                 struct error *err)
{
    struct beat_operation operation = {.name = name, .slot_us = slot_us};
    int rc = sqlite_beat_transact(sqlite_beat_from(store), skip, &operation, err);

    if (rc == 0)
        *out = operation.answer;
    return rc;
}

static int
read_records(struct database *database, struct beat_record *items, size_t limit,
             struct arena *arena, size_t *n_items, struct error *err)
{
    static const char sql[] = "SELECT name, last_slot, n_runs, sent_at, task_id FROM beat_entries"
                              " ORDER BY name LIMIT $1";
    struct statement *statement;
    bool is_copied = true;
    size_t n = 0;
    int rc = database_prepare(database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, (int64_t)limit);
    while (n < limit && (rc = statement_step(statement, err)) == 1)
        items[n++] = (struct beat_record){
            .name = arena_dup(arena, statement_str(statement, 0), &is_copied),
            .state = {statement_i64(statement, 1), statement_i64(statement, 2),
                      statement_i64(statement, 3)},
            .task_id = arena_dup(arena, statement_str(statement, 4), &is_copied),
        };
    statement_reset(statement);
    if (rc < 0)
        return rc;
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for %zu schedules", n);
    *n_items = n;
    return 0;
}

int
sqlite_beat_list(struct beat_store *store, struct arena *arena, struct beat_record_list *out,
                 struct error *err)
{
    struct database *database = sqlite_broker_from(sqlite_beat_from(store)->broker)->database;
    struct beat_record *items;
    int64_t n_records = 0;
    size_t limit;
    size_t n = 0;
    int rc = database_query_i64(database, "SELECT count(*) FROM beat_entries", &n_records, err);

    if (rc < 0)
        return rc;
    limit = (size_t)n_records < MAX_RECORDS ? (size_t)n_records : MAX_RECORDS;
    items = arena_calloc(arena, limit, sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu schedules", limit);
    rc = read_records(database, items, limit, arena, &n, err);
    if (rc == 0)
        *out = (struct beat_record_list){items, n};
    return rc;
}
