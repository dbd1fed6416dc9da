/* Paused queues: a row each, which consumers look at once a second and when they are woken. */

#include "celery/broker/check.h"
#include "celery/broker/sqlite_limits.h"

#define LOOK_US    (50 * US_PER_MS) /* not more often, however many messages come */
#define MAX_LISTED ((size_t)10000)

static bool
is_row(struct sqlite_broker *self, struct str queue, bool *out, struct error *err)
{
    static const char sql[] = "SELECT 1 FROM paused_queues WHERE queue = $1";
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return false;
    statement_bind_str(statement, 1, queue);
    rc = statement_step(statement, err);
    if (rc < 0)
        return false;
    statement_reset(statement);
    *out = rc == 1;
    return true;
}

int
sqlite_pause_look(struct sqlite_broker *self, struct error *err)
{
    int64_t mono_us = clock_mono_us(self->options.clock);
    struct error own = {0};

    if (mono_us < self->pause_at_us)
        return 0;
    self->pause_at_us = mono_us + LOOK_US;
    for (size_t i = 0; i < self->n_queues; i++) {
        bool is_paused = false;

        if (!is_row(self, self->queues[i].name, &is_paused, &own)) {
            if (err)
                *err = own;
            return -(int)own.code;
        }
        if (self->queues[i].is_paused && !is_paused)
            self->may_be_ready = true;
        self->queues[i].is_paused = is_paused;
    }
    return 0;
}

static int
write_pause(struct sqlite_broker *self, void *context, struct error *err)
{
    static const char sql[] =
        "INSERT INTO paused_queues (queue, who, why, paused_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (queue) DO UPDATE SET who = excluded.who, why = excluded.why";
    const struct broker_pause *pause = context;
    struct statement *statement;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, pause->queue);
    statement_bind_str(statement, 2, pause->who.ptr ? pause->who : STR(""));
    statement_bind_str(statement, 3, pause->why.ptr ? pause->why : STR(""));
    statement_bind_i64(statement, 4, clock_now_us(self->options.clock));
    self->has_news = true;
    return statement_run(statement, NULL, err);
}

int
sqlite_pause(struct broker *broker, const struct broker_pause *pause, struct error *err)
{
    struct broker_pause copy = *pause;
    int rc = check_pause(pause, err);

    return rc < 0 ? rc : sqlite_command(sqlite_broker_from(broker), write_pause, &copy, err);
}

static int
delete_pause(struct sqlite_broker *self, void *context, struct error *err)
{
    static const char sql[] = "DELETE FROM paused_queues WHERE queue = $1";
    const struct str *queue = context;
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, *queue);
    rc = statement_run(statement, &n_changed, err);
    self->has_news = true;
    if (rc == 0 && n_changed == 0)
        rc = error_set(err, ERR_NOT_FOUND, "queue '%.*s' is not paused", STR_ARG(*queue));
    return rc;
}

int
sqlite_resume(struct broker *broker, struct str queue, struct error *err)
{
    int rc = check_queue(queue, err);

    return rc < 0 ? rc : sqlite_command(sqlite_broker_from(broker), delete_pause, &queue, err);
}

int
sqlite_list_paused(struct broker *broker, struct arena *arena, struct broker_pause_list *out,
                   struct error *err)
{
    static const char sql[] =
        "SELECT queue, who, why, paused_at FROM paused_queues ORDER BY queue LIMIT $1";
    struct sqlite_broker *self = sqlite_broker_from(broker);
    struct broker_pause *items = NULL;
    struct statement *statement;
    bool is_copied = true;
    size_t n_room = 0;
    size_t n = 0;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, (int64_t)MAX_LISTED);
    while (is_copied && (rc = statement_step(statement, err)) == 1) {
        if (n == n_room) {
            struct broker_pause *grown =
                arena_calloc(arena, n_room ? 2 * n_room : 16, sizeof(*grown));

            is_copied = grown != NULL;
            if (!grown)
                break;
            if (n > 0)
                (void)memcpy(grown, items, n * sizeof(*grown));
            items = grown;
            n_room = n_room ? 2 * n_room : 16;
        }
        items[n++] = (struct broker_pause){
            .queue = arena_dup(arena, statement_str(statement, 0), &is_copied),
            .who = arena_dup(arena, statement_str(statement, 1), &is_copied),
            .why = arena_dup(arena, statement_str(statement, 2), &is_copied),
            .since_us = statement_i64(statement, 3),
        };
    }
    statement_reset(statement);
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for the paused queues");
    if (rc < 0)
        return rc;
    *out = (struct broker_pause_list){items, n};
    return 0;
}
