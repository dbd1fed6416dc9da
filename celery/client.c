/* A request becomes a message, the message an envelope, the envelope a broker's message whose eta
 * and expiry say the same as the headers inside.  Waiting is the backend's watch, one id long. */

#include "celery/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_scan.h"
#include "base/json_writer.h"
#include "celery/backend/backend.h"
#include "celery/broker/publisher.h"
#include "celery/limits/decide.h"
#include "celery/message.h"

#define MAX_ENVELOPE_BYTES ((size_t)8 << 20) /* what brokers take */
#define MAX_HEADER_BYTES   ((size_t)64 << 10)
#define WATCH_ARENA_BYTES  ((size_t)32 << 20) /* one document, and its values */
/* A signal that comes just before poll does not end it: so often is_cancelled is asked. */
#define CANCEL_SLICE_US (250 * US_PER_MS)

struct celery_client {
    struct celery_client_options options;
    struct publisher *publisher;
    struct backend *backend;
    char origin[96]; /* "gen<pid>@<host>", as Celery's clients call themselves */
};

int
celery_client_create(const struct celery_client_options *options, struct celery_client **out,
                     struct error *err)
{
    struct celery_client *client = calloc(1, sizeof(*client));
    char host[64] = "localhost";

    if (!client)
        return error_set(err, ERR_NOMEM, "no memory for a client");
    client->options = *options;
    if (!client->options.clock)
        client->options.clock = &clock_system;
    if (!client->options.timeout_us)
        client->options.timeout_us = CELERY_CLIENT_TIMEOUT_US;
    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(client->origin, sizeof(client->origin), "gen%d@%s", (int)getpid(), host);
    *out = client;
    return 0;
}

void
celery_client_free(struct celery_client *client)
{
    if (!client)
        return;
    publisher_close(client->publisher);
    backend_close(client->backend);
    free(client);
}

void
celery_client_freep(struct celery_client **client)
{
    celery_client_free(*client);
}

static int
open_publisher(struct celery_client *client, struct error *err)
{
    struct broker_options options = {.clock = client->options.clock,
                                     .name = str_from_cstr(client->origin),
                                     .max_open_us = client->options.timeout_us / 2,
                                     .max_message_bytes = MAX_ENVELOPE_BYTES};

    if (client->publisher)
        return 0;
    return publisher_open(client->options.broker_url, &options, &client->publisher, err);
}

static int
open_backend(struct celery_client *client, bool must_exist, struct error *err)
{
    struct backend_options options = {.clock = client->options.clock,
                                      .max_block_us = client->options.timeout_us,
                                      .must_exist = must_exist};

    if (client->backend)
        return 0;
    return backend_open(client->options.backend_url, &options, &client->backend, err);
}

static int
check_json(struct str text, enum json_type wanted, const char *what, struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 0};
    struct str value;
    int rc;

    if (!text.ptr)
        return 0;
    rc = json_scan(text, &limits, &value, err);
    if (rc < 0 && err)
        err->code = ERR_ARGS;
    if (rc < 0)
        return error_wrap(err, -ERR_ARGS, "%s are not JSON", what);
    if (json_slice_type(value) != wanted)
        return error_set(err, ERR_ARGS, "%s must be a JSON %s, got %s", what,
                         json_type_name(wanted), json_type_name(json_slice_type(value)));
    return 0;
}

static int
check_request(const struct celery_request *request, struct error *err)
{
    int rc;

    if (request->eta_us != TIME_UNKNOWN && request->countdown_us)
        return error_set(err, ERR_ARGS, "give an eta or a countdown, not both");
    if (request->countdown_us < 0 || request->expires_in_us < 0)
        return error_set(err, ERR_ARGS, "a countdown or an expiry must not be negative");
    if (request->priority < 0 || request->priority > BROKER_MAX_PRIORITY)
        return error_set(err, ERR_INVALID, "priority must be 0 to %d, got %d", BROKER_MAX_PRIORITY,
                         request->priority);
    rc = check_json(request->args, JSON_ARRAY, "positional arguments", err);
    return rc < 0 ? rc : check_json(request->kwargs, JSON_OBJECT, "named arguments", err);
}

static int
time_after(int64_t now_us, int64_t span_us, const char *what, int64_t *out, struct error *err)
{
    if (__builtin_add_overflow(now_us, span_us, out))
        return error_set(err, ERR_ARGS, "%s is too far away", what);
    return 0;
}

/* The two times, in the headers and for the broker. */
static int
set_times(const struct celery_request *request, int64_t now_us, struct celery_message *message,
          struct broker_message *envelope, struct arena *arena, struct error *err)
{
    int rc = 0;

    envelope->eta_us = request->eta_us;
    envelope->expires_us = TIME_UNKNOWN;
    if (request->countdown_us)
        rc = time_after(now_us, request->countdown_us, "the countdown", &envelope->eta_us, err);
    if (rc == 0 && envelope->eta_us != TIME_UNKNOWN)
        rc = celery_message_set_eta(message, envelope->eta_us, arena, err);
    if (rc == 0 && request->expires_in_us)
        rc = time_after(now_us, request->expires_in_us, "the expiry", &envelope->expires_us, err);
    if (rc == 0 && request->expires_in_us)
        rc = celery_message_set_expires(message, envelope->expires_us, now_us, arena, err);
    return rc;
}

/* Both in the message, for workers that have other rules or none, and for the broker. */
static int
set_limits(const struct celery_client *client, const struct celery_request *request,
           struct celery_message *message, struct limit_decision *limits, struct buf *headers,
           struct arena *arena, struct error *err)
{
    const struct {
        struct str name;
        struct str value;
    } rows[] = {{STR(LIMIT_HEADER_UNIQUE), request->unique},
                {STR(LIMIT_HEADER_UNIQUE_KEY), request->unique_key},
                {STR(LIMIT_HEADER_KEY), request->key}};
    struct json_writer json = JSON_WRITER_INIT(headers);
    struct limit_subject subject = {.task_name = request->task,
                                    .queue = message->routing_key,
                                    .args = request->args,
                                    .kwargs = request->kwargs,
                                    .task = request->definition};
    bool has_headers = request->unique.ptr || request->unique_key.ptr || request->key.ptr;
    enum broker_lock_span span;
    int64_t span_us;
    int rc = request->unique.ptr ? limit_parse_unique(request->unique, &span, &span_us, err) : 0;

    *limits = (struct limit_decision){.n_gates = 0};
    json_begin_object(&json);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].value.ptr)
            json_member_str(&json, rows[i].name, rows[i].value);
    json_end_object(&json);
    if (rc == 0)
        rc = buf_status(headers, err);
    if (has_headers) {
        subject.headers = buf_str(headers);
        message->headers = subject.headers;
    }
    if (rc < 0 || (!limit_has_any(client->options.limits, subject.headers) &&
                   !limit_task_has_any(request->definition)))
        return rc;
    return limit_decide(client->options.limits, &subject, arena, limits, err);
}

static int
send_message(struct celery_client *client, const struct broker_message *envelope,
             char id[UUID_TEXT_BYTES], struct error *err)
{
    char holder[BROKER_MAX_ID_BYTES + 1] = "";
    int rc = publisher_send_unique(client->publisher, envelope, client->options.timeout_us / 2,
                                   holder, err);

    if (rc == -ERR_DUPLICATE && strlen(holder) == UUID_TEXT_BYTES - 1)
        (void)memcpy(id, holder, UUID_TEXT_BYTES);
    return rc;
}

int
celery_client_send(struct celery_client *client, const struct celery_request *request,
                   char id[UUID_TEXT_BYTES], struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(MAX_ENVELOPE_BYTES);
    CLEANUP(buf_fini) struct buf headers = BUF_INIT(MAX_HEADER_BYTES);
    struct limit_decision limits;
    char new_id[UUID_TEXT_BYTES];
    struct celery_message message;
    struct broker_message envelope;
    int rc = check_request(request, err);

    if (rc < 0)
        return rc;
    uuid_random(new_id);
    if (request->id.ptr && !uuid_is_valid(request->id))
        return error_set(err, ERR_INVALID, "'%.*s' is no UUID",
                         STR_ARG(str_slice(request->id, 0, 64)));
    if (request->id.ptr)
        (void)memcpy(new_id, request->id.ptr, UUID_TEXT_BYTES - 1);
    celery_message_init(&message, request->task, str_from_cstr(new_id));
    message.root_id = request->root_id;
    message.parent_id = request->parent_id;
    if (request->args.ptr)
        message.args = request->args;
    if (request->kwargs.ptr)
        message.kwargs = request->kwargs;
    message.origin = str_from_cstr(client->origin);
    message.priority = request->priority;
    message.routing_key = request->queue.ptr ? request->queue : STR(CELERY_DEFAULT_QUEUE);
    envelope = (struct broker_message){
        .queue = message.routing_key, .id = message.id, .priority = request->priority};
    rc = set_times(request, clock_now_us(client->options.clock), &message, &envelope, &arena, err);
    if (rc == 0)
        rc = set_limits(client, request, &message, &limits, &headers, &arena, err);
    if (rc == 0)
        rc = celery_message_encode_envelope(&message, &bytes, err);
    if (rc == 0)
        rc = open_publisher(client, err);
    if (rc < 0)
        return rc;
    envelope.bytes = buf_str(&bytes);
    if (limits.lock.span != BROKER_LOCK_NONE)
        envelope.lock = &limits.lock;
    rc = send_message(client, &envelope, id, err);
    if (rc == 0 || rc == -ERR_TIMEOUT)
        (void)memcpy(id, new_id, sizeof(new_id));
    return rc;
}

/* Decode a copy of the document: the record's own arena goes away. */
static int
read_document(struct str document, struct arena *arena, struct result *out, struct error *err)
{
    bool is_copied = true;
    struct str copy = arena_dup(arena, document, &is_copied);

    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for a result of %zu bytes", document.len);
    return result_decode(copy, arena, out, err);
}

static int
set_pending(struct str id, struct arena *arena, struct result *out, struct error *err)
{
    bool is_copied = true;
    struct result pending = RESULT_INIT;

    pending.status = result_state_name(RESULT_PENDING);
    pending.task_id = arena_dup(arena, id, &is_copied);
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for a task id");
    *out = pending;
    return 0;
}

int
celery_client_get(struct celery_client *client, struct str id, struct arena *arena,
                  struct result *out, struct error *err)
{
    struct backend_record_list records = {NULL, 0};
    int rc = backend_check_id(id, err);

    if (rc < 0)
        return rc;
    rc = open_backend(client, true, err);
    if (rc == -ERR_NOT_FOUND) /* no worker has stored anything yet */
        return set_pending(id, arena, out, err);
    if (rc == 0)
        rc = backend_get(client->backend, &id, 1, arena, &records, err);
    if (rc < 0)
        return rc;
    if (records.n_items == 0)
        return set_pending(id, arena, out, err);
    return result_decode(records.items[0].document, arena, out, err);
}

static bool
is_cancelled(const struct celery_client_hooks *hooks)
{
    return hooks && hooks->is_cancelled && hooks->is_cancelled(hooks->context);
}

static void
tell_progress(const struct celery_client_hooks *hooks, struct str document, struct arena *scratch)
{
    struct result result;
    int64_t current;
    int64_t total;

    /* A document that cannot be read is no progress; the ready one is read with its errors told. */
    if (hooks && hooks->progress && result_decode(document, scratch, &result, NULL) == 0 &&
        result_read_progress(result.result, scratch, &current, &total))
        hooks->progress(hooks->context, current, total);
}

/* One slice of waiting.  1: the task is ready and *out is filled. */
static int
wait_slice(struct celery_client *client, int64_t span_us, const struct celery_client_hooks *hooks,
           struct arena *arena, struct result *out, enum result_state *state, struct error *err)
{
    CLEANUP(arena_fini) struct arena scratch = ARENA_INIT(WATCH_ARENA_BYTES);
    struct backend_record_list changes;
    int rc = backend_wait_changes(client->backend, span_us, &scratch, &changes, err);

    if (rc == -ERR_TIMEOUT || rc == -ERR_CANCELLED)
        return 0;
    if (rc < 0)
        return rc;
    *state = result_state_of(changes.items[0].status);
    if (!result_state_is_ready(*state)) {
        tell_progress(hooks, changes.items[0].document, &scratch);
        return 0;
    }
    rc = read_document(changes.items[0].document, arena, out, err);
    return rc < 0 ? rc : 1;
}

int
celery_client_wait(struct celery_client *client, struct str id, int64_t timeout_us,
                   const struct celery_client_hooks *hooks, struct arena *arena, struct result *out,
                   struct error *err)
{
    enum result_state state = RESULT_PENDING;
    int64_t until_us = INT64_MAX;
    int rc = backend_check_id(id, err);

    if (timeout_us > 0 &&
        __builtin_add_overflow(clock_mono_us(&clock_system), timeout_us, &until_us))
        until_us = INT64_MAX;
    if (rc == 0)
        rc = open_backend(client, false, err);
    if (rc == 0)
        rc = backend_watch(client->backend, &id, 1, err);
    while (rc == 0) {
        int64_t left_us = until_us - clock_mono_us(&clock_system);

        if (is_cancelled(hooks))
            return error_set(err, ERR_CANCELLED, "the wait for task '%.*s' was interrupted",
                             STR_ARG(id));
        if (left_us <= 0)
            return error_set(err, ERR_TIMEOUT,
                             "task '%.*s' is not ready in time: its state is %.*s", STR_ARG(id),
                             STR_ARG(result_state_name(state)));
        rc = wait_slice(client, left_us < CANCEL_SLICE_US ? left_us : CANCEL_SLICE_US, hooks, arena,
                        out, &state, err);
    }
    return rc < 0 ? rc : 0;
}
