/* The Meta Kaggle join with each of its allocations failing in turn: an error, no leak, no crash,
 * and nothing told that is not true.  Linked with --wrap for malloc, calloc and realloc. */

#include "tests/unit/lib/services/enrichment/kaggle_parser/services/meta_dump.h"

#include "tests/unit/failing_allocations.h"

static int
count_row(void *context, const struct meta_dataset *row, struct error *err)
{
    size_t *n_rows = context;

    (void)row;
    (void)err;
    (*n_rows)++;
    return 0;
}

static int
run(const struct dump *dump, struct meta_counts *counts, size_t *n_rows, struct error *err)
{
    CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;
    struct meta_sink sink = {.row = count_row, .context = n_rows};
    int rc = kaggle_meta_source_open(dump->dir, NULL, &source, err);

    return rc < 0 ? rc : kaggle_meta_parser_run(source, NULL, &sink, counts, err);
}

/* A description past the first buffer, and more columns than the first array of fields. */
static void
write_wide(const struct dump *dump)
{
    CLEANUP(buf_fini) struct buf versions = BUF_INIT(DUMP_OUT_BYTES);
    CLEANUP(buf_fini) struct buf tags = BUF_INIT(DUMP_OUT_BYTES);

    buf_append(&versions, STR("Id,DatasetId,Name,Slug,Overview,Description\n11,1,T''s,s,,\""));
    for (int i = 0; i < 300000; i++)
        buf_append_char(&versions, 'x');
    buf_append(&versions, STR("\"\n"));
    dump_write(dump, "DatasetVersions.csv", buf_str(&versions));
    buf_append(&tags, STR("Id,Name"));
    for (int i = 0; i < 100; i++)
        buf_printf(&tags, ",x%d", i);
    buf_append(&tags, STR("\n1,pets\n"));
    dump_write(dump, "Tags.csv", buf_str(&tags));
    dump_write(dump, "Datasets.csv", STR(DUMP_DATASETS_HEADER "1,,5,,11,,,,,,,,,,,\n"));
    dump_write(dump, "Users.csv", STR(DUMP_USERS_HEADER "5,alice,,,,\n"));
    dump_write(dump, "DatasetTags.csv", STR(DUMP_DATASET_TAGS_HEADER "1,1,1\n"));
}

static void
test_each_allocation_fails(void **state)
{
    struct dump dump;
    int n = 0;

    (void)state;
    dump_init(&dump);
    write_wide(&dump);
    do {
        struct meta_counts counts = {.n_minimal = 7};
        struct error err = {0};
        size_t n_rows = 0;
        int rc;

        has_failed = false;
        n_until_failure = ++n;
        rc = run(&dump, &counts, &n_rows, &err);
        n_until_failure = 0;
        if (has_failed && rc != -ERR_NOMEM)
            fail_msg("allocation %d failed, and the join said %d", n, rc);
        if (has_failed) {
            assert_int_equal(counts.n_minimal, 7); /* out survives a failure */
            assert_int_equal(n_rows, 0);
            assert_true(err.message[0] != '\0');
        } else {
            assert_ok(rc, err);
            assert_int_equal(counts.n_complete, 1);
            assert_int_equal(n_rows, 1);
        }
    } while (has_failed);
    assert_true(n > 40); /* the wrappers are in place */
    dump_fini(&dump);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
