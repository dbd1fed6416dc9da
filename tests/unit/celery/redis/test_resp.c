/* RESP2: celery/redis/resp.h. */

#include "celery/redis/resp.h"
#include "tests/unit/check.h"

#define MAX_BYTES ((size_t)4096)

/* Values as text, to compare trees at a glance: +OK -E :1 "bulk" nil [a b]. */
static void
show(const struct redis_value *value, struct buf *out)
{
    switch (value->kind) {
    case REDIS_NIL:
        buf_append(out, STR("nil"));
        break;
    case REDIS_STATUS:
    case REDIS_ERROR:
        buf_printf(out, "%c%.*s", value->kind == REDIS_STATUS ? '+' : '-', STR_ARG(value->text));
        break;
    case REDIS_INTEGER:
        buf_printf(out, ":%lld", (long long)value->integer);
        break;
    case REDIS_BULK:
        buf_printf(out, "\"%.*s\"", STR_ARG(value->text));
        break;
    case REDIS_ARRAY:
        buf_append_char(out, '[');
        for (size_t i = 0; i < value->n_items; i++) {
            if (i > 0)
                buf_append_char(out, ' ');
            show(&value->items[i], out);
        }
        buf_append_char(out, ']');
        break;
    }
}

static const struct {
    struct str bytes;
    const char *shown;
} good[] = {
    {STR_INIT("+OK\r\n"), "+OK"},
    {STR_INIT("+\r\n"), "+"},
    {STR_INIT("+a\rb\r\n"), "+a\rb"},
    {STR_INIT("-ERR no such key\r\n"), "-ERR no such key"},
    {STR_INIT(":0\r\n"), ":0"},
    {STR_INIT(":-9223372036854775808\r\n"), ":-9223372036854775808"},
    {STR_INIT(":+5\r\n"), ":5"},
    {STR_INIT("$-1\r\n"), "nil"},
    {STR_INIT("$0\r\n\r\n"), "\"\""},
    {STR_INIT("$4\r\na\r\nb\r\n"), "\"a\r\nb\""},
    {STR_INIT("*0\r\n"), "[]"},
    {STR_INIT("*-1\r\n"), "nil"},
    {STR_INIT("*2\r\n$1\r\na\r\n:7\r\n"), "[\"a\" :7]"},
    {STR_INIT("*3\r\n*0\r\n*2\r\n+x\r\n*1\r\n$-1\r\n-E\r\n"), "[[] [+x [nil]] -E]"},
};

/* All of them in one stream, cut in two at every place and fed byte by byte. */
static void
test_every_split(void **state)
{
    CLEANUP(buf_fini) struct buf all = BUF_INIT(4096);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        buf_append(&all, good[i].bytes);
    for (size_t cut = 0; cut <= all.len + 1; cut++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
        struct resp_scanner scanner;
        size_t start = 0;
        size_t n_done = 0;
        /* cut beyond the end stands for: one byte at a time */
        size_t arrived = cut <= all.len ? cut : 0;

        resp_scanner_init(&scanner, MAX_BYTES);
        while (n_done < COUNT_OF(good)) {
            struct str bytes = str_slice(buf_str(&all), start, arrived);
            const struct redis_value *value;
            size_t n_bytes = 0;
            size_t n_built = 0;
            struct error err;
            CLEANUP(buf_fini) struct buf text = BUF_INIT(4096);
            int rc = resp_scan(&scanner, bytes, &n_bytes, &err);

            assert_in_range(rc + 1, 1, 2);
            if (rc == 0) {
                assert_true(arrived < all.len);
                arrived = cut <= all.len ? all.len : arrived + 1;
                continue;
            }
            assert_int_equal(n_bytes, good[n_done].bytes.len);
            assert_ok(resp_build(bytes, &arena, &value, &n_built, &err), err);
            assert_int_equal(n_built, n_bytes);
            show(value, &text);
            assert_str_equal(buf_str(&text), good[n_done].shown);
            start += n_bytes;
            n_done++;
        }
        assert_int_equal(start, all.len);
    }
}

static void
test_bad(void **state)
{
    static const struct {
        struct str bytes;
        int rc;
    } rows[] = {
        {STR_INIT("\r\n"), -ERR_INVALID},
        {STR_INIT("\n"), -ERR_INVALID},
        {STR_INIT("+OK\n"), -ERR_INVALID},
        {STR_INIT("HTTP/1.1 400 Bad Request\r\n"), -ERR_INVALID},
        {STR_INIT("%1\r\n+a\r\n+b\r\n"), -ERR_INVALID}, /* RESP3 */
        {STR_INIT("_\r\n"), -ERR_INVALID},
        {STR_INIT(":\r\n"), -ERR_INVALID},
        {STR_INIT(":1x\r\n"), -ERR_INVALID},
        {STR_INIT(":9223372036854775808\r\n"), -ERR_INVALID},
        {STR_INIT("$\r\n"), -ERR_INVALID},
        {STR_INIT("$-2\r\n"), -ERR_INVALID},
        {STR_INIT("$+1\r\na\r\n"), -ERR_INVALID},
        {STR_INIT("$1\r\nab\r\n"), -ERR_INVALID},
        {STR_INIT("$1\r\na\n\r"), -ERR_INVALID},
        {STR_INIT("*-2\r\n"), -ERR_INVALID},
        {STR_INIT("*x\r\n"), -ERR_INVALID},
        {STR_INIT("*1\r\n?\r\n"), -ERR_INVALID},
        {STR_INIT("$4097\r\n"), -ERR_TOO_LARGE}, /* before any of it has come */
        {STR_INIT("$4095\r\n"), -ERR_TOO_LARGE},
        {STR_INIT("$9223372036854775807\r\n"), -ERR_TOO_LARGE},
        {STR_INIT("*9223372036854775807\r\n"), -ERR_TOO_LARGE},
        {STR_INIT("*4194304\r\n"), -ERR_TOO_LARGE},
        {STR_INIT("*4194303\r\n"), 0},
        {STR_INIT("*2000000\r\n*2000000\r\n*2000000\r\n"), -ERR_TOO_LARGE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct resp_scanner scanner;
        size_t n_bytes = 77;
        struct error err = {.message = ""};

        resp_scanner_init(&scanner, MAX_BYTES);
        if (resp_scan(&scanner, rows[i].bytes, &n_bytes, &err) != rows[i].rc)
            fail_msg("'%.*s': %s", STR_ARG(rows[i].bytes), err.message);
        assert_int_equal(n_bytes, 77);
    }
}

static void
test_depth(void **state)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(4096);
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
    struct resp_scanner scanner;
    const struct redis_value *value;
    size_t n_bytes;
    struct error err;
    int depth = 0;

    (void)state;
    for (int i = 0; i < RESP_MAX_DEPTH; i++)
        buf_append(&bytes, STR("*1\r\n"));
    buf_append(&bytes, STR(":5\r\n"));
    resp_scanner_init(&scanner, MAX_BYTES);
    assert_int_equal(resp_scan(&scanner, buf_str(&bytes), &n_bytes, &err), 1);
    assert_ok(resp_build(buf_str(&bytes), &arena, &value, &n_bytes, &err), err);
    for (; value->kind == REDIS_ARRAY; value = value->items)
        depth++;
    assert_int_equal(depth, RESP_MAX_DEPTH);
    assert_int_equal(value->integer, 5);

    buf_clear(&bytes);
    for (int i = 0; i <= RESP_MAX_DEPTH; i++)
        buf_append(&bytes, STR("*1\r\n"));
    resp_scanner_init(&scanner, MAX_BYTES);
    assert_int_equal(resp_scan(&scanner, buf_str(&bytes), &n_bytes, &err), -ERR_TOO_LARGE);
}

/* A line without an end, a reply of many small values, an arena that is too small. */
static void
test_limits(void **state)
{
    static char line[RESP_MAX_LINE_BYTES + 2];
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(512);
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(1 << 20);
    struct resp_scanner scanner;
    const struct redis_value *value;
    size_t n_bytes;
    struct error err;

    (void)state;
    (void)memset(line, '+', sizeof(line));
    resp_scanner_init(&scanner, SIZE_MAX);
    assert_int_equal(resp_scan(&scanner, (struct str){line, RESP_MAX_LINE_BYTES}, &n_bytes, &err),
                     0);
    assert_int_equal(
        resp_scan(&scanner, (struct str){line, RESP_MAX_LINE_BYTES + 1}, &n_bytes, &err),
        -ERR_INVALID);

    buf_append(&bytes, STR("*2000\r\n"));
    for (int i = 0; i < 2000; i++)
        buf_append(&bytes, STR("*0\r\n"));
    resp_scanner_init(&scanner, bytes.len - 1);
    assert_int_equal(resp_scan(&scanner, buf_str(&bytes), &n_bytes, &err), -ERR_TOO_LARGE);
    resp_scanner_init(&scanner, bytes.len);
    assert_int_equal(resp_scan(&scanner, buf_str(&bytes), &n_bytes, &err), 1);
    assert_int_equal(resp_build(buf_str(&bytes), &arena, &value, &n_bytes, &err), -ERR_NOMEM);
}

static void
test_encode(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(200);
    const struct str words[] = {STR("SET"), STR("k\r\n"), STR(""), STR_NULL};
    const struct str large[] = {STR("0123456789012345678901234567890123456789")};
    struct error err;

    (void)state;
    assert_ok(resp_encode(words, COUNT_OF(words), &out, &err), err);
    assert_str_equal(buf_str(&out), "*4\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n$0\r\n\r\n");
    for (int i = 0; i < 3; i++)
        error_ignore(resp_encode(large, 1, &out, &err));
    assert_int_equal(resp_encode(large, 1, &out, &err), -ERR_TOO_LARGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_depth),       cmocka_unit_test(test_limits),
        cmocka_unit_test(test_encode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
