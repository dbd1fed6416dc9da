/* What the end of a task causes: made when it ends, told to the backend in the same turn, sent
 * right before the verdict on the task's message.
 *
 *     end        plan: messages, sizes, failures of others, chord parts     (canvas/outcome.h)
 *     backend    the task's own record; then sizes, failures, parts; a part that makes a chord
 *                complete adds to the plan
 *     broker     messages, and the verdict bound to the last one, in one batch
 *
 * A worker that dies before the last step leaves the message to another one, that finds the stored
 * SUCCESS and makes the same plan of it, ids included. */

#include <inttypes.h>
#include <stdlib.h>

#include "base/json_writer.h"
#include "base/log.h"
#include "celery/backend/chord.h"
#include "celery/worker_internal.h"

#define WORK_ARENA_BYTES ((size_t)256 << 20)
#define CHILDREN_BYTES   ((size_t)16 << 20)
#define ENVELOPE_BYTES   ((size_t)16 << 20)
#define COUNT_BATCH      ((size_t)64)
#define COMPRESS_BYTES   ((size_t)32 << 10) /* of a body, beyond which it is packed */

struct ended_chord {
    struct ended_chord *next;
    struct str group_id;
};

struct canvas_work {
    struct arena arena;
    struct canvas_plan plan;
    struct canvas_outcome outcome;
    struct ended_chord *ended;
};

static void
free_work(struct canvas_work *work)
{
    buf_fini(&work->plan.children);
    arena_fini(&work->arena);
    free(work);
}

void
worker_canvas_drop(struct worker *self, struct flight *flight)
{
    worker_flight_set_linked(self, flight, false);
    if (flight->work)
        free_work(flight->work);
    flight->work = NULL;
}

/* Ids that are made depend on the task and on how it ended, not on which run of it it was. */
static struct str
seed_of(struct canvas_work *work, struct str id, const char *what)
{
    return str_from_cstr(arena_printf(&work->arena, "canvas %.*s %s", STR_ARG(id), what));
}

struct canvas_plan *
worker_canvas_plan(struct worker *self, struct flight *flight, const char *what)
{
    struct canvas_work *work = flight->work;
    struct celery_message *message = &flight->message;

    if (!work) {
        work = calloc(1, sizeof(*work));
        if (!work)
            return NULL;
        work->arena = (struct arena)ARENA_INIT(WORK_ARENA_BYTES);
        buf_init(&work->plan.children, CHILDREN_BYTES);
        flight->work = work;
    }
    work->plan.arena = &work->arena;
    work->plan.parent_id = message->id;
    work->plan.root_id = message->root_id.len ? message->root_id : message->id;
    work->plan.origin = self->options->name;
    work->plan.reply_to = message->reply_to;
    work->plan.default_queue = STR("celery");
    work->plan.now_us = clock_now_us(&clock_system);
    work->plan.seed = seed_of(work, message->id, what);
    work->plan.n_ids = 0;
    return work->plan.seed.ptr ? &work->plan : NULL;
}

static bool
has_backend_work(const struct canvas_work *work)
{
    return work->plan.begins || work->outcome.failures || work->outcome.parts;
}

static void
link_flight(struct worker *self, struct flight *flight)
{
    worker_flight_set_linked(self, flight, flight->work && has_backend_work(flight->work));
}

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for what follows a task");
}

/* Say what has become of it to those that have not been told. */
static int
fill_in(struct canvas_work *work, enum result_state state, struct str result, struct str traceback,
        bool is_chord_error, struct error *err)
{
    bool ok = true;
    struct str own_result = arena_dup(&work->arena, result, &ok);
    struct str own_traceback = arena_dup(&work->arena, traceback, &ok);

    for (struct canvas_failure *item = work->outcome.failures; item; item = item->next) {
        if (!item->result.ptr && item->is_chord_error == is_chord_error) {
            item->result = own_result;
            item->traceback = own_traceback;
        }
    }
    for (struct canvas_part *item = work->outcome.parts; item; item = item->next) {
        if (!item->result.ptr && item->is_chord_error == is_chord_error) {
            item->state = result_state_name(state);
            item->result = own_result;
        }
    }
    return ok ? 0 : no_memory(err);
}

/* What it has sent, for its document. */
static int
keep_children(struct flight *flight, struct error *err)
{
    const struct buf *children = &flight->work->plan.children;
    char *text;

    if (children->len == 0)
        return 0;
    text = arena_printf(&flight->work->arena, "[%.*s]", STR_ARG(buf_str(children)));
    if (!text)
        return no_memory(err);
    flight->children = str_from_cstr(text);
    return 0;
}

static bool
is_in_chord(const struct celery_message *message)
{
    return message->chord.ptr && message->group.len;
}

static int
plan_success(struct worker *self, struct flight *flight, struct str result, struct error *err)
{
    struct canvas_plan *plan = worker_canvas_plan(self, flight, "success");
    bool ok = plan != NULL;
    struct str own = ok ? arena_dup(plan->arena, result, &ok) : STR_NULL;
    int rc = ok ? 0 : no_memory(err);

    if (rc == 0)
        rc = canvas_succeed(plan, &flight->message, own, err);
    if (rc == 0)
        rc = canvas_add_own_part(plan, &flight->message, &flight->work->outcome, err);
    if (rc == 0)
        rc = fill_in(flight->work, RESULT_SUCCESS, own, STR_NULL, false, err);
    return rc < 0 ? rc : keep_children(flight, err);
}

int
worker_canvas_succeed(struct worker *self, struct flight *flight, struct str result,
                      struct error *err)
{
    const struct celery_message *message = &flight->message;
    int rc = 0;

    if (message->callbacks.ptr || message->chain.ptr || is_in_chord(message))
        rc = plan_success(self, flight, result, err);
    else if (flight->work)
        rc = keep_children(flight, err);
    if (rc < 0)
        worker_canvas_drop(self, flight);
    else
        link_flight(self, flight);
    return rc;
}

static int
plan_failure(struct worker *self, struct flight *flight, enum result_state state,
             struct str exception, struct str traceback, struct error *err)
{
    struct canvas_plan *plan = worker_canvas_plan(self, flight, "failure");
    struct canvas_outcome *outcome;
    int rc = plan ? 0 : no_memory(err);

    if (rc < 0)
        return rc;
    outcome = &flight->work->outcome;
    rc = canvas_add_own_part(plan, &flight->message, outcome, err);
    if (rc == 0 && state == RESULT_FAILURE)
        rc = canvas_fail(plan, &flight->message, outcome, err);
    if (flight->message.ignore_result == CELERY_TRUE)
        outcome->failures = outcome->last_failure = NULL;
    return rc < 0 ? rc : fill_in(flight->work, state, exception, traceback, false, err);
}

void
worker_canvas_fail(struct worker *self, struct flight *flight, enum result_state state,
                   struct str exception, struct str traceback)
{
    const struct celery_message *message = &flight->message;
    struct error err = {0};

    if (state != RESULT_FAILURE && state != RESULT_REVOKED)
        return;
    worker_canvas_drop(self, flight);
    flight->children = STR_NULL;
    if (!message->chain.ptr && !message->errbacks.ptr && !is_in_chord(message))
        return;
    if (plan_failure(self, flight, state, exception, traceback, &err) < 0)
        log_error("task failed, and those that wait for it are not all told: id=%.*s reason=%s",
                  STR_ARG(message->id), err.message);
    link_flight(self, flight);
}

/* A ChordError with its traceback, for the body and all that comes after it. */
static int
fill_in_chord_error(struct canvas_work *work, struct str exception, struct str reason,
                    struct error *err)
{
    CLEANUP(buf_fini) struct buf args = BUF_INIT((size_t)2 << 20);
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)2 << 20);
    CLEANUP(buf_fini) struct buf traceback = BUF_INIT((size_t)2 << 20);
    struct json_writer json = JSON_WRITER_INIT(&text);
    struct exception chord_error;
    int rc;

    buf_append_char(&args, '[');
    json_append_quoted(&args, reason, JSON_STYLE_PYTHON);
    buf_append_char(&args, ']');
    chord_error = exception_of_kind(EXCEPTION_CHORD, buf_str(&args));
    exception_write(&json, &chord_error);
    buf_printf(&traceback, "celery.exceptions.ChordError: %.*s\n", STR_ARG(reason));
    rc = buf_status(&text, err);
    if (rc == 0)
        rc = buf_status(&traceback, err);
    if (rc == 0)
        rc = fill_in(work, RESULT_FAILURE, buf_str(&text), buf_str(&traceback), true, err);
    if (rc == 0) /* the members of a group are told the exception itself */
        rc = fill_in(work, RESULT_FAILURE, exception.ptr ? exception : buf_str(&text), STR_NULL,
                     false, err);
    return rc;
}

static int
note_ended(struct canvas_work *work, struct str group_id, struct error *err)
{
    struct ended_chord *ended = arena_calloc(&work->arena, 1, sizeof(*ended));
    bool ok = ended != NULL;

    if (!ok)
        return no_memory(err);
    ended->group_id = arena_dup(&work->arena, group_id, &ok);
    ended->next = work->ended;
    work->ended = ended;
    return ok ? 0 : no_memory(err);
}

int
worker_canvas_end_chord(struct worker *self, struct flight *flight,
                        const struct canvas_chord *chord, struct error *err)
{
    struct canvas_plan *plan = worker_canvas_plan(self, flight, "");
    struct str exception = STR_NULL, reason = STR_NULL;
    struct error why = {0};
    char *text;
    int rc;

    if (!plan)
        return no_memory(err);
    plan->seed = seed_of(flight->work, chord->group_id, "chord");
    rc = canvas_end_chord(plan, chord, &flight->work->outcome, &exception, &reason, &why);
    if (rc == 0 && !exception.ptr)
        return note_ended(flight->work, chord->group_id, err);
    if (rc < 0) {
        text = arena_printf(plan->arena, "Callback error: %s", why.message);
        reason = text ? str_from_cstr(text) : STR("Callback error");
        rc = canvas_fail_chord(plan, chord->body, &flight->work->outcome, err);
    }
    log_warning("chord failed: group=%.*s reason=%.*s", STR_ARG(chord->group_id), STR_ARG(reason));
    return rc < 0 ? rc : fill_in_chord_error(flight->work, exception, reason, err);
}

/* It is what is stored that is wrong, an id that is none. */
static bool
is_hopeless(int rc)
{
    return rc == -ERR_INVALID || rc == -ERR_TOO_LARGE;
}

static int
store_sizes(struct worker *self, struct canvas_work *work, struct error *err)
{
    struct canvas_begin *begin;

    while ((begin = work->plan.begins)) {
        int rc =
            backend_chord_begin(self->backend, begin->group_id, begin->size, begin->saved, err);

        if (is_hopeless(rc)) /* of this one only */
            log_error("size of a chord not stored: group=%.*s reason=%s", STR_ARG(begin->group_id),
                      err->message);
        else if (rc < 0)
            return rc;
        work->plan.begins = begin->next;
        if (!begin->next)
            work->plan.last_begin = NULL;
    }
    return 0;
}

static int
store_failure(struct worker *self, struct flight *flight, const struct canvas_failure *failure,
              struct error *err)
{
    struct result document = RESULT_INIT;
    CLEANUP(buf_fini) struct buf children = BUF_INIT(CHILDREN_BYTES);

    document.status = STR("FAILURE");
    document.result = failure->result;
    document.traceback = failure->traceback.len ? failure->traceback : STR_NULL;
    document.date_done_us = clock_now_us(&clock_system);
    document.task_id = failure->task_id;
    document.group_id = failure->group_id;
    document.worker = self->options->name;
    if (failure->is_chord_error) {
        buf_append_char(&children, '[');
        buf_append(&children, buf_str(&flight->work->plan.children));
        buf_append_char(&children, ']');
        document.children = buf_str(&children);
    }
    return backend_store_result(self->backend, &document, 0, NULL, err);
}

static int
store_failures(struct worker *self, struct flight *flight, struct error *err)
{
    struct canvas_outcome *outcome = &flight->work->outcome;
    struct canvas_failure *failure;

    while ((failure = outcome->failures)) {
        int rc = store_failure(self, flight, failure, err);

        if (is_hopeless(rc))
            log_error("failure not stored: id=%.*s reason=%s", STR_ARG(failure->task_id),
                      err->message);
        else if (rc < 0)
            return rc;
        outcome->failures = failure->next;
        if (!failure->next)
            outcome->last_failure = NULL;
    }
    return 0;
}

/* [1, "id", "STATE", result] */
static int
encode_part(const struct canvas_part *part, struct arena *arena, struct backend_chord_part *out,
            struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)16 << 20);
    bool ok = true;
    int rc;

    buf_append(&text, STR("[1, "));
    json_append_quoted(&text, part->task_id, JSON_STYLE_PYTHON);
    buf_printf(&text, ", \"%.*s\", ", STR_ARG(part->state));
    buf_append(&text, part->result.len ? part->result : STR("null"));
    buf_append_char(&text, ']');
    rc = buf_status(&text, err);
    if (rc == 0)
        rc = backend_check_id(part->group_id, err);
    if (rc == 0)
        rc = backend_check_id(part->task_id, err);
    if (rc < 0)
        return rc;
    *out = (struct backend_chord_part){.group_id = part->group_id,
                                       .task_id = part->task_id,
                                       .index = part->index,
                                       .member = arena_dup(arena, buf_str(&text), &ok)};
    return ok ? 0 : no_memory(err);
}

static void
take_part(struct canvas_outcome *outcome)
{
    outcome->parts = outcome->parts->next;
    if (!outcome->parts)
        outcome->last_part = NULL;
}

static void
on_counted(struct worker *self, struct flight *flight, const struct backend_chord_count *count)
{
    struct canvas_part *part = flight->work->outcome.parts;
    struct error err = {0};
    struct canvas_chord chord = {.group_id = part->group_id,
                                 .body = part->body,
                                 .parts = count->parts,
                                 .n_parts = count->n_parts,
                                 .saved = count->saved};

    take_part(&flight->work->outcome);
    if (count->is_due && worker_canvas_end_chord(self, flight, &chord, &err) < 0)
        log_error("chord is complete, nothing can be made of it: group=%.*s reason=%s",
                  STR_ARG(chord.group_id), err.message);
}

/* One part of each flight, all in one go. */
static int
count_parts(struct worker *self, struct flight **flights, size_t n, struct error *err)
{
    struct arena arena = ARENA_INIT(WORK_ARENA_BYTES);
    struct backend_chord_part parts[COUNT_BATCH] = {0};
    struct backend_chord_count counts[COUNT_BATCH];
    size_t n_good = 0;
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        struct canvas_outcome *outcome = &flights[i]->work->outcome;

        if (encode_part(outcome->parts, &arena, &parts[n_good], err) == 0) {
            flights[n_good++] = flights[i];
            continue;
        }
        log_error("part of a chord not counted: id=%.*s reason=%s",
                  STR_ARG(outcome->parts->task_id), err->message);
        take_part(outcome);
        link_flight(self, flights[i]);
    }
    rc = backend_chord_count(self->backend, parts, n_good, &arena, counts, err);
    for (size_t i = 0; rc == 0 && i < n_good; i++) {
        on_counted(self, flights[i], &counts[i]);
        link_flight(self, flights[i]);
    }
    arena_fini(&arena);
    return rc;
}

/* False: the backend does not take it now. */
static bool
do_batch(struct worker *self, struct error *err)
{
    struct flight *flights[COUNT_BATCH];
    struct flight *next;
    size_t n = 0;
    int rc = worker_need_backend(self, err);

    for (struct flight *flight = self->lists[FLIGHTS_LINKED].first;
         rc == 0 && flight && n < COUNT_BATCH; flight = next) {
        next = flight->links[FLIGHTS_LINKED].next;
        if (flight->has_record)
            continue;
        rc = store_sizes(self, flight->work, err);
        if (rc == 0)
            rc = store_failures(self, flight, err);
        if (rc == 0 && flight->work->outcome.parts)
            flights[n++] = flight;
        else if (rc == 0)
            link_flight(self, flight);
    }
    if (rc == 0 && n > 0)
        rc = count_parts(self, flights, n, err);
    if (rc < 0 && !worker_explain_store_failure(self, rc, err)) {
        while (self->lists[FLIGHTS_LINKED].first)
            worker_canvas_drop(self, self->lists[FLIGHTS_LINKED].first);
    }
    return rc == 0 && n > 0;
}

void
worker_canvas_turn(struct worker *self)
{
    struct error err = {0};

    while (self->lists[FLIGHTS_LINKED].first && worker_pause_is_over(&self->backend_pause)) {
        if (!do_batch(self, &err))
            return;
    }
}

/* Packed where it is large: Python workers unpack it, too.  What makes it so is known before it is
 * written. */
static int
encode_message(struct canvas_message *sent, struct buf *out, struct error *err)
{
    const struct celery_message *message = &sent->message;
    size_t n_bytes = message->args.len + message->kwargs.len + message->callbacks.len +
                     message->errbacks.len + message->chain.len + message->chord.len;

    if (n_bytes > COMPRESS_BYTES)
        sent->message.compression = STR("application/x-gzip");
    return celery_message_encode_envelope(&sent->message, out, err);
}

static int
publish_one(struct worker *self, struct canvas_message *sent, uint64_t *after, struct error *err)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(ENVELOPE_BYTES);
    struct broker_message message = {
        .queue = sent->queue,
        .id = sent->message.id,
        .priority = (int)sent->message.priority,
        .eta_us = sent->eta_us,
        .expires_us = sent->expires_us,
    };
    int rc = encode_message(sent, &bytes, err);

    message.bytes = buf_str(&bytes);
    return rc < 0 ? rc : broker_publish(self->broker, &message, after, err);
}

int
worker_canvas_publish(struct worker *self, struct flight *flight, uint64_t *after,
                      struct error *err)
{
    struct canvas_plan *plan = flight->work ? &flight->work->plan : NULL;
    struct error why = {0};

    while (plan && plan->messages) {
        int rc = publish_one(self, plan->messages, after, &why);

        if (rc == -ERR_BUSY || rc == -ERR_NOMEM) {
            if (err)
                *err = why;
            return rc;
        }
        if (rc < 0)
            log_error("task of a canvas not sent: id=%.*s name=%.*s reason=%s",
                      STR_ARG(plan->messages->message.id), STR_ARG(plan->messages->message.task),
                      why.message);
        plan->messages = plan->messages->next;
    }
    return 0;
}

void
worker_canvas_finish(struct worker *self, struct flight *flight)
{
    struct error err = {0};

    for (struct ended_chord *ended = flight->work ? flight->work->ended : NULL; ended;
         ended = ended->next) {
        if (self->backend && backend_chord_end(self->backend, ended->group_id, &err) < 0)
            log_debug("parts of a chord stay until they expire: group=%.*s reason=%s",
                      STR_ARG(ended->group_id), err.message);
    }
}

/* A document of Celery's was stored when all had been sent; one of ours, before. */
static void
forget_what_was_sent(struct flight *flight, const struct backend_record *record,
                     const struct result *stored)
{
    if (record->run == 0 && stored->children.len > 2) {
        flight->message.callbacks = STR_NULL;
        flight->message.chain = STR_NULL;
    }
}

bool
worker_canvas_resume(struct worker *self, struct flight *flight)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct backend_record_list found = {0};
    struct result stored;
    struct error err = {0};

    if (flight->message.ignore_result == CELERY_TRUE || !self->backend ||
        !worker_pause_is_over(&self->backend_pause) ||
        backend_get(self->backend, &flight->message.id, 1, &arena, &found, &err) < 0 ||
        found.n_items == 0 || !str_equal(found.items[0].status, STR("SUCCESS")) ||
        result_decode(found.items[0].document, &arena, &stored, &err) < 0)
        return false; /* not known: it runs again, which is what delivering it again means */
    forget_what_was_sent(flight, &found.items[0], &stored);
    if (worker_canvas_succeed(self, flight, stored.result.ptr ? stored.result : STR("null"), &err) <
        0)
        return false;
    log_info("task has succeeded before, its message is settled: id=%.*s name=%s",
             STR_ARG(flight->message.id), flight->task->name);
    worker_flight_end(self, flight, BROKER_ACK, 0, STR_NULL);
    return true;
}
