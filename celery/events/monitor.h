#pragma once

/* What a monitor makes of the events that it hears: which workers live and how busy they are, how
 * often each kind of task ended how, how long it waited and ran, what failed of late.
 *
 * Bounded, whatever is told: the oldest goes.  A task is known by the hash of its id, so that names
 * and waits can be told of events that carry the id only; of more than MONITOR_MAX_TASKS at a time
 * some are forgotten, and counted under their own events only.
 *
 * No I/O, no clock of its own.  Not thread-safe. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "celery/events/event.h"

#define MONITOR_MAX_WORKERS  ((size_t)1024)
#define MONITOR_MAX_KINDS    ((size_t)512) /* task names; more are counted as "(others)" */
#define MONITOR_MAX_TASKS    ((size_t)65536)
#define MONITOR_N_SAMPLES    ((size_t)512) /* of a latency: the latest */
#define MONITOR_N_FAILURES   ((size_t)16)
#define MONITOR_RATE_SECONDS 10
#define MONITOR_NAME_BYTES   (EVENT_MAX_NAME_BYTES + 1)
#define MONITOR_TEXT_BYTES   240

enum monitor_state {
    MONITOR_SENT,
    MONITOR_RECEIVED,
    MONITOR_STARTED,
    MONITOR_SUCCEEDED,
    MONITOR_FAILED,
    MONITOR_RETRIED,
    MONITOR_REVOKED,
    MONITOR_REJECTED,
    MONITOR_N_STATES,
};

/* "succeeded" */
struct str monitor_state_name(enum monitor_state state);

struct monitor_worker {
    char name[MONITOR_NAME_BYTES];
    char software[64]; /* "py-celery 5.2.6"; empty = not told */
    int64_t pid;
    int64_t heard_us; /* monotonic */
    int64_t freq_us;
    bool is_offline; /* it has said so */
    int64_t n_active;
    int64_t n_processed;
    double load; /* of the last minute */
    bool has_figures;
    uint64_t n_events; /* of tasks */
};

struct monitor_samples {
    int64_t us[MONITOR_N_SAMPLES];
    size_t n; /* ever; the latest are kept */
};

struct monitor_kind {
    char name[MONITOR_NAME_BYTES];
    uint64_t n_events[MONITOR_N_STATES];
    struct monitor_samples runtimes;
    struct monitor_samples waits; /* from received to started */
    uint32_t ends[MONITOR_RATE_SECONDS + 1];
    int64_t ends_at_s[MONITOR_RATE_SECONDS + 1]; /* the second that the counter is of */
};

struct monitor_failure {
    int64_t time_us; /* UTC */
    char name[MONITOR_NAME_BYTES];
    char uuid[MONITOR_NAME_BYTES];
    char worker[MONITOR_NAME_BYTES];
    char exception[MONITOR_TEXT_BYTES];
};

struct monitor;

/* Errors: ERR_NOMEM. */
MUST_CHECK int monitor_create(struct monitor **out, struct error *err);
void monitor_free(struct monitor *self); /* NULL is fine */
void monitor_freep(struct monitor **self);

/* Take one event; mono_us is when it came. */
void monitor_take(struct monitor *self, const struct event *event, int64_t mono_us);

/* The task's name that an event is about, as far as it was heard of; STR_NULL where not.  Borrowed
 * until the next monitor_take. */
struct str monitor_find_name(const struct monitor *self, const struct event *event);

/* All of them; borrowed until the next monitor_take. */
const struct monitor_worker *monitor_workers(const struct monitor *self, size_t *n);
const struct monitor_kind *monitor_kinds(const struct monitor *self, size_t *n);
/* The idx-th newest; NULL behind the last. */
const struct monitor_failure *monitor_failure(const struct monitor *self, size_t idx);

/* It has said something within twice its frequency, and not that it ends. */
bool monitor_is_alive(const struct monitor_worker *worker, int64_t mono_us);
/* Tasks that ended, in any way, per second over the last MONITOR_RATE_SECONDS whole ones. */
double monitor_rate(const struct monitor_kind *kind, int64_t mono_us);
/* The value below which that part of the samples lies (0.5: the median), by nearest rank; -1:
 * there are none. */
int64_t monitor_percentile(const struct monitor_samples *samples, double part);
