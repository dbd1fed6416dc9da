/* A short list of classes, searched from its end: rows of a source come in runs. */

#include "lib/services/scoring/score_book.h"

#include <stdlib.h>

#include "lib/repositories/score_repository.h"
#include "lib/services/scoring/score_formula.h"

#define BOOK_BYTES ((size_t)16 << 20)

struct making {
    struct score_book *book;
    int64_t now_us;
};

void
score_book_init(struct score_book *self)
{
    *self = (struct score_book){.arena = ARENA_INIT(BOOK_BYTES)};
}

static void
drop_values(struct score_class *class)
{
    for (size_t i = 0; i < SCORE_N_COUNTERS; i++) {
        free(class->values[i].items);
        class->values[i] = (struct score_values){0};
    }
}

void
score_book_fini(struct score_book *self)
{
    for (size_t i = 0; i < self->n_classes; i++)
        drop_values(self->classes[i]);
    arena_fini(&self->arena);
    self->n_classes = 0;
}

struct score_class *
score_book_find(const struct score_book *self, struct str source_name, enum score_age age)
{
    for (size_t i = self->n_classes; i-- > 0;) {
        struct score_class *class = self->classes[i];

        if (class->age == age && str_equal(class->source_name, source_name))
            return class;
    }
    return NULL;
}

int
score_book_get(struct score_book *self, struct str source_name, enum score_age age,
               struct score_class **out, struct error *err)
{
    struct score_class *class = score_book_find(self, source_name, age);
    bool ok = true;

    if (class) {
        *out = class;
        return 0;
    }
    if (self->n_classes == SCORE_CLASSES_MAX)
        return error_set(err, ERR_TOO_LARGE, "more than %zu sources and age classes",
                         SCORE_CLASSES_MAX);
    class = arena_calloc(&self->arena, 1, sizeof(*class));
    if (class) {
        class->source_name = arena_dup(&self->arena, source_name, &ok);
        class->age = age;
    }
    if (!class || !ok)
        return error_set(err, ERR_NOMEM, "no memory for percentile tables");
    self->classes[self->n_classes++] = class;
    *out = class;
    return 0;
}

static int
add_value(struct score_values *values, int64_t value, struct error *err)
{
    if (values->n_items == values->n_room) {
        size_t n_room = values->n_room ? 2 * values->n_room : 1024;
        int64_t *items = reallocarray(values->items, n_room, sizeof(*items));

        if (!items)
            return error_set(err, ERR_NOMEM, "no memory for %zu counters", n_room);
        values->items = items;
        values->n_room = n_room;
    }
    values->items[values->n_items++] = value;
    return 0;
}

static int
add_counters(void *context, const struct score_counters *row, struct error *err)
{
    struct making *making = context;
    struct score_class *class = NULL;
    int rc = score_book_get(making->book, row->source_name,
                            score_age_of(row->created_at_us, making->now_us), &class, err);

    for (size_t i = 0; rc == 0 && i < SCORE_N_COUNTERS; i++) {
        if (row->values[i] > 0) /* unknown is negative */
            rc = add_value(&class->values[i], row->values[i], err);
    }
    return rc;
}

int
score_book_make(struct score_book *self, struct database *database, int64_t now_us,
                struct error *err)
{
    struct making making = {self, now_us};
    int rc = score_repo_each_counters(database, add_counters, &making, err);

    for (size_t i = 0; rc == 0 && i < self->n_classes; i++) {
        struct score_class *class = self->classes[i];

        for (size_t k = 0; k < SCORE_N_COUNTERS; k++)
            score_table_build(&class->tables[k], class->values[k].items, class->values[k].n_items);
        drop_values(class);
    }
    return rc;
}

static int
add_knot(void *context, const struct score_table_key *key, const struct score_knot *knot,
         struct error *err)
{
    struct score_class *class = NULL;
    struct score_table *table;
    int rc = score_book_get(context, key->source_name, key->age, &class, err);

    if (rc < 0)
        return rc;
    table = &class->tables[key->counter];
    if (table->n_knots == SCORE_KNOTS_MAX)
        return error_set(err, ERR_CORRUPT,
                         "score_knots has more than %zu rows for one table: empty it, the next "
                         "scoring makes it anew",
                         SCORE_KNOTS_MAX);
    table->knots[table->n_knots++] = *knot;
    return 0;
}

int
score_book_load(struct score_book *self, struct database *database, struct error *err)
{
    return score_repo_each_knot(database, add_knot, self, err);
}
