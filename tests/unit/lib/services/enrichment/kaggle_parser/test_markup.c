/* kaggle_parser/markup.h. */

#include "tests/unit/check.h"

#include <stdlib.h>

#include <trawl/error.h>

#include "base/utf8.h"
#include "lib/services/enrichment/kaggle_parser/markup.h"

#define ARENA_BYTES ((size_t)64 << 20)

static void
test_strip(void **state)
{
    static const struct {
        const char *text;
        const char *plain;
    } rows[] = {
        {"nothing to do", "nothing to do"},
        {"  ends \n", "ends"},
        {"<b>bold</b> and <I class='x'>more</I>", "bold and more"},
        {"R&amp;D &lt;5 &#39;q&#x27; &eacute;&nbsp;x", "R&D <5 'q' \xC3\xA9 x"},
        {"&amp;lt;b&amp;gt;", "&lt;b&gt;"},
        {"AT&T; &unknown; & &; &#0; &#xD800; &#1114112;",
         "AT&T; &unknown; & &; &#0; &#xD800; &#1114112;"},
        {"a<script>alert('<b>')</script>b", "ab"},
        {"a<SCRIPT type=\"x\">alert(1)</Script >b", "ab"},
        {"a<style>p { x: y }</style>b<iframe src=\"u\">z</iframe>c", "abc"},
        {"a<script>never closed", "anever closed"},
        {"a<!-- <b>hidden</b> -->b<!-- open", "ab<!-- open"},
        {"<p>one</p><p>two</p>", "one\n\ntwo"},
        {"one<br />two<br>three", "one\ntwo\nthree"},
        {"<table><tr><td>1</td><td>2</td></tr></table>", "1 2"},
        {"<img src=\"a>b.png\" alt=x>text", "text"},
        {"<a href=\"https://x.org\">link</a>", "link"},
        {"x < 5 and y > 3", "x < 5 and y > 3"},
        {"a <b and c> d", "a <b and c> d"},
        {"<unk> <int> <https://x.org> <me@x.org>", "<unk> <int> <https://x.org> <me@x.org>"},
        {"<b", "<b"},
        {"</b x>", "</b x>"},
        {"<p <p <p", "<p <p <p"},
        {"use `<b>` and ```\n<p>\n```", "use `<b>` and ```\n<p>\n```"},
        {"one ` tick <b>x</b>", "one ` tick x"},
        {"# Title\n\n* **item** [x](y)", "# Title\n\n* **item** [x](y)"},
        {"a\r\nb\rc\x01\x7F"
         "d",
         "a\nbcd"},
        {"a \t\nb\n\n\n\n\nc", "a\nb\n\nc"},
        {"a\\\" + alert(1212)", "a\\\" + alert(1212)"},
        {"<h3>A</h3>\n<hr>\nB", "A\n\nB"},
        {"\xF0\x9F\x98\x80 <b>\xF0\x9F\x98\x80</b>", "\xF0\x9F\x98\x80 \xF0\x9F\x98\x80"},
        {"<b></b>", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        bool ok = true;

        assert_str_equal(kaggle_markup_strip(str_from_cstr(rows[i].text), 1000, &arena, &ok),
                         rows[i].plain);
        assert_true(ok);
        arena_fini(&arena);
    }
}

static void
test_strip_line(void **state)
{
    static const struct {
        const char *text;
        const char *plain;
    } rows[] = {
        {"a\n b\t\tc  d", "a b c d"},
        {"<p>Q&amp;A</p>\n<br>", "Q&A"},
        {"plain", "plain"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        bool ok = true;

        assert_str_equal(kaggle_markup_strip_line(str_from_cstr(rows[i].text), 1000, &arena, &ok),
                         rows[i].plain);
        arena_fini(&arena);
    }
}

static void
test_ceiling_and_absence(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    bool ok = true;

    (void)state;
    assert_null(kaggle_markup_strip(STR_NULL, 10, &arena, &ok).ptr);
    assert_non_null(kaggle_markup_strip(STR(""), 10, &arena, &ok).ptr);
    assert_str_equal(kaggle_markup_strip(STR("ab\xC3\xA9"), 3, &arena, &ok), "ab");
    assert_str_equal(kaggle_markup_strip(STR("<b>ab\xC3\xA9"), 3, &arena, &ok), "ab");
    assert_str_equal(kaggle_markup_strip(STR("<b>ab\xC3\xA9 tail and more"), 4, &arena, &ok),
                     "ab\xC3\xA9");
    assert_true(ok);
    arena_fini(&arena);
}

static void
test_no_memory(void **state)
{
    struct arena arena = ARENA_INIT(0);
    bool ok = true;

    (void)state;
    assert_null(kaggle_markup_strip(STR("<b>x</b>"), 10, &arena, &ok).ptr);
    assert_false(ok);
    arena_fini(&arena);
}

/* Openings that never close must not make the pass quadratic: each text is 4 MB and takes well
 * below a second, where looking to the end from every opening would take hours. */
static void
test_hostile_openings_are_linear(void **state)
{
    static const char *const units[] = {"<script>", "<!--",  "<p a='", "`x",
                                        "``x```",   "<b \"", "&#"};
    const size_t n_bytes = (size_t)4 << 20;
    char *text = malloc(n_bytes);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        size_t unit_bytes = strlen(units[i]);
        struct str plain;
        bool ok = true;

        for (size_t k = 0; k < n_bytes; k++)
            text[k] = units[i][k % unit_bytes];
        plain = kaggle_markup_strip((struct str){text, n_bytes}, n_bytes, &arena, &ok);
        assert_true(ok);
        assert_true(utf8_is_valid(plain));
        arena_fini(&arena);
    }
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strip),
        cmocka_unit_test(test_strip_line),
        cmocka_unit_test(test_ceiling_and_absence),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_hostile_openings_are_linear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
