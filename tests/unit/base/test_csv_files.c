/* base/csv.h on real files that readers stumbled over; skipped where they are not there. */

#include "tests/unit/base/csv_transcript.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"

/* Counts were checked by hand against each file's content and Python's csv module; where they
 * differ from the latter, it is our rule: CR alone ends no line, extra columns are refused. */
static const struct torture {
    const char *path;
    size_t n_columns;     /* 0: the header itself is refused */
    uint64_t n_delivered; /* without the header */
    uint64_t n_rejected;
    uint64_t n_padded;
    uint64_t n_repaired;
} torture[] = {
    /* clang-format off */
    {"csv/csv-spectrum/csvs/comma_in_quotes.csv", 5, 1, 0, 0, 0},
    {"csv/csv-spectrum/csvs/empty.csv", 3, 2, 0, 0, 0},
    {"csv/csv-spectrum/csvs/empty_crlf.csv", 3, 2, 0, 0, 0},
    {"csv/csv-spectrum/csvs/escaped_quotes.csv", 2, 2, 0, 0, 0},
    {"csv/csv-spectrum/csvs/json.csv", 2, 1, 0, 0, 0},
    {"csv/csv-spectrum/csvs/location_coordinates.csv", 4, 1, 0, 0, 1},
    {"csv/csv-spectrum/csvs/newlines.csv", 3, 3, 0, 0, 0},
    {"csv/csv-spectrum/csvs/newlines_crlf.csv", 3, 3, 0, 0, 0},
    {"csv/csv-spectrum/csvs/quotes_and_newlines.csv", 2, 2, 0, 0, 0},
    {"csv/csv-spectrum/csvs/simple.csv", 3, 1, 0, 0, 0},
    {"csv/csv-spectrum/csvs/simple_crlf.csv", 3, 1, 0, 0, 0},
    {"csv/csv-spectrum/csvs/utf8.csv", 3, 2, 0, 0, 0},
    {"csv/csvlint/features/fixtures/cr-line-endings.csv", 0, 0, 0, 0, 0},
    {"csv/csvlint/features/fixtures/crlf-line-endings.csv", 3, 2, 0, 0, 0},
    {"csv/csvlint/features/fixtures/inconsistent-line-endings-unquoted.csv", 3, 2, 0, 0, 0},
    {"csv/csvlint/features/fixtures/inconsistent-line-endings.csv", 3, 2, 0, 0, 0},
    {"csv/csvlint/features/fixtures/invalid-byte-sequence.csv", 0, 0, 0, 0, 0},
    {"csv/csvlint/features/fixtures/invalid_many_rows.csv", 3, 9, 1, 0, 0},
    {"csv/csvlint/features/fixtures/lf-line-endings.csv", 3, 2, 0, 0, 0},
    {"csv/csvlint/features/fixtures/title-row.csv", 3, 3, 0, 0, 0},
    {"csv/csvlint/features/fixtures/valid.csv", 3, 2, 0, 0, 0},
    {"csv/csvlint/features/fixtures/valid_many_rows.csv", 3, 6, 0, 0, 0},
    {"csv/csvlint/features/fixtures/white space in filename.csv", 3, 2, 0, 0, 0},
    {"csv/csvlint/features/fixtures/windows-line-endings.csv", 3, 1, 0, 0, 0},
    {"csv/rust-csv/examples/data/bench/game.csv", 6, 99999, 0, 0, 0},
    {"csv/rust-csv/examples/data/bench/gtfs-mbta-stop-times.csv", 9, 9999, 0, 0, 0},
    {"csv/rust-csv/examples/data/bench/nfl.csv", 13, 9999, 0, 0, 0},
    {"csv/rust-csv/examples/data/bench/worldcitiespop.csv", 7, 20000, 0, 0, 0},
    {"csv/rust-csv/examples/data/smallpop-colon.csv", 1, 10, 0, 0, 0},
    {"csv/rust-csv/examples/data/smallpop-no-headers.csv", 4, 9, 0, 0, 0},
    {"csv/rust-csv/examples/data/smallpop.csv", 4, 10, 0, 0, 0},
    {"csv/rust-csv/examples/data/strange.csv", 0, 0, 0, 0, 0},
    {"csv/rust-csv/examples/data/uspop-latin1.csv", 5, 99, 1, 0, 0},
    {"csv/rust-csv/examples/data/uspop-null.csv", 5, 100, 0, 0, 0},
    {"csv/rust-csv/examples/data/uspop.csv", 5, 100, 0, 0, 0},
    {"csv/zsv/data/bigger-than-buff.csv", 2, 2, 0, 0, 0},
    {"csv/zsv/data/bulkdata.csv", 4, 8, 0, 0, 0},
    {"csv/zsv/data/compare/t1.csv", 7, 11, 0, 0, 0},
    {"csv/zsv/data/compare/t2.csv", 7, 14, 0, 0, 0},
    {"csv/zsv/data/compare/tolerance1.csv", 4, 1, 0, 0, 0},
    {"csv/zsv/data/compare/tolerance2.csv", 4, 1, 0, 0, 0},
    {"csv/zsv/data/fixed.csv", 1, 2, 2, 0, 0},
    {"csv/zsv/data/loans_1-overwrite.csv", 3, 5, 0, 0, 0},
    {"csv/zsv/data/loans_1.csv", 0, 0, 0, 0, 0},
    {"csv/zsv/data/mydata.csv", 3, 7, 0, 4, 0},
    {"csv/zsv/data/overwrite.csv", 5, 1, 0, 0, 0},
    {"csv/zsv/data/quoted.csv", 3, 2, 0, 0, 1},
    {"csv/zsv/data/quoted2.csv", 3, 0, 1, 0, 0},
    {"csv/zsv/data/quoted4.csv", 3, 1, 0, 0, 0},
    {"csv/zsv/data/stack1.csv", 6, 2, 0, 0, 0},
    {"csv/zsv/data/stack2-1.csv", 0, 0, 0, 0, 0},
    {"csv/zsv/data/stack2-2.csv", 62, 202, 0, 0, 0},
    {"csv/zsv/data/stack2.csv", 5, 2, 0, 0, 0},
    {"csv/zsv/data/test/2json.csv", 173, 511, 0, 0, 0},
    {"csv/zsv/data/test/2tsv-1.csv", 173, 511, 0, 0, 0},
    {"csv/zsv/data/test/2tsv-2.csv", 3, 1, 0, 0, 0},
    {"csv/zsv/data/test/6x3.csv", 3, 6, 0, 0, 0},
    {"csv/zsv/data/test/blank-leading-rows.csv", 11, 6, 0, 6, 0},
    {"csv/zsv/data/test/buffsplit_quote.csv", 86, 999, 0, 0, 0},
    {"csv/zsv/data/test/check.csv", 3, 4, 3, 2, 0},
    {"csv/zsv/data/test/crlf-2.csv", 4, 3, 0, 2, 0},
    {"csv/zsv/data/test/crlf-line-ending.csv", 3, 1870, 876, 0, 0},
    {"csv/zsv/data/test/desc-trim.csv", 3, 3, 0, 0, 0},
    {"csv/zsv/data/test/desc.csv", 173, 511, 0, 0, 0},
    {"csv/zsv/data/test/echo-contiguous.csv", 6, 0, 3, 0, 0},
    {"csv/zsv/data/test/echo-quoted.csv", 3, 0, 1, 0, 0},
    {"csv/zsv/data/test/echo-skip-until.csv", 3, 5, 0, 0, 0},
    {"csv/zsv/data/test/echo-trim-columns-pad.csv", 2, 1, 2, 1, 0},
    {"csv/zsv/data/test/echo-trim-columns.csv", 6, 0, 3, 0, 0},
    {"csv/zsv/data/test/echo-trim.csv", 2, 0, 1, 0, 0},
    {"csv/zsv/data/test/embedded.csv", 3, 4, 0, 0, 0},
    {"csv/zsv/data/test/embedded_dos.csv", 3, 4, 0, 0, 0},
    {"csv/zsv/data/test/flatten-2.csv", 5, 1539, 0, 0, 0},
    {"csv/zsv/data/test/flatten.csv", 3, 87892, 0, 0, 0},
    {"csv/zsv/data/test/header-only.csv", 3, 0, 0, 0, 0},
    {"csv/zsv/data/test/invalid_surrogate_pair.csv", 7, 0, 1, 0, 0},
    {"csv/zsv/data/test/latin1.csv", 5, 3, 4, 0, 0},
    {"csv/zsv/data/test/mixed-line-endings.csv", 3, 1870, 876, 0, 0},
    {"csv/zsv/data/test/no-eol-1.csv", 2, 3, 0, 0, 0},
    {"csv/zsv/data/test/no-eol-2.csv", 2, 3, 0, 0, 0},
    {"csv/zsv/data/test/no-eol-3.csv", 2, 3, 0, 1, 0},
    {"csv/zsv/data/test/no-eol-4.csv", 2, 2, 0, 0, 0},
    {"csv/zsv/data/test/pretty-2.csv", 4, 6, 1, 6, 0},
    {"csv/zsv/data/test/pretty-escape.csv", 2, 1, 0, 0, 0},
    {"csv/zsv/data/test/pretty.csv", 173, 511, 0, 1, 0},
    {"csv/zsv/data/test/quoted3.csv", 2, 0, 1, 0, 0},
    {"csv/zsv/data/test/quoted_nonstandard.csv", 10, 100, 0, 0, 28},
    {"csv/zsv/data/test/select-13.csv", 3, 2, 0, 1, 0},
    {"csv/zsv/data/test/select-merge.csv", 346, 511, 0, 0, 0},
    {"csv/zsv/data/test/serialize.csv", 173, 511, 0, 0, 0},
    {"csv/zsv/data/test/sql.csv", 173, 511, 0, 0, 0},
    {"csv/zsv/data/test/white.csv", 3, 1, 0, 0, 0},
    {"csv/zsv/data/test/white_utf8.csv", 3, 1, 0, 0, 0},
    /* clang-format on */
};

static void
read_shared_file(const char *name, struct buf *text)
{
    struct error err;
    char path[4096];

    shared_data_or_skip(name, path, sizeof(path));
    buf_clear(text);
    assert_ok(file_read(path, text, &err), err);
}

static void
test_torture_files(void **state)
{
    static const struct csv_options options = {0};
    CLEANUP(buf_fini) struct buf text = BUF_INIT(OUT_BYTES);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(torture); i++) {
        CLEANUP(csv_reader_freep) struct csv_reader *reader = NULL;
        const struct csv_counts *counts;
        struct csv_memory memory = {0};
        struct csv_record record;
        size_t n_columns = 0;
        struct error err;
        int rc;

        read_shared_file(torture[i].path, &text);
        memory.text = buf_str(&text);
        assert_ok(csv_reader_create(&options, csv_input_memory(&memory), &reader, &err), err);
        while ((rc = csv_reader_next(reader, &record, &err)) > 0)
            n_columns = record.record_no ? n_columns : record.n_fields;
        counts = csv_reader_counts(reader);
        if (rc != (torture[i].n_columns ? 0 : -ERR_INVALID) || n_columns != torture[i].n_columns ||
            counts->n_delivered != torture[i].n_delivered ||
            counts->n_rejected != torture[i].n_rejected ||
            counts->n_padded != torture[i].n_padded || counts->n_repaired != torture[i].n_repaired)
            fail_msg(
                "%s: rc %d, %zu columns, %ju delivered, %ju rejected, %ju padded, %ju repaired",
                torture[i].path, rc, n_columns, (uintmax_t)counts->n_delivered,
                (uintmax_t)counts->n_rejected, (uintmax_t)counts->n_padded,
                (uintmax_t)counts->n_repaired);
        compare_kernels(memory.text, &options, 1000);
    }
}

/* csv-spectrum says in JSON what each file means.  Two of its pairs contradict each other as
 * stored: location_coordinates, and newlines_crlf, whose CSV has lost its CRs. */
static void
test_spectrum(void **state)
{
    static const char *const names[] = {"comma_in_quotes",
                                        "empty",
                                        "empty_crlf",
                                        "escaped_quotes",
                                        "json",
                                        "newlines",
                                        "quotes_and_newlines",
                                        "simple",
                                        "simple_crlf",
                                        "utf8"};
    CLEANUP(buf_fini) struct buf text = BUF_INIT(OUT_BYTES);
    CLEANUP(buf_fini) struct buf meaning = BUF_INIT(OUT_BYTES);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        CLEANUP(csv_reader_freep) struct csv_reader *reader = NULL;
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(OUT_BYTES);
        struct csv_memory memory = {0};
        struct str header[16] = {{0}};
        struct csv_record record;
        struct json value;
        struct error err;
        char name[128];
        bool ok = true;

        (void)snprintf(name, sizeof(name), "csv/csv-spectrum/csvs/%s.csv", names[i]);
        read_shared_file(name, &text);
        (void)snprintf(name, sizeof(name), "csv/csv-spectrum/json/%s.json", names[i]);
        read_shared_file(name, &meaning);
        assert_ok(json_parse(buf_str(&meaning), NULL, &arena, &value, &err), err);
        memory.text = buf_str(&text);
        assert_ok(csv_reader_create(NULL, csv_input_memory(&memory), &reader, &err), err);
        assert_int_equal(csv_reader_next(reader, &record, &err), 1);
        for (size_t j = 0; j < record.n_fields; j++)
            header[j] = arena_dup(&arena, csv_field(&record, j), &ok);
        assert_true(ok);
        for (size_t row = 0; row < value.array.n_items; row++) {
            assert_int_equal(csv_reader_next(reader, &record, &err), 1);
            for (size_t j = 0; j < record.n_fields; j++) {
                struct str expected = json_get_str(&value.array.items[row], header[j]);
                struct str field = csv_field(&record, j);

                if (!str_equal(field, expected))
                    fail_msg("%s: '%.*s' is not '%.*s'", name, STR_ARG(field), STR_ARG(expected));
            }
        }
        assert_int_equal(csv_reader_next(reader, &record, &err), 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torture_files),
        cmocka_unit_test(test_spectrum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
