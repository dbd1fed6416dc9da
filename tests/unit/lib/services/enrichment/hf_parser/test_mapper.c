/* lib/services/enrichment/hf_parser/mapper.h: rows as the Hub sends them, and as it should not. */

#include "tests/unit/check.h"

#include "base/buf.h"
#include "base/timestamp.h"
#include "lib/services/enrichment/hf_parser/mapper.h"

#define ARENA_BYTES ((size_t)16 << 20)
#define NAMES       "\"_id\":\"66f830e08d215c6331bec22a\",\"id\":\"nvidia/OpenMathInstruct-2\""

/* The list as "a|b|c"; "-" where it is absent. */
static const char *
join(const struct str_list *list, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < list->n_items; i++) {
        if (i)
            buf_append_char(out, '|');
        buf_append(out, list->items[i]);
    }
    return list->items ? buf_cstr(out) : "-";
}

static const char *
text_of(struct str text, struct buf *out)
{
    buf_clear(out);
    buf_append(out, text);
    return text.ptr ? buf_cstr(out) : "-";
}

/* Map a row that is fine; the arena keeps all of it. */
static size_t
map_text(const char *text, struct arena *arena, struct dataset *out)
{
    size_t n_mistyped = 0;
    struct error err;
    struct json json;

    assert_ok(json_parse(str_from_cstr(text), NULL, arena, &json, &err), err);
    assert_ok(hf_mapper_map(&json, arena, out, &n_mistyped, &err), err);
    return n_mistyped;
}

/* The shape of a real row, shortened. */
static const char whole_row[] =
    "{\"_id\":\"66f830e08d215c6331bec22a\",\"id\":\"nvidia/"
    "OpenMathInstruct-2\",\"author\":\"nvidia\","
    "\"sha\":\"469216e3f8bbbbbb\",\"lastModified\":\"2024-11-25T20:07:28.000Z\","
    "\"createdAt\":\"2024-09-28T16:37:52.000Z\",\"private\":false,\"gated\":false,\"disabled\":"
    "false,"
    "\"downloads\":5102,\"downloadsAllTime\":90210,\"likes\":143,\"trendingScore\":2.5,"
    "\"mainSize\":777,\"usedStorage\":999,\"paperswithcode_id\":null,\"resourceGroup\":{\"a\":1},"
    "\"tags\":[\"task_categories:question-answering\",\"language:en\",\"license:cc-by-4.0\","
    "\"size_categories:10M<n<100M\",\"format:parquet\",\"modality:text\",\"library:datasets\","
    "\"arxiv:2410.01560\",\"doi:10.57967/hf/1234\",\"region:us\",\"math\",\"nvidia\"],"
    "\"description\":\"\\n\\t\\n\\t\\t\\n\\t\\n\\t\\n\\t\\tOpenMathInstruct-2\\n\\t\\n\\nA math "
    "set\xE2\x80\xA6 "
    "See the full description on the dataset page: "
    "https://huggingface.co/datasets/nvidia/OpenMathInstruct-2.\","
    "\"citation\":\"@article{x,\\n title = {X}\\n}\","
    "\"cardData\":{\"language\":[\"en\"],\"license\":\"cc-by-4.0\","
    "\"pretty_name\":\"Open\\nMath Instruct 2\",\"dataset_info\":{\"config_name\":\"default\","
    "\"features\":[{\"name\":\"problem\",\"dtype\":\"string\"},{\"name\":\"steps\",\"list\":[]}],"
    "\"splits\":[{\"name\":\"train\",\"num_bytes\":10,\"num_examples\":100},"
    "{\"name\":\"test\",\"num_bytes\":5,\"num_examples\":20}],"
    "\"download_size\":300,\"dataset_size\":500}},\"someFutureField\":[{}]}";

static void
test_whole_row(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct buf out = BUF_INIT(10000);
    char time[TIMESTAMP_TEXT_BYTES];
    struct dataset row;

    (void)state;
    assert_int_equal(map_text(whole_row, &arena, &row), 0);
    assert_str_equal(row.source_name, "huggingface");
    assert_str_equal(row.source_key, "66f830e08d215c6331bec22a");
    assert_str_equal(row.external_id, "nvidia/OpenMathInstruct-2");
    assert_str_equal(row.url, "https://huggingface.co/datasets/nvidia/OpenMathInstruct-2");
    assert_str_equal(row.title, "Open Math Instruct 2");
    assert_str_equal(row.description, "OpenMathInstruct-2\n\nA math set");
    assert_str_equal(row.license, "cc-by-4.0");
    assert_string_equal(join(&row.tags, &out), "math|nvidia|question-answering|text|en");
    assert_string_equal(join(&row.file_formats, &out), "parquet");
    assert_string_equal(join(&row.column_names, &out), "problem|steps");
    assert_int_equal(row.row_count, 120);
    assert_int_equal(row.total_size_bytes, 500);
    assert_int_equal(row.download_count, 5102);
    assert_int_equal(row.like_count, 143);
    assert_int_equal(row.view_count, DATASET_UNKNOWN);
    assert_string_equal(timestamp_format(row.source_created_at_us, time), "2024-09-28T16:37:52Z");
    assert_string_equal(timestamp_format(row.source_updated_at_us, time), "2024-11-25T20:07:28Z");
    assert_int_equal(row.status, DATASET_ENRICHED);
    assert_true(row.is_active);
    assert_str_equal(row.source_meta,
                     "{\"author\":\"nvidia\",\"sha\":\"469216e3f8bbbbbb\",\"downloads_30d\":5102,"
                     "\"downloads_all_time\":90210,\"trending_score\":2.5,\"main_size\":777,\"used_"
                     "storage\":999,"
                     "\"task_categories\":[\"question-answering\"],\"modality\":[\"text\"],"
                     "\"language\":[\"en\"],"
                     "\"license\":[\"cc-by-4.0\"],\"library\":[\"datasets\"],"
                     "\"size_categories\":[\"10M<n<100M\"],\"arxiv\":[\"2410.01560\"],"
                     "\"doi\":[\"10.57967/hf/1234\"],\"region\":[\"us\"],"
                     "\"configs\":[{\"name\":\"default\",\"rows\":120,\"bytes\":500}],"
                     "\"citation\":\"@article{x,\\ntitle = {X}\\n}\"}");
    buf_fini(&out);
    arena_fini(&arena);
}

static void
test_bare_row(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct dataset row;

    (void)state;
    assert_int_equal(map_text("{\"_id\":\"621f\",\"id\":\"squad\"}", &arena, &row), 0);
    assert_str_equal(row.external_id, "squad");
    assert_str_equal(row.title, "squad");
    assert_str_equal(row.url, "https://huggingface.co/datasets/squad");
    assert_null(row.description.ptr);
    assert_null(row.license.ptr);
    assert_null(row.tags.items);
    assert_null(row.file_formats.items);
    assert_null(row.column_names.items);
    assert_int_equal(row.row_count, DATASET_UNKNOWN);
    assert_int_equal(row.total_size_bytes, DATASET_UNKNOWN);
    assert_int_equal(row.download_count, DATASET_UNKNOWN);
    assert_int_equal(row.like_count, DATASET_UNKNOWN);
    assert_int_equal(row.source_created_at_us, DATASET_UNKNOWN);
    assert_int_equal(row.source_updated_at_us, DATASET_UNKNOWN);
    assert_str_equal(row.source_meta, "{}");
    assert_true(row.is_active);
    arena_fini(&arena);
}

static void
test_texts(void **state)
{
    static const struct {
        const char *fields;
        const char *title;
        const char *description;
        const char *license;
    } rows[] = {
        /* pretty_name: string, list, blank, of another type; the tag of that name */
        {"\"cardData\":{\"pretty_name\":\" A \"}", "A", "-", "-"},
        {"\"cardData\":{\"pretty_name\":[\"B\",\"C\"]}", "B", "-", "-"},
        {"\"cardData\":{\"pretty_name\":[]}", "OpenMathInstruct-2", "-", "-"},
        {"\"cardData\":{\"pretty_name\":\" \\n\"}", "OpenMathInstruct-2", "-", "-"},
        {"\"cardData\":{\"pretty_name\":{\"x\":1}}", "OpenMathInstruct-2", "-", "-"},
        {"\"tags\":[\"pretty_name:From: Tag\"]", "From: Tag", "-", "-"},
        {"\"cardData\":\"pretty_name\"", "OpenMathInstruct-2", "-", "-"},
        {"\"cardData\":[{\"pretty_name\":\"D\"}]", "OpenMathInstruct-2", "-", "-"},
        /* description: placeholder, blank (clears), of another type */
        {"\"description\":\"nvidia/OpenMathInstruct-2 dataset hosted on Hugging Face and "
         "contributed "
         "by the HF Datasets community\"",
         "OpenMathInstruct-2", "-", "-"},
        {"\"description\":\"\\n\\t\\n\"", "OpenMathInstruct-2", "", "-"},
        {"\"description\":[\"x\"]", "OpenMathInstruct-2", "-", "-"},
        {"\"description\":\"a\\u0000b\\u0007c\"", "OpenMathInstruct-2", "abc", "-"},
        /* licence: tag, card, list, older key, other */
        {"\"tags\":[\"license:apache-2.0\",\"license:mit\"]", "OpenMathInstruct-2", "-",
         "apache-2.0"},
        {"\"tags\":[\"license:mit\"],\"cardData\":{\"license\":\"gpl\"}", "OpenMathInstruct-2", "-",
         "mit"},
        {"\"tags\":[\"sublicense:mit\",\"license\"]", "OpenMathInstruct-2", "-", "-"},
        {"\"cardData\":{\"license\":\"CC-BY-4.0\"}", "OpenMathInstruct-2", "-", "cc-by-4.0"},
        {"\"cardData\":{\"license\":[\"odbl\",\"mit\"]}", "OpenMathInstruct-2", "-", "odbl"},
        {"\"cardData\":{\"licenses\":[\"pddl\"]}", "OpenMathInstruct-2", "-", "pddl"},
        {"\"cardData\":{\"license\":null,\"licenses\":\"pddl\"}", "OpenMathInstruct-2", "-",
         "pddl"},
        {"\"cardData\":{\"license\":{\"a\":1}}", "OpenMathInstruct-2", "-", "-"},
        {"\"cardData\":{\"license\":[7,null]}", "OpenMathInstruct-2", "-", "-"},
        {"\"tags\":[\"license:other\"],\"cardData\":{\"license_name\":\"NVIDIA  License\"}",
         "OpenMathInstruct-2", "-", "NVIDIA License"},
        {"\"tags\":[\"license:other\"],\"cardData\":{\"license_name\":[\"x\"]}",
         "OpenMathInstruct-2", "-", "other"},
        {"\"tags\":[\"license:unknown\"]", "OpenMathInstruct-2", "-", "unknown"},
        {"\"tags\":[\"license:\"]", "OpenMathInstruct-2", "-", "-"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct buf out = BUF_INIT(10000);
        struct dataset row;

        (void)map_text(arena_printf(&arena, "{" NAMES ",%s}", rows[i].fields), &arena, &row);
        assert_string_equal(text_of(row.title, &out), rows[i].title);
        assert_string_equal(text_of(row.description, &out), rows[i].description);
        assert_string_equal(text_of(row.license, &out), rows[i].license);
        buf_fini(&out);
        arena_fini(&arena);
    }
}

static void
test_lists(void **state)
{
    static const struct {
        const char *fields;
        const char *tags;
        const char *formats;
        const char *columns;
    } rows[] = {
        {"\"tags\":[]", "", "-", "-"},
        {"\"tags\":\"text\"", "-", "-", "-"},
        {"\"tags\":null", "-", "-", "-"},
        /* the prefix is exact: a substring is no format and no licence */
        {"\"tags\":[\"task_categories:text-classification\",\"json\",\"xformat:csv\",\"format\"]",
         "json|xformat:csv|format|text-classification", "-", "-"},
        {"\"tags\":[\"format:json\",\"format:optimized-parquet\",\"format:JSON\",\"format: \"]", "",
         "json|optimized-parquet", "-"},
        /* unknown prefixes are keywords; each once; other types are passed over; cleaned */
        {"\"tags\":[\"physics:qcd\",\"Math\",\"math\",7,null,[\"x\"],\" a \\n b \",\"\\u0007\"]",
         "physics:qcd|Math|a b", "-", "-"},
        {"\"tags\":[\"source_datasets:extended|other/x\",\"benchmark:official\",\"region:eu\"]", "",
         "-", "-"},
        /* order: keywords, tasks, modality, languages; a keyword that says the same stays once */
        {"\"tags\":[\"language:fr\",\"modality:text\",\"task_ids:parsing\","
         "\"task_categories:summarization\",\"text\"]",
         "text|summarization|parsing|fr", "-", "-"},
        /* Norwegian, read as a boolean by YAML 1.1 */
        {"\"cardData\":{\"language\":[\"en\",false,true,\"nn\"]}", "en|no|nn", "-", "-"},
        {"\"cardData\":{\"language\":false}", "no", "-", "-"},
        {"\"tags\":[\"language:false\"]", "no", "-", "-"},
        {"\"cardData\":{\"license\":false,\"task_categories\":false}", "-", "-", "-"},
        /* the card speaks where tags are silent, kind by kind */
        {"\"tags\":[\"language:de\"],\"cardData\":{\"language\":\"fr\",\"tags\":\"law\","
         "\"task_categories\":[\"summarization\"],\"languages\":[\"it\"]}",
         "law|summarization|de", "-", "-"},
        {"\"cardData\":{\"languages\":[\"it\"],\"task_ids\":null}", "it", "-", "-"},
        /* an unfilled template */
        {"\"cardData\":{\"size_categories\":{\"{number}\":null},\"tags\":[null]}", "-", "-", "-"},
        /* dataset_info: one object or a list; older features; the same column once */
        {"\"cardData\":{\"dataset_info\":{\"features\":[{\"name\":\"a\"},{\"dtype\":\"x\"},7,"
         "{\"name\":\"b\"},{\"name\":5}]}}",
         "-", "-", "a|b"},
        {"\"cardData\":{\"dataset_info\":[{\"features\":[{\"name\":\"a\"}]},null,"
         "{\"features\":[{\"name\":\"c\"},{\"name\":\"a\"}]}]}",
         "-", "-", "a|c"},
        {"\"cardData\":{\"dataset_info\":{\"features\":{\"x\":{\"dtype\":\"int\"},\"y\":1}}}", "-",
         "-", "x|y"},
        {"\"cardData\":{\"dataset_info\":\"none\"}", "-", "-", "-"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct buf out = BUF_INIT(10000);
        struct dataset row;

        (void)map_text(arena_printf(&arena, "{" NAMES ",%s}", rows[i].fields), &arena, &row);
        assert_string_equal(join(&row.tags, &out), rows[i].tags);
        assert_string_equal(join(&row.file_formats, &out), rows[i].formats);
        assert_string_equal(join(&row.column_names, &out), rows[i].columns);
        buf_fini(&out);
        arena_fini(&arena);
    }
}

static void
test_numbers(void **state)
{
    static const struct {
        const char *fields;
        int64_t n_rows;
        int64_t n_bytes;
        int64_t n_downloads;
        size_t n_mistyped;
    } rows[] = {
        {"\"downloads\":0", DATASET_UNKNOWN, DATASET_UNKNOWN, 0, 0},
        {"\"downloads\":-1", DATASET_UNKNOWN, DATASET_UNKNOWN, DATASET_UNKNOWN, 0},
        {"\"downloads\":\"12\",\"likes\":{},\"private\":\"no\"", DATASET_UNKNOWN, DATASET_UNKNOWN,
         DATASET_UNKNOWN, 3},
        {"\"downloads\":null,\"gated\":null", DATASET_UNKNOWN, DATASET_UNKNOWN, DATASET_UNKNOWN, 0},
        {"\"gated\":17,\"lastModified\":\"soon\"", DATASET_UNKNOWN, DATASET_UNKNOWN,
         DATASET_UNKNOWN, 2},
        /* sizes: the card's dataset_size, download_size, splits; else the repository's */
        {"\"mainSize\":7,\"usedStorage\":9", DATASET_UNKNOWN, 7, DATASET_UNKNOWN, 0},
        {"\"usedStorage\":9", DATASET_UNKNOWN, 9, DATASET_UNKNOWN, 0},
        {"\"mainSize\":7,\"cardData\":{\"dataset_info\":{\"dataset_size\":3,\"download_size\":2}}",
         DATASET_UNKNOWN, 3, DATASET_UNKNOWN, 0},
        {"\"mainSize\":7,\"cardData\":{\"dataset_info\":{\"dataset_size\":null,\"download_size\":2}"
         "}",
         DATASET_UNKNOWN, 2, DATASET_UNKNOWN, 0},
        {"\"mainSize\":7,\"cardData\":{\"dataset_info\":{\"splits\":[{\"num_bytes\":4,"
         "\"num_examples\":1},{\"num_bytes\":4}]}}",
         1, 8, DATASET_UNKNOWN, 0},
        {"\"mainSize\":7,\"cardData\":{\"dataset_info\":{\"dataset_size\":-5}}", DATASET_UNKNOWN, 7,
         DATASET_UNKNOWN, 0},
        /* the largest configuration speaks for the set */
        {"\"cardData\":{\"dataset_info\":[{\"splits\":[{\"num_examples\":5}],\"dataset_size\":50},"
         "{\"splits\":[{\"num_examples\":6},{\"num_examples\":7.0}],\"dataset_size\":40},"
         "{\"splits\":[{\"num_examples\":\"99\"},{\"num_examples\":-4},null]}]}",
         13, 50, DATASET_UNKNOWN, 0},
        {"\"cardData\":{\"dataset_info\":{\"splits\":[{\"num_examples\":9223372036854775807},"
         "{\"num_examples\":1}]}}",
         DATASET_UNKNOWN, DATASET_UNKNOWN, DATASET_UNKNOWN, 0},
        {"\"cardData\":{\"dataset_info\":{\"splits\":{\"train\":{\"num_examples\":1}}}}",
         DATASET_UNKNOWN, DATASET_UNKNOWN, DATASET_UNKNOWN, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct dataset row;

        assert_int_equal(
            map_text(arena_printf(&arena, "{" NAMES ",%s}", rows[i].fields), &arena, &row),
            rows[i].n_mistyped);
        assert_int_equal(row.row_count, rows[i].n_rows);
        assert_int_equal(row.total_size_bytes, rows[i].n_bytes);
        assert_int_equal(row.download_count, rows[i].n_downloads);
        arena_fini(&arena);
    }
}

static void
test_state_and_meta(void **state)
{
    static const struct {
        const char *fields;
        bool is_active;
        const char *meta;
    } rows[] = {
        {"\"gated\":false", true, "{}"},
        {"\"gated\":\"auto\"", true, "{\"gated\":\"auto\"}"},
        {"\"gated\":\"manual\"", true, "{\"gated\":\"manual\"}"},
        {"\"gated\":true", true, "{\"gated\":\"auto\"}"},
        {"\"disabled\":true", false, "{\"disabled\":true}"},
        {"\"private\":true", false, "{\"private\":true}"},
        {"\"trendingScore\":3", true, "{\"trending_score\":3}"},
        {"\"trendingScore\":\"hot\"", true, "{}"},
        {"\"author\":7,\"sha\":null,\"citation\":[]", true, "{}"},
        {"\"cardData\":{\"license_name\":\"n\",\"license_link\":\"l\"}", true,
         "{\"license_name\":\"n\",\"license_link\":\"l\"}"},
        {"\"cardData\":{\"source_datasets\":\"original\"}", true,
         "{\"source_datasets\":[\"original\"]}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct dataset row;

        (void)map_text(arena_printf(&arena, "{" NAMES ",%s}", rows[i].fields), &arena, &row);
        assert_int_equal(row.is_active, rows[i].is_active);
        assert_str_equal(row.source_meta, rows[i].meta);
        arena_fini(&arena);
    }
}

static void
test_times(void **state)
{
    static const struct {
        const char *fields;
        int64_t created_at_us;
        int64_t updated_at_us;
    } rows[] = {
        /* "before the Hub kept records" is unknown; a second later is a date */
        {"\"createdAt\":\"2022-03-02T23:29:04.000Z\"", DATASET_UNKNOWN, DATASET_UNKNOWN},
        {"\"createdAt\":\"2022-03-02T23:29:05.000Z\"", 1646263745000000, DATASET_UNKNOWN},
        {"\"lastModified\":\"2022-03-02T23:29:04.000Z\"", DATASET_UNKNOWN, 1646263744000000},
        {"\"createdAt\":\"never\",\"lastModified\":1646263744", DATASET_UNKNOWN, DATASET_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct error err;
        struct dataset row;
        struct json json;
        const char *text = arena_printf(&arena, "{" NAMES ",%s}", rows[i].fields);

        (void)map_text(text, &arena, &row);
        assert_int_equal(row.source_created_at_us, rows[i].created_at_us);
        assert_int_equal(row.source_updated_at_us, rows[i].updated_at_us);
        assert_ok(json_parse(str_from_cstr(text), NULL, &arena, &json, &err), err);
        assert_int_equal(hf_mapper_updated_at_us(&json), rows[i].updated_at_us);
        arena_fini(&arena);
    }
}

static void
test_refuse(void **state)
{
    static const struct {
        const char *row;
        const char *message;
    } rows[] = {
        {"null", "an object is expected, not this null"},
        {"[\"a\"]", "an object is expected, not this array"},
        {"{}", "field '_id' is missing"},
        {"{\"id\":\"a/b\"}", "field '_id' is missing"},
        {"{\"_id\":\"1\"}", "field 'id' is missing"},
        {"{\"_id\":\"1\",\"id\":7}", "field 'id' must be a string, not this number"},
        {"{\"_id\":\"\",\"id\":\"a/b\"}", "field '_id' is no identifier: ''"},
        {"{\"_id\":\"1 2\",\"id\":\"a/b\"}", "field '_id' is no identifier: '1 2'"},
        {"{\"_id\":\"1\",\"id\":\"\"}", "field 'id' is no 'owner/name': ''"},
        {"{\"_id\":\"1\",\"id\":\"/b\"}", "field 'id' is no 'owner/name': '/b'"},
        {"{\"_id\":\"1\",\"id\":\"a/\"}", "field 'id' is no 'owner/name': 'a/'"},
        {"{\"_id\":\"1\",\"id\":\"a/b/c\"}", "field 'id' is no 'owner/name': 'a/b/c'"},
        {"{\"_id\":\"1\",\"id\":\"../b\"}", "field 'id' is no 'owner/name': '../b'"},
        {"{\"_id\":\"1\",\"id\":\"a/..\"}", "field 'id' is no 'owner/name': 'a/..'"},
        {"{\"_id\":\"1\",\"id\":\"a b/c\"}", "field 'id' is no 'owner/name': 'a b/c'"},
        {"{\"_id\":\"1\",\"id\":\"a/b\\u0000\"}", NULL},
        {"{\"_id\":\"1\",\"id\":\"a/b?x\"}", "field 'id' is no 'owner/name': 'a/b?x'"},
        {"{\"_id\":\"1\",\"id\":\"a/\\u00e9\"}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct dataset row = {.title = STR("kept")};
        size_t n_mistyped = 99;
        struct error err;
        struct json json;

        assert_ok(json_parse(str_from_cstr(rows[i].row), NULL, &arena, &json, &err), err);
        assert_int_equal(hf_mapper_map(&json, &arena, &row, &n_mistyped, &err), -ERR_INVALID);
        if (rows[i].message)
            assert_string_equal(err.message, rows[i].message);
        assert_str_equal(row.title, "kept");
        assert_int_equal(n_mistyped, 99);
        arena_fini(&arena);
    }
}

/* n repetitions of text, with "[" and "]" around and "," between when is_list. */
static const char *
repeat(struct buf *out, const char *text, size_t n, bool is_list)
{
    buf_clear(out);
    for (size_t i = 0; i < n; i++) {
        if (is_list)
            buf_printf(out, "%c\"%s-%zu\"", i ? ',' : '[', text, i);
        else
            buf_append(out, str_from_cstr(text));
    }
    if (is_list)
        buf_append_char(out, ']');
    return buf_cstr(out);
}

static void
test_ceilings(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct buf big = BUF_INIT((size_t)8 << 20);
    struct dataset row;
    const char *text;

    (void)state;
    repeat(&big, "\xC3\xA4", 70000, false);
    text = arena_printf(&arena,
                        "{" NAMES ",\"description\":\"%s\",\"sha\":\"%s\",\"tags\":[\"%s\"],"
                        "\"cardData\":{\"pretty_name\":\"%s\"}}",
                        buf_cstr(&big), buf_cstr(&big), buf_cstr(&big), buf_cstr(&big));
    (void)map_text(text, &arena, &row);
    assert_int_equal(row.description.len, DATASET_DESCRIPTION_BYTES);
    assert_int_equal(row.title.len, DATASET_TITLE_BYTES);
    assert_int_equal(row.tags.items[0].len, 200);

    /* 2,000 keywords; 5,000 languages whose list would fill source_meta twice over */
    text = arena_printf(&arena, "{" NAMES ",\"tags\":%s}", repeat(&big, "k", 2000, true));
    (void)map_text(text, &arena, &row);
    assert_int_equal(row.tags.n_items, DATASET_LIST_ITEMS);
    repeat(&big,
           "language:a-very-long-code-of-a-language-that-nobody-speaks-and-nobody-ever-has-spoken-"
           "so-it-"
           "is-long",
           5000, true);
    text = arena_printf(&arena, "{" NAMES ",\"sha\":\"s\",\"citation\":\"c\",\"tags\":%s}",
                        buf_cstr(&big));
    (void)map_text(text, &arena, &row);
    assert_int_equal(row.tags.n_items, DATASET_LIST_ITEMS);
    assert_str_equal(row.source_meta, "{\"sha\":\"s\"}");
    buf_fini(&big);
    arena_fini(&arena);
}

/* Whatever allocation fails, the answer is ERR_NOMEM and out is untouched. */
static void
test_lack_of_memory(void **state)
{
    struct arena json_arena = ARENA_INIT(ARENA_BYTES);
    struct error err;
    struct json json;
    size_t limit = 0;
    int rc = -1;

    (void)state;
    assert_ok(json_parse(STR(whole_row), NULL, &json_arena, &json, &err), err);
    for (; rc < 0; limit += 16) {
        struct arena arena = ARENA_INIT(limit);
        struct dataset row = {.title = STR("kept")};

        rc = hf_mapper_map(&json, &arena, &row, NULL, &err);
        if (rc < 0) {
            assert_int_equal(rc, -ERR_NOMEM);
            assert_str_equal(row.title, "kept");
        }
        arena_fini(&arena);
    }
    assert_true(limit > 256);
    arena_fini(&json_arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_row), cmocka_unit_test(test_bare_row),
        cmocka_unit_test(test_texts),     cmocka_unit_test(test_lists),
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_state_and_meta),
        cmocka_unit_test(test_times),     cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_ceilings),  cmocka_unit_test(test_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
