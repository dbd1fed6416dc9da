/* celery/backend: a state document that is read must be written to one that reads the same, its
 * result byte for byte; an exception in it likewise. */

#include <assert.h>

#include "celery/backend/exception.h"
#include "celery/backend/result.h"
#include "fuzz/fuzz.h"

#define ARENA_BYTES ((size_t)16 << 20)

static void
check_exception(struct str json, struct arena *arena)
{
    struct buf text = BUF_INIT(8 * json.len + 256);
    struct json_writer writer = JSON_WRITER_INIT(&text);
    struct exception exception;
    struct exception again;
    struct error err;

    if (exception_read(json, arena, &exception, NULL) == 0) {
        exception_write(&writer, &exception);
        assert(text.rc == 0);
        assert(exception_read(buf_str(&text), arena, &again, NULL) == 0);
        assert(str_equal(exception.type, again.type));
        assert(str_equal(exception.module, again.module));
        assert(!exception.args.ptr || str_equal(exception.args, again.args));
        assert(exception_to_error(&exception, arena, &err) == -(int)err.code);
    }
    buf_fini(&text);
}

static void
check_same(const struct result *a, const struct result *b)
{
    assert(str_equal(a->status, b->status));
    assert(str_equal(a->task_id, b->task_id));
    assert(str_equal(a->traceback, b->traceback));
    assert(str_equal(a->group_id, b->group_id));
    assert(str_equal(a->parent_id, b->parent_id));
    assert(!a->result.ptr || str_equal(a->result, b->result));
    assert(!a->children.ptr || str_equal(a->children, b->children));
    assert(!a->args.ptr || str_equal(a->args, b->args));
    assert(a->is_extended == b->is_extended);
    assert(a->retries == b->retries);
    assert(a->n_extras == b->n_extras);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct buf once = BUF_INIT(8 * size + 1024);
    struct buf twice = BUF_INIT(16 * size + 2048);
    struct result result;
    struct result again;
    int64_t current;
    int64_t total;

    if (result_decode(text, &arena, &result, NULL) == 0) {
        assert(result_encode(&result, &once, NULL) == 0);
        assert(result_decode(buf_str(&once), &arena, &again, NULL) == 0);
        check_same(&result, &again);
        assert(result_encode(&again, &twice, NULL) == 0);
        assert(str_equal(buf_str(&once), buf_str(&twice)));
        check_exception(result.result, &arena);
        (void)result_read_progress(result.result, &arena, &current, &total);
    }
    buf_fini(&once);
    buf_fini(&twice);
    arena_fini(&arena);
    return 0;
}
