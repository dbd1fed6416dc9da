/* One array of the size that the caller allows; what is not filled dies with the arena. */

#include "lib/repositories/row_list.h"

int
row_list_collect(struct statement *statement, const struct row_list_spec *spec, struct arena *arena,
                 void **out, size_t *out_n, struct error *err)
{
    char *items = arena_calloc(arena, spec->n_room, spec->item_bytes);
    size_t n_items = 0;
    int rc = 0;

    if (!items)
        rc = error_set(err, ERR_NOMEM, "no memory for %zu %s", spec->n_room, spec->what);
    while (rc == 0 && n_items < spec->n_room && (rc = statement_step(statement, err)) == 1) {
        rc = spec->read(statement, arena, items + n_items * spec->item_bytes, err);
        n_items++;
    }
    statement_reset(statement);
    if (rc < 0)
        return rc;
    *out = items;
    *out_n = n_items;
    return 0;
}
