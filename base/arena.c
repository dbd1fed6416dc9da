/* A chunk list with a bump pointer.  Chunks double from 4 KiB to 1 MiB; a larger request gets a
 * chunk of its own. */

#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_MIN_BYTES ((size_t)4096)
#define CHUNK_MAX_BYTES ((size_t)1 << 20)

struct arena_chunk {
    struct arena_chunk *older;
    size_t capacity; /* bytes of data */
    size_t used;
    alignas(max_align_t) char data[];
};

/* A new head chunk with room for size bytes, or NULL. */
static struct arena_chunk *
add_chunk(struct arena *arena, size_t size)
{
    size_t capacity = arena->head ? arena->head->capacity * 2 : CHUNK_MIN_BYTES;
    size_t room = arena->max_bytes - arena->used;
    struct arena_chunk *chunk;

    if (capacity > CHUNK_MAX_BYTES)
        capacity = CHUNK_MAX_BYTES;
    if (capacity > room)
        capacity = room;
    if (capacity < size)
        capacity = size;
    if (capacity > room)
        return NULL;
    chunk = malloc(sizeof(*chunk) + capacity);
    if (!chunk)
        return NULL;
    chunk->older = arena->head;
    chunk->capacity = capacity;
    chunk->used = 0;
    arena->head = chunk;
    arena->used += capacity;
    return chunk;
}

/* Bytes to skip so that the chunk's next address is aligned. */
static size_t
padding_of(const struct arena_chunk *chunk, size_t align)
{
    uintptr_t next = (uintptr_t)chunk->data + chunk->used;

    return (size_t)(-next & (align - 1));
}

void *
arena_alloc_aligned(struct arena *arena, size_t size, size_t align)
{
    struct arena_chunk *chunk = arena->head;
    size_t skip = chunk ? padding_of(chunk, align) : 0;
    void *ptr;

    if (size > SIZE_MAX / 2)
        return NULL;
    if (!chunk || chunk->capacity - chunk->used < skip ||
        chunk->capacity - chunk->used - skip < size) {
        chunk = add_chunk(arena, size + (align > alignof(max_align_t) ? align : 0));
        if (!chunk)
            return NULL;
        skip = padding_of(chunk, align);
    }
    ptr = chunk->data + chunk->used + skip;
    chunk->used += skip + size;
    return ptr;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
    return arena_alloc_aligned(arena, size, alignof(max_align_t));
}

void *
arena_calloc(struct arena *arena, size_t n_items, size_t item_size)
{
    size_t size;
    void *ptr;

    if (__builtin_mul_overflow(n_items, item_size, &size))
        return NULL;
    ptr = arena_alloc(arena, size);
    return ptr ? memset(ptr, 0, size) : NULL;
}

struct str
arena_dup(struct arena *arena, struct str text, bool *ok)
{
    char *copy;

    if (!text.ptr)
        return STR_NULL;
    copy = arena_alloc_aligned(arena, text.len + 1, 1);
    if (!copy) {
        *ok = false;
        return STR_NULL;
    }
    (void)memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return (struct str){copy, text.len};
}

char *
arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args;
    char *text;
    int len;

    va_start(args, fmt);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        return NULL;
    text = arena_alloc_aligned(arena, (size_t)len + 1, 1);
    if (!text)
        return NULL;
    va_start(args, fmt);
    (void)vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    return text;
}

static void
free_chunks(struct arena *arena, struct arena_chunk *chunk)
{
    while (chunk) {
        struct arena_chunk *older = chunk->older;

        arena->used -= chunk->capacity;
        free(chunk);
        chunk = older;
    }
}

void
arena_reset(struct arena *arena)
{
    if (!arena->head)
        return;
    free_chunks(arena, arena->head->older);
    arena->head->older = NULL;
    arena->head->used = 0;
}

void
arena_fini(struct arena *arena)
{
    free_chunks(arena, arena->head);
    arena->head = NULL;
}
