/* encoder/normalizer.h: every Unicode scalar value, alone, against the reference's normalizers. */

#include "tests/unit/encoder/data.h"

#include "base/utf8.h"
#include "encoder/normalizer.h"
#include "encoder/unicode_table.h"

#define N_SCALARS 0x110000u

/* Columns of bert_normalizer_codepoints.tsv.gz. */
enum {
    COLUMN_CP,
    COLUMN_CLEAN,
    COLUMN_CJK,
    COLUMN_PUNCT,
    COLUMN_NFD,
    COLUMN_STRIPPED,
    COLUMN_LOWER,
    COLUMN_FULL,
    N_COLUMNS
};

static struct str
normalize(struct normalizer_options options, struct str text, char *out, size_t cap)
{
    static struct normalizer_run run;
    struct normalizer normalizer;
    size_t at = 0;
    size_t n;

    normalizer_init(&normalizer, options);
    run.n_marks = 0;
    n = normalizer_step(&normalizer, &run, text, &at, out, cap);
    assert_int_equal(at, text.len);
    assert_int_equal(run.n_marks, 0);
    return (struct str){out, n};
}

/* "69 307" to UTF-8. */
static struct str
encode_hex(struct str hex, char out[64])
{
    struct str rest = hex;
    struct str word;
    size_t n = 0;

    while (hex.len > 0 && str_split(&rest, ' ', &word)) {
        uint32_t code_point = 0;

        for (size_t i = 0; i < word.len; i++) {
            char c = word.ptr[i];

            code_point = code_point * 16 + (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        n += utf8_encode(code_point, out + n);
    }
    return (struct str){out, n};
}

static void
check_row(const struct str columns[N_COLUMNS], struct str input, uint32_t code_point)
{
    static const struct {
        struct normalizer_options options;
        int column;
    } modes[] = {
        {{.strip_accents = true}, COLUMN_STRIPPED},
        {{.lowercase = true}, COLUMN_LOWER},
        {{true, true, true, true}, COLUMN_FULL},
    };
    uint8_t classes = unicode_find(code_point)->classes;
    char clean = (classes & UNICODE_DROP) != 0 ? 'D' : (classes & UNICODE_SPACE) != 0 ? 'S' : 'K';
    char out[2 * NORMALIZER_ROOM];
    char wanted[64];

    if (clean != columns[COLUMN_CLEAN].ptr[0] ||
        ((classes & UNICODE_CJK) != 0) != (columns[COLUMN_CJK].ptr[0] == '1') ||
        ((classes & UNICODE_PUNCT) != 0) != (columns[COLUMN_PUNCT].ptr[0] == '1'))
        fail_msg("U+%04X: classes %d", code_point, classes);
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        struct str expected = encode_hex(columns[modes[i].column], wanted);

        if (!str_equal(normalize(modes[i].options, input, out, sizeof(out)), expected))
            fail_msg("U+%04X: column %d", code_point, modes[i].column);
    }
}

/* A code point that the table does not list: kept, no class, unchanged. */
static void
check_identity(struct str input, uint32_t code_point)
{
    char out[2 * NORMALIZER_ROOM];

    if ((unicode_find(code_point)->classes & ~(unsigned)UNICODE_WORD) != 0 ||
        !str_equal(
            normalize((struct normalizer_options){true, true, true, true}, input, out, sizeof(out)),
            input))
        fail_msg("U+%04X is not left alone", code_point);
}

static void
test_every_scalar(void **state)
{
    struct str all = read_all(shared_path("unicode/bert_normalizer_codepoints.tsv.gz"));
    struct str rest = all;
    struct str line;
    uint32_t next = 0; /* everything below has been checked */
    size_t n_rows = 0;

    (void)state;
    assert_true(str_split(&rest, '\n', &line)); /* the header */
    while (next < N_SCALARS) {
        struct str columns[N_COLUMNS] = {{0}};
        char listed[64] = {0};
        uint32_t code_point = N_SCALARS;

        if (str_split(&rest, '\n', &line) && line.len > 0) {
            for (size_t i = 0; i < N_COLUMNS; i++)
                (void)str_split(&line, '\t', &columns[i]);
            (void)encode_hex(columns[COLUMN_CP], listed);
            code_point = (uint32_t)strtoul(columns[COLUMN_CP].ptr, NULL, 16);
            n_rows++;
        }
        for (; next < code_point; next++) {
            char text[4];

            if (next >= 0xD800 && next <= 0xDFFF)
                continue;
            check_identity((struct str){text, utf8_encode(next, text)}, next);
        }
        if (code_point < N_SCALARS) {
            char text[4];

            check_row(columns, (struct str){text, utf8_encode(code_point, text)}, code_point);
            next = code_point + 1;
        }
    }
    assert_int_equal(n_rows, 234574);
    free_text(all);
}

static void
test_texts(void **state)
{
    static const struct {
        struct normalizer_options options;
        struct str text;
        const char *out;
    } rows[] = {
        {{true, true, true, true},
         STR_INIT("A\x0B"
                  "B\tC\x7F"),
         "ab c"},
        {{true, true, true, true},
         STR_INIT("\xE4\xB8\xAD"
                  "a"),
         " \xE4\xB8\xAD a"},
        {{true, false, true, true},
         STR_INIT("\xE4\xB8\xAD"
                  "a"),
         "\xE4\xB8\xAD"
         "a"},
        /* a compatibility ideograph is spaced first, then decomposed */
        {{true, true, true, true}, STR_INIT("\xEF\xA4\x80"), " \xE8\xB1\x88 "},
        {{true, true, false, true}, STR_INIT("\xC3\x89"), "\xC3\xA9"},
        {{true, true, false, false}, STR_INIT("\xC3\x89\xC2\xA0Z"), "\xC3\x89 Z"},
        {{false, true, true, true},
         STR_INIT("\x01\xC3\x89"),
         "\x01"
         "e"},
        {{true, true, true, true},
         STR_INIT("\xEA\xB0\x81"),
         "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"},
        /* U+302E (224) and U+1D165 (216) change places; a stripped mark with a class does not part
         * them, a starter does */
        {{true, true, true, true},
         STR_INIT("\xE3\x80\xAE\xCC\x81\xF0\x9D\x85\xA5"),
         "\xF0\x9D\x85\xA5\xE3\x80\xAE"},
        {{true, true, true, true},
         STR_INIT("\xE3\x80\xAE"
                  "a\xF0\x9D\x85\xA5"),
         "\xE3\x80\xAE"
         "a\xF0\x9D\x85\xA5"},
        {{true, true, true, true}, STR_INIT("a\xE2\x82z"), "az"},
        {{false, false, false, false}, STR_INIT("a\xE2\x82z"), "a\xEF\xBF\xBDz"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char out[2 * NORMALIZER_ROOM];
        struct str got = normalize(rows[i].options, rows[i].text, out, sizeof(out));

        assert_str_equal(got, rows[i].out);
    }
}

/* Many steps through a small buffer give what one step gives. */
static void
test_steps(void **state)
{
    static char whole[16 * NORMALIZER_ROOM];
    static char parts[16 * NORMALIZER_ROOM];
    static struct normalizer_run run;
    struct buf text = BUF_INIT((size_t)1 << 20);
    struct normalizer normalizer;
    struct str expected;
    size_t at = 0;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < 3000; i++)
        buf_append(&text, i % 7 == 0   ? STR("\xE3\x80\xAE\xF0\x9D\x85\xA5")
                          : i % 3 == 0 ? STR("\xEA\xB0\x81")
                                       : STR("\xC3\x89x"));
    expected = normalize((struct normalizer_options){true, true, true, true}, buf_str(&text), whole,
                         sizeof(whole));
    normalizer_init(&normalizer, (struct normalizer_options){true, true, true, true});
    run.n_marks = 0;
    while (at < text.len)
        n += normalizer_step(&normalizer, &run, buf_str(&text), &at, parts + n,
                             NORMALIZER_ROOM + 100);
    assert_true(str_equal((struct str){parts, n}, expected));
    buf_fini(&text);
}

int
main(void)
{
    static const struct data_test tests[] = {
        DATA_TEST(test_texts, NEED_NOTHING),
        DATA_TEST(test_steps, NEED_NOTHING),
        DATA_TEST(test_every_scalar, NEED_SHARED),
    };

    return run_data_tests("encoder/normalizer", tests, COUNT_OF(tests));
}
