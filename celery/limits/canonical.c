/* Depth is limited by whoever parsed the value. */

#include "celery/limits/canonical.h"

#include <stdlib.h>

#include "base/json_writer.h"

/* By name, then by place: the last of equal names stands last. */
static int
compare_members(const void *a, const void *b)
{
    const struct json_member *const *left = a;
    const struct json_member *const *right = b;
    int order = str_compare((*left)->name, (*right)->name);

    if (order != 0)
        return order;
    return (*left > *right) - (*left < *right);
}

static int write_value(const struct json *value, struct arena *arena, struct json_writer *json,
                       struct error *err);

static int
write_object(const struct json *value, struct arena *arena, struct json_writer *json,
             struct error *err)
{
    size_t n = value->object.n_members;
    const struct json_member **sorted = arena_calloc(arena, n, sizeof(*sorted));
    int rc = 0;

    if (!sorted)
        return error_set(err, ERR_NOMEM, "no memory for %zu names", n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &value->object.members[i];
    if (n > 0)
        qsort(sorted, n, sizeof(*sorted), compare_members);
    json_begin_object(json);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (i + 1 < n && str_equal(sorted[i]->name, sorted[i + 1]->name))
            continue;
        json_name(json, sorted[i]->name);
        rc = write_value(&sorted[i]->value, arena, json, err);
    }
    json_end_object(json);
    return rc;
}

static int
write_value(const struct json *value, struct arena *arena, struct json_writer *json,
            struct error *err)
{
    int rc = 0;

    if (value->type == JSON_OBJECT)
        return write_object(value, arena, json, err);
    if (value->type != JSON_ARRAY) {
        json_value(json, value);
        return 0;
    }
    json_begin_array(json);
    for (size_t i = 0; rc == 0 && i < value->array.n_items; i++)
        rc = write_value(&value->array.items[i], arena, json, err);
    json_end_array(json);
    return rc;
}

int
limit_write_canonical(const struct json *value, struct arena *arena, struct buf *out,
                      struct error *err)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    return write_value(value, arena, &json, err);
}
