/* lib/services/enrichment/hf_parser/text.h. */

#include "tests/unit/check.h"

#include "lib/services/enrichment/hf_parser/text.h"

#define TAIL        "\xE2\x80\xA6 See the full description on the dataset page: "
#define PLACEHOLDER "dataset hosted on Hugging Face and contributed by the HF Datasets community"

static void
test_clean(void **state)
{
    static const struct {
        const char *text;
        const char *paragraphs;
        const char *line;
    } rows[] = {
        {"", "", ""},
        {" \n\t ", "", ""},
        {"plain", "plain", "plain"},
        {"two  words\tmore", "two words more", "two words more"},
        {"a\nb", "a\nb", "a b"},
        {"a\r\nb", "a\nb", "a b"},
        {"a\n\n\n\nb", "a\n\nb", "a b"},
        /* what the Hub leaves of "## Overview" between paragraphs */
        {"\n\t\n\t\t\n\t\tOverview\n\t\n\nThis dataset\n", "Overview\n\nThis dataset",
         "Overview This dataset"},
        {"with debris.\n\n\t\n\t\t\n\t\n\t\n\t\tDataset", "with debris.\n\nDataset",
         "with debris. Dataset"},
        {"a \n b", "a\nb", "a b"},
        /* control bytes, C1, zero-width space, byte order mark, overrides */
        {"\xEF\xBB\xBFx\x01y\x1Bz\x7F", "xyz", "xyz"},
        {"a\xC2\x9B\x62\xE2\x80\x8B\x63\xE2\x80\xAE\x64", "abcd", "abcd"},
        {"a\xC2\xA0\xC2\xA0\x62", "a b", "a b"},
        {"a\xE2\x80\xA8\x62\xC2\x85\x63", "a\nb\nc", "a b c"},
        {"gr\xC3\xB6\xC3\x9F\x65\xE3\x80\x80\xE4\xB8\xAD", "gr\xC3\xB6\xC3\x9F\x65 \xE4\xB8\xAD",
         "gr\xC3\xB6\xC3\x9F\x65 \xE4\xB8\xAD"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 16);
        struct str text;
        struct error err;

        assert_ok(hf_text_clean(str_from_cstr(rows[i].text), 1000, &arena, &text, &err), err);
        assert_str_equal(text, rows[i].paragraphs);
        assert_non_null(text.ptr);
        assert_ok(hf_text_clean_line(str_from_cstr(rows[i].text), 1000, &arena, &text, &err), err);
        assert_str_equal(text, rows[i].line);
        arena_fini(&arena);
    }
}

static void
test_clean_cuts_at_a_code_point(void **state)
{
    static const struct {
        const char *text;
        size_t max_bytes;
        const char *cut;
    } rows[] = {
        {"abcdef", 3, "abc"},    {"ab cd", 3, "ab"}, /* no space at the end */
        {"ab cd", 4, "ab c"},    {"a\xC3\xB6", 2, "a"}, {"a\xC3\xB6", 3, "a\xC3\xB6"},
        {"\xE4\xB8\xAD", 2, ""}, {"a\n\nb", 3, "a"},    {"abc", 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 16);
        struct str text;
        struct error err;

        assert_ok(
            hf_text_clean(str_from_cstr(rows[i].text), rows[i].max_bytes, &arena, &text, &err),
            err);
        assert_str_equal(text, rows[i].cut);
        arena_fini(&arena);
    }
}

static void
test_clean_edges(void **state)
{
    struct arena arena = ARENA_INIT((size_t)1 << 12);
    struct arena full = ARENA_INIT(0);
    struct str text = STR("kept");

    (void)state;
    assert_int_equal(hf_text_clean(STR("a"), 10, &full, &text, NULL), -ERR_NOMEM);
    assert_str_equal(text, "kept");
    assert_int_equal(hf_text_clean(STR_NULL, 10, &arena, &text, NULL), 0);
    assert_null(text.ptr); /* absent stays absent */
    arena_fini(&arena);
}

static void
test_strip_tail(void **state)
{
    static const struct {
        const char *text;
        const char *stripped;
    } rows[] = {
        {"Papers expanding on" TAIL "https://huggingface.co/datasets/a/b-2.1.",
         "Papers expanding on"},
        {"cut mid wo" TAIL "https://huggingface.co/datasets/a/b. \n", "cut mid wo"},
        {"with space " TAIL "https://mirror.example/datasets/a/b.", "with space"},
        {TAIL "https://huggingface.co/datasets/a/b.", ""},
        /* not that tail */
        {"A text.", "A text."},
        {"" TAIL "https://huggingface.co/datasets/a/b. And then more words.",
         "" TAIL "https://huggingface.co/datasets/a/b. And then more words."},
        {"x" TAIL "https://huggingface.co/datasets/a/b",
         "x" TAIL "https://huggingface.co/datasets/a/b"},
        {"x" TAIL "https://example.com/elsewhere.", "x" TAIL "https://example.com/elsewhere."},
        {"x" TAIL "the wiki.", "x" TAIL "the wiki."},
        {"x See the full description on the dataset page: https://huggingface.co/datasets/a/b.",
         "x See the full description on the dataset page: https://huggingface.co/datasets/a/b."},
        /* quoted inside, and real at the end: the last one goes */
        {"q" TAIL "https://huggingface.co/datasets/q/q. r" TAIL
         "https://huggingface.co/datasets/a/b.",
         "q" TAIL "https://huggingface.co/datasets/q/q. r"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_str_equal(hf_text_strip_tail(str_from_cstr(rows[i].text)), rows[i].stripped);
    assert_null(hf_text_strip_tail(STR_NULL).ptr);
}

static void
test_placeholder(void **state)
{
    static const struct {
        const char *text;
        bool is_placeholder;
    } rows[] = {
        {"Atomic-Ai/AtomicGPT-3.0_Dataset " PLACEHOLDER, true},
        {"\n squad " PLACEHOLDER ". ", true},
        {PLACEHOLDER, true},
        {"Two words " PLACEHOLDER, false},
        {"a/b " PLACEHOLDER " and more", false},
        {"a real description", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(hf_text_is_placeholder(str_from_cstr(rows[i].text)),
                         rows[i].is_placeholder);
    assert_false(hf_text_is_placeholder(STR_NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),       cmocka_unit_test(test_clean_cuts_at_a_code_point),
        cmocka_unit_test(test_clean_edges), cmocka_unit_test(test_strip_tail),
        cmocka_unit_test(test_placeholder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
