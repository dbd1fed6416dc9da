/* One task with all that is known of it. */

#include <stdio.h>

#include "celery/history/sqlite_internal.h"

#define SHOWN_MATCHES 5
#define ATTEMPTS_MAX  1000
#define COPIES_MAX    100

int
sqlite_history_find(struct history *history, struct str id, struct arena *arena, struct str *out,
                    struct error *err)
{
    static const char sql[] =
        "SELECT task_id FROM tasks WHERE task_id >= $1 ORDER BY task_id LIMIT 6";
    struct sqlite_history *self = sqlite_history_from(history);
    CLEANUP(buf_fini) struct buf matches = BUF_INIT(8192);
    struct str found = STR_NULL;
    struct statement *statement;
    size_t n = 0;
    bool ok = true;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, id);
    while ((rc = statement_step(statement, err)) == 1) {
        struct str task_id = statement_str(statement, 0);

        if (!str_starts_with(task_id, id))
            break;
        if (n++ == 0)
            found = arena_dup(arena, task_id, &ok);
        if (str_equal(task_id, id)) { /* the whole id of one, the beginning of another */
            n = 1;
            break;
        }
        if (n <= SHOWN_MATCHES)
            buf_printf(&matches, " %.*s", STR_ARG(str_slice(task_id, 0, 36)));
    }
    statement_reset(statement);
    if (rc < 0)
        return rc;
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for a task id");
    if (n == 0)
        return error_set(err, ERR_NOT_FOUND,
                         "no task '%.*s' in the history: it has not ended, is too old, or was"
                         " excluded ('trawl tasks' lists what is kept)",
                         STR_ARG(str_slice(id, 0, 64)));
    if (n > 1)
        return error_set(err, ERR_ARGS, "several tasks begin with '%.*s':%s%s",
                         STR_ARG(str_slice(id, 0, 36)), buf_cstr(&matches),
                         n > SHOWN_MATCHES ? " ..." : "");
    *out = found;
    return 0;
}

/* Columns 0 to 18 into a record; texts first. */
static void
read_attempt(const struct statement *statement, struct arena *arena, struct history_record *out,
             bool *ok)
{
    struct str *const texts[] = {&out->worker, &out->state,     &out->result,
                                 &out->error,  &out->traceback, &out->lines};
    int64_t *const numbers[] = {
        &out->at_us, &out->received_at_us, &out->started_at_us, &out->runtime_us,
        &out->pid,   &out->retries,        &out->attempt,       &out->n_dropped};

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        *texts[i] = arena_dup(arena, statement_str(statement, (int)i), ok);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        *numbers[i] = statement_i64(statement, (int)(COUNT_OF(texts) + i));
}

/* The parts that all attempts have in common. */
static int
read_task(struct sqlite_history *self, struct str id, struct arena *arena,
          struct history_record *out, int64_t *row_id, struct error *err)
{
    static const char sql[] =
        "SELECT task_id, (SELECT text FROM words WHERE word_id = name), (SELECT text FROM words"
        " WHERE word_id = queue), root_id, parent_id, group_id, args, kwargs, flags, row_id"
        " FROM tasks WHERE task_id = $1";
    struct str *const texts[] = {&out->task_id,   &out->name,     &out->queue, &out->root_id,
                                 &out->parent_id, &out->group_id, &out->args,  &out->kwargs};
    struct statement *statement;
    bool ok = true;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, id);
    rc = statement_step(statement, err);
    if (rc == 1) {
        for (size_t i = 0; i < COUNT_OF(texts); i++)
            *texts[i] = arena_dup(arena, statement_str(statement, (int)i), &ok);
        out->flags = statement_i64(statement, 8);
        *row_id = statement_i64(statement, 9);
        if (!out->root_id.ptr)
            out->root_id = out->task_id;
    }
    statement_reset(statement);
    if (rc == 0)
        return error_set(err, ERR_NOT_FOUND, "no task '%.*s' in the history",
                         STR_ARG(str_slice(id, 0, 64)));
    return rc < 0 ? rc : ok ? 0 : error_set(err, ERR_NOMEM, "no memory for a task");
}

static int
read_attempts(struct sqlite_history *self, int64_t row_id, const struct history_record *common,
              struct arena *arena, struct history_task *out, struct error *err)
{
    static const char sql[] =
        "SELECT worker, state, result, error, traceback, lines, at, received_at, started_at,"
        " runtime, pid, retries, attempt, n_dropped, run FROM attempts WHERE row_id = $1"
        " UNION ALL SELECT words.text, state, result, error, traceback, lines, at, received_at,"
        " started_at, runtime, pid, retries, attempt, coalesce(n_dropped, 0), run FROM tasks"
        " JOIN words ON word_id = worker LEFT JOIN details USING (row_id) WHERE tasks.row_id = $1"
        " ORDER BY run";
    struct statement *statement;
    bool ok = true;
    int rc;

    out->attempts = arena_calloc(arena, ATTEMPTS_MAX, sizeof(*out->attempts));
    if (!out->attempts)
        return error_set(err, ERR_NOMEM, "no memory for attempts");
    rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    while (out->n_attempts < ATTEMPTS_MAX && (rc = statement_step(statement, err)) == 1) {
        struct history_record *attempt = &out->attempts[out->n_attempts++];

        *attempt = *common;
        read_attempt(statement, arena, attempt, &ok);
    }
    statement_reset(statement);
    return rc < 0 ? rc : ok ? 0 : error_set(err, ERR_NOMEM, "no memory for attempts");
}

/* The ids that a query gives, n_most at most. */
static int
read_ids(struct sqlite_history *self, const char *sql, struct str id, struct arena *arena,
         size_t n_most, struct str *items, size_t *n_items, struct error *err)
{
    struct statement *statement;
    bool ok = true;
    int rc = database_prepare(self->database, sql, &statement, err);

    *n_items = 0;
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, id);
    while (*n_items < n_most && (rc = statement_step(statement, err)) == 1)
        items[(*n_items)++] = arena_dup(arena, statement_str(statement, 0), &ok);
    statement_reset(statement);
    return rc < 0 ? rc : ok ? 0 : error_set(err, ERR_NOMEM, "no memory for task ids");
}

int
sqlite_history_get(struct history *history, struct str id, struct arena *arena,
                   struct history_task *out, struct error *err)
{
    static const char from_sql[] = "SELECT retry_of FROM retries WHERE task_id = $1";
    static const char to_sql[] = "SELECT task_id FROM retries WHERE retry_of = $1 ORDER BY at";
    struct sqlite_history *self = sqlite_history_from(history);
    struct history_record common = {0};
    struct history_task task = {0};
    int64_t row_id = 0;
    size_t n;
    int rc = read_task(self, id, arena, &common, &row_id, err);

    if (rc == 0)
        rc = read_attempts(self, row_id, &common, arena, &task, err);
    if (rc == 0)
        rc = read_ids(self, from_sql, id, arena, 1, &task.retry_of, &n, err);
    if (rc == 0) {
        task.retried_as = arena_calloc(arena, COPIES_MAX, sizeof(*task.retried_as));
        rc = task.retried_as ? read_ids(self, to_sql, id, arena, COPIES_MAX, task.retried_as,
                                        &task.n_retried_as, err)
                             : error_set(err, ERR_NOMEM, "no memory for task ids");
    }
    if (rc == 0)
        *out = task;
    return rc;
}
