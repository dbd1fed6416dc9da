/* Queues by name: a row each, and a small cache of their numbers. */

#include <string.h>

#include "celery/broker/sqlite_internal.h"

static int
find_row(struct sqlite_broker *self, struct str name, int64_t *queue_id, struct error *err)
{
    static const char sql[] = "SELECT queue_id FROM queues WHERE name = $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, name);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *queue_id = rc == 1 ? statement_i64(statement, 0) : 0;
    statement_reset(statement);
    return 0;
}

static int
make_row(struct sqlite_broker *self, struct str name, int64_t *queue_id, struct error *err)
{
    static const char sql[] = "INSERT INTO queues (name) VALUES ($1) RETURNING queue_id";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, name);
    rc = statement_step(statement, err);
    if (rc < 0)
        return rc;
    *queue_id = statement_i64(statement, 0);
    statement_reset(statement);
    return 0;
}

static void
remember(struct sqlite_broker *self, struct str name, int64_t queue_id)
{
    struct queue_name *entry;

    if (self->n_cached < QUEUE_CACHE_SIZE) {
        entry = &self->cache[self->n_cached++];
    } else {
        entry = &self->cache[self->cache_turn];
        self->cache_turn = (self->cache_turn + 1) % QUEUE_CACHE_SIZE;
    }
    (void)memcpy(entry->bytes, name.ptr, name.len);
    entry->name = (struct str){entry->bytes, name.len};
    entry->queue_id = queue_id;
}

int
sqlite_queue_find(struct sqlite_broker *self, struct str name, enum queue_missing missing,
                  int64_t *queue_id, struct error *err)
{
    int64_t found = 0;
    int rc;

    for (size_t i = 0; i < self->n_cached; i++) {
        if (!str_equal(self->cache[i].name, name))
            continue;
        *queue_id = self->cache[i].queue_id;
        return 0;
    }
    rc = find_row(self, name, &found, err);
    if (rc == 0 && found == 0 && missing == QUEUE_MAKE)
        rc = make_row(self, name, &found, err);
    if (rc < 0)
        return rc;
    if (found > 0)
        remember(self, name, found);
    *queue_id = found;
    return 0;
}

/* Rows that the transaction made are gone, and their numbers may come again for other names. */
void
sqlite_queue_forget_ids(struct sqlite_broker *self)
{
    self->n_cached = 0;
    self->cache_turn = 0;
    for (size_t i = 0; i < self->n_queues; i++)
        self->queues[i].queue_id = 0;
}
