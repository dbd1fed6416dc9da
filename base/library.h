#pragma once

/* Shared libraries that are loaded when they are first needed.
 *
 * What is linked is mapped and relocated in every process, with all that it depends on itself; a
 * worker of a hundred tasks that never fetch a page nor encode a text would pay for libcurl and
 * oneDNN with two thirds of its memory and half of its start.
 *
 *     struct calls { __typeof__(&puts) puts; };
 *     static struct calls calls;
 *     static const struct library_function functions[] = {{"puts", offsetof(struct calls, puts)}};
 *     static struct library library = LIBRARY_INIT("libx.so.1", "libx1", functions, &calls);
 *
 * A library that was loaded stays until the process ends. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <trawl/attributes.h>
#include <trawl/error.h>

struct library_function {
    const char *name;
    size_t offset; /* of its pointer in the table */
};

struct library {
    const char *soname;  /* with the version of the ABI that the headers are of */
    const char *package; /* Debian's, for who has not got it */
    const struct library_function *functions;
    size_t n_functions;
    void *table;
    pthread_mutex_t mutex;
    bool is_loaded;
};

/* clang-format off */
#define LIBRARY_INIT(soname, package, functions, table)                                            \
    {(soname), (package), (functions), COUNT_OF(functions), (table), PTHREAD_MUTEX_INITIALIZER,    \
     false}
/* clang-format on */

/* Load it, unless it is; the table is filled then.  Any thread.  Errors: ERR_UNSUPPORTED (it is not
 * there, or lacks a function; names the package that brings it): asked again, it is tried again. */
MUST_CHECK int library_load(struct library *library, struct error *err);
