/* The table of classes, row by row. */

#include "lib/services/validation/link_classify.h"
#include "tests/unit/check.h"

struct row {
    enum link_site site;
    int status;
    const char *error_code;
    const char *error_message;
    bool has_retry_after;
    enum link_class class;
    int weight;
    bool is_strong;
};

#define ANY    LINK_SITE_ANY
#define HF     LINK_SITE_HF_API
#define KAGGLE LINK_SITE_KAGGLE_PAGE

/* clang-format off */
static const struct row rows[] = {
    {ANY, 200, NULL, NULL, false, LINK_CLASS_ALIVE, 0, false},
    {ANY, 204, NULL, NULL, false, LINK_CLASS_ALIVE, 0, false},
    {ANY, 206, NULL, NULL, false, LINK_CLASS_ALIVE, 0, false},
    {ANY, 304, NULL, NULL, false, LINK_CLASS_ALIVE, 0, false},
    {ANY, 302, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false}, /* without a Location */
    {ANY, 401, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {ANY, 403, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {ANY, 405, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {ANY, 407, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {ANY, 451, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {ANY, 999, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {ANY, 404, NULL, NULL, false, LINK_CLASS_GONE, 1, false},
    {ANY, 410, NULL, NULL, false, LINK_CLASS_GONE, 2, true},
    {ANY, 408, NULL, NULL, false, LINK_CLASS_LOST, 1, false},
    {ANY, 500, NULL, NULL, false, LINK_CLASS_LOST, 1, false},
    {ANY, 501, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {ANY, 503, NULL, NULL, false, LINK_CLASS_LOST, 1, false},
    {ANY, 503, NULL, NULL, true, LINK_CLASS_PARKED, 0, false},
    {ANY, 429, NULL, NULL, false, LINK_CLASS_PARKED, 0, false},
    {ANY, 429, NULL, NULL, true, LINK_CLASS_PARKED, 0, false},
    {ANY, 100, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},

    /* a word of the Hub means nothing from another host */
    {ANY, 403, NULL, "Access to this resource is disabled.", false, LINK_CLASS_RESTRICTED, 0, false},

    {HF, 200, NULL, NULL, false, LINK_CLASS_ALIVE, 0, false},
    {HF, 401, NULL, "Invalid username or password.", false, LINK_CLASS_GONE, 1, false},
    {HF, 401, NULL, "Invalid credentials in Authorization header", false, LINK_CLASS_OURS, 0, false},
    {HF, 401, "GatedRepo", NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {HF, 403, "GatedRepo", NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {HF, 403, NULL, "Access to this resource is disabled.", false, LINK_CLASS_GONE, 1, true},
    {HF, 403, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {HF, 404, "RepoNotFound", NULL, false, LINK_CLASS_GONE, 1, false},
    {HF, 502, NULL, NULL, false, LINK_CLASS_LOST, 1, false},

    {KAGGLE, 200, NULL, NULL, false, LINK_CLASS_ALIVE, 0, false},
    {KAGGLE, 202, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {ANY, 202, NULL, NULL, false, LINK_CLASS_ALIVE, 0, false},
    {KAGGLE, 403, NULL, NULL, false, LINK_CLASS_RESTRICTED, 0, false},
    {KAGGLE, 404, NULL, NULL, false, LINK_CLASS_GONE, 1, false},
};

static const struct {
    enum http_failure failure;
    enum link_class class;
} failures[] = {
    {HTTP_FAILURE_NONE, LINK_CLASS_LOST},
    {HTTP_FAILURE_URL, LINK_CLASS_REFUSED},
    {HTTP_FAILURE_REACH, LINK_CLASS_REFUSED},
    {HTTP_FAILURE_NAME, LINK_CLASS_LOST},
    {HTTP_FAILURE_CONNECT, LINK_CLASS_LOST},
    {HTTP_FAILURE_TLS, LINK_CLASS_ALIVE},
    {HTTP_FAILURE_TIMEOUT, LINK_CLASS_LOST},
    {HTTP_FAILURE_TRANSFER, LINK_CLASS_LOST},
    {HTTP_FAILURE_REDIRECTS, LINK_CLASS_LOST},
};
/* clang-format on */

static void
test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        const struct link_evidence evidence = {
            .site = row->site,
            .status = row->status,
            .has_retry_after = row->has_retry_after,
            .error_code = str_from_cstr(row->error_code),
            .error_message = str_from_cstr(row->error_message),
        };
        struct link_finding finding = link_classify(&evidence);

        if (finding.class != row->class || finding.weight != row->weight ||
            finding.is_strong != row->is_strong)
            fail_msg("row %zu, status %d: class %d weight %d strong %d", i, row->status,
                     (int)finding.class, finding.weight, finding.is_strong);
        assert_non_null(finding.reason);
    }
}

static void
test_no_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(failures); i++) {
        const struct link_evidence evidence = {.failure = failures[i].failure};
        struct link_finding finding = link_classify(&evidence);

        assert_int_equal(finding.class, failures[i].class);
        assert_int_equal(finding.weight, failures[i].class == LINK_CLASS_LOST);
        assert_false(finding.is_strong);
        assert_non_null(finding.reason);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
