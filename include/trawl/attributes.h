#pragma once

/* Compiler attributes and the two ownership macros that every layer uses. */

#include <stddef.h>

/* The caller must look at the result; error_ignore() says why it does not. */
#define MUST_CHECK __attribute__((warn_unused_result))

#define PRINTF_LIKE(fmt_idx, first_arg_idx) __attribute__((format(printf, fmt_idx, first_arg_idx)))

/* Visible in the shared ABI that plug-ins link against. */
#define TRAWL_API __attribute__((visibility("default")))

/* Run fn(&variable) when the variable goes out of scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hand a pointer over: the value, while the variable that had a CLEANUP becomes NULL. */
#define TAKE(ptr)                                                                                  \
    __extension__({                                                                                \
        __typeof__(ptr) take_value_ = (ptr);                                                       \
        (ptr) = NULL;                                                                              \
        take_value_;                                                                               \
    })

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
