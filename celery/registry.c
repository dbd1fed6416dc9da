/* A few dozen names: linear search, with a helping hand for those who mistype. */

#include "celery/registry.h"

static const char *
find_nearest(const struct celery_registry *registry, struct str name)
{
    const char *nearest = NULL;
    size_t best = name.len / 2 + 1; /* half of the letters wrong is another word */

    for (const struct celery_task *const *module = registry->modules; *module; module++) {
        for (const struct celery_task *task = *module; task->name; task++) {
            size_t distance = str_distance(str_from_cstr(task->name), name);

            if (distance < best) {
                best = distance;
                nearest = task->name;
            }
        }
    }
    return nearest;
}

static int
refuse(const struct celery_registry *registry, struct str name, struct error *err)
{
    const char *nearest;

    for (const struct celery_removed_task *row = registry->removed; row && row->name; row++) {
        if (str_equal(name, str_from_cstr(row->name)))
            return error_set(err, ERR_NOT_FOUND, "task '%s' was removed: use '%s'", row->name,
                             row->successor);
    }
    nearest = find_nearest(registry, name);
    if (nearest)
        return error_set(err, ERR_NOT_FOUND, "task '%.*s' is unknown: did you mean '%s'?",
                         STR_ARG(str_slice(name, 0, 64)), nearest);
    return error_set(err, ERR_NOT_FOUND, "task '%.*s' is unknown", STR_ARG(str_slice(name, 0, 64)));
}

int
celery_registry_find(const struct celery_registry *registry, struct str name,
                     const struct celery_task **out, struct error *err)
{
    for (const struct celery_task *const *module = registry->modules; *module; module++) {
        for (const struct celery_task *task = *module; task->name; task++) {
            if (str_equal(name, str_from_cstr(task->name))) {
                *out = task;
                return 0;
            }
        }
    }
    return refuse(registry, name, err);
}
