/* lib/services/export: each form on a full row, on bare ones and on hostile ones. */

#include "tests/unit/lib/services/export/export_fixture.h"

#include "base/csv.h"
#include "lib/services/export/export_terms.h"

#define ARENA_BYTES ((size_t)64 << 20)
#define LONG_BYTES  ((size_t)1 << 20)

static const struct export_format *const linked_formats[] = {
    &export_format_dcat,
    &export_format_croissant,
    &export_format_croissant_1_0,
};

static void
test_terms(void **state)
{
    /* an empty address: the text is none */
    static const struct {
        struct str text;
        const char *address;
        const char *license;
    } rows[] = {
        {STR_INIT("https://a.b/c?d=e#f"), "https://a.b/c?d=e#f", "https://a.b/c?d=e#f"},
        {STR_INIT("HTTP://a/%41%4"), "HTTP://a/%41%254", "HTTP://a/%41%254"},
        {STR_INIT(" https://a/x y\"<>\\^`{|}[]\xC3\xA9\x01 "),
         "https://a/x%20y%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D%C3%A9%01",
         "https://a/x%20y%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D%C3%A9%01"},
        {STR_INIT("https://a/#b#c"), "https://a/#b%23c", "https://a/#b%23c"},
        {STR_INIT("javascript:alert(1)"), "", ""},
        {STR_INIT("https://"), "", ""},
        {STR_INIT("https:///etc/passwd"), "", ""},
        {STR_INIT(""), "", ""},
        {STR_INIT("cc-by-4.0"), "", "https://spdx.org/licenses/CC-BY-4.0"},
        {STR_INIT("Apache-2.0"), "", "https://spdx.org/licenses/Apache-2.0"},
        {STR_INIT("odc-by"), "", "https://spdx.org/licenses/ODC-By-1.0"},
        {STR_INIT("PDDL"), "", "https://spdx.org/licenses/PDDL-1.0"},
        {STR_INIT("cc"), "", ""},
        {STR_INIT("gpl"), "", ""},
        {STR_INIT("other"), "", ""},
        {STR_INIT("unknown"), "", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(buf_fini) struct buf address = BUF_INIT(1000);
        CLEANUP(buf_fini) struct buf license = BUF_INIT(1000);

        assert_int_equal(export_append_address(&address, rows[i].text), rows[i].address[0] != 0);
        assert_str_equal(buf_str(&address), rows[i].address);
        assert_int_equal(export_append_license(&license, rows[i].text), rows[i].license[0] != 0);
        assert_str_equal(buf_str(&license), rows[i].license);
    }
    assert_str_equal(export_media_type(STR("CSV")), "text/csv");
    assert_null(export_media_type(STR("hdf5")).ptr);
}

static void
test_find(void **state)
{
    const struct export_format *format = NULL;
    struct error err;

    (void)state;
    for (size_t i = 0; export_formats[i]; i++) {
        assert_ok(export_format_find(export_formats[i]->name, &format, &err), err);
        assert_ptr_equal(format, export_formats[i]);
    }
    assert_int_equal(export_format_find(STR("xml"), &format, &err), -ERR_ARGS);
    assert_non_null(strstr(err.message, "jsonl, csv, dcat, croissant, croissant-1.0, got 'xml'"));
}

static void
test_csv_row(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);
    struct dataset rows[2] = {full_row(), full_row()};

    (void)state;
    rows[1].title = STR("");
    rows[1].description = STR_NULL;
    rows[1].tags.n_items = 0;
    rows[1].total_size_bytes = DATASET_UNKNOWN;
    rows[1].source_meta = STR_NULL;
    (void)write_document(&export_format_csv, EXPORT_CATALOGUE, rows, 2, &out);
    assert_str_equal(
        buf_str(&out),
        "id,source,ref,source_key,title,url,description,license,tags,file_formats,column_names,"
        "total_size_bytes,row_count,download_count,view_count,like_count,source_created_at,"
        "source_updated_at,source_meta,status,is_active,is_embedded,enrichment_attempts,"
        "last_enrichment_error,last_enriched_at,link_state,last_checked_at,created_at,updated_at"
        "\r\n"
        "128e3c00-dcd7-583f-b3d0-3cdb3f1f7d3d,kaggle,ann/wine,23,Wine,"
        "https://www.kaggle.com/datasets/ann/wine,\"Ratings of wine\",CC-BY-4.0,"
        "\"[\"\"wine\"\",\"\"food, drink\"\"]\",\"[\"\"csv\"\"]\","
        "\"[\"\"grape\"\",\"\"year\"\"]\",1000,,,,,"
        "2023-11-14T22:13:20Z,2024-03-09T16:00:00Z,"
        "\"{\"\"owner_name\"\":\"\"Ann \\u00e9\"\",\"\"version_number\"\":7,"
        "\"\"language\"\":[\"\"en\"\",\"\"deu\"\"]}\",enriched,true,false,0,,,,,"
        "2023-11-14T22:13:20Z,2024-03-09T16:00:00Z\r\n"
        "128e3c00-dcd7-583f-b3d0-3cdb3f1f7d3d,kaggle,ann/wine,23,\"\","
        "https://www.kaggle.com/datasets/ann/wine,,CC-BY-4.0,,"
        "\"[\"\"csv\"\"]\",\"[\"\"grape\"\",\"\"year\"\"]\",,,,,,"
        "2023-11-14T22:13:20Z,2024-03-09T16:00:00Z,,enriched,true,false,0,,,,,"
        "2023-11-14T22:13:20Z,2024-03-09T16:00:00Z\r\n");
}

/* Our own strict reader takes it, and gives back all but the NUL and the broken bytes. */
static void
test_csv_hostile(void **state)
{
    static const struct csv_options options = {.max_field_bytes = LONG_BYTES * 2,
                                               .max_record_bytes = OUT_BYTES};
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);
    CLEANUP(csv_reader_freep) struct csv_reader *reader = NULL;
    struct dataset row = hostile_row(HOSTILE);
    struct csv_memory memory = {.text = STR_NULL};
    struct csv_record record;
    struct error err;
    char *text = malloc(LONG_BYTES);

    (void)state;
    assert_non_null(text);
    (void)memset(text, '"', LONG_BYTES);
    row.description = (struct str){text, LONG_BYTES / 2};
    (void)write_document(&export_format_csv, EXPORT_CATALOGUE, &row, 1, &out);
    memory.text = buf_str(&out);
    assert_ok(csv_reader_create(&options, csv_input_memory(&memory), &reader, &err), err);
    assert_int_equal(csv_reader_next(reader, &record, &err), 1);
    assert_int_equal(csv_reader_next(reader, &record, &err), 1);
    assert_int_equal(record.n_fields, 29);
    assert_int_equal(record.flags, 0);
    assert_str_equal(csv_field(&record, 4),
                     "=\"a\",\r\n'b'\t\x01\x7F\xEF\xBF\xBD</script>\xEF\xBF\xBD\xEF\xBF\xBD("
                     "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xE2\x80\xA8\xF0\x9F\x8D\xB7 \\");
    assert_true(str_equal(csv_field(&record, 6), row.description));
    assert_int_equal(csv_reader_next(reader, &record, &err), 0);
    assert_int_equal(csv_reader_counts(reader)->n_rejected, 0);
    free(text);
}

static void
check_hostile(const struct export_format *format, enum export_scope scope, struct arena *arena)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);
    struct dataset rows[2] = {hostile_row(HOSTILE), hostile_row(HOSTILE)};
    bool is_dcat = format == &export_format_dcat;
    struct json document;
    const struct json *node = &document;
    const struct json *list;

    (void)write_document(format, scope, rows, scope == EXPORT_ONE ? 1 : 2, &out);
    document = read_json(buf_str(&out), arena);
    assert_non_null(json_get_typed(&document, STR("@context"), JSON_OBJECT));
    if (scope == EXPORT_CATALOGUE) {
        list =
            json_get_typed(&document, is_dcat ? STR("dcat:dataset") : STR("dataset"), JSON_ARRAY);
        assert_non_null(list);
        assert_int_equal(list->array.n_items, 2);
        node = &list->array.items[1];
    }
    assert_true(
        str_equal(json_get_str(node, is_dcat ? STR("dct:title") : STR("name")), HOSTILE_READ));
    assert_null(json_get(node, STR("url")));
    assert_null(json_get(node, STR("dcat:landingPage")));
    assert_null(json_get(node, STR("conformsTo")));
}

static void
test_json_hostile(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);
    struct dataset rows[2] = {hostile_row(HOSTILE), hostile_row(STR("{\"a\":\n1}"))};
    struct json line;
    struct str rest;
    struct str head;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(linked_formats); i++) {
        check_hostile(linked_formats[i], EXPORT_ONE, &arena);
        check_hostile(linked_formats[i], EXPORT_CATALOGUE, &arena);
    }
    (void)write_document(&export_format_jsonl, EXPORT_CATALOGUE, rows, 2, &out);
    rest = buf_str(&out);
    assert_true(str_split(&rest, '\n', &head));
    line = read_json(head, &arena);
    assert_true(str_equal(json_get_str(&line, STR("title")), HOSTILE_READ));
    assert_true(str_equal(json_get_str(&line, STR("source_meta")), HOSTILE_READ));
    assert_true(str_split(&rest, '\n', &head));
    line = read_json(head, &arena);
    assert_str_equal(json_get_str(&line, STR("source_meta")), "{\"a\":\n1}");
    assert_int_equal(rest.len, 0);
}

/* What a Croissant must have; without any one of them there is no claim. */
static void
test_croissant_claim(void **state)
{
    static const struct {
        const char *missing;
        bool claims;
    } rows[] = {{"nothing", true},  {"description", false}, {"url", false},  {"license", false},
                {"creator", false}, {"published", false},   {"title", true}, {"modified", true},
                {"bad url", false}, {"odd license", false}, {"meta", true}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
        CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);
        struct dataset row = full_row();
        const char *missing = rows[i].missing;
        enum export_verdict verdict;
        struct json document;
        const struct json *files;

        if (strcmp(missing, "description") == 0)
            row.description = STR_NULL;
        else if (strcmp(missing, "url") == 0)
            row.url = STR_NULL;
        else if (strcmp(missing, "bad url") == 0)
            row.url = STR("ftp://x/y");
        else if (strcmp(missing, "license") == 0)
            row.license = STR_NULL;
        else if (strcmp(missing, "odd license") == 0)
            row.license = STR("other");
        else if (strcmp(missing, "published") == 0)
            row.source_created_at_us = DATASET_UNKNOWN;
        else if (strcmp(missing, "modified") == 0)
            row.source_updated_at_us = DATASET_UNKNOWN;
        else if (strcmp(missing, "title") == 0)
            row.title = STR(" ");
        if (strcmp(missing, "meta") == 0 || strcmp(missing, "creator") == 0)
            row.source_meta = STR("[\"owner_name\"]");
        if (strcmp(missing, "creator") == 0)
            row.external_id = STR("wine");
        verdict = write_document(&export_format_croissant, EXPORT_ONE, &row, 1, &out);
        document = read_json(buf_str(&out), &arena);
        assert_int_equal(verdict, rows[i].claims ? EXPORT_COMPLETE : EXPORT_INCOMPLETE);
        assert_int_equal(json_get(&document, STR("conformsTo")) != NULL, rows[i].claims);
        files = json_get_typed(&document, STR("distribution"), JSON_ARRAY);
        assert_non_null(files);
        assert_str_equal(json_get_str(&files->array.items[0], STR("@type")),
                         rows[i].claims ? "cr:FileObject" : "sc:DataDownload");
    }
}

static void
test_croissant_row(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);
    struct dataset row = full_row();

    (void)state;
    (void)write_document(&export_format_croissant_1_0, EXPORT_ONE, &row, 1, &out);
    assert_str_equal(
        str_slice(buf_str(&out), str_find(buf_str(&out), STR("\"@type\":\"sc:Dataset\"")), out.len),
        "\"@type\":\"sc:Dataset\",\"name\":\"Wine\",\"description\":\"Ratings of wine\","
        "\"url\":\"https://www.kaggle.com/datasets/ann/wine\",\"creator\":{\"@type\":\"sc:Person\","
        "\"name\":\"Ann \\u00e9\",\"url\":\"https://www.kaggle.com/ann\"},"
        "\"datePublished\":\"2023-11-14T22:13:20Z\","
        "\"license\":\"https://spdx.org/licenses/CC-BY-4.0\","
        "\"conformsTo\":\"http://mlcommons.org/croissant/1.0\",\"isLiveDataset\":true,"
        "\"identifier\":\"kaggle:23\",\"alternateName\":\"ann/wine\","
        "\"dateModified\":\"2024-03-09T16:00:00Z\",\"keywords\":[\"wine\",\"food, drink\"],"
        "\"variableMeasured\":[\"grape\",\"year\"],\"inLanguage\":[\"en\",\"deu\"],\"version\":7,"
        "\"distribution\":[{\"@type\":\"cr:FileObject\","
        "\"@id\":\"128e3c00-dcd7-583f-b3d0-3cdb3f1f7d3d/files\",\"name\":\"files\","
        "\"description\":\"All files, as the source serves them.\","
        "\"contentUrl\":\"https://www.kaggle.com/api/v1/datasets/download/ann/wine\","
        "\"encodingFormat\":\"application/zip\",\"contentSize\":\"1000 B\"}],"
        "\"sdDatePublished\":\"2024-11-19T07:06:40Z\"}\n");
}

static void
test_dcat_row(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);
    struct dataset row = full_row();
    struct str text;

    (void)state;
    row.license = STR("other");
    assert_int_equal(write_document(&export_format_dcat, EXPORT_ONE, &row, 1, &out),
                     EXPORT_COMPLETE);
    text = buf_str(&out);
    assert_str_equal(
        str_slice(text, str_find(text, STR("\"@id\":\"urn:")), text.len),
        "\"@id\":\"urn:uuid:128e3c00-dcd7-583f-b3d0-3cdb3f1f7d3d\",\"@type\":\"dcat:Dataset\","
        "\"dct:identifier\":\"kaggle:23\",\"dct:title\":\"Wine\","
        "\"dct:description\":\"Ratings of wine\",\"dct:issued\":\"2023-11-14T22:13:20Z\","
        "\"dct:modified\":\"2024-03-09T16:00:00Z\",\"dct:publisher\":{\"@type\":\"foaf:Agent\","
        "\"@id\":\"https://www.kaggle.com/ann\",\"foaf:name\":\"Ann \\u00e9\"},"
        "\"dcat:keyword\":[\"wine\",\"food, drink\"],"
        "\"dct:language\":[{\"@id\":\"http://id.loc.gov/vocabulary/iso639-1/en\","
        "\"@type\":\"dct:LinguisticSystem\"}],\"dcat:version\":7,"
        "\"dcat:landingPage\":{\"@type\":\"foaf:Document\","
        "\"@id\":\"https://www.kaggle.com/datasets/ann/wine\"},"
        "\"dcat:distribution\":[{\"@type\":\"dcat:Distribution\","
        "\"dcat:accessURL\":{\"@id\":\"https://www.kaggle.com/datasets/ann/wine\"},"
        "\"dcat:mediaType\":{\"@type\":\"dct:MediaType\","
        "\"@id\":\"https://www.iana.org/assignments/media-types/text/csv\"},"
        "\"dcat:byteSize\":\"1000\",\"dct:rights\":{\"@type\":\"dct:RightsStatement\","
        "\"rdfs:label\":\"other\"}}]}\n");
    buf_clear(&out);
    row.description = STR_NULL;
    row.url = STR_NULL;
    assert_int_equal(write_document(&export_format_dcat, EXPORT_ONE, &row, 1, &out),
                     EXPORT_INCOMPLETE);
    assert_int_equal(str_find(buf_str(&out), STR("dcat:distribution")), out.len);
    assert_true(str_find(buf_str(&out), STR("dct:rights")) < out.len);
}

/* No rows at all are a document, too. */
static void
test_empty(void **state)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(linked_formats); i++) {
        CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);

        (void)write_document(linked_formats[i], EXPORT_CATALOGUE, NULL, 0, &out);
        assert_int_equal(read_json(buf_str(&out), &arena).type, JSON_OBJECT);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms),         cmocka_unit_test(test_find),
        cmocka_unit_test(test_csv_row),       cmocka_unit_test(test_csv_hostile),
        cmocka_unit_test(test_json_hostile),  cmocka_unit_test(test_croissant_claim),
        cmocka_unit_test(test_croissant_row), cmocka_unit_test(test_dcat_row),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
