/* The Meta Kaggle join on the real dump of 2017; skipped where it is not there. */

#include "tests/unit/lib/services/enrichment/kaggle_parser/services/meta_dump.h"

struct real {
    uint64_t n_rows;
    uint64_t n_doubled; /* texts that still have '' */
    uint64_t n_described;
};

static int
look_at_real(void *context, const struct meta_dataset *row, struct error *err)
{
    struct real *real = context;

    (void)err;
    real->n_rows++;
    real->n_doubled += str_find(row->description, STR("We''re")) < row->description.len;
    real->n_described += row->description.len > 0;
    assert_int_equal(row->completeness, META_NO_REF);
    assert_true(row->created_at_us > 0 && row->updated_at_us >= row->created_at_us);
    assert_true(row->slug.len > 0 && row->title.len > 0 && row->n_views >= 0);
    if (row->id == 6) {
        assert_str_equal(row->slug, "2013-american-community-survey");
        assert_int_equal(row->n_views, 18278);
        assert_true(str_find(row->description, STR("\n\nWe're publishing")) < row->description.len);
    }
    return 0;
}

static void
test_real_2017(void **state)
{
    CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;
    struct real real = {0};
    struct meta_sink sink = {.row = look_at_real, .context = &real};
    struct meta_counts counts = {0};
    struct error err;
    char path[4096];

    (void)state;
    shared_data_or_skip("meta-kaggle-2017", path, sizeof(path));
    assert_ok(kaggle_meta_source_open(path, NULL, &source, &err), err);
    assert_ok(kaggle_meta_parser_run(source, NULL, &sink, &counts, &err), err);
    check_balance(&counts);
    assert_int_equal(counts.files[META_DATASETS].n_records, 47);
    assert_int_equal(counts.files[META_VERSIONS].n_records, 106); /* on 4,441 lines */
    assert_int_equal(counts.files[META_VERSIONS].n_rejected, 0);
    assert_true(counts.is_2017_form);
    assert_int_equal(real.n_rows, 47);
    assert_int_equal(real.n_described, 47);
    assert_int_equal(real.n_doubled, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_2017),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
