/* Replies of a hostile server: celery/redis/resp.h.
 *
 * The first byte says how the others arrive.  What is found must not depend on that, and every
 * value must lie within its reply. */

#include <stdlib.h>

#include "celery/redis/resp.h"
#include "fuzz/fuzz.h"

#define MAX_REPLY_BYTES ((size_t)20000)
#define ARENA_BYTES     ((size_t)8 << 20)

static void
insist(bool is_true)
{
    if (!is_true)
        abort();
}

static size_t
check_value(const struct redis_value *value, struct str reply)
{
    size_t n_bytes = value->text.len;

    insist(!value->text.ptr || (value->text.ptr > reply.ptr &&
                                value->text.ptr + value->text.len < reply.ptr + reply.len));
    for (size_t i = 0; i < value->n_items; i++)
        n_bytes += check_value(&value->items[i], reply);
    return n_bytes;
}

/* Where the first reply ends, when step bytes come at a time; 0 for none, SIZE_MAX for no RESP. */
static size_t
find_end(struct str bytes, size_t step)
{
    struct resp_scanner scanner;
    size_t arrived = 0;
    size_t n_bytes = 0;

    resp_scanner_init(&scanner, MAX_REPLY_BYTES);
    while (arrived < bytes.len) {
        int rc;

        arrived = bytes.len - arrived < step ? bytes.len : arrived + step;
        rc = resp_scan(&scanner, str_slice(bytes, 0, arrived), &n_bytes, NULL);
        if (rc != 0)
            return rc == 1 ? n_bytes : SIZE_MAX;
    }
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes;

    if (size < 2 || size > 65536)
        return 0;
    bytes = (struct str){(const char *)data + 1, size - 1};
    for (;;) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        size_t end = find_end(bytes, (size_t)data[0] + 1);
        const struct redis_value *value;
        size_t n_built = 0;

        insist(end == find_end(bytes, bytes.len));
        if (end == 0 || end == SIZE_MAX)
            return 0;
        insist(end <= bytes.len && end <= MAX_REPLY_BYTES);
        if (resp_build(bytes, &arena, &value, &n_built, NULL) == 0)
            insist(n_built == end && check_value(value, str_slice(bytes, 0, end)) < end);
        arena_fini(&arena);
        bytes = str_slice(bytes, end, bytes.len);
        if (bytes.len == 0)
            return 0;
    }
}
