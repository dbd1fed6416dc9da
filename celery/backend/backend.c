/* The implementations by their URL, and what is the same for all of them. */

#include "celery/backend/backend.h"

#include <errno.h>

#include "base/utf8.h"
#include "base/wait.h"
#include "celery/backend/chord.h"
#include "celery/backend/watch_list.h"

#define MAX_DOCUMENT_BYTES ((size_t)8 << 20)

static const struct {
    struct str prefix;
    const struct backend_ops *ops;
} schemes[] = {
    {STR_INIT("sqlite:"), &backend_sqlite}, {STR_INIT("redis:"), &backend_redis},
    {STR_INIT("rediss:"), &backend_redis},  {STR_INIT("redis+socket:"), &backend_redis},
    {STR_INIT("unix:"), &backend_redis},    {STR_INIT("sentinel:"), &backend_redis},
};

int
backend_open(struct str url, const struct backend_options *options, struct backend **out,
             struct error *err)
{
    struct backend_options filled = *options;
    size_t colon = str_find(url, STR("://"));

    if (!filled.clock)
        filled.clock = &clock_system;
    if (!filled.ttl_us)
        filled.ttl_us = US_PER_DAY;
    if (!filled.max_block_us)
        filled.max_block_us = 10 * US_PER_S;
    if (!filled.max_document_bytes)
        filled.max_document_bytes = MAX_DOCUMENT_BYTES;
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (str_starts_with(url, schemes[i].prefix))
            return schemes[i].ops->open(url, &filled, out, err);
    if (colon < url.len)
        return error_set(err, ERR_CONFIG,
                         "result backend URL scheme '%.*s' is not supported: use sqlite:///,"
                         " redis://, rediss://, redis+socket:// or sentinel://",
                         STR_ARG(str_slice(url, 0, colon < 32 ? colon : 32)));
    return backend_sqlite.open(url, &filled, out, err);
}

void
backend_close(struct backend *backend)
{
    if (backend)
        backend->ops->close(backend);
}

void
backend_closep(struct backend **backend)
{
    backend_close(*backend);
}

enum backend_advice
backend_advise(int rc)
{
    switch ((enum error_code)(rc < 0 ? -rc : rc)) {
    case ERR_NOMEM:
    case ERR_TIMEOUT:
    case ERR_RATE_LIMIT:
    case ERR_DISK_FULL:
    case ERR_BUSY:
    case ERR_CANCELLED:
    case ERR_RETRY:
        return BACKEND_RETRY;
    case ERR_NOT_FOUND: /* of the file, while opening */
    case ERR_AUTH:
    case ERR_NETWORK:
    case ERR_IO:
    case ERR_CORRUPT:
        return BACKEND_REOPEN;
    case ERR_NONE:
    case ERR_ARGS:
    case ERR_INVALID:
    case ERR_UNSUPPORTED:
    case ERR_TOO_LARGE:
    case ERR_CONFIG:
    case ERR_DUPLICATE:
    case ERR_SOFT_LIMIT:
        break;
    }
    return BACKEND_GIVE_UP;
}

static int
check_text(struct str text, size_t max_bytes, const char *what, struct error *err)
{
    if (text.len == 0 || text.len > max_bytes)
        return error_set(err, ERR_INVALID, "%s '%.*s' has %zu bytes, allowed are 1 to %zu", what,
                         STR_ARG(str_slice(text, 0, 40)), text.len, max_bytes);
    if (!utf8_is_valid(text) || memchr(text.ptr, '\0', text.len))
        return error_set(err, ERR_INVALID, "%s is not UTF-8, or has a NUL", what);
    return 0;
}

int
backend_check_id(struct str id, struct error *err)
{
    return check_text(id, BACKEND_MAX_ID_BYTES, "task id", err);
}

int
backend_check_record(const struct backend_record *record, size_t max_document_bytes,
                     struct error *err)
{
    int rc = backend_check_id(record->task_id, err);

    if (rc == 0)
        rc = check_text(record->status, BACKEND_MAX_STATUS_BYTES, "status", err);
    if (rc < 0)
        return rc;
    if (!result_state_is_stored(result_state_of(record->status)))
        return error_set(err, ERR_INVALID, "status %.*s of task '%.*s' is not one to store",
                         STR_ARG(record->status), STR_ARG(record->task_id));
    if (record->document.len == 0)
        return error_set(err, ERR_INVALID, "result of task '%.*s' is empty",
                         STR_ARG(record->task_id));
    if (record->document.len > max_document_bytes)
        return error_set(err, ERR_TOO_LARGE,
                         "result of task '%.*s' has %zu bytes, allowed are %zu: return big data by"
                         " reference",
                         STR_ARG(record->task_id), record->document.len, max_document_bytes);
    return 0;
}

int
backend_store_result(struct backend *backend, const struct result *result, int64_t run,
                     enum backend_outcome *outcome, struct error *err)
{
    CLEANUP(buf_fini) struct buf document = BUF_INIT(BACKEND_MAX_ENCODED_BYTES);
    struct backend_record record = {
        .task_id = result->task_id, .status = result->status, .run = run};
    int rc = result_encode(result, &document, err);

    if (rc < 0)
        return error_wrap(err, rc, "cannot encode the result of task '%.*s'",
                          STR_ARG(str_slice(result->task_id, 0, 80)));
    record.document = buf_str(&document);
    return backend_store(backend, &record, 1, outcome, err);
}

/* Until there may be news, at most until then.  Errors: ERR_CANCELLED, ERR_IO. */
static int
wait_for_news(const struct backend *backend, int64_t until_us, struct error *err)
{
    struct backend_wait wait;

    backend_get_wait(backend, &wait);
    if (wait.deadline_us < until_us)
        until_us = wait.deadline_us;
    if (wait_for_fd(wait.fd, wait.events, until_us) >= 0)
        return 0;
    if (errno == EINTR)
        return error_set(err, ERR_CANCELLED, "a signal ended the wait for a result");
    return error_set_errno(err, "cannot wait for a result");
}

/* The moment after a timeout that may be too long to add. */
static int64_t
deadline_after(int64_t timeout_us)
{
    int64_t until_us;

    if (__builtin_add_overflow(clock_mono_us(&clock_system), timeout_us, &until_us))
        return INT64_MAX;
    return until_us;
}

static int
wait_until(struct backend *backend, int64_t until_us, struct arena *arena,
           struct backend_record_list *out, struct error *err)
{
    for (;;) {
        struct backend_record_list changes;
        int rc = backend_take_changes(backend, arena, &changes, err);

        if (rc < 0)
            return rc;
        if (changes.n_items > 0) {
            *out = changes;
            return 0;
        }
        if (clock_mono_us(&clock_system) >= until_us)
            return error_set(err, ERR_TIMEOUT, "no news of the task within the time allowed");
        rc = wait_for_news(backend, until_us, err);
        if (rc < 0)
            return rc;
    }
}

int
backend_wait_changes(struct backend *backend, int64_t timeout_us, struct arena *arena,
                     struct backend_record_list *out, struct error *err)
{
    return wait_until(backend, deadline_after(timeout_us), arena, out, err);
}

/* Mark those that are ready; gives how many are so for the first time.  A mark stays: what was
 * ready once counts as ready, even where another run of it has begun since. */
static size_t
mark_ready(const struct watch_list *waiting, const struct backend_record_list *changes)
{
    size_t n = 0;

    for (size_t i = 0; i < changes->n_items; i++) {
        struct watched *watched = watch_list_find(waiting, changes->items[i].task_id);

        if (!watched || watched->mark ||
            !result_state_is_ready(result_state_of(changes->items[i].status)))
            continue;
        watched->mark = 1;
        n++;
    }
    return n;
}

int
backend_await(struct backend *backend, const struct str *ids, size_t n_ids, int64_t timeout_us,
              struct arena *arena, struct backend_record_list *out, struct error *err)
{
    CLEANUP(watch_list_fini) struct watch_list waiting = {.items = NULL};
    CLEANUP(arena_fini) struct arena scratch = ARENA_INIT(BACKEND_MAX_ENCODED_BYTES);
    int64_t until_us = deadline_after(timeout_us);
    size_t n_ready = 0;
    int rc = watch_list_create(ids, n_ids, &waiting, err);

    if (rc == 0)
        rc = backend_watch(backend, ids, n_ids, err);
    while (rc == 0 && n_ready < waiting.n_items) {
        struct backend_record_list changes;

        arena_reset(&scratch);
        rc = wait_until(backend, until_us, &scratch, &changes, err);
        if (rc < 0)
            return error_wrap(err, rc, "%zu of %zu tasks are ready", n_ready, waiting.n_items);
        n_ready += mark_ready(&waiting, &changes);
    }
    return rc < 0 ? rc : backend_get(backend, ids, n_ids, arena, out, err);
}

int
backend_chord_begin(struct backend *backend, struct str group_id, int64_t size, struct str saved,
                    struct error *err)
{
    int rc = backend_check_id(group_id, err);

    return rc < 0 ? rc : backend->ops->chord_begin(backend, group_id, size, saved, err);
}

int
backend_chord_count(struct backend *backend, const struct backend_chord_part *parts, size_t n_parts,
                    struct arena *arena, struct backend_chord_count *counts, struct error *err)
{
    int rc = 0;

    if (n_parts > BACKEND_MAX_CHORD_PARTS)
        return error_set(err, ERR_TOO_LARGE, "%zu parts in one count, allowed are %zu", n_parts,
                         BACKEND_MAX_CHORD_PARTS);
    for (size_t i = 0; rc == 0 && i < n_parts; i++) {
        rc = backend_check_id(parts[i].group_id, err);
        if (rc == 0)
            rc = backend_check_id(parts[i].task_id, err);
    }
    return rc < 0 || n_parts == 0
               ? rc
               : backend->ops->chord_count(backend, parts, n_parts, arena, counts, err);
}

int
backend_chord_end(struct backend *backend, struct str group_id, struct error *err)
{
    int rc = backend_check_id(group_id, err);

    return rc < 0 ? rc : backend->ops->chord_end(backend, group_id, err);
}
