/* Records of task states, and their way into the backend. */

#include "base/log.h"
#include "celery/worker_internal.h"

#define BATCH_MAX      ((size_t)1024)
#define DOCUMENT_BYTES ((size_t)8 << 20)
#define BUSY_MIN_US    US_PER_MS
#define BUSY_MAX_US    (50 * US_PER_MS)
#define CLEAN_FIRST_MS 1000
#define CLEAN_EVERY_MS 60000
#define CLEAN_AGAIN_MS 100 /* while there is more */
#define CLEAN_LIMIT    ((size_t)200)

/* Encode a state document; without one there is nothing to store. */
static int
encode_record(struct worker *self, struct flight *flight, enum result_state state,
              struct str status, struct str result, struct str traceback, struct error *err)
{
    struct result document = RESULT_INIT;
    struct backend_record record;
    int rc;

    if (flight->message.ignore_result == CELERY_TRUE)
        return 0;
    document.status = status;
    document.result = result;
    document.traceback = traceback;
    document.date_done_us = clock_now_us(&clock_system);
    document.task_id = flight->message.id;
    document.group_id = flight->message.group;
    document.parent_id = flight->message.parent_id;
    document.worker = self->options->name;
    document.children = worker_sends_children(flight);
    buf_clear(&flight->document);
    rc = result_encode(&document, &flight->document, err);
    if (rc == 0) {
        record = (struct backend_record){
            .task_id = document.task_id, .status = status, .document = buf_str(&flight->document)};
        rc = backend_check_record(&record, DOCUMENT_BYTES, err);
    }
    flight->state = state;
    worker_flight_set_record(self, flight, rc == 0);
    return rc;
}

/* As above; what cannot be encoded is said and dropped, the message counts more. */
static void
make_record(struct worker *self, struct flight *flight, enum result_state state, struct str status,
            struct str result, struct str traceback)
{
    struct error err = {0};

    if (encode_record(self, flight, state, status, result, traceback, &err) < 0)
        log_error("result not stored: id=%.*s state=%.*s reason=%s", STR_ARG(flight->message.id),
                  STR_ARG(status), err.message);
}

/* Most tasks have ended before their start would be stored: so these two are encoded late. */
static void
make_soft_record(struct worker *self, struct flight *flight)
{
    struct buf result = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&result);

    if (flight->state == RESULT_STARTED)
        result_write_started(&json, flight->pid, self->options->name);
    else
        result_write_progress(&json, flight->progress[0], flight->progress[1]);
    make_record(self, flight, flight->state, result_state_name(flight->state), buf_str(&result),
                STR_NULL);
    buf_fini(&result);
}

void
worker_record_started(struct worker *self, struct flight *flight, pid_t pid)
{
    flight->pid = pid;
    if (flight->message.ignore_result == CELERY_TRUE)
        return;
    flight->state = RESULT_STARTED;
    worker_flight_set_record(self, flight, true);
}

void
worker_record_progress(struct worker *self, struct flight *flight, int64_t current, int64_t total)
{
    int64_t now_us = clock_mono_us(&clock_system);

    if (flight->message.ignore_result == CELERY_TRUE ||
        (flight->progress_at_us && now_us - flight->progress_at_us < WORKER_PROGRESS_US))
        return;
    flight->progress_at_us = now_us;
    flight->progress[0] = current;
    flight->progress[1] = total;
    flight->state = RESULT_CUSTOM;
    worker_flight_set_record(self, flight, true);
}

void
worker_record_success(struct worker *self, struct flight *flight, struct str result)
{
    struct error err = {0};
    int rc = worker_canvas_succeed(self, flight, result, &err);

    if (rc == 0)
        rc = encode_record(self, flight, RESULT_SUCCESS, STR("SUCCESS"), result, STR_NULL, &err);
    if (rc == 0) {
        worker_note(self, flight,
                    &(struct worker_note){.moment = MOMENT_SUCCEEDED, .result = result});
        return;
    }
    log_error("task succeeded, its result cannot be kept or handed on: id=%.*s reason=%s",
              STR_ARG(flight->message.id), err.message);
    worker_record_error(self, flight, RESULT_FAILURE, &err); /* who waits must not wait for ever */
}

static enum worker_moment
moment_of(enum result_state state)
{
    if (state == RESULT_RETRY)
        return MOMENT_RETRIED;
    return state == RESULT_REVOKED ? MOMENT_REVOKED : MOMENT_FAILED;
}

static void
record_exception(struct worker *self, struct flight *flight, enum result_state state,
                 const struct exception *exception, struct str traceback)
{
    struct buf result = BUF_INIT(65536);
    struct json_writer json = JSON_WRITER_INIT(&result);

    worker_note(self, flight,
                &(struct worker_note){
                    .moment = moment_of(state), .exception = exception, .traceback = traceback});
    exception_write(&json, exception);
    worker_canvas_fail(self, flight, state, buf_str(&result), traceback);
    make_record(self, flight, state, result_state_name(state), buf_str(&result), traceback);
    buf_fini(&result);
}

void
worker_record_error(struct worker *self, struct flight *flight, enum result_state state,
                    const struct error *error)
{
    struct buf args = BUF_INIT(65536);
    struct buf traceback = BUF_INIT(65536);
    struct exception exception;
    struct error err = {0};
    int rc = exception_from_error(error, &args, &exception, &err);

    if (rc == 0)
        rc = exception_format_traceback(error, &traceback, &err);
    if (rc == 0)
        record_exception(self, flight, state, &exception, buf_str(&traceback));
    else
        log_error("result not stored: id=%.*s reason=%s", STR_ARG(flight->message.id), err.message);
    buf_fini(&traceback);
    buf_fini(&args);
}

/* args: one JSON value, or nothing. */
static void
record_kind(struct worker *self, struct flight *flight, enum result_state state,
            enum exception_kind kind, struct str arg)
{
    struct buf args = BUF_INIT(65536);
    struct json_writer json = JSON_WRITER_INIT(&args);
    struct exception exception;

    json_begin_array(&json);
    if (arg.len)
        json_raw(&json, arg);
    json_end_array(&json);
    exception = exception_of_kind(kind, buf_str(&args));
    record_exception(self, flight, state, &exception, STR_NULL);
    buf_fini(&args);
}

void
worker_record_exception(struct worker *self, struct flight *flight, enum result_state state,
                        enum exception_kind kind, struct str text)
{
    struct buf arg = BUF_INIT(65536);
    struct json_writer json = JSON_WRITER_INIT(&arg);

    if (text.ptr)
        json_str(&json, text);
    record_kind(self, flight, state, kind, buf_str(&arg));
    buf_fini(&arg);
}

void
worker_record_hard_limit(struct worker *self, struct flight *flight, int64_t limit_ms)
{
    struct buf arg = BUF_INIT(64);
    struct json_writer json = JSON_WRITER_INIT(&arg);

    if (limit_ms % 1000 == 0)
        json_i64(&json, limit_ms / 1000);
    else
        json_f64(&json, (double)limit_ms / 1000);
    record_kind(self, flight, RESULT_FAILURE, EXCEPTION_HARD_LIMIT, buf_str(&arg));
    buf_fini(&arg);
}

int
worker_need_backend(struct worker *self, struct error *err)
{
    static const struct backend_options options = {.clock = &clock_system,
                                                   .max_block_us = 5 * US_PER_MS};

    if (self->backend)
        return 0;
    return backend_open(self->options->backend_url, &options, &self->backend, err);
}

static int
store_batch(struct worker *self, const struct backend_record *records, size_t n_records,
            struct error *err)
{
    int rc = worker_need_backend(self, err);

    return rc < 0 ? rc : backend_store(self->backend, records, n_records, NULL, err);
}

/* Not in time: it may be done at any moment, and is no trouble yet. */
static void
wait_a_moment(struct worker *self)
{
    struct worker_pause *pause = &self->backend_pause;

    pause->span_us = pause->span_us < BUSY_MIN_US ? BUSY_MIN_US : 2 * pause->span_us;
    if (pause->span_us > BUSY_MAX_US)
        pause->span_us = BUSY_MAX_US;
    pause->until_us = clock_mono_us(&clock_system) + pause->span_us;
}

/* What is kept is stored after the pause; only what no retry can help is dropped. */
bool
worker_explain_store_failure(struct worker *self, int rc, const struct error *err)
{
    enum backend_advice advice = backend_advise(rc);

    if (advice == BACKEND_REOPEN) {
        backend_close(self->backend);
        self->backend = NULL;
    }
    if (advice == BACKEND_GIVE_UP && self->backend) {
        log_error("results cannot be stored, they are dropped: reason=%s", err->message);
        return false;
    }
    if (-rc == ERR_BUSY) {
        wait_a_moment(self);
        return true;
    }
    if (worker_pause_extend(&self->backend_pause))
        log_warning("results cannot be stored, they are kept and tried again: reason=%s",
                    err->message);
    return true;
}

static size_t
gather(struct worker *self, struct flight **flights, struct backend_record *records)
{
    struct flight *next;
    size_t n = 0;

    for (struct flight *flight = self->lists[FLIGHTS_RECORDED].first; flight && n < BATCH_MAX;
         flight = next) {
        next = flight->links[FLIGHTS_RECORDED].next;
        if (flight_is_soft(flight))
            make_soft_record(self, flight);
        if (!flight->has_record)
            continue;
        flights[n] = flight;
        records[n++] = (struct backend_record){
            .task_id = flight->message.id,
            .status = result_state_name(flight->state),
            .run = result_run(flight->message.retries, flight->attempt),
            .document = buf_str(&flight->document),
        };
    }
    return n;
}

static void
store_records(struct worker *self)
{
    struct backend_record records[BATCH_MAX];
    struct flight *flights[BATCH_MAX];
    struct error err = {0};
    size_t n = BATCH_MAX;

    while (n == BATCH_MAX && worker_pause_is_over(&self->backend_pause)) {
        int rc;

        n = gather(self, flights, records);
        if (n == 0)
            return;
        rc = store_batch(self, records, n, &err);
        if (rc < 0 && worker_explain_store_failure(self, rc, &err))
            return;
        if (rc == 0 && self->backend_pause.span_us > US_PER_S)
            log_info("results are stored again");
        self->backend_pause = (struct worker_pause){0};
        for (size_t i = 0; i < n; i++) {
            worker_flight_set_record(self, flights[i], false);
            buf_fini(&flights[i]->document);
            buf_init(&flights[i]->document, BACKEND_MAX_ENCODED_BYTES);
        }
    }
}

void
worker_store_records(struct worker *self)
{
    store_records(self);
    worker_canvas_turn(self);
}

/* Expired results, a few at a time, so that no task waits for it. */
static void
clean_results(void *context)
{
    struct worker *self = context;
    struct error err = {0};
    size_t n_removed = 0;
    int rc = 0;

    if (self->backend && worker_pause_is_over(&self->backend_pause))
        rc = backend_clean(self->backend, CLEAN_LIMIT, &n_removed, &err);
    if (rc < 0)
        (void)worker_explain_store_failure(self, rc, &err);
    loop_timer_start(self->clean_timer, n_removed == CLEAN_LIMIT ? CLEAN_AGAIN_MS : CLEAN_EVERY_MS,
                     0);
}

int
worker_clean_open(struct worker *self, struct error *err)
{
    int rc = loop_timer_create(self->loop, clean_results, self, &self->clean_timer, err);

    if (rc == 0)
        loop_timer_start(self->clean_timer, CLEAN_FIRST_MS, 0);
    return rc;
}
