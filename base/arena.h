#pragma once

/* Arena: memory for all that dies together (a batch, a request, a message).
 *
 * Grows in chunks up to a ceiling; nothing is freed alone.  Not thread-safe. */

#include <stdarg.h>
#include <stddef.h>

#include <trawl/attributes.h>
#include <trawl/str.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *head; /* the chunk in use; older ones hang behind it */
    size_t used;              /* bytes taken from the system */
    size_t max_bytes;         /* ceiling for `used` */
};

/* clang-format off */
#define ARENA_INIT(limit_bytes) {.head = NULL, .used = 0, .max_bytes = (limit_bytes)}
/* clang-format on */

/* size bytes aligned for any type; NULL when the ceiling or the system's memory is reached.
 * A size of 0 gives a valid pointer. */
MUST_CHECK void *arena_alloc(struct arena *arena, size_t size);

/* n_items * item_size zeroed bytes; NULL also when the product overflows. */
MUST_CHECK void *arena_calloc(struct arena *arena, size_t n_items, size_t item_size);

/* size bytes at a multiple of align (a power of two). */
MUST_CHECK void *arena_alloc_aligned(struct arena *arena, size_t size, size_t align);

/* A copy that lives as long as the arena, NUL-terminated one byte past its length.
 * An absent text stays absent.  *ok turns false on lack of memory, and is never set true. */
struct str arena_dup(struct arena *arena, struct str text, bool *ok);

/* A formatted, NUL-terminated text; NULL on lack of memory. */
MUST_CHECK char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Forget everything, keep the newest chunk for the next round. */
void arena_reset(struct arena *arena);

/* Give all memory back.  The arena may be used again. */
void arena_fini(struct arena *arena);
