/* The tasks that every Celery worker has: accumulate, backend_cleanup, chunks and chord_unlock look
 * at a message or at results only, and end here; map and starmap run a named task in the pool, once
 * for each item, under the one message.
 *
 * Source: Celery's documentation of the canvas, and 5.2 to 5.7 (app/builtins.py). */

#include <inttypes.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/log.h"
#include "celery/worker_internal.h"

#define MAP_RESULT_BYTES   ((size_t)32 << 20)
#define UNLOCK_RETRY_S     1.0
#define UNLOCK_MAX_S       86400.0
#define UNLOCK_ARENA_BYTES ((size_t)128 << 20)
#define MAX_CHUNKS         ((size_t)100000)

struct flight_map {
    struct json_cursor items;
    struct buf results;
    struct str args; /* JSON: of the item at hand */
    struct arena arena;
    bool is_star; /* an item is the list of arguments */
};

/* They run in no child. */
static int
run_nowhere(struct celery_call *call, struct error *err)
{
    (void)call;
    return error_set(err, ERR_UNSUPPORTED, "this task is the worker's own");
}

static const struct celery_param no_params[] = {CELERY_PARAMS_END};

/* clang-format off */
#define BUILTIN(task_name) {.name = "celery." task_name, .run = run_nowhere, .params = no_params}
const struct celery_task worker_builtins[] = {
    BUILTIN("accumulate"),
    BUILTIN("backend_cleanup"),
    BUILTIN("chain"),
    BUILTIN("chord"),
    BUILTIN("chord_unlock"),
    BUILTIN("chunks"),
    BUILTIN("group"),
    BUILTIN("map"),
    BUILTIN("starmap"),
    CELERY_TASKS_END,
};
/* clang-format on */

const struct celery_task *
worker_builtin_find(struct str name)
{
    if (!str_starts_with(name, STR("celery.")))
        return NULL;
    for (const struct celery_task *task = worker_builtins; task->name; task++) {
        if (str_equal(name, str_from_cstr(task->name)))
            return task;
    }
    return NULL;
}

/* JSON of a named argument; absent where it is not there, or null. */
static struct str
find_kwarg(const struct flight *flight, struct str name)
{
    struct json_cursor members = json_cursor_open(flight->message.kwargs);
    struct json_slice member;
    struct str found = STR_NULL;

    while (flight->message.kwargs.ptr && json_cursor_next(&members, &member)) {
        if (json_slice_is_named(&member, name))
            found = member.value;
    }
    return found.ptr && json_slice_type(found) != JSON_NULL ? found : STR_NULL;
}

static struct str
find_arg(const struct flight *flight, int64_t idx)
{
    struct json_cursor items = json_cursor_open(flight->message.args);
    struct json_slice item;

    while (flight->message.args.ptr && idx >= 0 && json_cursor_next(&items, &item)) {
        if (idx-- == 0)
            return item.value;
    }
    return STR_NULL;
}

static bool
read_number(struct flight *flight, struct str name, double *out)
{
    struct str text = find_kwarg(flight, name);
    struct json value;

    return text.ptr && json_slice_type(text) == JSON_NUMBER &&
           json_parse(text, NULL, &flight->arena, &value, NULL) == 0 && json_is_f64(&value, out);
}

static int
accumulate(struct worker *self, struct flight *flight, struct str *result, struct error *err)
{
    struct str args = flight->message.args.ptr ? flight->message.args : STR("[]");
    double idx;

    (void)self;
    *result = args;
    if (!read_number(flight, STR("index"), &idx))
        return 0;
    *result = find_arg(flight, idx >= 0 && idx < 1e9 ? (int64_t)idx : -1);
    return result->ptr ? 0 : error_set(err, ERR_INVALID, "accumulate: no argument %.0f", idx);
}

/* Both backends forget by themselves. */
static int
clean_up(struct worker *self, struct flight *flight, struct str *result, struct error *err)
{
    (void)self;
    (void)flight;
    (void)err;
    *result = STR("null");
    return 0;
}

static int
refuse_composite(struct worker *self, struct flight *flight, struct str *result, struct error *err)
{
    (void)self;
    (void)result;
    return error_set(err, ERR_UNSUPPORTED, "%s is not a task that runs by itself",
                     flight->task->name);
}

/* celery.starmap of one slice of the items. */
static int
add_chunk(struct canvas_plan *plan, struct str task, struct buf *slice, struct canvas_node **out,
          struct error *err)
{
    struct canvas_node *node = canvas_create(CANVAS_TASK, STR("\"celery.starmap\""), plan->arena);
    char *kwargs = arena_printf(plan->arena, "{\"task\": %.*s, \"it\": [%.*s]}", STR_ARG(task),
                                STR_ARG(buf_str(slice)));

    buf_clear(slice);
    if (!node || !kwargs)
        return error_set(err, ERR_NOMEM, "no memory for chunks");
    node->kwargs = str_from_cstr(kwargs);
    node->is_immutable = true;
    *out = node;
    return 0;
}

static int
cut_chunks(struct canvas_plan *plan, struct str task, struct str it, size_t n_per_chunk,
           struct canvas_node *group, struct error *err)
{
    CLEANUP(buf_fini) struct buf slice = BUF_INIT(MAP_RESULT_BYTES);
    struct json_cursor items = json_cursor_open(it);
    struct json_slice item;
    size_t n = 0;
    int rc = 0;

    group->items = arena_calloc(plan->arena, MAX_CHUNKS, sizeof(*group->items));
    if (!group->items)
        return error_set(err, ERR_NOMEM, "no memory for chunks");
    while (rc == 0 && json_cursor_next(&items, &item)) {
        if (group->n_items == MAX_CHUNKS)
            return error_set(err, ERR_TOO_LARGE, "more than %zu chunks", MAX_CHUNKS);
        if (n++ > 0)
            buf_append(&slice, STR(", "));
        buf_append(&slice, item.value);
        if (n < n_per_chunk)
            continue;
        rc = add_chunk(plan, task, &slice, &group->items[group->n_items++], err);
        n = 0;
    }
    if (rc == 0 && n > 0)
        rc = add_chunk(plan, task, &slice, &group->items[group->n_items++], err);
    return rc;
}

/* A group of starmaps over slices; its result tuple is the result. */
static int
chunks(struct worker *self, struct flight *flight, struct str *result, struct error *err)
{
    static const struct canvas_extra nothing = {0};
    struct canvas_plan *plan = worker_canvas_plan(self, flight, "chunks");
    struct canvas_node *group =
        plan ? canvas_create(CANVAS_GROUP, STR("\"celery.group\""), plan->arena) : NULL;
    struct str task = find_kwarg(flight, STR("task"));
    struct str it = find_kwarg(flight, STR("it"));
    bool ok = true;
    double n;
    int rc;

    if (!group)
        return error_set(err, ERR_NOMEM, "no memory for chunks");
    if (!task.ptr || !it.ptr || json_slice_type(it) != JSON_ARRAY ||
        !read_number(flight, STR("n"), &n) || n < 1 || n > 1e9)
        return error_set(err, ERR_INVALID, "chunks: needs a task, a list 'it' and a number n");
    rc = cut_chunks(plan, task, it, (size_t)n, group, err);
    if (rc == 0)
        rc = canvas_apply(plan, group, &nothing, err);
    if (rc == 0)
        rc = buf_status(&plan->children, err);
    if (rc < 0)
        return rc;
    *result = arena_dup(plan->arena, buf_str(&plan->children), &ok);
    if (!result->len)
        *result = STR("[]");
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for chunks");
}

/* The ids in a list of result tuples, nested ones in their order; NULL out only counts. */
static size_t
find_ids(struct str tuple, struct str *out, size_t n)
{
    struct json_cursor items = json_cursor_open(tuple);
    struct json_slice head = {0}, members = {0}, item;

    if (!json_cursor_next(&items, &head) || !json_cursor_next(&items, &members))
        return n;
    if (json_slice_type(members.value) == JSON_ARRAY) {
        items = json_cursor_open(members.value);
        while (json_cursor_next(&items, &item))
            n = find_ids(item.value, out, n);
        return n;
    }
    items = json_cursor_open(head.value);
    if (!json_cursor_next(&items, &item) || json_slice_type(item.value) != JSON_STRING)
        return n;
    if (out)
        out[n] = str_slice(item.value, 1, item.value.len - 1);
    return n + 1;
}

/* Not all of them have ended: the same message again, later. */
static void
wait_for_header(struct flight *flight)
{
    double seconds = UNLOCK_RETRY_S;

    if (!read_number(flight, STR("interval"), &seconds) || !(seconds > 0) || seconds > UNLOCK_MAX_S)
        seconds = UNLOCK_RETRY_S;
    flight->is_retry = true;
    flight->retry_at_us = clock_now_us(&clock_system) + (int64_t)(seconds * (double)US_PER_S);
}

/* [1, id, state, result] of each; false: not all are ready. */
static int
make_parts(const struct backend_record_list *found, struct arena *arena, struct str *parts,
           struct error *err)
{
    for (size_t i = 0; i < found->n_items; i++) {
        const struct backend_record *record = &found->items[i];
        struct result result;
        char *text;
        int rc;

        if (!result_state_is_ready(result_state_of(record->status)))
            return 0;
        rc = result_decode(record->document, arena, &result, err);
        if (rc < 0)
            return rc;
        text = arena_printf(arena, "[1, \"%.*s\", \"%.*s\", %.*s]", STR_ARG(record->task_id),
                            STR_ARG(record->status),
                            STR_ARG(result.result.ptr ? result.result : STR("null")));
        if (!text)
            return error_set(err, ERR_NOMEM, "no memory for a chord's parts");
        parts[i] = str_from_cstr(text);
    }
    return 1;
}

static int
unlock(struct worker *self, struct flight *flight, struct arena *arena, struct error *err)
{
    struct str results = find_kwarg(flight, STR("result"));
    char *tuple = arena_printf(arena, "[null, %.*s]", STR_ARG(results.ptr ? results : STR("[]")));
    struct backend_record_list found;
    struct canvas_chord chord = {.body = find_arg(flight, 1)};
    struct json group_id;
    struct str *ids, *parts;
    size_t n_ids;
    int rc;

    if (!chord.body.ptr || json_slice_type(chord.body) != JSON_OBJECT ||
        json_parse(find_arg(flight, 0), NULL, arena, &group_id, NULL) < 0 ||
        group_id.type != JSON_STRING)
        return error_set(err, ERR_ARGS, "chord_unlock: needs a group's id and a signature");
    n_ids = tuple ? find_ids(str_from_cstr(tuple), NULL, 0) : 0;
    ids = arena_calloc(arena, n_ids, sizeof(*ids));
    parts = arena_calloc(arena, n_ids, sizeof(*parts));
    if (!tuple || !ids || !parts)
        return error_set(err, ERR_NOMEM, "no memory for the results of a chord");
    (void)find_ids(str_from_cstr(tuple), ids, 0);
    rc = worker_need_backend(self, err);
    if (rc == 0)
        rc = backend_get(self->backend, ids, n_ids, arena, &found, err);
    if (rc == 0 && found.n_items == n_ids)
        rc = make_parts(&found, arena, parts, err);
    if (rc <= 0) /* away, or not ready */
        return error_is_retryable(rc) || rc == 0 ? 0 : rc;
    chord.group_id = group_id.text;
    chord.parts = parts;
    chord.n_parts = n_ids;
    chord.saved = str_from_cstr(arena_printf(arena, "{\"result\": %s}", tuple));
    rc = worker_canvas_end_chord(self, flight, &chord, err);
    return rc < 0 ? rc : 1;
}

/* For backends without counters: look at the results of a header until all are there. */
static int
unlock_chord(struct worker *self, struct flight *flight, struct str *result, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(UNLOCK_ARENA_BYTES);
    double max_retries;
    int rc;

    flight->message.ignore_result = CELERY_TRUE;
    *result = STR("null");
    rc = unlock(self, flight, &arena, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (read_number(flight, STR("max_retries"), &max_retries) &&
        (double)flight->message.retries >= max_retries)
        return error_set(err, ERR_TIMEOUT, "chord_unlock: not ready after %" PRId64 " looks",
                         flight->message.retries + 1);
    wait_for_header(flight);
    return 0;
}

/* A map's item becomes the arguments of a call; false: there is none. */
static bool
next_item(struct flight_map *map)
{
    struct json_slice item;
    char *text;

    if (!json_cursor_next(&map->items, &item))
        return false;
    if (map->is_star && json_slice_type(item.value) == JSON_ARRAY) {
        map->args = item.value;
        return true;
    }
    arena_reset(&map->arena);
    text = arena_printf(&map->arena, "[%.*s]", STR_ARG(item.value));
    map->args = text ? str_from_cstr(text) : STR("[]");
    return true;
}

struct str
worker_map_args(const struct flight *flight)
{
    return flight->map ? flight->map->args : flight->message.args;
}

struct str
worker_map_kwargs(const struct flight *flight)
{
    return flight->map ? STR_NULL : flight->message.kwargs;
}

bool
worker_map_goes_on(struct worker *self, struct flight *flight, struct str *result)
{
    struct flight_map *map = flight->map;

    if (!map)
        return false;
    if (map->results.len > 1)
        buf_append(&map->results, STR(", "));
    buf_append(&map->results, *result);
    if (next_item(map)) {
        worker_flight_set_stage(self, flight, FLIGHT_WAITING); /* the next turn submits it */
        return true;
    }
    buf_append_char(&map->results, ']');
    *result = buf_str(&map->results);
    return false;
}

void
worker_map_free(struct flight *flight)
{
    if (!flight->map)
        return;
    buf_fini(&flight->map->results);
    arena_fini(&flight->map->arena);
    free(flight->map);
    flight->map = NULL;
}

static int
find_mapped(struct worker *self, struct flight *flight, const struct celery_task **out,
            struct error *err)
{
    struct str text = find_kwarg(flight, STR("task"));
    struct canvas_node *node;
    struct json name;
    int rc;

    if (!text.ptr)
        return error_set(err, ERR_ARGS, "%s: needs a task", flight->task->name);
    if (json_slice_type(text) != JSON_STRING) {
        rc = canvas_parse(text, &flight->arena, &node, err);
        if (rc < 0)
            return rc;
        text = node->task;
    }
    rc = json_parse(text, NULL, &flight->arena, &name, err);
    return rc < 0 ? rc : celery_registry_find(self->options->registry, name.text, out, err);
}

/* Becomes a run of the named task for each item; *result is there where there are none. */
static int
map(struct worker *self, struct flight *flight, struct str *result, struct error *err)
{
    struct str it = find_kwarg(flight, STR("it"));
    const struct celery_task *task;
    bool is_star = str_equal(flight->message.task, STR("celery.starmap"));
    int rc = find_mapped(self, flight, &task, err);

    if (rc == 0 && (!it.ptr || json_slice_type(it) != JSON_ARRAY))
        rc = error_set(err, ERR_ARGS, "%s: needs a list 'it'", flight->task->name);
    if (rc < 0)
        return rc;
    flight->map = calloc(1, sizeof(*flight->map));
    if (!flight->map)
        return error_set(err, ERR_NOMEM, "no memory for a map");
    flight->map->items = json_cursor_open(it);
    flight->map->is_star = is_star;
    flight->map->arena = (struct arena)ARENA_INIT(MAP_RESULT_BYTES);
    buf_init(&flight->map->results, MAP_RESULT_BYTES);
    buf_append_char(&flight->map->results, '[');
    *result = STR_NULL;
    if (next_item(flight->map))
        flight->task = task;
    else
        *result = STR("[]");
    return 0;
}

static const struct {
    struct str name;
    int (*begin)(struct worker *self, struct flight *flight, struct str *result, struct error *err);
} rows[] = {
    {STR_INIT("celery.accumulate"), accumulate},
    {STR_INIT("celery.backend_cleanup"), clean_up},
    {STR_INIT("celery.chain"), refuse_composite},
    {STR_INIT("celery.chord"), refuse_composite},
    {STR_INIT("celery.chord_unlock"), unlock_chord},
    {STR_INIT("celery.chunks"), chunks},
    {STR_INIT("celery.group"), refuse_composite},
    {STR_INIT("celery.map"), map},
    {STR_INIT("celery.starmap"), map},
};

static void
end_now(struct worker *self, struct flight *flight, int rc, struct str result,
        const struct error *err)
{
    flight->started_at_us = clock_now_us(&clock_system);
    worker_control_count_start(self, flight);
    worker_note(self, flight, &(struct worker_note){.moment = MOMENT_STARTED});
    if (rc < 0) {
        log_warning("task failed: id=%.*s name=%s error=%s", STR_ARG(flight->message.id),
                    flight->task->name, err->message);
        worker_record_error(self, flight, RESULT_FAILURE, err);
    } else if (!flight->is_retry) {
        worker_record_success(self, flight, result);
    }
    worker_flight_end(self, flight, BROKER_ACK, 0, STR_NULL);
}

void
worker_builtin_begin(struct worker *self, struct flight *flight)
{
    struct str result = STR_NULL;
    struct error err = {0};
    size_t i = 0;
    int rc;

    if (!worker_builtin_find(flight->message.task))
        return;
    while (i < COUNT_OF(rows) && !str_equal(rows[i].name, flight->message.task))
        i++;
    if (i == COUNT_OF(rows))
        return;
    rc = rows[i].begin(self, flight, &result, &err);
    if (rc < 0 || result.ptr || flight->is_retry)
        end_now(self, flight, rc, result, &err);
}
