/* Writing: one transaction per batch, as few B-trees as a success needs. */

#include <string.h>

#include "celery/backend/result.h"
#include "celery/history/sqlite_internal.h"

static struct sqlite_history_word *
cached_word(struct sqlite_history *self, struct str text)
{
    uint64_t hash = 1469598103934665603U; /* FNV-1a */

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * 1099511628211U;
    return &self->words[(hash ^ hash >> 32) % COUNT_OF(self->words)];
}

/* After a rollback the store may not have them. */
static void
forget_words(struct sqlite_history *self)
{
    for (size_t i = 0; i < COUNT_OF(self->words); i++)
        self->words[i].word_id = 0;
}

static int
add_word(struct sqlite_history *self, struct str text, int64_t *out, struct error *err)
{
    /* The update that changes nothing makes RETURNING speak for a word that is there, too. */
    static const char sql[] = "INSERT INTO words (text) VALUES ($1)"
                              " ON CONFLICT (text) DO UPDATE SET text = excluded.text"
                              " RETURNING word_id";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, text);
    rc = statement_step(statement, err);
    if (rc == 1)
        *out = statement_i64(statement, 0);
    statement_reset(statement);
    return rc < 0 ? rc : 0;
}

static int
find_word(struct sqlite_history *self, struct str text, int64_t *out, struct error *err)
{
    struct str cut = str_slice(text.ptr ? text : STR(""), 0, HISTORY_NAME_BYTES);
    struct sqlite_history_word *word = cached_word(self, cut);
    int rc;

    if (word->word_id && str_equal((struct str){word->text, word->n_text}, cut)) {
        *out = word->word_id;
        return 0;
    }
    rc = add_word(self, cut, out, err);
    if (rc < 0)
        return rc;
    word->word_id = *out;
    word->n_text = cut.len;
    (void)memcpy(word->text, cut.ptr, cut.len);
    return 0;
}

struct word_ids {
    int64_t name, queue, worker;
};

static int
find_words(struct sqlite_history *self, const struct history_record *record, struct word_ids *out,
           struct error *err)
{
    int rc = find_word(self, record->name, &out->name, err);

    if (rc == 0)
        rc = find_word(self, record->queue, &out->queue, err);
    if (rc == 0)
        rc = find_word(self, record->worker, &out->worker, err);
    return rc;
}

static int64_t
run_of(const struct history_record *record)
{
    return result_run(record->retries, record->attempt);
}

/* $1 to $19, in the order of the columns from task_id on. */
static void
bind_task(struct statement *statement, const struct history_record *record,
          const struct word_ids *words)
{
    const int64_t numbers[] = {
        record->at_us, record->received_at_us, record->started_at_us, record->runtime_us,
        record->pid,   record->retries,        record->attempt,       record->flags};
    bool is_root = !record->root_id.ptr || str_equal(record->root_id, record->task_id);

    statement_bind_str(statement, 1, record->task_id);
    statement_bind_i64(statement, 2, words->name);
    statement_bind_i64(statement, 3, words->queue);
    statement_bind_i64(statement, 4, words->worker);
    statement_bind_str(statement, 5, record->state);
    statement_bind_i64(statement, 6, run_of(record));
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        statement_bind_i64(statement, 7 + (int)i, numbers[i]);
    statement_bind_str(statement, 15, is_root ? STR_NULL : record->root_id);
    statement_bind_str(statement, 16, record->parent_id);
    statement_bind_str(statement, 17, record->group_id);
    statement_bind_str(statement, 18, record->args);
    statement_bind_str(statement, 19, record->kwargs);
}

/* 1 with the row's number, 0: the task is known already. */
static int
insert_task(struct sqlite_history *self, const struct history_record *record,
            const struct word_ids *words, int64_t *row_id, struct error *err)
{
    static const char sql[] =
        "INSERT INTO tasks (task_id, name, queue, worker, state, run, at, received_at, started_at,"
        " runtime, pid, retries, attempt, flags, root_id, parent_id, group_id, args, kwargs)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
        " $19) ON CONFLICT (task_id) DO NOTHING RETURNING row_id";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    bind_task(statement, record, words);
    rc = statement_step(statement, err);
    if (rc == 1)
        *row_id = statement_i64(statement, 0);
    statement_reset(statement);
    return rc;
}

/* $1 stands first: SQLite numbers parameters in the order of their appearance. */
static int
update_task(struct sqlite_history *self, const struct history_record *record,
            const struct word_ids *words, struct error *err)
{
    static const char sql[] =
        "UPDATE tasks SET task_id = $1, name = $2, queue = $3, worker = $4, state = $5, run = $6, "
        "at = $7,"
        " received_at = $8, started_at = $9, runtime = $10, pid = $11, retries = $12,"
        " attempt = $13, flags = $14, root_id = $15, parent_id = $16, group_id = $17, args = $18,"
        " kwargs = $19 WHERE task_id = $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    bind_task(statement, record, words);
    return statement_run(statement, NULL, err);
}

static void
bind_details(struct statement *statement, int from, const struct history_record *record)
{
    statement_bind_str(statement, from, record->result);
    statement_bind_str(statement, from + 1, record->error);
    statement_bind_str(statement, from + 2, record->traceback);
    statement_bind_str(statement, from + 3, record->lines);
    statement_bind_i64(statement, from + 4, record->n_dropped);
}

static bool
has_details(const struct history_record *record)
{
    bool has_result = record->result.ptr && !str_equal(record->result, STR("null"));

    return has_result || record->error.ptr || record->traceback.ptr || record->lines.ptr ||
           record->n_dropped > 0;
}

static int
insert_details(struct sqlite_history *self, int64_t row_id, const struct history_record *record,
               struct error *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO details (row_id, result, error, traceback, lines, n_dropped)"
        " VALUES ($1, $2, $3, $4, $5, $6)";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    bind_details(statement, 2, record);
    return statement_run(statement, NULL, err);
}

static int
run_with_row(struct sqlite_history *self, const char *sql, int64_t row_id, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    return statement_run(statement, NULL, err);
}

/* What is in `tasks` has become an earlier attempt. */
static int
move_to_attempts(struct sqlite_history *self, int64_t row_id, struct error *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO attempts SELECT row_id, run, words.text, state, at, received_at,"
        " started_at, runtime, pid, retries, attempt, result, error, traceback, lines,"
        " coalesce(n_dropped, 0) FROM tasks JOIN words ON word_id = worker"
        " LEFT JOIN details USING (row_id) WHERE row_id = $1";

    return run_with_row(self, sql, row_id, err);
}

/* It comes late: a newer run is known. */
static int
insert_attempt(struct sqlite_history *self, int64_t row_id, const struct history_record *record,
               struct error *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO attempts (row_id, run, worker, state, at, received_at, started_at,"
        " runtime, pid, retries, attempt, result, error, traceback, lines, n_dropped) VALUES ($1,"
        " $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    const int64_t numbers[] = {
        record->at_us, record->received_at_us, record->started_at_us, record->runtime_us,
        record->pid,   record->retries,        record->attempt};
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    statement_bind_i64(statement, 2, run_of(record));
    statement_bind_str(statement, 3, record->worker.ptr ? record->worker : STR(""));
    statement_bind_str(statement, 4, record->state);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        statement_bind_i64(statement, 5 + (int)i, numbers[i]);
    bind_details(statement, 12, record);
    return statement_run(statement, NULL, err);
}

static int
find_row(struct sqlite_history *self, struct str task_id, int64_t *row_id, int64_t *run,
         struct error *err)
{
    static const char sql[] = "SELECT row_id, run FROM tasks WHERE task_id = $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, task_id);
    rc = statement_step(statement, err);
    if (rc == 1) {
        *row_id = statement_i64(statement, 0);
        *run = statement_i64(statement, 1);
    }
    statement_reset(statement);
    return rc < 0 ? rc : 0;
}

static int
put_again(struct sqlite_history *self, const struct history_record *record,
          const struct word_ids *words, struct error *err)
{
    static const char drop_sql[] = "DELETE FROM details WHERE row_id = $1";
    int64_t row_id = 0;
    int64_t run = 0;
    int rc = find_row(self, record->task_id, &row_id, &run, err);

    if (rc < 0)
        return rc;
    if (run > run_of(record))
        return insert_attempt(self, row_id, record, err);
    if (run < run_of(record))
        rc = move_to_attempts(self, row_id, err);
    if (rc == 0)
        rc = update_task(self, record, words, err);
    if (rc < 0)
        return rc;
    return has_details(record) ? insert_details(self, row_id, record, err)
                               : run_with_row(self, drop_sql, row_id, err);
}

static int
put_one(struct sqlite_history *self, const struct history_record *record, int64_t *n_new,
        struct error *err)
{
    struct word_ids words = {0};
    int64_t row_id = 0;
    int rc = find_words(self, record, &words, err);

    if (rc == 0)
        rc = insert_task(self, record, &words, &row_id, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return put_again(self, record, &words, err);
    (*n_new)++;
    return has_details(record) ? insert_details(self, row_id, record, err) : 0;
}

static int
add_to_total(struct sqlite_history *self, int64_t n, struct error *err)
{
    static const char sql[] = "UPDATE totals SET n_tasks = n_tasks + $1";

    return n ? run_with_row(self, sql, n, err) : 0;
}

int
sqlite_history_put(struct history *history, const struct history_record *records, size_t n_records,
                   struct error *err)
{
    struct sqlite_history *self = sqlite_history_from(history);
    int64_t n_new = 0;
    int rc = database_begin(self->database, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < n_records; i++)
        rc = put_one(self, &records[i], &n_new, err);
    if (rc == 0)
        rc = add_to_total(self, n_new, err);
    if (rc == 0)
        rc = database_commit(self->database, err);
    if (rc < 0) {
        database_rollback(self->database);
        forget_words(self);
    }
    return rc;
}

/* The engine's own count has the rows that go along with a task. */
static int
remove_oldest(struct sqlite_history *self, int64_t before_us, int64_t n_most, int64_t *n_removed,
              struct error *err)
{
    static const char sql[] = "DELETE FROM tasks WHERE row_id IN"
                              " (SELECT row_id FROM tasks WHERE at < $1 ORDER BY at LIMIT $2)"
                              " RETURNING row_id";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, before_us);
    statement_bind_i64(statement, 2, n_most);
    *n_removed = 0;
    while ((rc = statement_step(statement, err)) == 1)
        (*n_removed)++;
    statement_reset(statement);
    return rc;
}

static int
remove_within_limits(struct sqlite_history *self, const struct history_limits *limits,
                     int64_t *n_removed, struct error *err)
{
    static const char retries_sql[] = "DELETE FROM retries WHERE at < $1";
    int64_t n_most = (int64_t)limits->n_most;
    int64_t n_tasks = 0;
    int64_t n_old = 0;
    int64_t n_over = 0;
    int rc = 0;

    if (limits->oldest_us != INT64_MIN)
        rc = remove_oldest(self, limits->oldest_us, n_most, &n_old, err);
    if (rc == 0 && limits->oldest_us != INT64_MIN)
        rc = run_with_row(self, retries_sql, limits->oldest_us, err);
    if (rc == 0)
        rc = database_query_i64(self->database, "SELECT n_tasks FROM totals", &n_tasks, err);
    n_tasks -= n_old;
    n_most -= n_old;
    if (rc == 0 && limits->max_rows && n_tasks > limits->max_rows && n_most > 0)
        rc =
            remove_oldest(self, INT64_MAX,
                          n_tasks - limits->max_rows < n_most ? n_tasks - limits->max_rows : n_most,
                          &n_over, err);
    *n_removed = n_old + n_over;
    return rc == 0 ? add_to_total(self, -*n_removed, err) : rc;
}

int
sqlite_history_clean(struct history *history, const struct history_limits *limits,
                     size_t *n_removed, struct error *err)
{
    struct sqlite_history *self = sqlite_history_from(history);
    int64_t n = 0;
    int rc = database_begin(self->database, err);

    if (rc < 0)
        return rc;
    rc = remove_within_limits(self, limits, &n, err);
    if (rc == 0)
        rc = database_commit(self->database, err);
    if (rc < 0)
        database_rollback(self->database);
    else
        *n_removed = (size_t)n;
    return rc;
}

int
sqlite_history_note_retry(struct history *history, struct str id, struct str retry_of,
                          int64_t at_us, struct error *err)
{
    static const char sql[] = "INSERT OR REPLACE INTO retries VALUES ($1, $2, $3)";
    struct sqlite_history *self = sqlite_history_from(history);
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, id);
    statement_bind_str(statement, 2, retry_of);
    statement_bind_i64(statement, 3, at_us);
    return statement_run(statement, NULL, err);
}
