#include "celery/backend/watch_list.h"

#include <stdlib.h>

#include "celery/backend/backend.h"

static int
compare(const void *a, const void *b)
{
    return str_compare(((const struct watched *)a)->id, ((const struct watched *)b)->id);
}

static int
check_ids(const struct str *ids, size_t n_ids, size_t *n_bytes, struct error *err)
{
    if (n_ids > BACKEND_MAX_WATCHED)
        return error_set(err, ERR_TOO_LARGE, "%zu task ids to watch, allowed are %zu", n_ids,
                         BACKEND_MAX_WATCHED);
    *n_bytes = 0;
    for (size_t i = 0; i < n_ids; i++) {
        int rc = backend_check_id(ids[i], err);

        if (rc < 0)
            return rc;
        *n_bytes += ids[i].len; /* at most 2^20 * 255 */
    }
    return 0;
}

static void
drop_duplicates(struct watch_list *self)
{
    size_t n = 0;

    for (size_t i = 0; i < self->n_items; i++)
        if (i == 0 || !str_equal(self->items[i].id, self->items[n - 1].id))
            self->items[n++] = self->items[i];
    self->n_items = n;
}

int
watch_list_create(const struct str *ids, size_t n_ids, struct watch_list *out, struct error *err)
{
    CLEANUP(watch_list_fini) struct watch_list self = {.items = NULL};
    size_t n_bytes = 0;
    char *end;
    int rc = check_ids(ids, n_ids, &n_bytes, err);

    if (rc < 0)
        return rc;
    self.items = calloc(n_ids + 1, sizeof(*self.items));
    self.bytes = malloc(n_bytes + 1);
    if (!self.items || !self.bytes)
        return error_set(err, ERR_NOMEM, "no memory to watch %zu task ids", n_ids);
    end = self.bytes;
    for (size_t i = 0; i < n_ids; i++) {
        (void)memcpy(end, ids[i].ptr, ids[i].len);
        self.items[i].id = (struct str){end, ids[i].len};
        end += ids[i].len;
    }
    self.n_items = n_ids;
    qsort(self.items, n_ids, sizeof(*self.items), compare);
    drop_duplicates(&self);
    *out = self;
    self = (struct watch_list){.items = NULL};
    return 0;
}

void
watch_list_fini(struct watch_list *self)
{
    free(self->items);
    free(self->bytes);
    *self = (struct watch_list){.items = NULL};
}

struct watched *
watch_list_find(const struct watch_list *self, struct str id)
{
    struct watched key = {.id = id};

    return self->n_items == 0 ? NULL
                              : bsearch(&key, self->items, self->n_items, sizeof(key), compare);
}
