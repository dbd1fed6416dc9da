/* The worker's half of the history: a record of each run that ends, gathered for a moment and sent
 * to the writer (history/writer.h).  Nothing here waits: what the writer does not take in time is
 * dropped and counted, the messages themselves know nothing of it. */

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "celery/codec_repr.h"
#include "celery/history/history.h"
#include "celery/history/writer.h"
#include "celery/worker_internal.h"

#define OUT_BYTES       ((size_t)8 << 20)   /* what is more is dropped */
#define SEND_BYTES      ((size_t)128 << 10) /* sent at once, less is gathered */
#define GATHER_MS       100
#define RESTART_MS      1000
#define CLOSE_WAIT_US   (3 * US_PER_S)
#define TELL_EVERY_US   (60 * US_PER_S)
#define EXCEPTION_BYTES ((size_t)64 << 10)
#define PATTERN_BYTES   256
#define BURST           20000 /* successes that are kept whatever their rate */

struct worker_history {
    struct worker *worker;
    const struct history_settings *settings;
    int fd; /* -1 = there is no writer */
    struct loop_fd *watch;
    struct loop_timer *timer; /* to send, or to start the writer again */
    bool is_timer_set;
    bool is_waiting_to_write;
    struct buf out;
    size_t n_sent;      /* of out */
    struct buf scratch; /* for the arguments as Python shows them */
    int64_t n_successes;
    int64_t burst_us;       /* monotonic: when the bucket is full again */
    uint64_t n_dropped;     /* not told yet */
    uint64_t n_left_out;    /* beyond the rate, not told yet */
    int64_t told_at_us;     /* monotonic */
    int64_t left_out_at_us; /* monotonic, of the line that told of it */
};

static void
set_timer(struct worker_history *self, int64_t delay_ms)
{
    if (self->is_timer_set)
        return;
    self->is_timer_set = true;
    loop_timer_start(self->timer, delay_ms, 0);
}

static void
tell_dropped(struct worker_history *self)
{
    int64_t now_us = clock_mono_us(&clock_system);

    if (!self->n_dropped || (self->told_at_us && now_us - self->told_at_us < TELL_EVERY_US))
        return;
    self->told_at_us = now_us;
    log_warning("history cannot keep up, records were dropped: n=%" PRIu64, self->n_dropped);
    self->n_dropped = 0;
}

static void
tell_left_out(struct worker_history *self, int64_t now_us)
{
    if (self->left_out_at_us && now_us - self->left_out_at_us < TELL_EVERY_US)
        return;
    self->left_out_at_us = now_us;
    log_info("history leaves out successes beyond its rate: max_rate=%" PRId64 " n=%" PRIu64,
             self->settings->max_rate, self->n_left_out);
    self->n_left_out = 0;
}

/* Forget what was sent whole; of a record that was cut short all stays. */
static void
drop_sent(struct worker_history *self)
{
    struct history_record record;
    size_t at = 0;
    size_t n_bytes;

    while (at < self->n_sent) {
        struct str rest = str_slice(buf_str(&self->out), at, self->out.len);

        if (history_record_decode(rest, &record, &n_bytes, NULL) != 1 ||
            at + n_bytes > self->n_sent)
            break;
        at += n_bytes;
    }
    self->out.len -= at;
    (void)memmove(self->out.ptr, self->out.ptr + at, self->out.len);
    self->n_sent = 0;
}

static void
lose_writer(struct worker_history *self)
{
    loop_fd_free(self->watch);
    self->watch = NULL;
    if (self->fd >= 0)
        (void)close(self->fd);
    self->fd = -1;
    self->is_waiting_to_write = false;
    if (self->n_sent > 0)
        drop_sent(self);
}

static void
send_out(struct worker_history *self)
{
    while (self->fd >= 0 && self->n_sent < self->out.len) {
        ssize_t n = send(self->fd, self->out.ptr + self->n_sent, self->out.len - self->n_sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            self->is_waiting_to_write = true;
            loop_fd_set(self->watch, LOOP_READABLE | LOOP_WRITABLE);
            return;
        }
        if (n < 0)
            return; /* it is gone, which its descriptor tells */
        self->n_sent += (size_t)n;
    }
    if (self->fd < 0)
        return;
    buf_clear(&self->out);
    self->n_sent = 0;
    if (self->out.cap > 2 * SEND_BYTES)
        buf_fini(&self->out);
    if (self->is_waiting_to_write)
        loop_fd_set(self->watch, LOOP_READABLE);
    self->is_waiting_to_write = false;
    tell_dropped(self);
}

static void on_writer(void *context, unsigned events);

static int
start_writer(struct worker_history *self, struct error *err)
{
    int rc = history_writer_start(self->settings, &self->fd, err);

    if (rc == 0)
        rc = loop_fd_create(self->worker->loop, self->fd, LOOP_READABLE, on_writer, self,
                            &self->watch, err);
    if (rc < 0)
        lose_writer(self);
    return rc;
}

/* It never says anything: readable is its end. */
static void
on_writer(void *context, unsigned events)
{
    struct worker_history *self = context;
    char byte;

    if ((events & LOOP_READABLE) && recv(self->fd, &byte, 1, MSG_DONTWAIT) == 0) {
        lose_writer(self);
        if (self->worker->pool && self->worker->pool->ops == &pool_thread) {
            log_error("history writer died, a worker of threads cannot start it again: no history"
                      " is kept from here on");
            return;
        }
        log_warning("history writer died, it is started again, what it had is lost");
        loop_timer_start(self->timer, RESTART_MS, 0);
        self->is_timer_set = true;
        return;
    }
    if ((events & LOOP_WRITABLE) && self->is_waiting_to_write)
        send_out(self);
}

static void
on_timer(void *context)
{
    struct worker_history *self = context;
    struct error err;

    self->is_timer_set = false;
    if (self->fd < 0 && self->worker->pool && self->worker->pool->ops == &pool_thread)
        return;
    if (self->fd < 0 && start_writer(self, &err) < 0) {
        set_timer(self, RESTART_MS);
        return;
    }
    if (!self->is_waiting_to_write)
        send_out(self);
}

int
worker_history_open(struct worker *worker, struct error *err)
{
    const struct history_settings *settings = worker->options->history;
    struct worker_history *self;
    int rc;

    if (!settings)
        return 0;
    rc = history_check_url(settings->url, err);
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for the history");
    self->worker = worker;
    self->settings = settings;
    self->fd = -1;
    buf_init(&self->out, OUT_BYTES);
    buf_init(&self->scratch, 4 * HISTORY_ARGUMENT_BYTES);
    worker->history = self;
    rc = loop_timer_create(worker->loop, on_timer, self, &self->timer, err);
    return rc == 0 ? start_writer(self, err) : rc;
}

/* Hand over what is left, and let the writer end: the next worker may want to read it. */
static void
finish_writer(struct worker_history *self)
{
    int64_t until_us = clock_mono_us(&clock_system) + CLOSE_WAIT_US;
    bool is_shut = false;
    char byte;

    while (self->fd >= 0) {
        int64_t left_us = until_us - clock_mono_us(&clock_system);
        struct pollfd poll_fd = {.fd = self->fd, .events = POLLIN};

        send_out(self);
        if (self->out.len == 0 && !is_shut)
            is_shut = shutdown(self->fd, SHUT_WR) == 0;
        if (!is_shut)
            poll_fd.events |= POLLOUT;
        if (left_us <= 0 || poll(&poll_fd, 1, (int)(left_us / US_PER_MS) + 1) < 1)
            break;
        if ((poll_fd.revents & (POLLIN | POLLHUP)) && recv(self->fd, &byte, 1, MSG_DONTWAIT) <= 0)
            break;
    }
}

void
worker_history_close(struct worker *worker)
{
    struct worker_history *self = worker->history;

    if (!self)
        return;
    if (self->fd >= 0)
        finish_writer(self);
    if (self->n_dropped)
        log_warning("history records were dropped: n=%" PRIu64, self->n_dropped);
    if (self->n_left_out)
        log_info("history has left out successes beyond its rate: n=%" PRIu64, self->n_left_out);
    lose_writer(self);
    loop_timer_free(self->timer);
    buf_fini(&self->out);
    buf_fini(&self->scratch);
    free(self);
    worker->history = NULL;
}

void
worker_history_on_logged(void *context, uint64_t id, const struct pool_log *log)
{
    struct flight *flight = (struct flight *)(uintptr_t)id;
    bool ok = true;

    (void)context;
    flight->log = (struct pool_log){arena_dup(&flight->arena, log->lines, &ok), log->n_dropped};
    if (!ok)
        flight->log.lines = STR_NULL;
}

static bool
is_excluded(const struct history_settings *settings, struct str name)
{
    struct str rest = settings->exclude;
    char text[PATTERN_BYTES];
    char pattern[PATTERN_BYTES];

    if (!rest.len)
        return false;
    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(name));
    while (rest.len > 0) {
        size_t n = 0;

        while (n < rest.len && rest.ptr[n] != ' ' && rest.ptr[n] != ',')
            n++;
        (void)snprintf(pattern, sizeof(pattern), "%.*s", (int)n, rest.ptr);
        if (n > 0 && fnmatch(pattern, text, 0) == 0)
            return true;
        rest = str_slice(rest, n + 1, rest.len);
    }
    return false;
}

/* A bucket of BURST drops, refilled at max_rate: a flood of tasks that do nothing must not wait for
 * a disk, nor share its processors with one. */
static bool
is_within_rate(struct worker_history *self)
{
    int64_t now_us, drop_us;

    if (self->settings->max_rate == 0)
        return true;
    now_us = clock_mono_us(&clock_system);
    drop_us = US_PER_S / self->settings->max_rate;
    if (self->burst_us < now_us)
        self->burst_us = now_us;
    if (self->burst_us - now_us < BURST * drop_us) {
        self->burst_us += drop_us;
        return true;
    }
    self->n_left_out++;
    tell_left_out(self, now_us);
    return false;
}

/* Successes may be left out; never that of a task whose earlier attempts are on record. */
static bool
is_wanted(struct worker_history *self, const struct flight *flight, enum worker_moment moment)
{
    if (moment != MOMENT_SUCCEEDED || flight->message.retries > 0 || flight->attempt > 1)
        return true;
    if (is_excluded(self->settings, flight->message.task))
        return false;
    if (self->settings->sample > 1 && self->n_successes++ % self->settings->sample != 0)
        return false;
    return is_within_rate(self);
}

/* At the beginning of a character. */
static struct str
cut_text(struct str text, size_t most)
{
    size_t n = most;

    if (text.len <= most)
        return text;
    while (n > 0 && ((unsigned char)text.ptr[n] & 0xC0) == 0x80)
        n--;
    return str_slice(text, 0, n);
}

/* Does the sender show these arguments as they are?  Not where it hides something (Celery's
 * argsrepr option), nor where it has types that JSON has not. */
static bool
is_plain(struct worker_history *self, struct str json, struct str shown)
{
    static const enum celery_repr_form forms[] = {CELERY_REPR_SAFE_TUPLE, CELERY_REPR_SAFE};

    if (!shown.ptr || !json.ptr)
        return true;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        buf_clear(&self->scratch);
        celery_repr_append(&self->scratch, json, forms[i]);
        if (self->scratch.rc == 0 && str_equal(buf_str(&self->scratch), shown))
            return true;
    }
    return false;
}

static void
fill_arguments(struct worker_history *self, const struct celery_message *message,
               struct history_record *record)
{
    bool is_open = is_plain(self, message->args, message->argsrepr) &&
                   is_plain(self, message->kwargs, message->kwargsrepr);
    struct str args = is_open ? message->args : message->argsrepr;
    struct str kwargs = is_open ? message->kwargs : message->kwargsrepr;

    record->flags = is_open ? 0 : HISTORY_REDACTED;
    if (args.len > HISTORY_ARGUMENT_BYTES || kwargs.len > HISTORY_ARGUMENT_BYTES)
        record->flags |= HISTORY_CUT;
    if (args.len > 2 || !is_open)
        record->args = cut_text(args, HISTORY_ARGUMENT_BYTES);
    if (kwargs.len > 2 || !is_open)
        record->kwargs = cut_text(kwargs, HISTORY_ARGUMENT_BYTES);
}

static void
fill_message(struct worker_history *self, const struct flight *flight,
             struct history_record *record)
{
    const struct celery_message *message = &flight->message;
    bool has_started = flight->started_at_us != TIME_UNKNOWN;

    record->task_id = cut_text(message->id, HISTORY_NAME_BYTES);
    record->name = cut_text(message->task, HISTORY_NAME_BYTES);
    record->queue = cut_text(flight->queue, HISTORY_NAME_BYTES);
    record->worker = self->worker->options->name;
    record->root_id = cut_text(message->root_id, HISTORY_NAME_BYTES);
    record->parent_id = cut_text(message->parent_id, HISTORY_NAME_BYTES);
    record->group_id = cut_text(message->group, HISTORY_NAME_BYTES);
    record->at_us = clock_now_us(&clock_system);
    record->received_at_us = flight->received_at_us ? flight->received_at_us : INT64_MIN;
    record->started_at_us = has_started ? flight->started_at_us : INT64_MIN;
    record->runtime_us = has_started ? flight->runtime_us : INT64_MIN;
    record->pid = has_started ? flight->pid : INT64_MIN;
    record->retries = message->retries;
    record->attempt = flight->attempt;
    record->lines = flight->log.lines;
    record->n_dropped = (int64_t)flight->log.n_dropped;
    fill_arguments(self, message, record);
}

static void
add_record(struct worker_history *self, const struct history_record *record)
{
    size_t n_before = self->out.len;

    if (!record->task_id.len)
        return; /* a message without an id: the dead set has it */
    history_record_encode(record, &self->out);
    if (self->out.rc < 0) {
        self->out.rc = 0;
        self->out.len = n_before;
        self->n_dropped++;
        tell_dropped(self);
        return;
    }
    if (self->out.len - self->n_sent >= SEND_BYTES && !self->is_waiting_to_write)
        send_out(self);
    else
        set_timer(self, GATHER_MS);
}

/* "Type: message" */
static struct str
describe(const struct exception *exception, struct error *story)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(EXCEPTION_BYTES);

    error_ignore(exception_to_error(exception, &arena, story)); /* the code is the exception's */
    return cut_text(str_from_cstr(story->message), HISTORY_ERROR_BYTES);
}

static struct str
state_of(enum worker_moment moment)
{
    static const struct str names[] = {
        [MOMENT_SUCCEEDED] = STR_INIT("SUCCESS"),
        [MOMENT_FAILED] = STR_INIT("FAILURE"),
        [MOMENT_RETRIED] = STR_INIT("RETRY"),
        [MOMENT_REVOKED] = STR_INIT("REVOKED"),
    };

    return names[moment];
}

void
worker_history_note(struct worker *worker, struct flight *flight, const struct worker_note *note)
{
    struct worker_history *self = worker->history;
    struct history_record record = {0};
    struct error story = {0};

    if (note->moment == MOMENT_RECEIVED)
        flight->received_at_us = clock_now_us(&clock_system);
    if (!self || note->moment == MOMENT_RECEIVED || note->moment == MOMENT_STARTED ||
        note->moment == MOMENT_REJECTED || !is_wanted(self, flight, note->moment))
        return;
    fill_message(self, flight, &record);
    record.state = state_of(note->moment);
    if (note->moment == MOMENT_SUCCEEDED)
        record.result = cut_text(note->result, HISTORY_RESULT_BYTES);
    if (note->exception)
        record.error = describe(note->exception, &story);
    if (note->traceback.len)
        record.traceback = cut_text(note->traceback, HISTORY_TRACEBACK_BYTES);
    add_record(self, &record);
}

void
worker_history_return(struct worker *worker, struct flight *flight, struct str state,
                      struct str reason)
{
    struct worker_history *self = worker->history;
    struct history_record record = {0};

    if (!self)
        return;
    fill_message(self, flight, &record);
    record.state = state;
    record.error = cut_text(reason, HISTORY_ERROR_BYTES);
    add_record(self, &record);
}
