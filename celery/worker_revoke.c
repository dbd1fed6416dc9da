/* Revoking: here at once, in the broker for good, and in the result backend for whoever asks.
 *
 * A broker or a backend that is away then is told when it is back. */

#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "celery/control/revoked_store.h"
#include "celery/control/stamps.h"
#include "celery/worker_control_internal.h"

#define SAVE_PAUSE_US US_PER_S
#define STAMPS_BYTES  ((size_t)8 << 20)

static void
mark_unsaved(struct worker *self, const struct error *why)
{
    self->control->is_unsaved = true;
    self->control->save_at_us = clock_mono_us(&clock_system) + SAVE_PAUSE_US;
    log_warning("revoked tasks not saved yet, tried again: reason=%s",
                self->broker ? why->message : "the broker is away");
}

/* The broker is told at once; what it cannot take now, later. */
static void
save(struct worker *self, const struct str *ids, size_t n_ids)
{
    struct error why = {0};
    int rc = -ERR_NETWORK;

    if (self->broker)
        rc = broker_revoke(self->broker, ids, n_ids,
                           clock_now_us(&clock_system) + CONTROL_REVOKED_US, &why);
    if (rc < 0)
        mark_unsaved(self, &why);
}

void
worker_revoke_load_stamps(struct worker *self)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(STAMPS_BYTES);
    struct control_node *node = &self->control->node;
    struct str_list keys = {NULL, 0};
    struct error err = {0};
    int rc = broker_list_revoked(self->broker, STR(STAMPS_KEY_PREFIX), CONTROL_MAX_IDS, &arena,
                                 &keys, &err);

    for (size_t i = 0; rc == 0 && i < keys.n_items; i++)
        rc = revoked_insert(&node->revoked_stamps, keys.items[i], &err);
    if (rc < 0)
        log_warning("revoked stamps of the past are not known: reason=%s", err.message);
}

/* All that are in a set, again. */
static int
save_set(struct worker *self, const struct revoked *revoked, struct error *err)
{
    const struct revoked_id *position = NULL;
    struct str *ids;
    size_t n = 0;
    int rc;

    if (revoked->n_ids == 0)
        return 0;
    ids = calloc(revoked->n_ids, sizeof(*ids));
    if (!ids)
        return error_set(err, ERR_NOMEM, "no memory for %zu ids", revoked->n_ids);
    while (n < revoked->n_ids && revoked_next(revoked, &position, &ids[n]))
        n++;
    rc = broker_revoke(self->broker, ids, n, clock_now_us(&clock_system) + CONTROL_REVOKED_US, err);
    free(ids);
    return rc;
}

static void
save_unsaved(struct worker *self, int64_t now_us)
{
    struct worker_control *control = self->control;
    struct error err = {0};
    int rc;

    if (!control->is_unsaved || !self->broker || control->save_at_us > now_us)
        return;
    rc = save_set(self, &control->node.revoked, &err);
    if (rc == 0)
        rc = save_set(self, &control->node.revoked_stamps, &err);
    control->is_unsaved = rc < 0;
    control->save_at_us = now_us + SAVE_PAUSE_US;
    if (!control->is_unsaved)
        log_info("revoked tasks are saved");
}

/* A child of ours runs it: how it ends is its state. */
static bool
is_running(const struct worker *self, struct str id)
{
    for (const struct flight *flight = self->lists[FLIGHTS_ALL].first; flight;
         flight = flight->links[FLIGHTS_ALL].next) {
        if (flight->stage == FLIGHT_RUNNING && flight->started_at_us != TIME_UNKNOWN &&
            str_equal(flight->message.id, id))
            return true;
    }
    return false;
}

/* On the worker's backend, opened again where it was closed after a failure. */
static int
store(struct worker *self, const struct str *ids, size_t n_ids, struct error *err)
{
    static const struct backend_options options = {.clock = &clock_system,
                                                   .max_block_us = 5 * US_PER_MS};
    int rc = 0;

    if (!self->backend)
        rc = backend_open(self->options->backend_url, &options, &self->backend, err);
    if (rc == 0)
        rc = revoked_store(self->backend, ids, n_ids, REVOKED_OVER_WAITING, self->options->name,
                           err);
    if (rc < 0 && self->backend && backend_advise(rc) == BACKEND_REOPEN) {
        backend_close(self->backend);
        self->backend = NULL;
    }
    return rc;
}

/* The oldest ones that are not stored. */
static void
store_some(struct worker *self, int64_t now_us)
{
    struct worker_control *control = self->control;
    const struct revoked_id *position = NULL;
    struct str ids[REVOKED_STORE_MAX];
    struct error err = {0};
    struct str id;
    size_t n_seen = 0;
    size_t n = 0;
    int rc;

    while (n_seen < REVOKED_STORE_MAX && revoked_next(&control->unstored, &position, &id)) {
        n_seen++;
        if (!is_running(self, id))
            ids[n++] = id;
    }
    rc = store(self, ids, n, &err);
    if (rc < 0 && backend_advise(rc) != BACKEND_GIVE_UP) {
        control->store_at_us = now_us + SAVE_PAUSE_US;
        log_debug("state of revoked tasks not stored yet: reason=%s", err.message);
        return;
    }
    if (rc < 0)
        log_error("state of revoked tasks not stored: n=%zu reason=%s", n, err.message);
    revoked_drop_oldest(&control->unstored, n_seen);
}

int64_t
worker_revoke_turn(struct worker *self)
{
    struct worker_control *control = self->control;
    int64_t now_us = clock_mono_us(&clock_system);
    int64_t due_us = INT64_MAX;

    save_unsaved(self, now_us);
    if (control->store_at_us < self->backend_pause.until_us)
        control->store_at_us = self->backend_pause.until_us;
    if (control->unstored.n_ids > 0 && control->store_at_us <= now_us)
        store_some(self, now_us);
    if (control->is_unsaved && self->broker)
        due_us = control->save_at_us;
    if (control->unstored.n_ids > 0 && control->store_at_us < due_us)
        due_us = control->store_at_us;
    return due_us;
}

/* Whether the pool has given it to a process that has nothing else before it. */
static bool
is_at_work(const struct worker *self, const struct flight *flight)
{
    struct pool_child_stats *children = calloc(CONTROL_MAX_CHILDREN, sizeof(*children));
    size_t n = children ? pool_stats(self->pool, children, CONTROL_MAX_CHILDREN) : 0;
    bool is_found = !children; /* not known: a task that runs is not ended by a revoke */

    for (size_t i = 0; i < n && i < CONTROL_MAX_CHILDREN; i++)
        is_found |= children[i].is_busy && children[i].current_id == (uint64_t)(uintptr_t)flight;
    free(children);
    return is_found;
}

static void
end_running(struct worker *self, struct flight *flight, int signal_number)
{
    uint64_t id = (uint64_t)(uintptr_t)flight;

    flight->is_terminated = true;
    flight->terminate_signal = signal_number;
    /* Not found: its end is on the way. */
    if (signal_number == SIGKILL)
        error_ignore(pool_kill(self->pool, id, NULL));
    else
        error_ignore(pool_terminate(self->pool, id, NULL));
}

/* Tasks that have not started are not started.  The pool may tell the end of one within the call,
 * which keeps the list in its order. */
static void
end_waiting(struct worker *self)
{
    struct flight *next;

    for (struct flight *flight = self->lists[FLIGHTS_ALL].first; flight; flight = next) {
        next = flight->links[FLIGHTS_ALL].next;
        if (!flight->task || !worker_control_is_revoked(self, &flight->message))
            continue;
        if (flight->stage == FLIGHT_WAITING || flight->stage == FLIGHT_LIMITED)
            worker_revoke(self, flight, STR("revoked"));
        else if (flight->stage == FLIGHT_RUNNING && flight->started_at_us == TIME_UNKNOWN &&
                 !is_at_work(self, flight))
            end_running(self, flight, SIGTERM);
    }
}

int
worker_revoke_learned(void *context, const struct str *ids, size_t n_ids, struct error *err)
{
    struct worker *self = context;

    (void)err;
    log_info("tasks revoked by remote control: n_ids=%zu first=%.*s", n_ids, STR_ARG(ids[0]));
    end_waiting(self);
    save(self, ids, n_ids);
    return 0;
}

int
worker_revoke_ids(void *context, const struct str *ids, size_t n_ids, struct error *err)
{
    struct worker *self = context;
    int rc = worker_revoke_learned(self, ids, n_ids, err);

    for (size_t i = 0; rc == 0 && i < n_ids; i++)
        rc = revoked_insert(&self->control->unstored, ids[i], err);
    return rc;
}

int
worker_revoke_stamps(void *context, const struct str *stamps, size_t n_stamps, struct error *err)
{
    struct worker *self = context;

    (void)err;
    log_info("stamps revoked by remote control: n_stamps=%zu first=%.*s", n_stamps,
             STR_ARG(stamps[0]));
    end_waiting(self);
    save(self, stamps, n_stamps);
    return 0;
}

bool
worker_revoke_running(void *context, struct str id, int signal_number)
{
    struct worker *self = context;
    struct flight *next;
    bool is_found = false;

    for (struct flight *flight = self->lists[FLIGHTS_ALL].first; flight; flight = next) {
        next = flight->links[FLIGHTS_ALL].next;
        if (!flight->task || !str_equal(flight->message.id, id))
            continue;
        is_found = true;
        if (flight->stage != FLIGHT_RUNNING)
            continue;
        log_info("task terminated by remote control: id=%.*s", STR_ARG(id));
        end_running(self, flight, signal_number);
    }
    return is_found;
}
