/* kaggle_parser/ref.h and kaggle_parser/licenses.h. */

#include "tests/unit/check.h"

#include <trawl/error.h>

#include "lib/services/enrichment/kaggle_parser/licenses.h"
#include "lib/services/enrichment/kaggle_parser/ref.h"

static void
test_parse(void **state)
{
    static const struct {
        const char *text;
        const char *ref; /* NULL: refused */
    } rows[] = {
        {"allen-institute-for-ai/CORD-19-research-challenge",
         "allen-institute-for-ai/CORD-19-research-challenge"},
        {"a/b", "a/b"},
        {"jhoward/lsun_bedroom", "jhoward/lsun_bedroom"},
        {"peijenlin/msl-m-rems-2-edr-v1.0", "peijenlin/msl-m-rems-2-edr-v1.0"},
        {"S\xC3\xADrio-Libanes/covid19", "S\xC3\xADrio-Libanes/covid19"},
        {"owner/slug/versions/12", "owner/slug"},
        {"owner/slug/3", "owner/slug"},
        {"owner/2013", "owner/2013"},
        {"", NULL},
        {"owner", NULL},
        {"owner/", NULL},
        {"/slug", NULL},
        {"owner/slug/", NULL},
        {"owner/slug/versions", NULL},
        {"owner/slug/versions/", NULL},
        {"owner/slug/versions/x", NULL},
        {"owner/slug/3/4", NULL},
        {"owner/..", NULL},
        {"../slug", NULL},
        {"owner/sl ug", NULL},
        {"owner/sl%20ug", NULL},
        {"owner/slug?x=1", NULL},
        {"id:12", NULL},
        {"owner/\xC3", NULL},
        {"owner/a\nb", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kaggle_ref ref = {.text = STR_INIT("untouched")};
        struct error err;
        int rc = kaggle_ref_parse(str_from_cstr(rows[i].text), &ref, &err);

        if (!rows[i].ref) {
            if (rc != -ERR_INVALID)
                fail_msg("'%s' was taken for a reference", rows[i].text);
            assert_str_equal(ref.text, "untouched");
            continue;
        }
        assert_ok(rc, err);
        assert_str_equal(ref.text, rows[i].ref);
    }
}

static void
test_parts_and_length(void **state)
{
    char text[KAGGLE_REF_BYTES + 1];
    struct kaggle_ref ref;
    struct error err;

    (void)state;
    assert_ok(kaggle_ref_parse(STR("mlg-ulb/creditcardfraud/3"), &ref, &err), err);
    assert_str_equal(ref.owner, "mlg-ulb");
    assert_str_equal(ref.slug, "creditcardfraud");

    (void)memset(text, 'a', sizeof(text));
    text[3] = '/';
    assert_ok(kaggle_ref_parse((struct str){text, KAGGLE_REF_BYTES}, &ref, &err), err);
    assert_int_equal(kaggle_ref_parse((struct str){text, sizeof(text)}, &ref, &err), -ERR_INVALID);
}

static void
test_url_and_placeholder(void **state)
{
    struct arena arena = ARENA_INIT(10000);
    struct kaggle_ref ref;
    struct error err;
    bool ok = true;

    (void)state;
    assert_ok(kaggle_ref_parse(STR("S\xC3\xADrio-Libanes/covid19"), &ref, &err), err);
    assert_str_equal(kaggle_ref_url(&ref, &arena, &ok),
                     "https://www.kaggle.com/datasets/S%C3%ADrio-Libanes/covid19");
    assert_str_equal(kaggle_ref_placeholder(8700001, &arena, &ok), "id:8700001");
    assert_true(ok);
    assert_true(kaggle_ref_is_placeholder(STR("id:8700001")));
    assert_false(kaggle_ref_is_placeholder(STR("id:")));
    assert_false(kaggle_ref_is_placeholder(STR("id:12/x")));
    assert_false(kaggle_ref_is_placeholder(STR("id/12")));
    arena_fini(&arena);
}

static void
test_licenses(void **state)
{
    static const struct {
        const char *name;
        const char *id;
    } rows[] = {
        {"CC0: Public Domain", "CC0-1.0"},
        {"cc0: public domain", "CC0-1.0"},
        {" CC BY-SA 4.0 ", "CC-BY-SA-4.0"},
        {"Attribution 4.0 International (CC BY 4.0)", "CC-BY-4.0"},
        {"Attribution-NonCommercial-NoDerivatives 4.0 International (CC BY-NC-ND 4.0)",
         "CC-BY-NC-ND-4.0"},
        {"Database: Open Database, Contents: \xC2\xA9 Original Authors", "ODbL-1.0"},
        {"Database: Open Database, Contents: Database Contents", "DbCL-1.0"},
        {"Community Data License Agreement - Sharing - Version 1.0", "CDLA-Sharing-1.0"},
        {"GPL 2", "GPL-2.0"},
        {"Apache 2.0", "apache-2.0"},
        {"Data files \xC2\xA9 Original Authors", "copyright-authors"},
        {"Other (specified in description)", "other"},
        {"Unknown", "unknown"},
        {"World Bank Dataset Terms of Use", "World Bank Dataset Terms of Use"},
        {"CC0-1.0", "CC0-1.0"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_str_equal(kaggle_license_id(str_from_cstr(rows[i].name)), rows[i].id);
    assert_null(kaggle_license_id(STR_NULL).ptr);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parts_and_length),
        cmocka_unit_test(test_url_and_placeholder),
        cmocka_unit_test(test_licenses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
