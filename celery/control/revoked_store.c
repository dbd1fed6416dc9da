#include "celery/control/revoked_store.h"

#include "base/buf.h"
#include "celery/backend/exception.h"

#define STATES_BYTES    ((size_t)256 << 20) /* of what is there: documents may be large */
#define DOCUMENTS_BYTES ((size_t)4 << 20)

static const struct backend_record *
find_record(const struct backend_record_list *list, struct str id)
{
    for (size_t i = 0; i < list->n_items; i++)
        if (str_equal(list->items[i].task_id, id))
            return &list->items[i];
    return NULL;
}

static bool
is_replaced(const struct backend_record *known, enum revoked_store_over over)
{
    enum result_state state = known ? result_state_of(known->status) : RESULT_PENDING;

    if (result_state_is_ready(state))
        return false;
    return over == REVOKED_OVER_STARTED || (state != RESULT_STARTED && state != RESULT_CUSTOM);
}

static int
encode(struct str id, struct str worker, struct arena *arena, struct backend_record *out,
       struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(65536);
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(65536);
    struct json_writer json = JSON_WRITER_INIT(&text);
    struct exception exception = exception_of_kind(EXCEPTION_REVOKED, STR("[\"revoked\"]"));
    struct result result = RESULT_INIT;
    bool ok = true;
    int rc;

    exception_write(&json, &exception);
    result.status = result_state_name(RESULT_REVOKED);
    result.result = buf_str(&text);
    result.children = STR("null");
    result.task_id = id;
    result.worker = worker;
    result.date_done_us = clock_now_us(&clock_system);
    rc = result_encode(&result, &bytes, err);
    if (rc < 0)
        return rc;
    *out = (struct backend_record){
        .task_id = id, .status = result.status, .document = arena_dup(arena, buf_str(&bytes), &ok)};
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for a result");
}

int
revoked_store(struct backend *backend, const struct str *ids, size_t n_ids,
              enum revoked_store_over over, struct str worker, struct error *err)
{
    CLEANUP(arena_fini) struct arena states = ARENA_INIT(STATES_BYTES);
    CLEANUP(arena_fini) struct arena documents = ARENA_INIT(DOCUMENTS_BYTES);
    struct backend_record records[REVOKED_STORE_MAX];
    struct str wanted[REVOKED_STORE_MAX];
    struct backend_record_list known;
    size_t n_wanted = 0;
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < n_ids && i < REVOKED_STORE_MAX; i++)
        if (backend_check_id(ids[i], NULL) == 0)
            wanted[n_wanted++] = ids[i];
    if (n_wanted == 0)
        return 0;
    rc = backend_get(backend, wanted, n_wanted, &states, &known, err);
    for (size_t i = 0; rc == 0 && i < n_wanted; i++) {
        if (is_replaced(find_record(&known, wanted[i]), over))
            rc = encode(wanted[i], worker, &documents, &records[n++], err);
    }
    return rc < 0 || n == 0 ? rc : backend_store(backend, records, n, NULL, err);
}
