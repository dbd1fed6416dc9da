/* Tables that are searched one by one, since a screen shows tens; but tasks, which lie in a cache
 * of sets of WAYS places: a new one takes the place of the oldest of its set. */

#include "celery/events/monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

#define WAYS   ((size_t)4)
#define N_SETS (MONITOR_MAX_TASKS / WAYS)

/* clang-format off */
static const struct str state_names[MONITOR_N_STATES] = {
    [MONITOR_SENT]      = STR_INIT("sent"),
    [MONITOR_RECEIVED]  = STR_INIT("received"),
    [MONITOR_STARTED]   = STR_INIT("started"),
    [MONITOR_SUCCEEDED] = STR_INIT("succeeded"),
    [MONITOR_FAILED]    = STR_INIT("failed"),
    [MONITOR_RETRIED]   = STR_INIT("retried"),
    [MONITOR_REVOKED]   = STR_INIT("revoked"),
    [MONITOR_REJECTED]  = STR_INIT("rejected"),
};
/* clang-format on */

struct monitor_task {
    uint64_t key; /* 0 = free */
    int64_t seen_us;
    int64_t received_us; /* by its worker's clock; 0 = not heard */
    uint32_t kind_idx;
};

struct monitor {
    uint64_t seed;
    struct monitor_worker *workers;
    size_t n_workers;
    struct monitor_kind *kinds;
    size_t n_kinds;
    struct monitor_task *tasks; /* [N_SETS, WAYS] */
    struct monitor_failure failures[MONITOR_N_FAILURES];
    size_t n_failures; /* ever */
};

struct str
monitor_state_name(enum monitor_state state)
{
    return state_names[state];
}

int
monitor_create(struct monitor **out, struct error *err)
{
    CLEANUP(monitor_freep) struct monitor *self = calloc(1, sizeof(*self));

    if (self)
        self->tasks = calloc(MONITOR_MAX_TASKS, sizeof(*self->tasks));
    if (!self || !self->tasks)
        return error_set(err, ERR_NOMEM, "no memory for a monitor");
    if (getrandom(&self->seed, sizeof(self->seed), 0) != (ssize_t)sizeof(self->seed))
        self->seed = (uint64_t)(uintptr_t)self;
    *out = TAKE(self);
    return 0;
}

void
monitor_free(struct monitor *self)
{
    if (!self)
        return;
    free(self->workers);
    free(self->kinds);
    free(self->tasks);
    free(self);
}

void
monitor_freep(struct monitor **self)
{
    monitor_free(*self);
}

/* FNV-1a with a seed, mixed.  Source: Fowler, Noll, Vo; the finisher is MurmurHash3's. */
static uint64_t
hash(const struct monitor *self, struct str text)
{
    uint64_t value = UINT64_C(14695981039346656037) ^ self->seed;

    for (size_t i = 0; i < text.len; i++)
        value = (value ^ (unsigned char)text.ptr[i]) * UINT64_C(1099511628211);
    value ^= value >> 33;
    value *= UINT64_C(0xff51afd7ed558ccd);
    value ^= value >> 33;
    return value ? value : 1;
}

static void
set_text(char *out, size_t n_bytes, struct str text)
{
    (void)snprintf(out, n_bytes, "%.*s", (int)(text.len < n_bytes ? text.len : n_bytes - 1),
                   text.ptr ? text.ptr : "");
}

/* Room for one more item; the array or NULL. */
static void *
grow(void *items, size_t n_items, size_t item_size)
{
    char *grown;

    if (n_items & (n_items - 1) && n_items)
        return items; /* rooms are powers of two */
    grown = reallocarray(items, n_items ? 2 * n_items : 1, item_size);
    return grown;
}

static struct monitor_worker *
need_worker(struct monitor *self, struct str name)
{
    struct monitor_worker *oldest = NULL;
    struct monitor_worker *grown;

    for (size_t i = 0; i < self->n_workers; i++) {
        if (str_equal(str_from_cstr(self->workers[i].name), name))
            return &self->workers[i];
        if (!oldest || self->workers[i].heard_us < oldest->heard_us)
            oldest = &self->workers[i];
    }
    if (self->n_workers < MONITOR_MAX_WORKERS) {
        grown = grow(self->workers, self->n_workers, sizeof(*grown));
        if (!grown)
            return NULL;
        self->workers = grown;
        oldest = &grown[self->n_workers++];
    }
    *oldest = (struct monitor_worker){.freq_us = 2 * US_PER_S};
    set_text(oldest->name, sizeof(oldest->name), name);
    return oldest;
}

static struct monitor_kind *
need_kind(struct monitor *self, struct str name)
{
    struct monitor_kind *grown;

    for (size_t i = 0; i < self->n_kinds; i++)
        if (str_equal(str_from_cstr(self->kinds[i].name), name))
            return &self->kinds[i];
    if (self->n_kinds == MONITOR_MAX_KINDS)
        return &self->kinds[MONITOR_MAX_KINDS - 1];
    grown = grow(self->kinds, self->n_kinds, sizeof(*grown));
    if (!grown)
        return NULL;
    self->kinds = grown;
    grown = &grown[self->n_kinds++];
    (void)memset(grown, 0, sizeof(*grown));
    set_text(grown->name, sizeof(grown->name),
             self->n_kinds == MONITOR_MAX_KINDS ? STR("(others)") : name);
    return grown;
}

static struct monitor_task *
find_task(const struct monitor *self, struct str uuid)
{
    uint64_t key = hash(self, uuid);
    struct monitor_task *set = self->tasks + (key % N_SETS) * WAYS; /* [WAYS] */

    for (size_t i = 0; i < WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

static struct monitor_task *
need_task(struct monitor *self, struct str uuid, int64_t mono_us)
{
    struct monitor_task *task = find_task(self, uuid);
    uint64_t key = hash(self, uuid);
    struct monitor_task *set = self->tasks + (key % N_SETS) * WAYS; /* [WAYS] */

    for (size_t i = 0; !task && i < WAYS; i++)
        if (!set[i].key)
            task = &set[i];
    if (!task) {
        task = set;
        for (size_t i = 1; i < WAYS; i++)
            if (set[i].seen_us < task->seen_us)
                task = &set[i];
    }
    if (task->key != key)
        *task = (struct monitor_task){.key = key, .kind_idx = UINT32_MAX};
    task->seen_us = mono_us;
    return task;
}

static void
add_sample(struct monitor_samples *samples, int64_t us)
{
    samples->us[samples->n++ % MONITOR_N_SAMPLES] = us;
}

static int64_t
count_of(const struct event *event, struct str name)
{
    int64_t value = 0;

    return json_is_i64(json_get(event->fields, name), &value) && value >= 0 ? value : 0;
}

static void
take_worker(struct monitor *self, const struct event *event, int64_t mono_us)
{
    struct monitor_worker *worker = need_worker(self, event->hostname);
    const struct json *load = json_get_typed(event->fields, STR("loadavg"), JSON_ARRAY);
    struct str ident = json_get_str(event->fields, STR("sw_ident"));
    struct str version = json_get_str(event->fields, STR("sw_ver"));
    double freq_s;

    if (!worker)
        return;
    worker->heard_us = mono_us;
    worker->is_offline = str_equal(event->type, STR("worker-offline"));
    worker->pid = event->pid;
    if (json_is_f64(json_get(event->fields, STR("freq")), &freq_s) && freq_s > 0 && freq_s < 3600)
        worker->freq_us = (int64_t)(freq_s * (double)US_PER_S);
    if (!json_get(event->fields, STR("active")))
        return; /* a heartbeat that was asked for has no figures */
    worker->has_figures = true;
    worker->n_active = count_of(event, STR("active"));
    worker->n_processed = count_of(event, STR("processed"));
    if (load && load->array.n_items > 0)
        (void)json_is_f64(&load->array.items[0], &worker->load);
    (void)snprintf(worker->software, sizeof(worker->software), "%.*s %.*s",
                   STR_ARG(str_slice(ident, 0, 40)), STR_ARG(str_slice(version, 0, 20)));
}

static bool
find_state(struct str type, enum monitor_state *out)
{
    if (!str_starts_with(type, STR("task-")))
        return false;
    for (size_t i = 0; i < MONITOR_N_STATES; i++) {
        if (str_equal(str_slice(type, 5, type.len), state_names[i])) {
            *out = (enum monitor_state)i;
            return true;
        }
    }
    return false;
}

static void
count_end(struct monitor_kind *kind, int64_t mono_us)
{
    int64_t second = mono_us / US_PER_S;
    size_t idx = (size_t)second % COUNT_OF(kind->ends);

    if (kind->ends_at_s[idx] != second)
        kind->ends[idx] = 0;
    kind->ends_at_s[idx] = second;
    kind->ends[idx]++;
}

static void
add_failure(struct monitor *self, const struct event *event, struct str name)
{
    struct monitor_failure *failure = &self->failures[self->n_failures++ % MONITOR_N_FAILURES];

    failure->time_us = event->time_us;
    set_text(failure->name, sizeof(failure->name), name);
    set_text(failure->uuid, sizeof(failure->uuid), event->uuid);
    set_text(failure->worker, sizeof(failure->worker), event->hostname);
    set_text(failure->exception, sizeof(failure->exception),
             json_get_str(event->fields, STR("exception")));
}

static void
take_end(struct monitor_kind *kind, enum monitor_state state, const struct event *event,
         int64_t mono_us)
{
    double seconds;

    if (state == MONITOR_SUCCEEDED || state == MONITOR_FAILED || state == MONITOR_REVOKED ||
        state == MONITOR_RETRIED)
        count_end(kind, mono_us);
    if (state == MONITOR_SUCCEEDED &&
        json_is_f64(json_get(event->fields, STR("runtime")), &seconds) && seconds >= 0 &&
        seconds < 1e9)
        add_sample(&kind->runtimes, (int64_t)(seconds * (double)US_PER_S));
}

static void
take_task(struct monitor *self, const struct event *event, enum monitor_state state,
          int64_t mono_us)
{
    struct monitor_task *task = need_task(self, event->uuid, mono_us);
    struct monitor_worker *worker =
        state == MONITOR_SENT ? NULL : need_worker(self, event->hostname);
    struct str name = json_get_str(event->fields, STR("name"));
    struct monitor_kind *kind;

    if (worker) {
        worker->heard_us = mono_us;
        worker->n_events++;
    }
    if (!name.len || name.len > EVENT_MAX_NAME_BYTES)
        name = task->kind_idx < self->n_kinds ? str_from_cstr(self->kinds[task->kind_idx].name)
                                              : STR("(unknown)");
    kind = need_kind(self, name);
    if (!kind)
        return;
    task->kind_idx = (uint32_t)(kind - self->kinds);
    kind->n_events[state]++;
    if (state == MONITOR_RECEIVED)
        task->received_us = event->time_us;
    if (state == MONITOR_STARTED && task->received_us && event->time_us >= task->received_us)
        add_sample(&kind->waits, event->time_us - task->received_us);
    if (state == MONITOR_FAILED)
        add_failure(self, event, str_from_cstr(kind->name));
    take_end(kind, state, event, mono_us);
}

void
monitor_take(struct monitor *self, const struct event *event, int64_t mono_us)
{
    enum monitor_state state;

    if (str_equal(event->type, STR("worker-online")) ||
        str_equal(event->type, STR("worker-heartbeat")) ||
        str_equal(event->type, STR("worker-offline")))
        take_worker(self, event, mono_us);
    else if (event->uuid.ptr && find_state(event->type, &state))
        take_task(self, event, state, mono_us);
}

struct str
monitor_find_name(const struct monitor *self, const struct event *event)
{
    const struct monitor_task *task;
    struct str name = json_get_str(event->fields, STR("name"));

    if (name.len || !event->uuid.ptr)
        return name;
    task = find_task(self, event->uuid);
    if (!task || task->kind_idx >= self->n_kinds)
        return STR_NULL;
    return str_from_cstr(self->kinds[task->kind_idx].name);
}

const struct monitor_worker *
monitor_workers(const struct monitor *self, size_t *n)
{
    *n = self->n_workers;
    return self->workers;
}

const struct monitor_kind *
monitor_kinds(const struct monitor *self, size_t *n)
{
    *n = self->n_kinds;
    return self->kinds;
}

const struct monitor_failure *
monitor_failure(const struct monitor *self, size_t idx)
{
    if (idx >= self->n_failures || idx >= MONITOR_N_FAILURES)
        return NULL;
    return &self->failures[(self->n_failures - 1 - idx) % MONITOR_N_FAILURES];
}

bool
monitor_is_alive(const struct monitor_worker *worker, int64_t mono_us)
{
    return !worker->is_offline && mono_us < worker->heard_us + 2 * worker->freq_us;
}

double
monitor_rate(const struct monitor_kind *kind, int64_t mono_us)
{
    int64_t now_s = mono_us / US_PER_S;
    uint64_t n = 0;

    for (size_t i = 0; i < COUNT_OF(kind->ends); i++)
        if (kind->ends_at_s[i] < now_s && kind->ends_at_s[i] >= now_s - MONITOR_RATE_SECONDS)
            n += kind->ends[i];
    return (double)n / MONITOR_RATE_SECONDS;
}

static int
compare_i64(const void *a, const void *b)
{
    const int64_t *left = a;
    const int64_t *right = b;

    return (*left > *right) - (*left < *right);
}

int64_t
monitor_percentile(const struct monitor_samples *samples, double part)
{
    int64_t sorted[MONITOR_N_SAMPLES];
    size_t n = samples->n < MONITOR_N_SAMPLES ? samples->n : MONITOR_N_SAMPLES;
    size_t rank;

    if (n == 0)
        return -1;
    (void)memcpy(sorted, samples->us, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare_i64);
    rank = (size_t)(part * (double)n);
    return sorted[rank < n ? rank : n - 1];
}
