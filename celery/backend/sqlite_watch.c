/* Telling what has changed.
 *
 * After backend_watch comes one pass over the watched ids, by index.  From then on only the rows
 * that are newer than last_id are looked at, whoever wrote them and however many ids are watched;
 * where those are many more than the watched ids, another pass is cheaper.  A pass takes the newest
 * result_id before it looks, so that a row written meanwhile is met once more; its mark tells that
 * it is known. */

#include <poll.h>

#include "celery/backend/sqlite_internal.h"

#define LOOK_US       US_PER_S         /* with inotify */
#define LOOK_OFTEN_US (50 * US_PER_MS) /* without one */
#define SCAN_MAX_ROWS 1000

const char sqlite_changes_sql[] =
    "SELECT " RECORD_COLUMNS " FROM results WHERE result_id > $1 ORDER BY result_id";

/* What one call has found. */
struct changes {
    struct arena *arena;
    struct backend_record *items;
    size_t n_items;
    size_t cap;
};

int
sqlite_watch_set(struct backend *backend, const struct str *ids, size_t n_ids, struct error *err)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);
    struct watch_list watched;
    int rc = watch_list_create(ids, n_ids, &watched, err);

    if (rc < 0)
        return rc;
    watch_list_fini(&self->watched);
    self->watched = watched;
    self->pass_idx = 0;
    self->pass_id = 0;
    self->last_id = 0;
    self->has_more = true;
    if (n_ids > 0)
        (void)live_file_watch(&self->live); /* without it the timer is shorter */
    return 0;
}

void
sqlite_watch_get_wait(const struct backend *backend, struct backend_wait *out)
{
    const struct sqlite_backend *self = (const struct sqlite_backend *)backend;

    *out = (struct backend_wait){.fd = self->live.watch_fd, .events = POLLIN};
    if (self->watched.n_items == 0)
        out->deadline_us = INT64_MAX;
    else
        out->deadline_us = self->has_more ? 0 : self->look_at_us;
}

static int
read_newest(struct sqlite_backend *self, int64_t *out, struct error *err)
{
    static const char sql[] = "SELECT max(result_id) FROM results";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *out =
        rc == 1 && statement_i64(statement, 0) != DATABASE_NULL ? statement_i64(statement, 0) : 0;
    statement_reset(statement);
    return 0;
}

/* The list is made when there is something to tell: who waits for long calls often. */
static int
add_change(struct sqlite_backend *self, struct changes *changes, struct watched *watched,
           const struct statement *row, struct error *err)
{
    int rc;

    if (!changes->items) {
        changes->cap = self->watched.n_items < BACKEND_MAX_CHANGES ? self->watched.n_items
                                                                   : BACKEND_MAX_CHANGES;
        changes->items = arena_calloc(changes->arena, changes->cap, sizeof(*changes->items));
    }
    if (!changes->items)
        return error_set(err, ERR_NOMEM, "no room for %zu changes", changes->cap);
    rc = sqlite_read_record(row, changes->arena, &changes->items[changes->n_items], err);
    if (rc < 0)
        return rc;
    changes->n_items++;
    watched->mark = statement_i64(row, 0);
    return 0;
}

static bool
is_full(const struct changes *changes)
{
    return changes->items && changes->n_items == changes->cap;
}

static int
look_one(struct sqlite_backend *self, struct watched *watched, struct changes *changes,
         struct error *err)
{
    struct statement *row;
    int rc = sqlite_read_find(self, watched->id, &row, err);

    if (rc <= 0)
        return rc;
    if (statement_i64(row, 0) > watched->mark)
        rc = add_change(self, changes, watched, row, err);
    else
        rc = 0;
    statement_reset(row);
    return rc;
}

/* Go on with the pass. */
static int
look_all(struct sqlite_backend *self, struct changes *changes, struct error *err)
{
    while (self->pass_idx < self->watched.n_items && !is_full(changes)) {
        int rc = look_one(self, &self->watched.items[self->pass_idx], changes, err);

        if (rc < 0)
            return rc;
        self->pass_idx++;
    }
    self->has_more = self->pass_idx < self->watched.n_items;
    if (!self->has_more)
        self->last_id = self->pass_id;
    return 0;
}

static int
scan_row(struct sqlite_backend *self, const struct statement *row, struct changes *changes,
         struct error *err)
{
    struct watched *watched = watch_list_find(&self->watched, statement_str(row, 1));

    if (!watched || statement_i64(row, 0) <= watched->mark || sqlite_read_is_expired(self, row))
        return 0;
    return add_change(self, changes, watched, row, err);
}

static int
scan_new(struct sqlite_backend *self, struct changes *changes, struct error *err)
{
    struct statement *row;
    int rc = database_prepare(self->database, sqlite_changes_sql, &row, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(row, 1, self->last_id);
    while ((rc = statement_step(row, err)) == 1) {
        rc = scan_row(self, row, changes, err);
        if (rc < 0 || is_full(changes))
            break;
        self->last_id = statement_i64(row, 0);
    }
    self->has_more = rc == 1 || is_full(changes);
    statement_reset(row);
    return rc < 0 ? rc : 0;
}

static int
find_changes(struct sqlite_backend *self, struct changes *changes, struct error *err)
{
    int64_t newest_id;
    int rc = read_newest(self, &newest_id, err);

    if (rc < 0)
        return rc;
    if (self->pass_idx == self->watched.n_items &&
        newest_id - self->last_id > (int64_t)self->watched.n_items + SCAN_MAX_ROWS)
        self->pass_idx = 0;
    if (self->pass_idx == 0)
        self->pass_id = newest_id;
    if (self->pass_idx < self->watched.n_items)
        return look_all(self, changes, err);
    self->has_more = false;
    return newest_id > self->last_id ? scan_new(self, changes, err) : 0;
}

/* What was found before a failure is told; the failure comes again with the next call. */
int
sqlite_watch_take(struct backend *backend, struct arena *arena, struct backend_record_list *out,
                  struct error *err)
{
    struct sqlite_backend *self = sqlite_backend_from(backend);
    struct changes changes = {.arena = arena};
    int rc = 0;

    (void)live_file_drain(&self->live); /* before the look: what comes after it wakes again */
    self->look_at_us =
        clock_mono_us(&clock_system) + (self->live.watch_fd >= 0 ? LOOK_US : LOOK_OFTEN_US);
    if (self->watched.n_items > 0)
        rc = find_changes(self, &changes, err);
    if (rc < 0)
        self->has_more = true;
    if (rc < 0 && changes.n_items == 0)
        return rc;
    *out = (struct backend_record_list){changes.items, changes.n_items};
    return 0;
}
