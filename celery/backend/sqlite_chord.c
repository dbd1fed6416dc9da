/* Chord counters on SQLite: the semantics of the Redis ones, in two tables; one transaction for all
 * reports of a call. */

#include "celery/backend/sqlite_internal.h"

static int64_t
expiry(const struct sqlite_backend *self)
{
    int64_t expires_us;

    if (self->options.ttl_us == TIME_UNKNOWN ||
        __builtin_add_overflow(clock_now_us(self->options.clock), self->options.ttl_us,
                               &expires_us))
        return DATABASE_NULL;
    return expires_us;
}

/* A size that is there already stays. */
static int
put_chord(struct sqlite_backend *self, struct str group_id, int64_t size, struct str saved,
          struct error *err)
{
    static const char sql[] =
        "INSERT INTO chords (group_id, size, saved, expires_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (group_id) DO UPDATE SET size = coalesce(size, excluded.size),"
        " saved = coalesce(saved, excluded.saved), expires_at = excluded.expires_at";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, group_id);
    statement_bind_i64(statement, 2, size);
    statement_bind_str(statement, 3, saved);
    statement_bind_i64(statement, 4, expiry(self));
    return statement_run(statement, NULL, err);
}

int
sqlite_chord_begin(struct backend *backend, struct str group_id, int64_t size, struct str saved,
                   struct error *err)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);
    int rc = database_begin(self->database, err);

    if (rc == 0)
        rc = put_chord(self, group_id, size, saved, err);
    if (rc == 0)
        rc = database_commit(self->database, err);
    database_rollback(self->database);
    return rc < 0 ? error_wrap(err, rc, "cannot store the size of a chord") : 0;
}

static int
run_with(struct sqlite_backend *self, const char *sql, struct str first, struct str second,
         struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, first);
    if (second.ptr)
        statement_bind_str(statement, 2, second);
    return statement_run(statement, NULL, err);
}

/* 1 where the task had not reported before. */
static int
put_part(struct sqlite_backend *self, const struct backend_chord_part *part, struct error *err)
{
    static const char insert_sql[] =
        "INSERT INTO chord_parts (group_id, task_id, position, member) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT DO NOTHING";
    static const char update_sql[] =
        "UPDATE chord_parts SET member = $1 WHERE group_id = $2 AND task_id = $3";
    struct statement *statement;
    int64_t n_new = 0;
    int rc = database_prepare(self->database, insert_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, part->group_id);
    statement_bind_str(statement, 2, part->task_id);
    statement_bind_i64(statement, 3, part->index >= 0 ? part->index : INT64_MAX);
    statement_bind_str(statement, 4, part->member);
    rc = statement_run(statement, &n_new, err);
    if (rc < 0 || n_new > 0)
        return rc < 0 ? rc : 1;
    rc = database_prepare(self->database, update_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, part->member);
    statement_bind_str(statement, 2, part->group_id);
    statement_bind_str(statement, 3, part->task_id);
    return statement_run(statement, NULL, err);
}

static int
read_parts(struct sqlite_backend *self, struct str group_id, struct arena *arena,
           struct backend_chord_count *out, struct error *err)
{
    static const char sql[] =
        "SELECT member FROM chord_parts WHERE group_id = $1 ORDER BY position, task_id";
    struct statement *statement;
    struct str *parts = arena_calloc(arena, out->n_parts, sizeof(*parts));
    size_t n = 0;
    bool ok = parts != NULL;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, group_id);
    while (ok && (rc = statement_step(statement, err)) == 1 && n < out->n_parts)
        parts[n++] = arena_dup(arena, statement_str(statement, 0), &ok);
    statement_reset(statement);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for the %zu parts of a chord", out->n_parts);
    out->parts = parts;
    out->n_parts = n;
    return rc < 0 ? rc : 0;
}

/* Complete, and nobody else's. */
static int
look(struct sqlite_backend *self, const struct backend_chord_part *part, struct arena *arena,
     struct backend_chord_count *out, struct error *err)
{
    static const char find_sql[] =
        "SELECT n_parts, saved FROM chords WHERE group_id = $1 AND n_parts >= size"
        " AND is_over = 0 AND (owner IS NULL OR owner = $2)";
    static const char own_sql[] = "UPDATE chords SET owner = $1 WHERE group_id = $2";
    struct statement *statement;
    bool ok = true;
    int rc = database_prepare(self->database, find_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, part->group_id);
    statement_bind_str(statement, 2, part->task_id);
    rc = statement_step(statement, err);
    if (rc <= 0)
        return rc;
    out->is_due = true;
    out->n_parts = (size_t)statement_i64(statement, 0);
    out->saved = arena_dup(arena, statement_str(statement, 1), &ok);
    statement_reset(statement);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for a chord");
    rc = run_with(self, own_sql, part->task_id, part->group_id, err);
    return rc < 0 ? rc : read_parts(self, part->group_id, arena, out, err);
}

static int
count_one(struct sqlite_backend *self, const struct backend_chord_part *part, struct arena *arena,
          struct backend_chord_count *out, struct error *err)
{
    static const char add_sql[] =
        "UPDATE chords SET n_parts = n_parts + 1 WHERE group_id = $1 AND is_over = 0";
    static const char over_sql[] = "SELECT 1 FROM chords WHERE group_id = $1 AND is_over = 1";
    struct statement *statement;
    int rc = database_prepare(self->database, over_sql, &statement, err);

    *out = (struct backend_chord_count){0};
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, part->group_id);
    rc = statement_step(statement, err);
    statement_reset(statement);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = put_chord(self, part->group_id, DATABASE_NULL, STR_NULL, err);
    if (rc == 0)
        rc = put_part(self, part, err);
    if (rc == 1)
        rc = run_with(self, add_sql, part->group_id, STR_NULL, err);
    return rc < 0 ? rc : look(self, part, arena, out, err);
}

int
sqlite_chord_count(struct backend *backend, const struct backend_chord_part *parts, size_t n_parts,
                   struct arena *arena, struct backend_chord_count *counts, struct error *err)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);
    int rc = database_begin(self->database, err);

    for (size_t i = 0; rc == 0 && i < n_parts; i++)
        rc = count_one(self, &parts[i], arena, &counts[i], err);
    if (rc == 0)
        rc = database_commit(self->database, err);
    database_rollback(self->database);
    return rc < 0 ? error_wrap(err, rc, "cannot count %zu parts of chords", n_parts) : 0;
}

int
sqlite_chord_end(struct backend *backend, struct str group_id, struct error *err)
{
    static const char parts_sql[] = "DELETE FROM chord_parts WHERE group_id = $1";
    static const char over_sql[] =
        "UPDATE chords SET is_over = 1, saved = NULL WHERE group_id = $1";
    struct sqlite_backend *self = sqlite_backend_from(backend);
    int rc = database_begin(self->database, err);

    if (rc == 0)
        rc = run_with(self, parts_sql, group_id, STR_NULL, err);
    if (rc == 0)
        rc = run_with(self, over_sql, group_id, STR_NULL, err);
    if (rc == 0)
        rc = database_commit(self->database, err);
    database_rollback(self->database);
    return rc < 0 ? error_wrap(err, rc, "cannot end a chord") : 0;
}

int
sqlite_chord_clean(struct sqlite_backend *self, int64_t limit, int64_t *n_removed,
                   struct error *err)
{
    static const char parts_sql[] =
        "DELETE FROM chord_parts WHERE group_id IN (SELECT group_id FROM chords"
        " WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
    static const char chords_sql[] =
        "DELETE FROM chords WHERE group_id IN (SELECT group_id FROM chords"
        " WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
    static const char *const sqls[] = {parts_sql, chords_sql};
    struct statement *statement;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(sqls); i++) {
        rc = database_prepare(self->database, sqls[i], &statement, err);
        if (rc < 0)
            return rc;
        statement_bind_i64(statement, 1, clock_now_us(self->options.clock));
        statement_bind_i64(statement, 2, limit);
        rc = statement_run(statement, n_removed, err);
    }
    return rc;
}
