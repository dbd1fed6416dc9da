/* kaggle_parser/services/api_parser.h. */

#include "tests/unit/check.h"

#include <math.h>

#include <trawl/error.h>

#include "lib/services/enrichment/kaggle_parser/services/api_parser.h"

#define ARENA_BYTES ((size_t)4 << 20)

/* A row as REST `view` gave it, shortened (shape real). */
static const char view_text[] =
    "{\"id\":3093616,\"ref\":\"faisaljanjua0555/facebook-users\",\"title\":\"Facebook Users\","
    "\"subtitle\":\"By "
    "country\",\"description\":\"Long\",\"creatorName\":\"F\",\"ownerName\":\"Faisal\","
    "\"ownerRef\":\"faisaljanjua0555\",\"totalBytes\":4617,"
    "\"lastUpdated\":\"2023-04-06T00:00:25.1234567Z\",\"downloadCount\":2579,\"viewCount\":14532,"
    "\"voteCount\":54,\"kernelCount\":8,\"topicCount\":0,\"currentVersionNumber\":1,"
    "\"usabilityRating\":0.7058824,\"licenseName\":\"Other (specified in description)\","
    "\"isPrivate\":false,\"isFeatured\":true,\"unknownField\":{\"a\":[1]},"
    "\"tags\":[{\"ref\":\"websites\",\"name\":\"websites\"},\"plain\",{\"nameNullable\":\"twin\"},"
    "7,{}],"
    "\"files\":[{\"name\":\"a.csv\",\"fileType\":\".csv\",\"totalBytes\":12,"
    "\"columns\":[{\"order\":0,\"name\":\"id\",\"type\":\"id\"},{\"name\":\"value\"}]},5],"
    "\"versions\":[]}";

static struct json
parse(const char *text, struct arena *arena)
{
    struct json value;
    struct error err;

    assert_ok(json_parse(str_from_cstr(text), NULL, arena, &value, &err), err);
    return value;
}

static void
test_view(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct json body = parse(view_text, &arena);
    struct kaggle_api_dataset dataset;
    struct error err;

    (void)state;
    assert_ok(kaggle_api_parse_dataset(&body, &arena, &dataset, &err), err);
    assert_int_equal(dataset.id, 3093616);
    assert_str_equal(dataset.ref, "faisaljanjua0555/facebook-users");
    assert_str_equal(dataset.title, "Facebook Users");
    assert_str_equal(dataset.subtitle, "By country");
    assert_str_equal(dataset.description, "Long");
    assert_str_equal(dataset.license_name, "Other (specified in description)");
    assert_str_equal(dataset.owner_name, "Faisal");
    assert_int_equal(dataset.total_bytes, 4617);
    assert_int_equal(dataset.last_updated_us, INT64_C(1680739225123456));
    assert_int_equal(dataset.n_downloads, 2579);
    assert_int_equal(dataset.n_views, 14532);
    assert_int_equal(dataset.n_votes, 54);
    assert_int_equal(dataset.n_kernels, 8);
    assert_int_equal(dataset.n_topics, 0);
    assert_int_equal(dataset.version_number, 1);
    assert_float_equal(dataset.usability_rating, 0.7058824, 1e-9);
    assert_false(dataset.is_private);
    assert_true(dataset.is_featured);
    assert_int_equal(dataset.tags.n_items, 3);
    assert_str_equal(dataset.tags.items[0], "websites");
    assert_str_equal(dataset.tags.items[1], "plain");
    assert_str_equal(dataset.tags.items[2], "twin");
    assert_int_equal(dataset.n_files, 1);
    assert_str_equal(dataset.files[0].file_type, ".csv");
    assert_int_equal(dataset.files[0].columns.n_items, 2);
    assert_str_equal(dataset.files[0].columns.items[1], "value");
    arena_fini(&arena);
}

static void
test_absent_null_and_mistyped(void **state)
{
    static const char *const texts[] = {
        "{\"id\":7,\"ref\":\"a/b\"}",
        "{\"id\":7,\"ref\":\"a/"
        "b\",\"title\":null,\"description\":null,\"totalBytes\":null,\"tags\":null,"
        "\"files\":null,\"usabilityRating\":null,\"lastUpdated\":null,\"isPrivate\":null}",
        "{\"id\":7,\"ref\":\"a/b\",\"title\":5,\"description\":[],\"totalBytes\":{},\"tags\":\"x\","
        "\"files\":3,\"usabilityRating\":\"high\",\"lastUpdated\":\"yesterday\",\"isPrivate\":"
        "\"no\","
        "\"viewCount\":1.5,\"voteCount\":\"many\",\"licenseName\":false}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct json body = parse(texts[i], &arena);
        struct kaggle_api_dataset dataset;
        struct error err;

        assert_ok(kaggle_api_parse_dataset(&body, &arena, &dataset, &err), err);
        assert_null(dataset.title.ptr);
        assert_null(dataset.description.ptr);
        assert_null(dataset.license_name.ptr);
        assert_null(dataset.tags.items);
        assert_int_equal(dataset.n_files, 0);
        assert_int_equal(dataset.total_bytes, KAGGLE_NO_NUMBER);
        assert_int_equal(dataset.last_updated_us, KAGGLE_NO_NUMBER);
        assert_int_equal(dataset.n_views, KAGGLE_NO_NUMBER);
        assert_int_equal(dataset.n_votes, KAGGLE_NO_NUMBER);
        assert_true(isnan(dataset.usability_rating));
        assert_false(dataset.is_private);
        arena_fini(&arena);
    }
}

static void
test_twins_and_textual_numbers(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct json body =
        parse("{\"dataset\":{\"id\":\"77\",\"ref\":\"a/b\",\"title\":\"plain\","
              "\"titleNullable\":\"twin\",\"hasTitle\":true,\"subtitleNullable\":\"sub\","
              "\"description\":null,\"descriptionNullable\":\"text\","
              "\"totalBytesNullable\":9,\"viewCount\":\"12\"}}",
              &arena);
    struct kaggle_api_dataset dataset;
    struct error err;

    (void)state;
    assert_ok(kaggle_api_parse_dataset(&body, &arena, &dataset, &err), err);
    assert_int_equal(dataset.id, 77);
    assert_str_equal(dataset.title, "plain");
    assert_str_equal(dataset.subtitle, "sub");
    assert_str_equal(dataset.description, "text");
    assert_int_equal(dataset.total_bytes, 9);
    assert_int_equal(dataset.n_views, 12);
    arena_fini(&arena);
}

static void
test_unusable_datasets(void **state)
{
    static const char *const texts[] = {
        "[]",
        "null",
        "3",
        "{}",
        "{\"id\":5}",
        "{\"ref\":\"a/b\"}",
        "{\"id\":0,\"ref\":\"a/b\"}",
        "{\"id\":-3,\"ref\":\"a/b\"}",
        "{\"id\":1.5,\"ref\":\"a/b\"}",
        "{\"id\":5,\"ref\":\"\"}",
        "{\"id\":5,\"ref\":null}",
        "{\"id\":99999999999999999999,\"ref\":\"a/b\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct json body = parse(texts[i], &arena);
        struct kaggle_api_dataset dataset = {.id = 42};
        struct error err;

        assert_int_equal(kaggle_api_parse_dataset(&body, &arena, &dataset, &err), -ERR_INVALID);
        assert_int_equal(dataset.id, 42);
        arena_fini(&arena);
    }
}

static void
test_pages(void **state)
{
    static const struct {
        const char *text;
        int rc;
        size_t n_rows;
        size_t n_rejects;
        const char *token;
    } rows[] = {
        {"[]", 0, 0, 0, ""},
        {"[{\"id\":1,\"ref\":\"a/b\"},{\"id\":2,\"ref\":\"a/c\"}]", 0, 2, 0, ""},
        {"{\"datasets\":[{\"id\":1,\"ref\":\"a/b\"}],\"nextPageToken\":\"t2\"}", 0, 1, 0, "t2"},
        {"{\"nextPageToken\":\"\"}", 0, 0, 0, ""},
        {"{}", 0, 0, 0, ""},
        {"[{\"id\":1,\"ref\":\"a/b\"},null,{\"id\":\"x\",\"ref\":\"a/d\"},[]]", 0, 4, 3, ""},
        {"{\"datasets\":null}", -ERR_INVALID, 0, 0, ""},
        {"{\"hits\":[]}", -ERR_INVALID, 0, 0, ""},
        {"\"text\"", -ERR_INVALID, 0, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct json body = parse(rows[i].text, &arena);
        struct kaggle_api_page page = {.n_rows = 0};
        struct error err;
        size_t n_rejects = 0;

        assert_int_equal(kaggle_api_parse_page(&body, &arena, &page, &err), rows[i].rc);
        for (size_t k = 0; k < page.n_rows; k++)
            n_rejects += page.rows[k].reject != NULL;
        assert_int_equal(page.n_rows, rows[i].n_rows);
        assert_int_equal(n_rejects, rows[i].n_rejects);
        assert_str_equal(page.next_page_token, rows[i].token);
        arena_fini(&arena);
    }
}

static void
test_metadata(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct json body =
        parse("{\"errorMessage\":\"\",\"info\":{\"datasetId\":5,\"datasetSlug\":\"b\","
              "\"ownerUser\":\"a\","
              "\"usabilityRating\":1,\"totalViews\":10,\"totalVotes\":2,\"totalDownloads\":3,"
              "\"title\":\"T\",\"subtitle\":\"S\",\"description\":\"D\",\"isPrivate\":false,"
              "\"keywords\":[\"nlp\",\"text\"],\"licenses\":[{\"name\":\"CC0-1.0\"}],"
              "\"expectedUpdateFrequency\":\"never\",\"userSpecifiedSources\":null,"
              "\"data\":[{\"name\":\"a.csv\",\"columns\":[{\"name\":\"x\"}]}]}}",
              &arena);
    struct kaggle_api_dataset dataset;
    struct error err;

    (void)state;
    assert_ok(kaggle_api_parse_metadata(&body, &arena, &dataset, &err), err);
    assert_int_equal(dataset.id, 5);
    assert_null(dataset.ref.ptr);
    assert_str_equal(dataset.description, "D");
    assert_str_equal(dataset.license_name, "CC0-1.0");
    assert_str_equal(dataset.update_frequency, "never");
    assert_int_equal(dataset.tags.n_items, 2);
    assert_int_equal(dataset.n_files, 1);
    assert_int_equal(dataset.n_views, 10);
    assert_int_equal(dataset.total_bytes, KAGGLE_NO_NUMBER);
    body = parse("[1]", &arena);
    assert_int_equal(kaggle_api_parse_metadata(&body, &arena, &dataset, &err), -ERR_INVALID);
    arena_fini(&arena);
}

static void
test_errors(void **state)
{
    static const struct {
        const char *text;
        int64_t code;
        const char *message;
        const char *status;
    } rows[] = {
        {"{\"code\":404,\"message\":\"Not found\"}", 404, "Not found", ""},
        {"{\"error\":{\"code\":403,\"message\":\"Permission 'datasets.get' was denied\","
         "\"status\":\"PERMISSION_DENIED\"}}",
         403, "Permission 'datasets.get' was denied", "PERMISSION_DENIED"},
        {"{\"error\":{\"message\":\"odd\"}}", 500, "odd", ""},
        {"{\"errorMessage\":\"The dataset is busy\",\"info\":null}", 500, "The dataset is busy",
         ""},
        {"{\"errorMessage\":\"\",\"info\":{}}", 0, "", ""},
        {"{\"code\":200,\"message\":\"fine\"}", 0, "", ""},
        {"{\"id\":1,\"ref\":\"a/b\"}", 0, "", ""},
        {"[]", 0, "", ""},
        {"null", 0, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct json body = parse(rows[i].text, &arena);
        struct kaggle_api_error found = kaggle_api_find_error(&body);

        assert_int_equal(found.code, rows[i].code);
        assert_str_equal(found.message, rows[i].message);
        assert_str_equal(found.status, rows[i].status);
        arena_fini(&arena);
    }
}

/* Every ceiling of the arena ends in ERR_NOMEM or in a whole answer, never in half of one. */
static void
test_no_memory(void **state)
{
    size_t n_failed = 0;

    (void)state;
    for (size_t limit = 0; limit < 40000; limit += 512) {
        struct arena texts = ARENA_INIT(ARENA_BYTES);
        struct arena arena = ARENA_INIT(limit);
        struct json body = parse(view_text, &texts);
        struct kaggle_api_dataset dataset = {.id = 42};
        struct error err;
        int rc = kaggle_api_parse_dataset(&body, &arena, &dataset, &err);

        assert_true(rc == 0 || rc == -ERR_NOMEM);
        assert_int_equal(dataset.id, rc == 0 ? 3093616 : 42);
        n_failed += rc < 0;
        arena_fini(&arena);
        arena_fini(&texts);
    }
    assert_true(n_failed > 0 && n_failed < 79);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view),
        cmocka_unit_test(test_absent_null_and_mistyped),
        cmocka_unit_test(test_twins_and_textual_numbers),
        cmocka_unit_test(test_unusable_datasets),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
