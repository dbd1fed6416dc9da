/* The Meta Kaggle join as a run: resuming, cancelling, ceilings. */

#include "tests/unit/lib/services/enrichment/kaggle_parser/services/meta_dump.h"

/* n datasets whose versions come in the opposite order; every third has no current version, every
 * fifth one that does not exist. */
static void
write_many(const struct dump *dump, int n, size_t n_description_bytes)
{
    CLEANUP(buf_fini) struct buf datasets = BUF_INIT(DUMP_OUT_BYTES);
    CLEANUP(buf_fini) struct buf versions = BUF_INIT((size_t)256 << 20);

    buf_append(&datasets, STR(DUMP_DATASETS_HEADER));
    buf_append(&versions, STR(DUMP_VERSIONS_HEADER));
    for (int i = 1; i <= n; i++) {
        if (i % 3 == 0)
            buf_printf(&datasets, "%d,,,,,,,,,,,,,,,\n", i);
        else
            buf_printf(&datasets, "%d,,,,%d.0,,,,,,,,,,,\n", i, i % 5 ? i * 10 : i * 10 + 5);
    }
    for (int i = n; i >= 1; i--) {
        buf_printf(&versions, "%d,%d,,,,,1,T%d,t%d,,\"", i * 10, i, i, i);
        for (size_t j = 0; j < n_description_bytes; j++)
            buf_append_char(&versions, j % 80 ? 'x' : '\n');
        buf_append(&versions, STR("\",,,\n"));
    }
    assert_int_equal(buf_status(&datasets, NULL) | buf_status(&versions, NULL), 0);
    dump_write(dump, "Datasets.csv", buf_str(&datasets));
    dump_write(dump, "DatasetVersions.csv", buf_str(&versions));
}

/* Any prefix and the rest behind it are the whole. */
static void
test_resume(void **state)
{
    CLEANUP(buf_fini) struct buf whole = BUF_INIT(DUMP_OUT_BYTES);
    struct meta_counts counts = {0};
    struct dump dump;
    struct error err;

    (void)state;
    dump_init(&dump);
    write_many(&dump, 30, 10);
    assert_ok(dump_run(dump.dir, NULL, &whole, &counts, &err), err);
    assert_int_equal(counts.n_no_ref,
                     30); /* 5, 10, 20 and 25 with another version than they name */
    assert_int_equal(counts.n_minimal, 0);
    for (uint64_t skip = 0; skip <= 31; skip++) {
        CLEANUP(buf_fini) struct buf rest = BUF_INIT(DUMP_OUT_BYTES);
        struct meta_options options = {.skip_rows = skip};

        assert_ok(dump_run(dump.dir, &options, &rest, &counts, &err), err);
        assert_int_equal(counts.n_skipped_rows, skip < 30 ? skip : 30);
        assert_true(str_ends_with(buf_str(&whole), buf_str(&rest)));
        if (skip < 30) {
            char first[32];

            (void)snprintf(first, sizeof(first), "%" PRIu64 ": ", skip + 1);
            assert_true(str_starts_with(buf_str(&rest), str_from_cstr(first)));
        }
    }
    dump_fini(&dump);
}

static void
test_fingerprint(void **state)
{
    struct dump dump;
    uint64_t prints[3];
    struct error err;

    (void)state;
    dump_init(&dump);
    for (size_t i = 0; i < COUNT_OF(prints); i++) {
        CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;

        if (i != 1)
            write_many(&dump, 3 + (int)i, 10);
        assert_ok(kaggle_meta_source_open(dump.dir, NULL, &source, &err), err);
        prints[i] = kaggle_meta_source_fingerprint(source);
    }
    assert_true(prints[0] == prints[1]);
    assert_true(prints[1] != prints[2]);
    dump_fini(&dump);
}

struct stopper {
    bool by_row;
    uint64_t stop_at; /* row, or call of progress; 0: never */
    uint64_t n_rows;
    uint64_t n_calls;
    uint64_t n_bytes_read; /* told last */
    uint64_t n_bytes_total;
};

static int
stop_at_row(void *context, const struct meta_dataset *row, struct error *err)
{
    struct stopper *stopper = context;

    stopper->n_rows++;
    if (stopper->by_row && row->position == stopper->stop_at)
        return error_set(err, ERR_DISK_FULL, "the disk is full");
    return 0;
}

static int
stop_at_progress(void *context, const struct meta_progress *progress, struct error *err)
{
    struct stopper *stopper = context;

    assert_true(progress->n_bytes_read >= stopper->n_bytes_read);
    assert_true(progress->n_bytes_read <= progress->n_bytes_total);
    stopper->n_bytes_read = progress->n_bytes_read;
    stopper->n_bytes_total = progress->n_bytes_total;
    if (++stopper->n_calls == stopper->stop_at && !stopper->by_row)
        return error_set(err, ERR_CANCELLED, "enough");
    return 0;
}

static void
test_stop(void **state)
{
    static const struct {
        bool by_row;
        uint64_t stop_at; /* 0: never */
        int rc;
        uint64_t n_rows;
    } rows[] = {
        {true, 1, -ERR_DISK_FULL, 1},
        {true, 25, -ERR_DISK_FULL, 25},
        {true, 0, 0, 30000},
        {false, 1, -ERR_CANCELLED, 0},    /* within Datasets */
        {false, 5, -ERR_CANCELLED, 4369}, /* 8,192 versions read, those of the last datasets */
        {false, 0, 0, 30000},
    };
    struct dump dump;

    (void)state;
    dump_init(&dump);
    write_many(&dump, 30000, 10);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;
        struct stopper stopper = {.by_row = rows[i].by_row, .stop_at = rows[i].stop_at};
        struct meta_sink sink = {
            .row = stop_at_row, .progress = stop_at_progress, .context = &stopper};
        struct meta_counts counts = {0};
        struct error err;

        assert_ok(kaggle_meta_source_open(dump.dir, NULL, &source, &err), err);
        assert_int_equal(kaggle_meta_parser_run(source, NULL, &sink, &counts, &err), rows[i].rc);
        assert_int_equal(stopper.n_rows, rows[i].n_rows);
        if (rows[i].rc == 0)
            assert_int_equal(stopper.n_bytes_read, stopper.n_bytes_total);
    }
    dump_fini(&dump);
}

/* Versions kept aside have a ceiling of 32 MiB together: the rest stay minimal, and are counted. */
static void
test_no_room(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT((size_t)128 << 20);
    struct meta_counts counts = {0};
    struct dump dump;
    struct error err;

    (void)state;
    dump_init(&dump);
    write_many(&dump, 150, (size_t)900 << 10); /* 50 of them without a current version */
    assert_ok(dump_run(dump.dir, NULL, &out, &counts, &err), err);
    assert_int_equal(counts.files[META_VERSIONS].n_skipped[META_SKIP_NO_ROOM], 50 - 36);
    assert_int_equal(counts.n_minimal, 20 + 14);
    dump_fini(&dump);
}

static void
test_ceiling(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
    struct meta_options options = {.max_bytes = (size_t)1 << 20};
    struct dump dump;
    struct error err;

    (void)state;
    dump_init(&dump);
    write_many(&dump, 10000, 10);
    assert_int_equal(dump_run(dump.dir, &options, &out, NULL, &err), -ERR_NOMEM);
    assert_string_equal(err.message, "no room for more than 6553 datasets in 524288 bytes");
    options.max_bytes = 1000;
    assert_int_equal(dump_run(dump.dir, &options, &out, NULL, &err), -ERR_ARGS);
    dump_fini(&dump);
}

static void
test_many_tags(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
    CLEANUP(buf_fini) struct buf tags = BUF_INIT(DUMP_OUT_BYTES);
    CLEANUP(buf_fini) struct buf links = BUF_INIT(DUMP_OUT_BYTES);
    struct meta_counts counts = {0};
    struct dump dump;
    struct error err;

    (void)state;
    dump_init(&dump);
    write_many(&dump, 1, 1);
    buf_append(&tags, STR("Id,Name\n"));
    buf_append(&links, STR(DUMP_DATASET_TAGS_HEADER));
    for (int i = 1; i <= 300; i++) {
        buf_printf(&tags, "%d,tag %d\n", i, i);
        buf_printf(&links, "%d,1,%d\n", i, i);
    }
    dump_write(&dump, "Tags.csv", buf_str(&tags));
    dump_write(&dump, "DatasetTags.csv", buf_str(&links));
    assert_ok(dump_run(dump.dir, NULL, &out, &counts, &err), err);
    assert_int_equal(counts.files[META_DATASET_TAGS].n_used, 256);
    assert_int_equal(counts.files[META_DATASET_TAGS].n_skipped[META_SKIP_NO_ROOM], 44);
    assert_true(str_find(buf_str(&out), STR("tag=tag 256 ")) < out.len);
    dump_fini(&dump);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume),  cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_stop),    cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_ceiling), cmocka_unit_test(test_many_tags),

    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
