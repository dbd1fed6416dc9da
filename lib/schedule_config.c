/* Defaults first, in their order, then the entries of trawl.yaml, in theirs; then every row is held
 * against the tasks. */

#include "lib/schedule_config.h"

#include "base/json.h"
#include "celery/params.h"
#include "celery/time_zone.h"
#include "lib/core/config_file.h"
#include "lib/schedule_fields.h"

#define CHECK_ARENA_BYTES ((size_t)16 << 20)
#define SHOWN_BYTES       64

struct slot {
    struct schedule_entry entry;
    const char *origin;
};

struct builder {
    const struct config *config;
    const struct celery_registry *registry;
    struct arena *arena;
    struct slot *slots; /* room for all */
    size_t n_slots;
    struct celery_schedule_options options;
};

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for the schedule");
}

static size_t
count_rows(const struct celery_schedule *rows)
{
    size_t n = 0;

    while (rows[n].name)
        n++;
    return n;
}

/* All of a mistake in the settings is one of the settings. */
static int
as_config(struct error *err, int rc)
{
    if (rc == -ERR_NOMEM)
        return rc;
    if (err)
        err->code = ERR_CONFIG;
    return -ERR_CONFIG;
}

static int
read_zone(struct builder *self, struct error *err)
{
    CLEANUP(celery_time_zone_freep) struct celery_time_zone *zone = NULL;
    struct str name = config_get(self->config, CONFIG_TIMEZONE);
    int rc = celery_time_zone_open(NULL, name, &zone, err);

    self->options.time_zone = name.ptr;
    if (rc == 0 || rc == -ERR_UNSUPPORTED) /* beat says so, and takes UTC */
        return 0;
    return as_config(err, error_wrap(err, rc, "timezone '%.*s' (from %.*s)",
                                     STR_ARG(str_slice(name, 0, SHOWN_BYTES)),
                                     STR_ARG(config_origin(self->config, CONFIG_TIMEZONE))));
}

static struct slot *
find_slot(const struct builder *self, struct str name)
{
    for (size_t i = 0; i < self->n_slots; i++) {
        if (str_equal(str_from_cstr(self->slots[i].entry.row.name), name))
            return &self->slots[i];
    }
    return NULL;
}

static int
refuse_new(const struct builder *self, const struct config_node *node, const char *path,
           const char *missing, struct error *err)
{
    const char *nearest = NULL;
    size_t best = node->key.len / 2 + 1;

    for (size_t i = 0; i < self->n_slots; i++) {
        const char *name = self->slots[i].entry.row.name;
        size_t distance = str_distance(node->key, str_from_cstr(name));

        if (distance > 0 && distance < best) {
            best = distance;
            nearest = name;
        }
    }
    return error_set(err, ERR_CONFIG,
                     "%s:%zu: " CONFIG_SCHEDULE_NAME " '%.*s': %s is missing%s%s%s", path,
                     node->line, STR_ARG(str_slice(node->key, 0, SHOWN_BYTES)), missing,
                     nearest ? ", or did you mean the default entry '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "");
}

/* An entry that names a task stands alone; one without changes the default of its name. */
static int
add_entry(struct builder *self, const char *path, const struct config_node *node, struct error *err)
{
    struct slot *slot = find_slot(self, node->key);
    struct schedule_entry fresh = {.is_enabled = true};
    struct schedule_entry changed = slot ? slot->entry : fresh;
    int rc = schedule_fields_read(path, node, self->arena, &fresh, err);

    fresh.row.name = node->key.ptr;
    if (rc == 0 && slot && !fresh.has_task) {
        rc = schedule_fields_read(path, node, self->arena, &changed, err);
        fresh = changed;
    } else if (rc == 0 && !fresh.has_task) {
        rc = refuse_new(self, node, path, "task", err);
    } else if (rc == 0 && !fresh.has_when && fresh.is_enabled) {
        rc = refuse_new(self, node, path, "schedule", err);
    }
    if (rc < 0)
        return rc;
    if (!slot)
        slot = &self->slots[self->n_slots++];
    slot->entry = fresh;
    slot->origin = arena_printf(self->arena, "%s:%zu", path, node->line);
    return slot->origin ? 0 : no_memory(err);
}

static int
collect(struct builder *self, const struct celery_schedule *defaults, struct error *err)
{
    const struct config_node *tree = config_schedule(self->config);
    const char *path = config_yaml_path(self->config).ptr;
    size_t n_defaults = count_rows(defaults);
    int rc = 0;

    if (tree && tree->kind != CONFIG_MAPPING && tree->text.len == 0 && tree->n_items == 0)
        tree = NULL; /* "beat_schedule:" and nothing below */
    if (tree && tree->kind != CONFIG_MAPPING)
        return error_set(err, ERR_CONFIG,
                         "%s:%zu: " CONFIG_SCHEDULE_NAME " must be a mapping of names to entries",
                         path, tree->line);
    self->slots =
        arena_calloc(self->arena, n_defaults + (tree ? tree->n_items : 0), sizeof(*self->slots));
    if (!self->slots)
        return no_memory(err);
    for (size_t i = 0; i < n_defaults; i++)
        self->slots[self->n_slots++] = (struct slot){
            .entry = {.row = defaults[i], .is_enabled = true, .has_when = true},
            .origin = "default",
        };
    for (size_t i = 0; rc == 0 && tree && i < tree->n_items; i++)
        rc = add_entry(self, path, &tree->items[i], err);
    return rc;
}

/* The row's arguments against the task's parameters. */
static int
check_task(const struct builder *self, const struct celery_schedule *row, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CHECK_ARENA_BYTES);
    const struct celery_task *task;
    struct json args;
    struct json kwargs;
    struct error why;
    void *bound;
    int rc = celery_registry_find(self->registry, str_from_cstr(row->task), &task, &why);

    if (rc < 0)
        return error_set(err, ERR_CONFIG, "%.300s ('foreign: true' for a task of another worker)",
                         why.message);
    rc = json_parse(str_from_cstr(row->args ? row->args : "[]"), NULL, &arena, &args, err);
    if (rc == 0)
        rc =
            json_parse(str_from_cstr(row->kwargs ? row->kwargs : "{}"), NULL, &arena, &kwargs, err);
    return rc < 0 ? rc : celery_params_bind(task, &args, &kwargs, &arena, &bound, err);
}

static int
check_slot(const struct builder *self, const struct slot *slot, struct error *err)
{
    const struct celery_schedule rows[] = {slot->entry.row, CELERY_SCHEDULE_END};
    int rc = celery_schedule_check(rows, &self->options, err);

    if (rc < 0)
        return as_config(err, error_wrap(err, rc, "%s", slot->origin));
    if (!slot->entry.is_foreign)
        rc = check_task(self, rows, err);
    if (rc < 0)
        return as_config(err, error_wrap(err, rc, "%s: schedule '%.*s'", slot->origin, SHOWN_BYTES,
                                         rows[0].name));
    return 0;
}

static int
fill_table(const struct builder *self, struct schedule_table *out, struct error *err)
{
    struct celery_schedule *rows = arena_calloc(self->arena, self->n_slots + 1, sizeof(*rows));
    const char **origins = arena_calloc(self->arena, self->n_slots + 1, sizeof(*origins));
    size_t n_rows = 0;

    if (!rows || !origins)
        return no_memory(err);
    for (size_t i = 0; i < self->n_slots; i++) {
        const struct slot *slot = &self->slots[i];
        int rc;

        if (!slot->entry.is_enabled)
            continue;
        rc = check_slot(self, slot, err);
        if (rc < 0)
            return rc;
        rows[n_rows] = slot->entry.row;
        origins[n_rows++] = slot->origin;
    }
    *out = (struct schedule_table){rows, origins, n_rows, self->options};
    return 0;
}

int
schedule_config_load(const struct config *config, const struct celery_schedule *defaults,
                     const struct celery_registry *registry, struct arena *arena,
                     struct schedule_table *out, struct error *err)
{
    struct builder builder = {.config = config, .registry = registry, .arena = arena};
    int rc = read_zone(&builder, err);

    if (rc == 0)
        rc = collect(&builder, defaults, err);
    return rc < 0 ? rc : fill_table(&builder, out, err);
}
