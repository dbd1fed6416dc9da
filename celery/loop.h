#pragma once

/* The event loop: timers, descriptors, signals, wake-ups.  libuv is behind it, and only there.
 *
 * One thread owns a loop and everything made from it; only loop_wake_send may be called from
 * elsewhere.  Handles are heap objects: free(NULL) is fine, a handle may be freed in any callback,
 * its own too, and its callback is not called after that.  Free them before the loop. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>

struct loop;
struct loop_timer;
struct loop_fd;
struct loop_signal;
struct loop_wake;
struct loop_hook;

typedef void (*loop_fn)(void *context);

/* Errors: ERR_NOMEM, or of the system (no descriptors left). */
MUST_CHECK int loop_create(struct loop **out, struct error *err);
void loop_free(struct loop *loop);

/* Run until loop_stop. */
void loop_run(struct loop *loop);
/* Run callbacks that are due, first waiting for some if there are none. */
void loop_run_once(struct loop *loop);
void loop_stop(struct loop *loop);

/* A timer at rest.  Starting it again moves it.  repeat_ms 0 = once. */
MUST_CHECK int loop_timer_create(struct loop *loop, loop_fn fn, void *context,
                                 struct loop_timer **out, struct error *err);
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms, int64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

enum loop_fd_events { LOOP_READABLE = 1, LOOP_WRITABLE = 2 };

/* events: what has come; both when the descriptor failed or the other side left. */
typedef void (*loop_fd_fn)(void *context, unsigned events);

/* Watch a descriptor (borrowed, made non-blocking) for events, a set of the above; 0 rests.  Free
 * the handle before the descriptor is closed. */
MUST_CHECK int loop_fd_create(struct loop *loop, int fd, unsigned events, loop_fd_fn fn,
                              void *context, struct loop_fd **out, struct error *err);
void loop_fd_set(struct loop_fd *watch, unsigned events);
void loop_fd_free(struct loop_fd *watch);

/* fn runs in the loop, not in the signal handler. */
MUST_CHECK int loop_signal_create(struct loop *loop, int signal_number, loop_fn fn, void *context,
                                  struct loop_signal **out, struct error *err);
void loop_signal_free(struct loop_signal *watch);

/* Call fn in the loop soon after loop_wake_send, which any thread may call; several sends may
 * become one call. */
MUST_CHECK int loop_wake_create(struct loop *loop, loop_fn fn, void *context,
                                struct loop_wake **out, struct error *err);
void loop_wake_send(struct loop_wake *wake);
void loop_wake_free(struct loop_wake *wake);

/* Call fn once per turn, before the loop waits: the moment to send what a turn has gathered. */
MUST_CHECK int loop_hook_create(struct loop *loop, loop_fn fn, void *context,
                                struct loop_hook **out, struct error *err);
void loop_hook_free(struct loop_hook *hook);
