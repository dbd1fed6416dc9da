#pragma once

/* Makes any allocation of ours fail: set n_until_failure to n, and the nth from now does.  For
 * programs that are linked with failing_allocations (meson.build); one file each includes this. */

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static int n_until_failure; /* 0: none fails; the linker's wrappers have no other way to be told */
static bool has_failed;

static bool
is_to_fail(void)
{
    if (n_until_failure == 0 || --n_until_failure > 0)
        return false;
    has_failed = true;
    return true;
}

void *
__wrap_malloc(size_t size)
{
    return is_to_fail() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
    return is_to_fail() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *ptr, size_t size)
{
    return is_to_fail() ? NULL : __real_realloc(ptr, size);
}
