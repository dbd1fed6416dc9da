/* A growing array with its texts in an arena; both are emptied by a flush. */

#include "lib/services/enrichment/kaggle_parser/reject_list.h"

#include <stdlib.h>

#include "base/utf8.h"

#define TEXT_BYTES   ((size_t)16 << 20)
#define REASON_BYTES ((size_t)500)

void
kaggle_reject_list_init(struct kaggle_reject_list *self)
{
    *self = (struct kaggle_reject_list){.arena = ARENA_INIT(TEXT_BYTES)};
}

void
kaggle_reject_list_fini(struct kaggle_reject_list *self)
{
    arena_fini(&self->arena);
    free(self->items);
    self->items = NULL;
}

static bool
grow(struct kaggle_reject_list *self)
{
    size_t cap = self->cap ? 2 * self->cap : 64;
    struct run_reject *items;

    if (self->n_items < self->cap)
        return true;
    items = reallocarray(self->items, cap, sizeof(*items));
    if (!items)
        return false;
    self->items = items;
    self->cap = cap;
    return true;
}

void
kaggle_reject_list_note(struct kaggle_reject_list *self, const struct meta_reject *reject)
{
    struct str reason = utf8_cut(str_from_cstr(reject->reason), REASON_BYTES);
    bool ok = true;

    if (self->n_noted++ >= KAGGLE_STORED_REJECTS || !grow(self))
        return;
    reason = arena_dup(&self->arena, reason, &ok);
    if (!ok)
        return;
    self->items[self->n_items++] = (struct run_reject){
        .source = str_from_cstr(reject->file_name),
        .record = (int64_t)reject->record_no,
        .byte_offset = (int64_t)reject->offset,
        .reason = reason,
    };
}

int
kaggle_reject_list_flush(struct kaggle_reject_list *self, struct kaggle_batch_writer *writer,
                         struct error *err)
{
    for (size_t i = 0; i < self->n_items; i++) {
        int rc = kaggle_batch_writer_keep(writer, &self->items[i], err);

        if (rc < 0)
            return rc;
    }
    kaggle_batch_writer_count_rejects(writer, self->n_noted - self->n_counted);
    self->n_counted = self->n_noted;
    self->n_items = 0;
    arena_reset(&self->arena);
    return 0;
}
