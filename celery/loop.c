/* libuv behind celery/loop.h.
 *
 * A libuv handle may be freed only after its close callback, which comes a turn later; so every
 * handle here is one heap object that its close callback frees, and loop_free turns the loop until
 * none is left. */

#include "celery/loop.h"

#include <stdlib.h>

#include <uv.h>

struct loop {
    uv_loop_t uv;
    bool is_once; /* stop before waiting once a callback has run */
};

/* The libuv handle comes first, so a pointer to one is a pointer to the other. */
#define LOOP_HANDLE(name, uv_type, fn_type)                                                        \
    struct name {                                                                                  \
        uv_type uv;                                                                                \
        fn_type fn;                                                                                \
        void *context;                                                                             \
    }

LOOP_HANDLE(loop_timer, uv_timer_t, loop_fn);
LOOP_HANDLE(loop_fd, uv_poll_t, loop_fd_fn);
LOOP_HANDLE(loop_signal, uv_signal_t, loop_fn);
LOOP_HANDLE(loop_wake, uv_async_t, loop_fn);
LOOP_HANDLE(loop_hook, uv_prepare_t, loop_fn);

static int
set_uv_error(struct error *err, int status, const char *what)
{
    if (status == UV_ENOMEM)
        return error_set(err, ERR_NOMEM, "%s: out of memory", what);
    return error_set(err, ERR_IO, "%s: %s", what, uv_strerror(status));
}

static void
free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void
close_handle(void *handle)
{
    if (handle)
        uv_close(handle, free_handle);
}

/* Room for a handle with its callback, or -ERR_NOMEM. */
#define NEW_HANDLE(handle, callback, callback_context)                                             \
    do {                                                                                           \
        (handle) = calloc(1, sizeof(*(handle)));                                                   \
        if (!(handle))                                                                             \
            return error_set(err, ERR_NOMEM, "out of memory for an event handle");                 \
        (handle)->fn = (callback);                                                                 \
        (handle)->context = (callback_context);                                                    \
    } while (0)

int
loop_create(struct loop **out, struct error *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    int status;

    if (!loop)
        return error_set(err, ERR_NOMEM, "out of memory for the event loop");
    status = uv_loop_init(&loop->uv);
    if (status < 0) {
        free(loop);
        return set_uv_error(err, status, "cannot start the event loop");
    }
    *out = loop;
    return 0;
}

void
loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (uv_loop_close(&loop->uv) == UV_EBUSY)
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    free(loop);
}

void
loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

/* UV_RUN_ONCE alone would run a timer that is due and then still wait for the next event. */
void
loop_run_once(struct loop *loop)
{
    loop->is_once = true;
    (void)uv_run(&loop->uv, UV_RUN_ONCE);
    loop->is_once = false;
}

static void
note_call(uv_loop_t *uv)
{
    struct loop *loop = (struct loop *)uv;

    if (loop->is_once)
        uv_stop(uv);
}

void
loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

static void
on_timer(uv_timer_t *uv)
{
    struct loop_timer *timer = (struct loop_timer *)uv;

    note_call(uv->loop);
    timer->fn(timer->context);
}

int
loop_timer_create(struct loop *loop, loop_fn fn, void *context, struct loop_timer **out,
                  struct error *err)
{
    struct loop_timer *timer;

    NEW_HANDLE(timer, fn, context);
    (void)uv_timer_init(&loop->uv, &timer->uv); /* cannot fail */
    *out = timer;
    return 0;
}

void
loop_timer_start(struct loop_timer *timer, int64_t delay_ms, int64_t repeat_ms)
{
    uv_update_time(timer->uv.loop); /* else the delay counts from the start of this turn */
    (void)uv_timer_start(&timer->uv, on_timer, (uint64_t)(delay_ms > 0 ? delay_ms : 0),
                         (uint64_t)(repeat_ms > 0 ? repeat_ms : 0));
}

void
loop_timer_stop(struct loop_timer *timer)
{
    (void)uv_timer_stop(&timer->uv);
}

void
loop_timer_free(struct loop_timer *timer)
{
    close_handle(timer);
}

static void
on_fd(uv_poll_t *uv, int status, int events)
{
    struct loop_fd *watch = (struct loop_fd *)uv;
    unsigned seen = 0;

    if (status < 0)
        seen = LOOP_READABLE | LOOP_WRITABLE;
    if (events & (UV_READABLE | UV_DISCONNECT))
        seen |= LOOP_READABLE;
    if (events & UV_WRITABLE)
        seen |= LOOP_WRITABLE;
    note_call(uv->loop);
    watch->fn(watch->context, seen);
}

int
loop_fd_create(struct loop *loop, int fd, unsigned events, loop_fd_fn fn, void *context,
               struct loop_fd **out, struct error *err)
{
    struct loop_fd *watch;
    int status;

    NEW_HANDLE(watch, fn, context);
    status = uv_poll_init(&loop->uv, &watch->uv, fd);
    if (status < 0) {
        free(watch); /* not in the loop yet */
        return set_uv_error(err, status, "cannot watch a descriptor");
    }
    loop_fd_set(watch, events);
    *out = watch;
    return 0;
}

void
loop_fd_set(struct loop_fd *watch, unsigned events)
{
    int wanted = 0;

    if (events & LOOP_READABLE)
        wanted |= UV_READABLE;
    if (events & LOOP_WRITABLE)
        wanted |= UV_WRITABLE;
    if (wanted)
        (void)uv_poll_start(&watch->uv, wanted, on_fd); /* fails only on a handle being closed */
    else
        (void)uv_poll_stop(&watch->uv);
}

void
loop_fd_free(struct loop_fd *watch)
{
    close_handle(watch);
}

static void
on_signal(uv_signal_t *uv, int signal_number)
{
    struct loop_signal *watch = (struct loop_signal *)uv;

    (void)signal_number;
    note_call(uv->loop);
    watch->fn(watch->context);
}

int
loop_signal_create(struct loop *loop, int signal_number, loop_fn fn, void *context,
                   struct loop_signal **out, struct error *err)
{
    struct loop_signal *watch;
    int status;

    NEW_HANDLE(watch, fn, context);
    status = uv_signal_init(&loop->uv, &watch->uv);
    if (status < 0) {
        free(watch);
        return set_uv_error(err, status, "cannot watch signals");
    }
    status = uv_signal_start(&watch->uv, on_signal, signal_number);
    if (status < 0) {
        close_handle(watch);
        return set_uv_error(err, status, "cannot watch a signal");
    }
    *out = watch;
    return 0;
}

void
loop_signal_free(struct loop_signal *watch)
{
    close_handle(watch);
}

static void
on_wake(uv_async_t *uv)
{
    struct loop_wake *wake = (struct loop_wake *)uv;

    note_call(uv->loop);
    wake->fn(wake->context);
}

int
loop_wake_create(struct loop *loop, loop_fn fn, void *context, struct loop_wake **out,
                 struct error *err)
{
    struct loop_wake *wake;
    int status;

    NEW_HANDLE(wake, fn, context);
    status = uv_async_init(&loop->uv, &wake->uv, on_wake);
    if (status < 0) {
        free(wake);
        return set_uv_error(err, status, "cannot make a wake-up");
    }
    *out = wake;
    return 0;
}

void
loop_wake_send(struct loop_wake *wake)
{
    (void)uv_async_send(&wake->uv);
}

void
loop_wake_free(struct loop_wake *wake)
{
    close_handle(wake);
}

static void
on_prepare(uv_prepare_t *uv)
{
    struct loop_hook *hook = (struct loop_hook *)uv;

    hook->fn(hook->context);
}

int
loop_hook_create(struct loop *loop, loop_fn fn, void *context, struct loop_hook **out,
                 struct error *err)
{
    struct loop_hook *hook;

    NEW_HANDLE(hook, fn, context);
    (void)uv_prepare_init(&loop->uv, &hook->uv); /* cannot fail, nor can starting it */
    (void)uv_prepare_start(&hook->uv, on_prepare);
    uv_unref((uv_handle_t *)&hook->uv); /* alone it is no reason to wait */
    *out = hook;
    return 0;
}

void
loop_hook_free(struct loop_hook *hook)
{
    close_handle(hook);
}
