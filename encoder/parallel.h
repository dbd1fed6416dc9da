#pragma once

/* The same function on several threads at once, the caller's among them. */

#include <stddef.h>

#define PARALLEL_THREADS_MAX 256

/* Call fn(context, worker) for worker = 0 .. n_threads - 1, worker 0 on the caller's thread;
 * returns when all are done.  A thread that cannot be started is left out, so fn must share its
 * work by taking, not by dividing.  The threads block all signals. */
void parallel_run(size_t n_threads, void (*fn)(void *context, size_t worker), void *context);
