/* lib/core/http_url.h, http_redirect.h and http_address.h: the pure parts under a request. */

#include "tests/unit/check.h"

#include <arpa/inet.h>

#include "lib/core/http_address.h"
#include "lib/core/http_redirect.h"
#include "lib/core/http_url.h"

/* The examples of RFC 3986 section 5.4, and what servers send. */
static void
test_resolve(void **state)
{
    static const struct {
        const char *reference;
        const char *url; /* NULL = refused */
    } rows[] = {
        {"http://g/h", "http://g/h"},
        {"https:g", NULL},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"//g/x/../y", "http://g/x/../y"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {";x", "http://a/b/c/;x"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"  /a b\xC3\xA9\"<>\r\n", "http://a/a%20b%C3%A9%22%3C%3E"},
        {"/a\r\nSet-Cookie: x", "http://a/a%0D%0ASet-Cookie:%20x"},
        {"/\\evil", "http://a/%5Cevil"},
        {"//evil\\@h/", NULL},
        {"http://user@h/", NULL},
        {"ftp://h/", NULL},
        {"file:///etc/passwd", NULL},
        {"javascript:alert(1)", NULL},
        {"http://h:99999/", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(100000);
        struct str url = STR("untouched");
        int rc = http_url_resolve(STR("http://a/b/c/d;p?q"), str_from_cstr(rows[i].reference),
                                  &arena, &url, NULL);

        assert_int_equal(rc, rows[i].url ? 0 : -ERR_INVALID);
        assert_str_equal(url, rows[i].url ? rows[i].url : "untouched");
        arena_fini(&arena);
    }
}

static void
test_shown(void **state)
{
    static const struct {
        const char *url;
        const char *shown;
    } rows[] = {
        {"https://h/p?X-Goog-Signature=abc", "https://h/p"},
        {"https://user:pw@h/p#f", "https://h/p"},
        {"https://h", "https://h"},
        {"no url?token=1", "no.url"},
        {"?a=canary://h", ""},
        {"ftp://user:pw@h/x?y", "ftp://h/x"},
        {"user:pw@h/x", "h/x"},
        {"http://h/\n\x1B[31m", "http://h/..[31m"},
        {"http://h/\xC3\xA9", "http://h/.."},
        {"", ""},
    };
    char shown[HTTP_URL_SHOWN_BYTES];
    char text[400];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(http_url_format_shown(str_from_cstr(rows[i].url), shown),
                            rows[i].shown);
    (void)memset(text, 'x', sizeof(text));
    http_url_format_shown((struct str){text, sizeof(text)}, shown);
    assert_int_equal(strlen(shown), HTTP_URL_SHOWN_BYTES - 1);
    assert_string_equal(shown + HTTP_URL_SHOWN_BYTES - 4, "...");
}

static void
test_redirect(void **state)
{
    static const struct {
        const char *from;
        enum http_method method;
        int status;
        const char *location;
        int rc;
        const char *url;
        enum http_method next;
        bool is_same_origin;
    } rows[] = {
        {"http://a/x", HTTP_GET, 302, "/y", 0, "http://a/y", HTTP_GET, true},
        {"http://a/x", HTTP_GET, 302, "http://A:80/y", 0, "http://A:80/y", HTTP_GET, true},
        {"http://a/x", HTTP_HEAD, 303, "/y", 0, "http://a/y", HTTP_HEAD, true},
        {"http://a/x", HTTP_POST, 301, "/y", 0, "http://a/y", HTTP_GET, true},
        {"http://a/x", HTTP_POST, 302, "/y", 0, "http://a/y", HTTP_GET, true},
        {"http://a/x", HTTP_POST, 303, "/y", 0, "http://a/y", HTTP_GET, true},
        {"http://a/x", HTTP_POST, 307, "/y", 0, "http://a/y", HTTP_POST, true},
        {"http://a/x", HTTP_POST, 308, "/y", 0, "http://a/y", HTTP_POST, true},
        {"http://a/x", HTTP_GET, 302, "https://a/y", 0, "https://a/y", HTTP_GET, false},
        {"https://a/x", HTTP_GET, 302, "//b/y", 0, "https://b/y", HTTP_GET, false},
        {"https://a/x", HTTP_GET, 302, "http://a/y", -ERR_INVALID, "", HTTP_GET, false},
        {"https://a/x", HTTP_GET, 302, "HTTP://b/y", -ERR_INVALID, "", HTTP_GET, false},
        {"https://a/x", HTTP_GET, 302, "ftp://b/y", -ERR_INVALID, "", HTTP_GET, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(100000);
        struct http_redirect next = {0};
        int rc = http_redirect_follow(str_from_cstr(rows[i].from), rows[i].method, rows[i].status,
                                      str_from_cstr(rows[i].location), &arena, &next, NULL);

        assert_int_equal(rc, rows[i].rc);
        assert_str_equal(next.url, rows[i].url);
        assert_int_equal(next.method, rows[i].next);
        assert_int_equal(next.is_same_origin, rows[i].is_same_origin);
        arena_fini(&arena);
    }
    assert_false(http_redirect_is_status(304));
    assert_false(http_redirect_is_status(300));
    assert_true(http_redirect_is_status(308));
}

static bool
is_public(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return http_address_is_public((const struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return http_address_is_public((const struct sockaddr *)&in6);
}

static void
test_address(void **state)
{
    static const struct {
        const char *text;
        bool is_public;
    } rows[] = {
        {"8.8.8.8", true},
        {"1.1.1.1", true},
        {"9.255.255.255", true},
        {"11.0.0.0", true},
        {"100.63.255.255", true},
        {"100.128.0.0", true},
        {"172.15.255.255", true},
        {"172.32.0.0", true},
        {"198.17.255.255", true},
        {"198.20.0.0", true},
        {"223.255.255.255", true},
        {"0.0.0.0", false},
        {"0.1.2.3", false},
        {"10.0.0.1", false},
        {"10.255.255.255", false},
        {"100.64.0.1", false},
        {"100.100.100.200", false},
        {"100.127.255.255", false},
        {"127.0.0.1", false},
        {"127.255.255.254", false},
        {"168.63.129.16", false},
        {"169.254.169.254", false},
        {"172.16.0.1", false},
        {"172.31.255.255", false},
        {"192.0.0.192", false},
        {"192.0.2.1", false},
        {"192.88.99.1", false},
        {"192.168.1.1", false},
        {"198.18.0.1", false},
        {"198.19.255.255", false},
        {"198.51.100.1", false},
        {"203.0.113.1", false},
        {"224.0.0.1", false},
        {"239.255.255.250", false},
        {"240.0.0.1", false},
        {"255.255.255.255", false},
        {"2606:4700::1111", true},
        {"2001:4860:4860::8888", true},
        {"2a00::1", true},
        {"::ffff:8.8.8.8", true},
        {"64:ff9b::8.8.8.8", true},
        {"::", false},
        {"::1", false},
        {"::127.0.0.1", false},
        {"::ffff:127.0.0.1", false},
        {"::ffff:169.254.169.254", false},
        {"::ffff:10.0.0.1", false},
        {"64:ff9b::10.0.0.1", false},
        {"64:ff9b::169.254.169.254", false},
        {"64:ff9b:1::8.8.8.8", false},
        {"100::1", false},
        {"2001::1", false},
        {"2001:2::1", false},
        {"2001:10::1", false},
        {"2001:db8::1", false},
        {"2002:a00:1::", false},
        {"2002:7f00:1::1", false},
        {"3fff::1", false},
        {"fc00::1", false},
        {"fd00:ec2::254", false},
        {"fe80::1", false},
        {"fec0::1", false},
        {"ff02::1", false},
    };
    struct sockaddr other = {.sa_family = AF_UNIX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (is_public(rows[i].text) != rows[i].is_public)
            fail_msg("'%s' is%s public", rows[i].text, rows[i].is_public ? "" : " not");
    }
    assert_false(http_address_is_public(&other));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
