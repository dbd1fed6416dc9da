/* encoder/tokenizer.h and its loaders, against ids of the reference implementation. */

#include "tests/unit/encoder/data.h"

#include <trawl/encoder.h>

#include "encoder/tokenizer.h"
#include "encoder/tokenizer_load.h"

#define IDS_MAX     1024
#define ARENA_BYTES ((size_t)128 << 20)

/* A tokenizer from one file of the shared data, by its parser. */
static struct tokenizer *
open_file(const char *path)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct tokenizer_spec spec = {0};
    struct tokenizer *tokenizer = NULL;
    struct error err = {0};
    struct str text = read_all(path);

    assert_ok(tokenizer_json_parse(text, &arena, &spec, &err), err);
    assert_ok(tokenizer_create(&spec, &tokenizer, &err), err);
    arena_fini(&arena);
    free_text(text);
    return tokenizer;
}

static void
show_difference(struct str line, const int32_t *ids, size_t n_ids)
{
    print_message("# expected: %.*s\n# got:", STR_ARG(line));
    for (size_t i = 0; i < n_ids; i++)
        print_message(" %d", ids[i]);
    print_message("\n");
}

/* Check {"text", "ids"} lines; returns how many there were. */
static size_t
check_lines(const struct tokenizer *tokenizer, const char *path, size_t max_ids)
{
    static struct tokenizer_scratch scratch;
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct str all = read_all(path);
    struct str rest = all;
    struct str line;
    size_t n_lines = 0;
    size_t n_wrong = 0;

    tokenizer_scratch_init(&scratch);
    while (str_split(&rest, '\n', &line)) {
        int32_t expected[IDS_MAX];
        int32_t ids[IDS_MAX];
        size_t n_ids = 0;
        size_t n_expected;
        uint8_t flags = 0;
        struct json row;

        if (line.len == 0)
            continue;
        arena_reset(&arena);
        row = parse_json(line, &arena);
        n_expected = read_ids(json_get(&row, STR("ids")), expected, IDS_MAX);
        assert_int_equal(tokenizer_encode(tokenizer, &scratch, json_get_str(&row, STR("text")),
                                          max_ids, ids, &n_ids, &flags, NULL),
                         0);
        n_lines++;
        if (n_ids == n_expected && memcmp(ids, expected, n_ids * sizeof(*ids)) == 0)
            continue;
        if (n_wrong++ < 3)
            show_difference(line, ids, n_ids);
    }
    assert_int_equal(n_wrong, 0);
    tokenizer_scratch_fini(&scratch);
    arena_fini(&arena);
    free_text(all);
    return n_lines;
}

static void
test_reference_ids(void **state)
{
    static const struct {
        const char *tokenizer; /* NULL: all-MiniLM-L6-v2's */
        const char *vectors;
        size_t max_ids;
    } rows[] = {
        {NULL, "uncased_max256_edge.jsonl", 256},
        {NULL, "uncased_max256_stsb.jsonl.gz", 256},
        {NULL, "uncased_max256_fuzz.jsonl.gz", 256},
        {"tokenizer_files/bert-base-multilingual-cased/tokenizer.json",
         "multilingual-cased_max512_edge.jsonl", 512},
        {"tokenizer_files/bert-base-multilingual-cased/tokenizer.json",
         "multilingual-cased_max512_fuzz.jsonl.gz", 512},
        {"tokenizer_files/bert-base-chinese/tokenizer.json", "chinese_max512_edge.jsonl", 512},
        {"tokenizer_files/bert-base-chinese/tokenizer.json", "chinese_max512_fuzz.jsonl.gz", 512},
        {"tokenizer_files/mpnet-layout_tokenizer.json", "mpnet-layout_max384_edge.jsonl", 384},
        {"tokenizer_fixtures/minimal.json", "fixture_minimal_max512_edge.jsonl", 512},
        {"tokenizer_fixtures/dont-strip-accents.json",
         "fixture_dont-strip-accents_max512_edge.jsonl", 512},
        {"tokenizer_fixtures/with-empty-token.json", "fixture_with-empty-token_max512_edge.jsonl",
         512},
        {"tokenizer_fixtures/added-token-order.json", "fixture_added-token-order_max512_edge.jsonl",
         512},
    };
    char root[2 * PATH_BYTES];
    size_t n_checked = 0;

    (void)state;
    (void)snprintf(root, sizeof(root), "%s", shared_path("INDEX.md"));
    root[strlen(root) - strlen("INDEX.md")] = '\0';
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char tokenizer_path[3 * PATH_BYTES];
        char vectors_path[3 * PATH_BYTES];
        struct tokenizer *tokenizer;

        if (rows[i].tokenizer)
            (void)snprintf(tokenizer_path, sizeof(tokenizer_path), "%s%s", root, rows[i].tokenizer);
        else
            (void)snprintf(tokenizer_path, sizeof(tokenizer_path), "%s/tokenizer.json",
                           real_model_dir());
        (void)snprintf(vectors_path, sizeof(vectors_path), "%stokenizer_vectors/%s", root,
                       rows[i].vectors);
        if (!file_exists(tokenizer_path) || !file_exists(vectors_path)) {
            print_message("# left out: no '%s' or no '%s'\n", vectors_path, tokenizer_path);
            continue;
        }
        tokenizer = open_file(tokenizer_path);
        n_checked += check_lines(tokenizer, vectors_path, rows[i].max_ids);
        tokenizer_free(tokenizer);
    }
    print_message("# %zu texts\n", n_checked);
    assert_true(n_checked > 0);
}

static void
test_invalid_files(void **state)
{
    static const struct {
        const char *name;
        int rc;
        const char *told; /* part of the message */
    } rows[] = {
        /* as the reference: the added token takes the next id, which is the template's */
        {"missing-sep-in-vocab.json", 0, NULL},
        {"wrong-model-type.json", -ERR_UNSUPPORTED, "model.type is 'NotWordPiece'"},
        {"wrong-normalizer.json", -ERR_UNSUPPORTED, "normalizer.type is 'NotBertNormalizer'"},
        {"wrong-pretokenizer.json", -ERR_UNSUPPORTED,
         "pre_tokenizer.type is 'NotBertPreTokenizer'"},
        {"wrong-version.json", -ERR_UNSUPPORTED, "version is '2.0'"},
        {"dont-clean-text.json", 0, NULL},
        {"dont-handle-chinese-chars.json", 0, NULL},
        {"with-single-word-added-token.json", 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct tokenizer_spec spec;
        struct error err = {0};
        char name[PATH_BYTES];
        struct str text;
        int rc;

        (void)snprintf(name, sizeof(name), "tokenizer_fixtures/invalid/%s", rows[i].name);
        text = read_all(shared_path(name));
        rc = tokenizer_json_parse(text, &arena, &spec, &err);
        if (rc != rows[i].rc || (rows[i].told && !strstr(err.message, rows[i].told)))
            fail_msg("%s: %d, %s", rows[i].name, rc, err.message);
        arena_fini(&arena);
        free_text(text);
    }
}

/* Small vocabularies in the test itself. */

#define SPECIALS                                                                                   \
    "{\"id\":1,\"content\":\"[UNK]\",\"normalized\":false},"                                       \
    "{\"id\":2,\"content\":\"[CLS]\",\"normalized\":false},"                                       \
    "{\"id\":3,\"content\":\"[SEP]\",\"normalized\":false}"
#define TOKENIZER(normalizer, added, vocab)                                                        \
    "{\"version\":\"1.0\",\"added_tokens\":[" SPECIALS added "],\"normalizer\":{\"type\":"         \
    "\"BertNormalizer\"" normalizer "},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"         \
    "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]}" \
    ",\"model\":{\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","                    \
    "\"max_input_chars_per_word\":5,\"vocab\":{\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3" vocab "}}}"

static const struct {
    const char *json;
    struct str text;
    size_t max_ids;
    const char *ids;
    uint8_t flags;
} small[] = {
    {TOKENIZER("", "", ",\"ab\":4,\"##c\":5,\"a\":6"), STR_INIT("abc AB a!"), 9, "2 4 5 4 6 1 3",
     0},
    /* cut at the limit, the flag only when something is lost */
    {TOKENIZER("", "", ",\"a\":6"), STR_INIT("a a a"), 5, "2 6 6 6 3", 0},
    {TOKENIZER("", "", ",\"a\":6"), STR_INIT("a a a a"), 5, "2 6 6 6 3", ENCODER_TRUNCATED},
    {TOKENIZER("", "", ",\"a\":6"), STR_INIT("a a a   \n"), 5, "2 6 6 6 3", 0},
    {TOKENIZER("", "", ",\"a\":6"), STR_INIT("a"), 2, "2 3", ENCODER_TRUNCATED},
    /* five characters fit, six are unknown; counted after normalizing */
    {TOKENIZER("", "", ",\"a\":6,\"##a\":7"), STR_INIT("aaaaa aaaaaa"), 9, "2 6 7 7 7 7 1 3", 0},
    {TOKENIZER("", "", ",\"a\":6,\"##a\":7"),
     STR_INIT("a\xCC\x80"
              "aaaa\xCC\x80"),
     9, "2 6 7 7 7 7 3", 0},
    /* invalid bytes vanish and join their neighbours; kept, they are no vocabulary */
    {TOKENIZER("", "", ",\"ab\":4"),
     STR_INIT("a\xFF\xC3"
              "b \xED\xA0\x80"),
     9, "2 4 3", ENCODER_INVALID_UTF8},
    {TOKENIZER(",\"clean_text\":false", "", ",\"ab\":4"),
     STR_INIT("ab a\xFF"
              "b"),
     9, "2 4 1 3", ENCODER_INVALID_UTF8},
    {TOKENIZER(",\"clean_text\":false", "", ",\"ab\":4"),
     STR_INIT("ab\x0B"
              "ab"),
     9, "2 4 4 3", 0},
    /* added tokens: whole words only, with white space, next free ids, empty ones ignored */
    {TOKENIZER("", ",{\"content\":\"x\",\"single_word\":true,\"normalized\":false}",
               ",\"a\":6,\"##x\":7,\"x\":9"),
     STR_INIT("ax x \xC3\xA9x (x)"), 19, "2 6 7 9 1 1 9 1 3", 0},
    {TOKENIZER("",
               ",{\"content\":\"\",\"normalized\":false},"
               "{\"content\":\"<m>\",\"lstrip\":true,\"rstrip\":true,\"normalized\":false}",
               ",\"a\":9"),
     STR_INIT("a <m> a<m>"), 9, "2 9 4 9 4 3", 0},
    /* searched in normalized text */
    {TOKENIZER("", ",{\"content\":\"\xC3\x89\x41\"}", ",\"e\":4,\"x\":0"),
     STR_INIT("x\xC3\xA9"
              "A x e"),
     9, "2 0 5 0 4 3", 0},
    /* a special token's text is the token, wherever it stands; its case counts */
    {TOKENIZER("", "", ",\"a\":6"), STR_INIT("a[SEP]a[CLS]"), 9, "2 6 3 6 2 3", 0},
    {TOKENIZER("", "", ",\"sep\":6,\"[\":7,\"]\":8"), STR_INIT("[sep]"), 9, "2 7 6 8 3", 0},
    /* marks that survive stripping are put into canonical order */
    {TOKENIZER("", "", ",\"a\xF0\x9D\x85\xA5\xE3\x80\xAE\":6"),
     STR_INIT("a\xE3\x80\xAE\xF0\x9D\x85\xA5"), 9, "2 6 3", 0},
    /* no accents stripped: two code points for one */
    {TOKENIZER(",\"strip_accents\":false", "", ",\"i\xCC\x87\":6"), STR_INIT("\xC4\xB0"), 9,
     "2 6 3", 0},
};

static void
test_small_vocabularies(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(small); i++) {
        static struct tokenizer_scratch scratch;
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct buf shown = BUF_INIT(1000);
        struct tokenizer_spec spec = {0};
        struct tokenizer *tokenizer = NULL;
        struct error err = {0};
        int32_t ids[32];
        size_t n_ids = 0;
        uint8_t flags = 0;

        assert_ok(tokenizer_json_parse(str_from_cstr(small[i].json), &arena, &spec, &err), err);
        assert_ok(tokenizer_create(&spec, &tokenizer, &err), err);
        tokenizer_scratch_init(&scratch);
        assert_ok(tokenizer_encode(tokenizer, &scratch, small[i].text, small[i].max_ids, ids,
                                   &n_ids, &flags, &err),
                  err);
        for (size_t k = 0; k < n_ids; k++)
            buf_printf(&shown, "%s%d", k ? " " : "", ids[k]);
        if (strcmp(buf_cstr(&shown), small[i].ids) != 0 || flags != small[i].flags)
            fail_msg("row %zu: %s, flags %d", i, buf_cstr(&shown), flags);
        buf_fini(&shown);
        tokenizer_scratch_fini(&scratch);
        tokenizer_free(tokenizer);
        arena_fini(&arena);
    }
}

static void
test_broken_json(void **state)
{
    static const struct {
        const char *json;
        int rc;
    } rows[] = {
        {"", -ERR_INVALID},
        {"[]", -ERR_UNSUPPORTED},
        {"{\"version\":\"1.0\"}", -ERR_UNSUPPORTED},
        {TOKENIZER("", "", ",\"a\":-1"), -ERR_INVALID},
        {TOKENIZER("", "", ",\"a\":2147483648"), -ERR_INVALID},
        {TOKENIZER("", "", ",\"a\":\"6\""), -ERR_INVALID},
        {TOKENIZER(",\"lowercase\":1", "", ""), -ERR_INVALID},
        {TOKENIZER("", ",{\"content\":7}", ""), -ERR_INVALID},
        {TOKENIZER("", ",{\"id\":7}", ""), -ERR_INVALID},
        {TOKENIZER("", ",7", ""), -ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct tokenizer_spec spec = {.n_vocab = 77};
        struct error err = {0};

        assert_int_equal(tokenizer_json_parse(str_from_cstr(rows[i].json), &arena, &spec, &err),
                         rows[i].rc);
        assert_int_equal(spec.n_vocab, 77); /* out survives a failure */
        arena_fini(&arena);
    }
}

/* An arena of any size: the result, or ERR_NOMEM. */
static void
test_small_arenas(void **state)
{
    const struct str json = STR(TOKENIZER("", ",{\"content\":\"x\\u0041\"}", ",\"a\":6,\"##b\":7"));
    size_t n_failed = 0;

    (void)state;
    for (size_t limit = 0; limit < 16384; limit += 64) {
        struct arena arena = ARENA_INIT(limit);
        struct tokenizer_spec spec;
        int rc = tokenizer_json_parse(json, &arena, &spec, NULL);

        assert_true(rc == 0 || rc == -ERR_NOMEM);
        n_failed += rc < 0;
        arena_fini(&arena);
    }
    assert_true(n_failed > 0 && n_failed < 256);
}

static void
test_vocab_txt(void **state)
{
    static const struct vocab_txt_names names = {
        STR_INIT("[UNK]"), STR_INIT("[CLS]"),  STR_INIT("[SEP]"),
        STR_INIT("[PAD]"), STR_INIT("[MASK]"),
    };
    static const struct {
        struct str text;
        int rc;
    } rows[] = {
        {STR_INIT("[UNK]\n[CLS]\n[SEP]\na\n##b"), 0},
        {STR_INIT("[UNK]\r\n[CLS] \r\n[SEP]\r\na\r\n##b\r\n"), 0},
        {STR_INIT("[UNK]\n[CLS]\n[SEP]\na\n##b\n\n"), 0},
        {STR_INIT("[UNK]\n[CLS]\na\n##b\n"), -ERR_INVALID},
        {STR_INIT("[UNK]\n[SEP]\na\n##b\n"), -ERR_INVALID},
        {STR_INIT("[SEP]\n[CLS]\na\n##b\n"), -ERR_INVALID},
        {STR_INIT("[UNK]\n[CLS]\n[SEP]\n\xFF\n"), -ERR_INVALID},
        {STR_INIT(""), -ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct tokenizer_spec spec;
        struct error err = {0};
        int rc = vocab_txt_parse(rows[i].text, &names,
                                 (struct normalizer_options){true, true, true, true}, &arena, &spec,
                                 &err);

        if (rc != rows[i].rc)
            fail_msg("row %zu: %d", i, rc);
        if (rc == 0) {
            assert_int_equal(tokenizer_spec_find(&spec, STR("##b")), 4);
            assert_int_equal(spec.prefix_ids[0], 1);
            assert_int_equal(spec.suffix_ids[0], 2);
        }
        arena_fini(&arena);
    }
}

/* The same model's vocab.txt and tokenizer.json are the same tokenizer, down to the digest. */
static void
test_vocab_txt_equals_json(void **state)
{
    static const struct vocab_txt_names names = {
        STR_INIT("[UNK]"), STR_INIT("[CLS]"),  STR_INIT("[SEP]"),
        STR_INIT("[PAD]"), STR_INIT("[MASK]"),
    };
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct tokenizer_spec spec = {0};
    struct tokenizer *from_json;
    struct tokenizer *from_text = NULL;
    struct error err = {0};
    char path[3 * PATH_BYTES];
    struct str text;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/tokenizer.json", real_model_dir());
    from_json = open_file(path);
    (void)snprintf(path, sizeof(path), "%s/vocab.txt", real_model_dir());
    text = read_all(path);
    assert_ok(vocab_txt_parse(text, &names, (struct normalizer_options){true, true, true, true},
                              &arena, &spec, &err),
              err);
    assert_ok(tokenizer_create(&spec, &from_text, &err), err);
    assert_int_equal(tokenizer_max_id(from_text), 30521);
    assert_int_equal(tokenizer_max_id(from_json), 30521);
    assert_memory_equal(tokenizer_digest(from_text), tokenizer_digest(from_json), SHA256_BYTES);
    tokenizer_free(from_json);
    tokenizer_free(from_text);
    arena_fini(&arena);
    free_text(text);
}

int
main(void)
{
    static const struct data_test tests[] = {
        DATA_TEST(test_small_vocabularies, NEED_NOTHING),
        DATA_TEST(test_broken_json, NEED_NOTHING),
        DATA_TEST(test_small_arenas, NEED_NOTHING),
        DATA_TEST(test_vocab_txt, NEED_NOTHING),
        DATA_TEST(test_vocab_txt_equals_json, NEED_MODEL),
        DATA_TEST(test_reference_ids, NEED_SHARED | NEED_MODEL),
        DATA_TEST(test_invalid_files, NEED_SHARED),
    };

    return run_data_tests("encoder/tokenizer", tests, COUNT_OF(tests));
}
