/* kaggle_parser/mapper.h, file_formats.h, source_meta.h. */

#include "tests/unit/check.h"

#include <math.h>
#include <stdio.h>

#include <trawl/error.h>

#include "lib/services/enrichment/kaggle_parser/file_formats.h"
#include "lib/services/enrichment/kaggle_parser/mapper.h"
#include "lib/services/enrichment/kaggle_parser/source_meta.h"

#define ARENA_BYTES ((size_t)16 << 20)

static struct kaggle_api_dataset
api_dataset(void)
{
    static const struct str tags[] = {STR_INIT("subject > earth and nature"), STR_INIT("nlp"),
                                      STR_INIT("NLP"), STR_INIT("  ")};
    static const struct str columns[] = {STR_INIT("id"), STR_INIT("value"), STR_INIT("ID")};
    static const struct kaggle_api_file files[] = {
        {.name = STR_INIT("data.csv"),
         .file_type = STR_INIT(".csv"),
         .total_bytes = 1,
         .columns = {columns, COUNT_OF(columns)}},
        {.name = STR_INIT("more.JSON"), .total_bytes = 1},
    };

    return (struct kaggle_api_dataset){
        .id = 3093616,
        .ref = STR("Owner/slug/versions/4"),
        .title = STR("Facebook <b>Users</b>\n&amp; more"),
        .subtitle = STR("By country"),
        .description = STR("### Context\n\n<p>Numbers.</p>"),
        .license_name = STR("CC0: Public Domain"),
        .owner_name = STR("Faisal"),
        .total_bytes = 4617,
        .last_updated_us = 1680739225000000,
        .n_downloads = 2579,
        .n_views = 14532,
        .n_votes = 54,
        .n_kernels = 8,
        .n_topics = KAGGLE_NO_NUMBER,
        .version_number = 4,
        .usability_rating = 0.5,
        .tags = {tags, COUNT_OF(tags)},
        .files = files,
        .n_files = COUNT_OF(files),
    };
}

static void
test_view(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct kaggle_api_dataset in = api_dataset();
    struct dataset row;
    struct error err;

    (void)state;
    assert_ok(kaggle_mapper_from_api(&in, KAGGLE_VIEW, &arena, &row, &err), err);
    assert_str_equal(row.source_name, "kaggle");
    assert_str_equal(row.external_id, "Owner/slug");
    assert_str_equal(row.source_key, "3093616");
    assert_str_equal(row.url, "https://www.kaggle.com/datasets/Owner/slug");
    assert_str_equal(row.title, "Facebook Users & more");
    assert_str_equal(row.description, "By country\n\n### Context\n\nNumbers.");
    assert_str_equal(row.license, "CC0-1.0");
    assert_int_equal(row.tags.n_items, 2);
    assert_str_equal(row.tags.items[0], "earth and nature");
    assert_str_equal(row.tags.items[1], "nlp");
    assert_int_equal(row.file_formats.n_items, 2);
    assert_str_equal(row.file_formats.items[1], "json");
    assert_int_equal(row.column_names.n_items, 2);
    assert_str_equal(row.column_names.items[1], "value");
    assert_int_equal(row.total_size_bytes, 4617);
    assert_int_equal(row.download_count, 2579);
    assert_int_equal(row.view_count, 14532);
    assert_int_equal(row.like_count, 54);
    assert_int_equal(row.row_count, DATASET_UNKNOWN);
    assert_int_equal(row.source_created_at_us, DATASET_UNKNOWN);
    assert_int_equal(row.source_updated_at_us, 1680739225000000);
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_str_equal(row.source_meta,
                     "{\"subtitle\":\"By country\",\"version_number\":4,\"kernel_count\":8,"
                     "\"owner_name\":\"Faisal\",\"usability_rating\":0.5,\"file_count\":2}");
    arena_fini(&arena);
}

static void
test_list_row_sends_no_description(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct kaggle_api_dataset in = api_dataset();
    struct dataset row;
    struct error err;
    bool ok = true;

    (void)state;
    in.description = STR_NULL;
    in.files = NULL;
    in.n_files = 0;
    in.tags = (struct str_list){NULL, 0};
    assert_ok(kaggle_mapper_from_api(&in, KAGGLE_LIST_ROW, &arena, &row, &err), err);
    assert_int_equal(row.status, DATASET_MINIMAL);
    assert_null(row.description.ptr);
    assert_null(row.tags.items);
    assert_null(row.file_formats.items);
    assert_str_equal(kaggle_mapper_subtitle(&in, &arena, &ok), "By country");
    arena_fini(&arena);
}

static void
test_join_of_subtitle_and_description(void **state)
{
    static const struct {
        const char *title;
        const char *subtitle;
        const char *description;
        const char *joined; /* NULL: absent */
    } rows[] = {
        {"T", "Sub", "Text", "Sub\n\nText"},
        {"T", "Sub", NULL, "Sub"},
        {"T", "Sub", "", "Sub"},
        {"T", NULL, "Text", "Text"},
        {"T", "", "Text", "Text"},
        {"T", "Sub", "sub title of all", "sub title of all"},
        {"T", "Sub", "About: Sub and more", "About: Sub and more"},
        {"Same", "same", "Text", "Text"},
        {"Same", "Same", NULL, ""},
        {"T", NULL, NULL, NULL},
        {"T", "<i>Sub</i>", "&lt;Text", "Sub\n\n<Text"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct kaggle_api_dataset in = api_dataset();
        struct dataset row;
        struct error err;

        in.title = str_from_cstr(rows[i].title);
        in.subtitle = str_from_cstr(rows[i].subtitle);
        in.description = str_from_cstr(rows[i].description);
        assert_ok(kaggle_mapper_from_api(&in, KAGGLE_VIEW, &arena, &row, &err), err);
        if (rows[i].joined)
            assert_str_equal(row.description, rows[i].joined);
        assert_int_equal(row.description.ptr == NULL, rows[i].joined == NULL);
        arena_fini(&arena);
    }
}

static void
test_refused(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct kaggle_api_dataset in = api_dataset();
    struct dataset row = {.row_id = 42};
    struct error err;

    (void)state;
    in.is_private = true;
    assert_int_equal(kaggle_mapper_from_api(&in, KAGGLE_VIEW, &arena, &row, &err), -ERR_INVALID);
    in = api_dataset();
    in.ref = STR("no reference");
    assert_int_equal(kaggle_mapper_from_api(&in, KAGGLE_VIEW, &arena, &row, &err), -ERR_INVALID);
    assert_int_equal(row.row_id, 42);
    arena_fini(&arena);
}

static void
test_merge_metadata(void **state)
{
    static const struct str keywords[] = {STR_INIT("finance")};
    struct kaggle_api_dataset metadata = {
        .title = STR("other title"),
        .description = STR("from metadata"),
        .license_name = STR("CC0-1.0"),
        .update_frequency = STR("never"),
        .n_views = 1,
        .n_votes = 2,
        .n_downloads = 3,
        .usability_rating = 0.9,
        .tags = {keywords, 1},
    };
    struct kaggle_api_dataset dataset = api_dataset();

    (void)state;
    dataset.description = STR(" ");
    dataset.license_name = STR_NULL;
    dataset.n_views = KAGGLE_NO_NUMBER;
    dataset.tags = (struct str_list){NULL, 0};
    kaggle_mapper_merge_metadata(&metadata, &dataset);
    assert_str_equal(dataset.title, "Facebook <b>Users</b>\n&amp; more");
    assert_str_equal(dataset.description, "from metadata");
    assert_str_equal(dataset.license_name, "CC0-1.0");
    assert_str_equal(dataset.update_frequency, "never");
    assert_int_equal(dataset.n_views, 1);
    assert_int_equal(dataset.n_votes, 54);
    assert_float_equal(dataset.usability_rating, 0.5, 0);
    assert_int_equal(dataset.tags.n_items, 1);
    assert_int_equal(dataset.n_files, 2);
}

static struct meta_dataset
meta_row(void)
{
    return (struct meta_dataset){
        .position = 1,
        .id = 310,
        .version_number = 3,
        .ref = STR("mlg-ulb/creditcardfraud"),
        .owner = STR("mlg-ulb"),
        .slug = STR("creditcardfraud"),
        .title = STR("Credit Card Fraud Detection"),
        .subtitle = STR("Anonymized transactions"),
        .description = STR("Context"),
        .license = STR("Database: Open Database, Contents: Database Contents"),
        .n_bytes = 150828752,
        .created_at_us = 1478159938000000,
        .updated_at_us = 1521763232000000,
        .n_views = 100,
        .n_downloads = 10,
        .n_votes = -1,
        .n_kernels = 5,
        .owner_kind = META_OWNER_ORGANIZATION,
        .completeness = META_COMPLETE,
    };
}

static void
test_dump_row(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct meta_dataset in = meta_row();
    struct dataset row;
    struct error err;

    (void)state;
    assert_ok(kaggle_mapper_from_meta(&in, &arena, &row, &err), err);
    assert_str_equal(row.external_id, "mlg-ulb/creditcardfraud");
    assert_str_equal(row.source_key, "310");
    assert_str_equal(row.url, "https://www.kaggle.com/datasets/mlg-ulb/creditcardfraud");
    assert_str_equal(row.description, "Anonymized transactions\n\nContext");
    assert_str_equal(row.license, "DbCL-1.0");
    assert_null(row.tags.items);
    assert_int_equal(row.like_count, DATASET_UNKNOWN);
    assert_int_equal(row.total_size_bytes, 150828752);
    assert_int_equal(row.source_created_at_us, 1478159938000000);
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_str_equal(row.source_meta,
                     "{\"subtitle\":\"Anonymized transactions\",\"version_number\":3,"
                     "\"kernel_count\":5,\"is_organization\":true}");
    arena_fini(&arena);
}

static void
test_dump_rows_that_are_not_complete(void **state)
{
    static const struct {
        const char *ref;
        const char *title;
        const char *external_id;
        enum dataset_status status;
        bool has_url;
    } rows[] = {
        {NULL, "Title", "id:310", DATASET_MINIMAL, false},
        {"bad ref/x", "Title", "id:310", DATASET_MINIMAL, false},
        {"a/b", NULL, "a/b", DATASET_MINIMAL, true},
        {"a/b", "Title", "a/b", DATASET_ENRICHED, true},
        {NULL, NULL, "id:310", DATASET_MINIMAL, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct meta_dataset in = meta_row();
        struct dataset row;
        struct error err;

        in.ref = str_from_cstr(rows[i].ref);
        in.title = str_from_cstr(rows[i].title);
        assert_ok(kaggle_mapper_from_meta(&in, &arena, &row, &err), err);
        assert_str_equal(row.external_id, rows[i].external_id);
        assert_int_equal(row.status, rows[i].status);
        assert_int_equal(row.url.ptr != NULL, rows[i].has_url);
        assert_str_equal(kaggle_source_meta_text(row.source_meta, STR("slug"), &arena),
                         rows[i].has_url ? "" : "creditcardfraud");
        arena_fini(&arena);
    }
}

static void
test_dump_row_without_id(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct meta_dataset in = meta_row();
    struct dataset row;
    struct error err;

    (void)state;
    in.id = 0;
    assert_int_equal(kaggle_mapper_from_meta(&in, &arena, &row, &err), -ERR_INVALID);
    arena_fini(&arena);
}

static void
test_ceilings(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct meta_dataset in = meta_row();
    struct dataset row;
    struct error err;
    char *text = arena_alloc(&arena, 300000);

    (void)state;
    assert_non_null(text);
    (void)memset(text, 'x', 300000);
    in.title = (struct str){text, 300000};
    in.description = (struct str){text, 300000};
    assert_ok(kaggle_mapper_from_meta(&in, &arena, &row, &err), err);
    assert_int_equal(row.title.len, DATASET_TITLE_BYTES);
    assert_int_equal(row.description.len, DATASET_DESCRIPTION_BYTES);
    arena_fini(&arena);
}

static void
test_no_memory(void **state)
{
    size_t n_failed = 0;

    (void)state;
    for (size_t limit = 0; limit < 200000; limit += 2048) {
        struct arena arena = ARENA_INIT(limit);
        struct kaggle_api_dataset in = api_dataset();
        struct dataset row = {.row_id = 42};
        struct error err;
        int rc = kaggle_mapper_from_api(&in, KAGGLE_VIEW, &arena, &row, &err);

        assert_true(rc == 0 || rc == -ERR_NOMEM);
        assert_int_equal(row.row_id, rc == 0 ? 0 : 42);
        n_failed += rc < 0;
        arena_fini(&arena);
    }
    assert_true(n_failed > 0 && n_failed < 98);
}

static void
test_file_formats(void **state)
{
    static const struct {
        const char *name;
        const char *type;
        const char *format; /* "": none */
    } rows[] = {
        {"a.csv", ".csv", "csv"},
        {"a", "parquet", "parquet"},
        {"a.CSV", NULL, "csv"},
        {"a.csv.gz", NULL, "csv"},
        {"a.csv.zip", ".zip", "csv"},
        {"a.zip", ".zip", "zip"},
        {"a", NULL, ""},
        {"v1.0", NULL, ""},
        {"b", "bigQuery", "bigquery"},
        {"a.very_long_extension_here", NULL, ""},
        {"a.c-v", NULL, ""},
        {"", "", ""},
        {".csv", NULL, "csv"},
        {"x.json", "not a type", "json"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct kaggle_api_file file = {.name = str_from_cstr(rows[i].name),
                                       .file_type = str_from_cstr(rows[i].type)};
        struct str_list formats;
        struct error err;

        assert_ok(kaggle_files_find_formats(&file, 1, &arena, &formats, &err), err);
        assert_int_equal(formats.n_items, rows[i].format[0] != '\0');
        if (formats.n_items)
            assert_str_equal(formats.items[0], rows[i].format);
        arena_fini(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view),
        cmocka_unit_test(test_list_row_sends_no_description),
        cmocka_unit_test(test_join_of_subtitle_and_description),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_merge_metadata),
        cmocka_unit_test(test_dump_row),
        cmocka_unit_test(test_dump_rows_that_are_not_complete),
        cmocka_unit_test(test_dump_row_without_id),
        cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_file_formats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
