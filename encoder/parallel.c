/* Threads live for one call: starting one takes some twenty microseconds, a window of texts
 * seconds, and nothing is left behind that a later fork would have to fear. */

#include "encoder/parallel.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

struct start {
    void (*fn)(void *context, size_t worker);
    void *context;
    size_t worker;
    pthread_t thread;
    bool is_running;
};

static void *
run_one(void *arg)
{
    struct start *start = arg;

    start->fn(start->context, start->worker);
    return NULL;
}

void
parallel_run(size_t n_threads, void (*fn)(void *context, size_t worker), void *context)
{
    struct start starts[PARALLEL_THREADS_MAX];
    sigset_t all;
    sigset_t before;

    assert(n_threads <= PARALLEL_THREADS_MAX);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 1; i < n_threads; i++) {
        starts[i] = (struct start){.fn = fn, .context = context, .worker = i};
        starts[i].is_running = pthread_create(&starts[i].thread, NULL, run_one, &starts[i]) == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    fn(context, 0);
    for (size_t i = 1; i < n_threads; i++) {
        if (starts[i].is_running)
            (void)pthread_join(starts[i].thread, NULL);
    }
}
