/* Six lists that grow together. */

#include "encoder/vector_batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MIN ((size_t)256)

void
vector_batch_init(struct vector_batch *self, size_t dim)
{
    *self = (struct vector_batch){.dim = dim};
}

void
vector_batch_fini(struct vector_batch *self)
{
    free(self->ids);
    free(self->scales);
    free(self->errors);
    free(self->checks);
    free(self->vectors);
    free(self->codes);
    *self = (struct vector_batch){0};
}

void
vector_batch_clear(struct vector_batch *self)
{
    self->n_rows = 0;
    self->max_norm = 0;
}

static bool
grow_list(void **list, size_t n_rows, size_t row_bytes)
{
    void *grown = reallocarray(*list, n_rows, row_bytes);

    if (grown)
        *list = grown;
    return grown != NULL;
}

static int
grow(struct vector_batch *self, struct error *err)
{
    size_t n_room = self->n_room ? 2 * self->n_room : ROWS_MIN;
    struct {
        void **list;
        size_t row_bytes;
    } lists[] = {
        {(void **)&self->ids, sizeof(*self->ids)},
        {(void **)&self->scales, sizeof(*self->scales)},
        {(void **)&self->errors, sizeof(*self->errors)},
        {(void **)&self->checks, sizeof(*self->checks)},
        {(void **)&self->vectors, self->dim * sizeof(*self->vectors)},
        {(void **)&self->codes, vector_code_bytes(self->dim)},
    };

    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        if (!grow_list(lists[i].list, n_room, lists[i].row_bytes))
            return error_set(err, ERR_NOMEM, "no memory for %zu vectors", n_room);
    }
    self->n_room = n_room;
    return 0;
}

int
vector_batch_add(struct vector_batch *self, int64_t id, const float *vector, struct error *err)
{
    size_t row = self->n_rows;
    struct vector_code code;
    int rc = 0;

    if (row > 0 && id <= self->ids[row - 1])
        return error_set(err, ERR_INVALID, "vector %" PRId64 " comes behind %" PRId64, id,
                         self->ids[row - 1]);
    if (row == self->n_room)
        rc = grow(self, err);
    if (rc == 0)
        rc = vector_quantize(vector, self->dim, self->codes + row * vector_code_bytes(self->dim),
                             &code, err);
    if (rc < 0)
        return error_wrap(err, rc, "vector %" PRId64, id);
    (void)memcpy(self->vectors + row * self->dim, vector, self->dim * sizeof(*vector));
    self->ids[row] = id;
    self->scales[row] = code.scale;
    self->errors[row] = code.error;
    self->checks[row] = vector_checksum(vector, self->dim * sizeof(*vector));
    if (code.norm > self->max_norm)
        self->max_norm = code.norm;
    self->n_rows++;
    return 0;
}

struct vector_part
vector_batch_part(const struct vector_batch *self)
{
    return (struct vector_part){
        .codes = self->codes,
        .scales = self->scales,
        .errors = self->errors,
        .vectors = self->vectors,
        .ids = self->ids,
        .n_rows = self->n_rows,
        .max_norm = self->max_norm,
    };
}
