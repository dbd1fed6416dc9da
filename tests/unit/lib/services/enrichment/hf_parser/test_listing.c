/* lib/services/enrichment/hf_parser/listing.h. */

#include "tests/unit/check.h"

#include "lib/services/enrichment/hf_parser/listing.h"

#define ARENA_BYTES ((size_t)1 << 20)

static void
test_first(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct error err;
    struct str url;

    (void)state;
    assert_ok(hf_listing_url(STR("https://huggingface.co"), hf_listing_first(HF_BY_MODIFIED), 500,
                             &arena, &url, &err),
              err);
    assert_str_equal(
        url, "https://huggingface.co/api/datasets?limit=500&sort=lastModified&expand=author"
             "&expand=cardData&expand=citation&expand=createdAt&expand=description&expand=disabled"
             "&expand=downloads&expand=downloadsAllTime&expand=gated&expand=lastModified"
             "&expand=likes&expand=mainSize&expand=paperswithcode_id&expand=private&expand=sha"
             "&expand=tags&expand=trendingScore");
    assert_true(str_starts_with(hf_listing_first(HF_BY_CREATED),
                                STR("/api/datasets?sort=createdAt&expand=author&")));
    arena_fini(&arena);
}

static void
test_links(void **state)
{
    static const struct {
        const char *uri;
        int rc;
        const char *reference;
        const char *url; /* at http://127.0.0.1:80/hub, 7 rows */
    } rows[] = {
        {"https://huggingface.co/api/datasets?limit=500&sort=createdAt&cursor=eyIk%3D", 0,
         "/api/datasets?sort=createdAt&cursor=eyIk%3D",
         "http://127.0.0.1:80/hub/api/datasets?limit=7&sort=createdAt&cursor=eyIk%3D"},
        /* whatever host it names, the page is fetched from the endpoint */
        {"http://evil.example/api/datasets?cursor=a", 0, "/api/datasets?cursor=a",
         "http://127.0.0.1:80/hub/api/datasets?limit=7&cursor=a"},
        {"https://user:pass@evil.example/x/api/datasets?cursor=a", 0, "/api/datasets?cursor=a",
         "http://127.0.0.1:80/hub/api/datasets?limit=7&cursor=a"},
        /* relative, with a path before it, a limit anywhere, other words that end in limit */
        {"/api/datasets?cursor=a&limit=3", 0, "/api/datasets?cursor=a",
         "http://127.0.0.1:80/hub/api/datasets?limit=7&cursor=a"},
        {"/hub/api/datasets?xlimit=1&&cursor=a://b#top", 0, "/api/datasets?xlimit=1&cursor=a://b",
         "http://127.0.0.1:80/hub/api/datasets?limit=7&xlimit=1&cursor=a://b"},
        /* not the listing */
        {"https://huggingface.co/api/models?cursor=a", -ERR_INVALID, "", ""},
        {"https://huggingface.co/api/datasets", -ERR_INVALID, "", ""},
        {"https://huggingface.co/api/datasets/x?cursor=a", -ERR_INVALID, "", ""},
        {"?cursor=/api/datasets", -ERR_INVALID, "", ""},
        {"https://huggingface.co?x=/api/datasets?y", -ERR_INVALID, "", ""},
        {"", -ERR_INVALID, "", ""},
        {"/api/datasets?cursor=a b", -ERR_INVALID, "", ""},
        {"/api/datasets?cursor=a\r\nX: y", -ERR_INVALID, "", ""},
        {"/api/datasets?cursor=\xC3\xA4", -ERR_INVALID, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct str out = STR("kept");
        struct error err;

        assert_int_equal(hf_listing_parse_link(str_from_cstr(rows[i].uri), &arena, &out, &err),
                         rows[i].rc);
        assert_str_equal(out, rows[i].rc < 0 ? "kept" : rows[i].reference);
        /* what was stored is read as carefully as what was received */
        assert_int_equal(hf_listing_url(STR("http://127.0.0.1:80/hub"), str_from_cstr(rows[i].uri),
                                        7, &arena, &out, &err),
                         rows[i].rc);
        if (rows[i].rc == 0)
            assert_str_equal(out, rows[i].url);
        arena_fini(&arena);
    }
}

static void
test_ceiling(void **state)
{
    static char uri[HF_REFERENCE_BYTES + 1] = "/api/datasets?cursor=";
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct str out = STR("kept");
    size_t head = strlen(uri);

    (void)state;
    /* a size is no place to go on from */
    assert_int_equal(hf_listing_parse_link(STR("/api/datasets?limit=5&"), &arena, &out, NULL),
                     -ERR_INVALID);
    (void)memset(uri + head, 'a', sizeof(uri) - head);
    assert_int_equal(hf_listing_parse_link((struct str){uri, sizeof(uri) - 1}, &arena, &out, NULL),
                     0);
    assert_int_equal(out.len, sizeof(uri) - 1);
    assert_int_equal(hf_listing_parse_link((struct str){uri, sizeof(uri)}, &arena, &out, NULL),
                     -ERR_INVALID);
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
