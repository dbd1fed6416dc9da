/* lib/core/http_headers.h */

#include "tests/unit/check.h"

#include "base/clock.h"
#include "lib/core/http_headers.h"

static void
test_link_find(void **state)
{
    static const struct {
        const char *value;
        const char *rel;
        const char *uri; /* NULL = none */
    } rows[] = {
        {"<https://h/a?cursor=x>; rel=\"next\"", "next", "https://h/a?cursor=x"},
        {"<https://h/a?b=1,2>;rel=next", "next", "https://h/a?b=1,2"},
        {"  < /a >  ;  REL = \"NEXT\"  ", "next", "/a"},
        {"<a>; rel=\"first\", <b>; rel=\"next\", <c>; rel=last", "next", "b"},
        {"<a>; title=\"x, <y>; rel=next\"; rel=prev, <b>; rel=next", "next", "b"},
        {"<a>; title=\"q\\\"uote; rel=next\"; rel=prev", "next", NULL},
        {"<a>; rel=\"prev next\"", "next", "a"},
        {"<a>; rel=\"nextish\"", "next", NULL},
        {"<a>; rel=prev; rel=next", "next", NULL}, /* only the first rel counts */
        {"<a>, <b>; rel=next", "next", "b"},
        {"<a>; foo; rel=next", "next", "a"},
        {"<a>; rel", "next", NULL},
        {"<a>; rel=", "next", NULL},
        {"<a; rel=next", "next", NULL},
        {"a>; rel=next", "next", NULL},
        {"<>; rel=next", "next", ""},
        {"<a>; x=\"unterminated; rel=next", "next", NULL},
        {"<a>; rel=\"next\\", "next", NULL},
        {"", "next", NULL},
        {"<", "next", NULL},
        {">>><<<", "next", NULL},
        {"<a><b>; rel=next", "next", "a"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str uri = http_link_find(str_from_cstr(rows[i].value), str_from_cstr(rows[i].rel));

        if (!rows[i].uri)
            assert_null(uri.ptr);
        else
            assert_str_equal(uri, rows[i].uri);
    }
    assert_null(http_link_find(STR_NULL, STR("next")).ptr);
}

static void
test_rate_limit(void **state)
{
    static const struct {
        const char *value;
        bool is_known;
        const char *bucket;
        int64_t remaining;
        int64_t reset_s;
    } rows[] = {
        {"\"api\";r=489;t=189", true, "api", 489, 189},
        {"api;r=489;t=189", true, "api", 489, 189},
        {"  \"api\" ; T = 189 ; R = 0  ", true, "api", 0, 189},
        {"r=5;t=6", true, "", 5, 6},
        {"\"a\";r=10;t=1, \"b\";r=2;t=50, \"c\";r=3;t=9", true, "b", 2, 50},
        {"\"a\";r=x;t=1, \"b\";r=2;t=50", true, "b", 2, 50},
        {"\"a;r=1;t=1\";r=7;t=8", true, "a;r=1;t=1", 7, 8},
        {"\"api\";r=\"4\";t=1", true, "api", 4, 1},
        {"\"api\";r=999999999999;t=1", true, "api", 999999999999, 1},
        {"\"api\";r=99999999999999999999999;t=1", false, "", 0, 0},
        {"\"api\";r=-1;t=1", false, "", 0, 0},
        {"\"api\";r=1.5;t=1", false, "", 0, 0},
        {"\"api\";r=1", false, "", 0, 0},
        {"\"api\";t=1", false, "", 0, 0},
        {"\"api\"", false, "", 0, 0},
        {"limit=100, remaining=50, reset=30", false, "", 0, 0},
        {"", false, "", 0, 0},
        {";;;,,,;", false, "", 0, 0},
        {"\"api;r=1;t=1", false, "", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_rate_limit limit = {.remaining = -7, .reset_s = -7};

        assert_int_equal(http_rate_limit_parse(str_from_cstr(rows[i].value), &limit),
                         rows[i].is_known);
        assert_int_equal(limit.remaining, rows[i].is_known ? rows[i].remaining : -7);
        assert_int_equal(limit.reset_s, rows[i].is_known ? rows[i].reset_s : -7);
        assert_str_equal(limit.bucket, rows[i].bucket);
    }
}

static void
test_rate_policy(void **state)
{
    static const struct {
        const char *value;
        bool is_known;
        const char *bucket;
        int64_t quota;
        int64_t window_s;
    } rows[] = {
        {"\"fixed window\";\"api\";q=500;w=300", true, "api", 500, 300},
        {"\"api\"; q=500; w=300", true, "api", 500, 300},
        {"fixed;q=1;w=2, \"b\";q=3;w=4", true, "fixed", 1, 2},
        {"\"api\";q=500", false, "", 0, 0},
        {"q=,w=", false, "", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_rate_policy policy = {0};

        assert_int_equal(http_rate_policy_parse(str_from_cstr(rows[i].value), &policy),
                         rows[i].is_known);
        assert_int_equal(policy.quota, rows[i].quota);
        assert_int_equal(policy.window_s, rows[i].window_s);
        assert_str_equal(policy.bucket, rows[i].bucket);
    }
}

static void
test_retry_after(void **state)
{
    /* 1994-11-06T08:49:37Z */
    const int64_t now_us = INT64_C(784111777) * US_PER_S;
    static const struct {
        const char *value;
        bool is_known;
        int64_t wait_ms;
    } rows[] = {
        {"120", true, 120000},
        {" 0 ", true, 0},
        {"2147483649", true, INT64_C(2147483648000)},
        {"99999999999999999999999999", true, INT64_C(2147483648000)},
        {"Sun, 06 Nov 1994 08:49:47 GMT", true, 10000},
        {"Sun, 06 Nov 1994 08:49:27 GMT", true, 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", true, INT64_C(2147483648000)},
        {"-5", false, 0},
        {"1.5", false, 0},
        {"soon", false, 0},
        {"", false, 0},
        {"12 34", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t wait_ms = -7;

        assert_int_equal(http_retry_after_parse(str_from_cstr(rows[i].value), now_us, &wait_ms),
                         rows[i].is_known);
        assert_int_equal(wait_ms, rows[i].is_known ? rows[i].wait_ms : -7);
    }
}

static void
test_content_range(void **state)
{
    static const struct {
        const char *value;
        bool is_known;
        struct http_content_range range;
    } rows[] = {
        {"bytes 5-9/10", true, {true, true, 5, 9, 10}},
        {"BYTES 0-0/*", true, {true, false, 0, 0, 0}},
        {"bytes */10", true, {false, true, 0, 0, 10}},
        {" bytes=5-9/10 ", true, {true, true, 5, 9, 10}}, /* seen in the wild */
        {"bytes */*", false, {0}},
        {"bytes 9-5/10", false, {0}},
        {"bytes 5-10/10", false, {0}},
        {"bytes 5-9", false, {0}},
        {"bytes -9/10", false, {0}},
        {"bytes 5-/10", false, {0}},
        {"bytes 99999999999999999999-99999999999999999999/*", false, {0}},
        {"items 5-9/10", false, {0}},
        {"bytes", false, {0}},
        {"", false, {0}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_content_range range = {0};

        assert_int_equal(http_content_range_parse(str_from_cstr(rows[i].value), &range),
                         rows[i].is_known);
        assert_int_equal(range.has_range, rows[i].range.has_range);
        assert_int_equal(range.has_total, rows[i].range.has_total);
        assert_int_equal(range.first, rows[i].range.first);
        assert_int_equal(range.last, rows[i].range.last);
        assert_int_equal(range.total, rows[i].range.total);
    }
}

static void
test_goog_md5(void **state)
{
    /* MD5 of the empty text */
    static const unsigned char empty[16] = {0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04,
                                            0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e};
    static const struct {
        const char *value;
        bool is_known;
    } rows[] = {
        {"md5=1B2M2Y8AsgTpgAmY7PhCfg==", true},
        {"crc32c=AAAAAA==,md5=1B2M2Y8AsgTpgAmY7PhCfg==", true},
        {"crc32c=AAAAAA== , MD5=1B2M2Y8AsgTpgAmY7PhCfg==", true},
        {"crc32c=AAAAAA==", false},
        {"md5=1B2M2Y8AsgTpgAmY7PhCfg", false},
        {"md5=1B2M2Y8AsgTpgAmY7PhC-g==", false},
        {"md5=", false},
        {"md5", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        unsigned char md5[16] = {0};

        assert_int_equal(http_goog_md5_parse(str_from_cstr(rows[i].value), md5), rows[i].is_known);
        if (rows[i].is_known)
            assert_memory_equal(md5, empty, sizeof(md5));
    }
}

static void
test_origin(void **state)
{
    static const struct {
        const char *url;
        const char *origin; /* NULL = no URL of ours */
    } rows[] = {
        {"https://huggingface.co/api?x=1", "https://huggingface.co"},
        {"HTTP://Host:8080", "HTTP://Host:8080"},
        {"http://[::1]:80/", "http://[::1]:80"},
        {"http://h?x@y", "http://h"},
        {"http://user@h/", NULL},
        {"http://user:pw@h/", NULL},
        {"http://h:0/", NULL},
        {"http://h:65536/", NULL},
        {"http://h:8o/", NULL},
        {"http:///x", NULL},
        {"http://h\\@evil/", NULL},
        {"http://h%2e/", NULL},
        {"http://h /", NULL},
        {"http://h/\r\nx", NULL},
        {"http://[::1", NULL},
        {"http://[::1%25eth0]/", NULL},
        {"ftp://h/", NULL},
        {"file:///etc/passwd", NULL},
        {"//h/", NULL},
        {"/path", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str origin = http_url_origin(str_from_cstr(rows[i].url));

        if (!rows[i].origin)
            assert_null(origin.ptr);
        else
            assert_str_equal(origin, rows[i].origin);
    }
    assert_true(http_url_same_origin(STR("https://A.b/x"), STR("https://a.B:443/y")));
    assert_false(http_url_same_origin(STR("https://a.b/"), STR("http://a.b/")));
    assert_false(http_url_same_origin(STR("http://a.b:81/"), STR("http://a.b/")));
    assert_false(http_url_same_origin(STR("http://a.b/"), STR("http://a.b.c/")));
    assert_false(http_url_same_origin(STR("/"), STR("/")));
}

static void
test_encode(void **state)
{
    struct arena arena = ARENA_INIT(10000);
    struct arena none = ARENA_INIT(0);
    bool ok = true;

    (void)state;
    assert_str_equal(http_url_encode(&arena, STR("a b/c~d.e-f_g?h&\xC3\xA9\xFF"), STR("/"), &ok),
                     "a%20b/c~d.e-f_g%3Fh%26%C3%A9%FF");
    assert_str_equal(http_url_encode(&arena, STR("a/b"), STR(""), &ok), "a%2Fb");
    assert_null(http_url_encode(&arena, STR_NULL, STR(""), &ok).ptr);
    assert_true(ok);
    assert_null(http_url_encode(&none, STR("a"), STR(""), &ok).ptr);
    assert_false(ok);
    arena_fini(&arena);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_find),     cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_rate_policy),   cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_content_range), cmocka_unit_test(test_goog_md5),
        cmocka_unit_test(test_origin),        cmocka_unit_test(test_encode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
