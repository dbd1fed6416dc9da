/* base/csv.h: the dialect, bad records and the way back after them, limits, inputs. */

#include "tests/unit/base/csv_transcript.h"

#include <unistd.h>

/* ---- the dialect ---- */

static void
test_dialect(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"", ""},
        {"\n\r\n\n", ""},
        {"a", "[a]\n"},
        {"a,b\n1,2\n", "[a|b]\n[1|2]\n"},
        {"a,b\r\n1,2\r\n3,4", "[a|b]\n[1|2]\n[3|4]\n"},
        {"\xEF\xBB\xBF\"a\",b\n1,\"2\"", "['a'|b]\n[1|'2']\n"},
        {"\xEF\xBB\xBF", ""},
        {"a,b\n,\n\"\",\n,\"\"\r\n", "[a|b]\n[|]\n[''|]\n[|'']\n"},
        {"a,b\n\n1,2\n\r\n3,4\n\n", "[a|b]\n[1|2]\n[3|4]\n"},
        {"a\n\"\"\n", "[a]\n['']\n"},
        {"a,b\n\"1,\"\"2\"\"\",\"\"\"\"\n", "[a|b]\n['1,\"2\"'|'\"']\n"},
        {"a,b\n\"x\ny\r\nz\",2\n3,4\n", "[a|b]\n['x\ny\r\nz'|2]\n[3|4]\n"},
        {"a\n\"\\\"\" + alert(1212)\"\n", "[a]\n['\\\" + alert(1212)']\n"},
        {"a,b\n\"1\"\r\n", "[a|b]\n['1'|-]+\n"},
        {"a,b\n1\r,2\r\r\n", "[a|b]\n[1\r|2\r]\n"}, /* a lone CR is text */
        {"a,b\n\"1\",\"2\"", "[a|b]\n['1'|'2']\n"},
        {"a,b\n\"1\",\"2\"\r", "[a|b]\n['1'|'2']\n"},
        {"a,b\n1,2\r", "[a|b]\n[1|2]\n"},
        {"a,b\n1, \"2\"\n", "[a|b]\n[1| \"2\"~]\n"},
        {"a,b\n5\" disk,\"x\"\n1,2\n", "[a|b]\n[5\" disk|'x'~]\n[1|2]\n"},
        {"a,b,c\n1\n1,2\n1,2,3\n", "[a|b|c]\n[1|-|-]+\n[1|2|-]+\n[1|2|3]\n"},
    };
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t j = 0; j < COUNT_OF(kernels); j++) {
            for (size_t step = 0; step < 4; step++) {
                if (transcribe(str_from_cstr(rows[i].text), step, NULL, kernels[j], false, &out))
                    assert_str_equal(buf_str(&out), rows[i].expected);
            }
        }
    }
}

/* ---- bad records ---- */

static void
test_bad_records(void **state)
{
    static const struct {
        struct str text;
        unsigned flags;
        const char *expected;
    } rows[] = {
        {STR_INIT("a,b\n1,2,3\n4,5\n"), 0,
         "0@0:1[a|b]\n!1@4:2+6 more columns than the header\n2@10:3[4|5]\n"},
        {STR_INIT("a,b\n1,2,3\n4,5\n"), CSV_KEEP_LONG, "0@0:1[a|b]\n1@4:2[1|2|3]\n2@10:3[4|5]\n"},
        {STR_INIT("a,b\n1\n4,5\n"), CSV_REJECT_SHORT,
         "0@0:1[a|b]\n!1@4:2+2 fewer columns than the header\n2@6:3[4|5]\n"},
        {STR_INIT("a,b\n5\" x,1\n4,5\n"), CSV_REJECT_BARE_QUOTE,
         "0@0:1[a|b]\n!1@4:2+7 a quote in a field that is not quoted\n2@11:3[4|5]\n"},
        {STR_INIT("a,b\n\"x\"y,1\n4,5\n"), 0,
         "0@0:1[a|b]\n!1@4:2+7 text after a closing quote\n2@11:3[4|5]\n"},
        {STR_INIT("a,b\n\"x\"\ry,1\n4,5\n"), 0,
         "0@0:1[a|b]\n!1@4:2+8 text after a closing quote\n2@12:3[4|5]\n"},
        /* a stray quote swallows what follows, up to the next quote or the end */
        {STR_INIT("a,b\n1,\"x\n2,y\n3,z\n"), 0,
         "0@0:1[a|b]\n!1@4:2+5 a quoted field never ends\n2@9:3[2|y]\n3@13:4[3|z]\n"},
        {STR_INIT("a,b\n1,\"x\n2,y\n3,\"z\"\n4,w\n"), 0,
         "0@0:1[a|b]\n!1@4:2+5 text after a closing quote\n2@9:3[2|y]\n3@13:4[3|'z']\n"
         "4@19:5[4|w]\n"},
        {STR_INIT("a,b\n1,\"x\n2,\",\"z\"\n4,w\n"), 0,
         "0@0:1[a|b]\n!1@4:2+13 more columns than the header\n2@17:4[4|w]\n"},
        {STR_INIT("a,b,c\n1,\"x\n2,y,z\n3,\"\n4,5,6\n"), 0,
         "0@0:1[a|b|c]\n!1@6:2+5 fewer columns than the header\n2@11:3[2|y|z]\n"
         "!3@17:4+4 a quoted field never ends\n4@21:5[4|5|6]\n"},
        {STR_INIT("a,b\n\"x\"y,\"p\nq\",r\n4,5\n"), 0,
         "0@0:1[a|b]\n!1@4:2+13 text after a closing quote\n2@17:4[4|5]\n"},
        {STR_INIT("a,b\n1,2\n3,\""), 0,
         "0@0:1[a|b]\n1@4:2[1|2]\n!2@8:3+3 a quoted field never ends\n"},
        {STR_INIT("a,b\n1,\0\n4,5\n"), 0, "0@0:1[a|b]\n!1@4:2+4 a NUL byte\n2@8:3[4|5]\n"},
        {STR_INIT("a,b\n1,\xFF\n4,5\n"), 0, "0@0:1[a|b]\n!1@4:2+4 not UTF-8\n2@8:3[4|5]\n"},
        {STR_INIT("a,b\n1,\xC3\n4,5\n"), CSV_ALLOW_BAD_UTF8,
         "0@0:1[a|b]\n1@4:2[1|\xC3]\n2@8:3[4|5]\n"},
        {STR_INIT("a\"b\n1\n"), CSV_REJECT_BARE_QUOTE,
         "ERR_INVALID: bad CSV header: a quote in a field that is not quoted\n"},
        {STR_INIT("\"a\n1\n"), 0, "ERR_INVALID: bad CSV header: a quoted field never ends\n"},
    };
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct csv_options options = {.flags = rows[i].flags};

        for (size_t j = 0; j < COUNT_OF(kernels); j++) {
            for (size_t step = 0; step < 3; step++) {
                if (transcribe(rows[i].text, step, &options, kernels[j], true, &out))
                    assert_str_equal(buf_str(&out), rows[i].expected);
            }
        }
    }
}

/* n bytes of c between two texts. */
static struct str
padded(struct buf *text, const char *before, char c, size_t n, const char *after)
{
    buf_clear(text);
    buf_append(text, str_from_cstr(before));
    for (size_t i = 0; i < n; i++)
        buf_append_char(text, c);
    buf_append(text, str_from_cstr(after));
    assert_int_equal(buf_status(text, NULL), 0);
    return buf_str(text);
}

static void
test_limits(void **state)
{
    static const struct {
        const char *before;
        char c;
        size_t n;
        const char *after;
        size_t max_field;
        size_t max_record;
        size_t max_columns;
        const char *defect; /* of record 1, or NULL where it is fine */
    } rows[] = {
        {"a,b\n", 'x', 100, ",2\n3,4\n", 100, 1000, 0, NULL},
        {"a,b\n", 'x', 101, ",2\n3,4\n", 100, 1000, 0, "a field is longer"},
        {"a,b\n\"", 'x', 100, "\",2\n3,4\n", 100, 1000, 0, NULL},
        {"a,b\n\"", 'x', 101, "\",2\n3,4\n", 100, 1000, 0, "a field is longer"},
        {"a,b\n\"", '\n', 101, "\",2\n3,4\n", 100, 1000, 0, "a field is longer"},
        {"a,b\n\"", '"', 102, "\",2\n3,4\n", 100, 1000, 0, "a field is longer"},
        {"a,b\nxxxx,", 'x', 96, "\n3,4\n", 100, 101, 0, NULL},
        {"a,b\nxxxx,", 'x', 97, "\n3,4\n", 100, 101, 0, "the record is longer"},
        {"a,b\n", ',', 5, "\n3,4\n", 100, 1000, 5, "more columns"},
        {"a,b\n", 'x', (1 << 20) - 1, ",2\n3,4\n", 0, 0, 0, NULL},
        {"a,b\n", 'x', (1 << 20) + 1, ",2\n3,4\n", 0, 0, 0, "a field is longer"},
        {"a,b\n\"", 'x', (3 << 20), ",2\n3,4\n", 0, 0, 0, "a field is longer"},
        {"a,b\n", ',', (5 << 20), "\n3,4\n", 0, 0, 0, "more columns"},
    };
    CLEANUP(buf_fini) struct buf text = BUF_INIT(OUT_BYTES);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct csv_options options = {.max_field_bytes = rows[i].max_field,
                                      .max_record_bytes = rows[i].max_record,
                                      .max_columns = rows[i].max_columns};

        (void)padded(&text, rows[i].before, rows[i].c, rows[i].n, rows[i].after);
        for (size_t j = 0; j < COUNT_OF(kernels); j++) {
            bool is_rejected;

            if (!transcribe(buf_str(&text), 0, &options, kernels[j], false, &out))
                continue;
            is_rejected = str_find(buf_str(&out), STR("!1@4:2")) < out.len;
            assert_int_equal(is_rejected, rows[i].defect != NULL);
            if (rows[i].defect)
                assert_true(str_find(buf_str(&out), str_from_cstr(rows[i].defect)) < out.len);
            assert_true(str_ends_with(buf_str(&out), STR("[3|4]\n"))); /* the neighbour lives */
        }
    }
}

static void
test_refuse_options(void **state)
{
    static const struct {
        struct csv_options options;
        int rc;
    } rows[] = {
        {{.max_field_bytes = 5, .max_record_bytes = 4}, -ERR_ARGS},
        {{.max_record_bytes = (size_t)2 << 30}, -ERR_ARGS},
        {{.max_columns = (size_t)1 << 21}, -ERR_ARGS},
        {{.n_columns = 6, .max_columns = 5}, -ERR_ARGS},
        {{.n_columns = 5, .max_columns = 5}, 0},
    };
    struct csv_memory memory = {.text = STR("")};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct csv_reader *reader = NULL;

        assert_int_equal(
            csv_reader_create(&rows[i].options, csv_input_memory(&memory), &reader, NULL),
            rows[i].rc);
        assert_int_equal(reader == NULL, rows[i].rc < 0);
        csv_reader_free(reader);
    }
}

/* With n_columns there is no header: the first record is number 1. */
static void
test_without_header(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);
    struct csv_options options = {.n_columns = 2};

    (void)state;
    assert_true(transcribe(STR("1,2\n3\n4,5,6\n"), 0, &options, CSV_KERNEL_BEST, true, &out));
    assert_str_equal(buf_str(&out),
                     "1@0:1[1|2]\n2@4:2[3|-]+\n!3@6:3+6 more columns than the header\n");
}

/* ---- inputs ---- */

static int
fail_later(void *context, char *out, size_t cap, size_t *n, struct error *err)
{
    int *n_calls = context;

    (void)cap;
    if ((*n_calls)++)
        return error_set(err, ERR_IO, "the cable is out");
    (void)memcpy(out, "a\n1\n2", 5);
    *n = 5;
    return 0;
}

static void
test_input_failure(void **state)
{
    CLEANUP(csv_reader_freep) struct csv_reader *reader = NULL;
    int n_calls = 0;
    struct csv_record record;
    struct error err;

    (void)state;
    assert_ok(csv_reader_create(NULL, (struct csv_input){fail_later, &n_calls}, &reader, &err),
              err);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(csv_reader_next(reader, &record, &err), -ERR_IO);
        assert_string_equal(err.message, "the cable is out");
    }
    assert_int_equal(n_calls, 2); /* a failure sticks */
}

static void
test_pipe(void **state)
{
    CLEANUP(csv_reader_freep) struct csv_reader *reader = NULL;
    struct csv_record record;
    struct error err;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "a,b\n1,2\n", 8), 8);
    (void)close(ends[1]);
    assert_ok(csv_reader_create(NULL, csv_input_fd(&ends[0]), &reader, &err), err);
    assert_int_equal(csv_reader_next(reader, &record, &err), 1);
    assert_int_equal(csv_reader_next(reader, &record, &err), 1);
    assert_str_equal(csv_field(&record, 1), "2");
    assert_null(csv_field(&record, 2).ptr);
    assert_int_equal(csv_field_form(&record, 2), CSV_FIELD_MISSING);
    assert_int_equal(csv_reader_next(reader, &record, &err), 0);
    assert_int_equal(csv_reader_next(reader, &record, &err), 0);
    (void)close(ends[0]);
}

/* ---- all kernels against the state machine ---- */

static uint32_t
next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Pieces that meet in every way: a soup of separators, or mostly good records with a few faults. */
static void
make_text(uint32_t *random, size_t n_pieces, bool is_soup, struct buf *text)
{
    static const char *const soup[] = {"\"", ",",        "\n",    "\r",    "\r\n", "\"\"", "a",
                                       "bc", "\xC3\xA9", "\"a\"", "\",\"", "\xFF", "\"\n"};
    static const char *const good[] = {
        "1,2,3\n",         "\"a\",\"b\",\"c\"\n",
        "1,\"x\ny\",\r\n", "12345678,\"say \"\"hi\"\"\",\"\"\n",
        "caf\xC3\xA9,,\n", "\"a rather long field, with commas, that fills a block\",,\n"};

    buf_clear(text);
    buf_append(text, STR("p,q,r\n"));
    for (size_t i = 0; i < n_pieces; i++) {
        if (is_soup || next_random(random) % 50 == 0)
            buf_append(text, str_from_cstr(soup[next_random(random) % COUNT_OF(soup)]));
        else
            buf_append(text, str_from_cstr(good[next_random(random) % COUNT_OF(good)]));
        if (next_random(random) % 500 == 0)
            buf_append_char(text, '\0');
    }
}

static void
test_kernels_agree(void **state)
{
    static const struct {
        size_t n_texts;
        size_t n_pieces;
        bool is_soup;
        struct csv_options options;
    } rows[] = {
        {3000, 60, true, {0}},
        {1000, 60, true, {.flags = CSV_REJECT_BARE_QUOTE | CSV_REJECT_SHORT}},
        {1000, 60, true, {.flags = CSV_KEEP_LONG | CSV_ALLOW_NUL | CSV_ALLOW_BAD_UTF8}},
        {1000, 60, true, {.max_field_bytes = 9, .max_record_bytes = 20, .max_columns = 5}},
        {100, 2000, true, {0}},
        {100, 2000, true, {.n_columns = 3, .flags = CSV_KEEP_LONG | CSV_ALLOW_BAD_UTF8}},
        {500, 200, false, {0}},
        {4, 40000, false, {0}},
        {4, 40000, false, {.max_field_bytes = 2000, .max_record_bytes = 3000}},
    };
    CLEANUP(buf_fini) struct buf text = BUF_INIT(OUT_BYTES);
    uint32_t random = 7;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t j = 0; j < rows[i].n_texts; j++) {
            make_text(&random, rows[i].n_pieces, rows[i].is_soup, &text);
            compare_kernels(buf_str(&text), &rows[i].options, next_random(&random) % 100);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialect),        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_refuse_options),
        cmocka_unit_test(test_without_header), cmocka_unit_test(test_input_failure),
        cmocka_unit_test(test_pipe),           cmocka_unit_test(test_kernels_agree),

    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
