/* base/json: whatever parses must write back to something that parses to the same text; and the
 * scanner must accept exactly what the parser accepts, and cut out parts that parse. */

#include <assert.h>

#include "base/json.h"
#include "base/json_scan.h"
#include "base/json_writer.h"
#include "fuzz/fuzz.h"

#define ARENA_BYTES ((size_t)16 << 20)

static void
write_value(const struct json *value, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    json_value(&json, value);
}

static void
scan_parts(struct str container, const struct json_limits *limits)
{
    struct json_cursor cursor = json_cursor_open(container);
    struct json_slice slice;
    struct str again;

    while (json_cursor_next(&cursor, &slice))
        assert(json_scan(slice.value, limits, &again, NULL) == 0 && str_equal(again, slice.value));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned flags[] = {0, JSON_STRICT_UTF8, JSON_ALLOW_NAN,
                                     JSON_STRICT_UTF8 | JSON_KEEP_SURROGATES};
    struct str text = {(const char *)data, size};

    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        struct json_limits limits = {.flags = flags[i]};
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct buf once = BUF_INIT(8 * size + 64);
        struct buf twice = BUF_INIT(8 * size + 64);
        struct json value;
        struct str scanned;
        int rc = json_parse(text, &limits, &arena, &value, NULL);
        int scan_rc = json_scan(text, &limits, &scanned, NULL);

        assert((rc == 0) == (scan_rc == 0) ||
               rc == -ERR_NOMEM); /* which mistake is met first may differ */
        if (scan_rc == 0)
            scan_parts(scanned, &limits);
        if (rc == 0) {
            write_value(&value, &once);
            assert(once.rc == 0);
            assert(json_parse(buf_str(&once), &limits, &arena, &value, NULL) == 0);
            write_value(&value, &twice);
            assert(str_equal(buf_str(&once), buf_str(&twice)));
        }
        buf_fini(&once);
        buf_fini(&twice);
        arena_fini(&arena);
    }
    return 0;
}
