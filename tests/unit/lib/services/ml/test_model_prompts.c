/* Which prompts are used, and what they do to the vectors' identity. */

#include "tests/unit/encoder/tiny_model.h"

#include "lib/services/ml/embedder.h"
#include "lib/services/ml/model_prompts.h"

#define LONG_PROMPT "a b c d e f g h i j k l m n o p q r s t u v w x y z: "

static const char own_prompts[] = "{\"prompts\": {\"query\": \"q \", \"document\": \"d \"}}";

static int
setup(void **state)
{
    struct tiny_model *model = calloc(1, sizeof(*model));

    assert_non_null(model);
    tiny_create(model);
    *state = model;
    return 0;
}

static int
teardown(void **state)
{
    tiny_destroy(*state);
    free(*state);
    return 0;
}

static void
test_choose(void **state)
{
    static const struct {
        struct str setting;
        bool has_own; /* the model asks for "q " */
        int rc;
        const char *text;
        const char *told; /* in the origin, or in the error */
    } rows[] = {
        {STR_INIT("auto"), true, 0, "q ", "prompts.query"},
        {{NULL, 0}, true, 0, "q ", "prompts.query"},
        {STR_INIT("none"), true, 0, "", "embedding.query_prompt"},
        {STR_INIT("x: "), true, 0, "x: ", "embedding.query_prompt"},
        {STR_INIT(""), true, 0, "", "embedding.query_prompt"},
        {STR_INIT("auto"), false, 0, "", "ask for none"},
        {STR_INIT("\xff"), false, -ERR_CONFIG, "", "not UTF-8"},
        {STR_INIT(LONG_PROMPT), false, -ERR_CONFIG, "", "more than half"},
    };
    const struct tiny_model *model = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(encoder_closep) struct encoder *encoder = NULL;
        struct encoder_prompts prompts = {0};
        struct error err = {0};
        int rc;

        tiny_write_text(model, "config_sentence_transformers.json",
                        rows[i].has_own ? own_prompts : "{}");
        assert_ok(encoder_open(model->dir, NULL, &encoder, &err), err);
        rc = model_prompts_choose(encoder, rows[i].setting, STR("none"), &prompts, &err);
        assert_int_equal(rc, rows[i].rc);
        if (!strstr(rc < 0 ? err.message : prompts.query.origin.ptr, rows[i].told))
            fail_msg("row %zu: %s", i, rc < 0 ? err.message : prompts.query.origin.ptr);
        assert_true(str_equal(prompts.query.text, str_from_cstr(rows[i].text)));
    }
}

static void
test_identity(void **state)
{
    const struct str fingerprint = STR("bert-l6-h384-cls+mean/1b2c3d4e5f607182/f32-1");
    char without[MODEL_IDENTITY_BYTES];
    char passage[MODEL_IDENTITY_BYTES];
    char other[MODEL_IDENTITY_BYTES];
    struct error err = {0};

    (void)state;
    assert_ok(model_prompts_identity(fingerprint, STR(""), without, &err), err);
    assert_ok(model_prompts_identity(fingerprint, STR("passage: "), passage, &err), err);
    assert_ok(model_prompts_identity(fingerprint, STR("passage:"), other, &err), err);
    assert_true(str_equal(str_from_cstr(without), fingerprint));
    assert_true(
        str_starts_with(str_from_cstr(passage), STR("bert-l6-h384-cls+mean/1b2c3d4e5f607182~")));
    assert_true(str_ends_with(str_from_cstr(passage), STR("/f32-1")));
    assert_string_not_equal(passage, other);
    assert_true(model_prompts_is_same_model(str_from_cstr(passage), str_from_cstr(other)));
    assert_true(model_prompts_is_same_model(str_from_cstr(passage), fingerprint));
    assert_false(model_prompts_is_same_model(str_from_cstr(passage),
                                             STR("bert-l6-h384-cls+mean/1b2c3d4e5f607182/bf16-1")));
    assert_false(model_prompts_is_same_model(STR_NULL, fingerprint));
}

/* Documents and queries get theirs; another document prompt is another identity, and queries can be
 * asked of vectors that were made with the old one. */
static void
test_embedder(void **state)
{
    const struct tiny_model *model = *state;
    struct embedder_options options = {
        .models_dir = STR("/nowhere"),
        .model = str_from_cstr(model->dir),
        .precision = ENCODER_PRECISION_F32,
        .query_prompt = STR("q "),
        .document_prompt = STR("d "),
    };
    const struct str text = STR("a b");
    const struct str joined[] = {STR("d a b"), STR("q a b")};
    float expected[2 * TINY_HIDDEN];
    float got[TINY_HIDDEN];
    struct encoder *encoder = NULL;
    struct embedder *plain = NULL;
    struct embedder *prompted = NULL;
    struct error err = {0};

    assert_ok(encoder_open(model->dir, &(struct encoder_options){.precision = options.precision},
                           &encoder, &err),
              err);
    assert_ok(encoder_embed(encoder, joined, 2, expected, NULL, &err), err);
    encoder_close(encoder);
    assert_ok(embedder_open(&options, &prompted, &err), err);
    assert_ok(embedder_embed(prompted, &text, 1, got, &err), err);
    assert_memory_equal(got, expected, sizeof(got));
    assert_ok(embedder_embed_query(prompted, text, got, &err), err);
    assert_memory_equal(got, expected + TINY_HIDDEN, sizeof(got));

    options.document_prompt = STR("none");
    assert_ok(embedder_open(&options, &plain, &err), err);
    assert_false(str_equal(plain->model, prompted->model));
    embedder_free(plain);
    options.vectors = prompted->model;
    assert_ok(embedder_open(&options, &plain, &err), err);
    assert_true(str_equal(plain->model, prompted->model));
    embedder_free(plain);
    options.query_prompt = STR(LONG_PROMPT);
    assert_int_equal(embedder_open(&options, &plain, &err), -ERR_CONFIG);
    assert_non_null(strstr(err.message, "embedding.query_prompt"));
    embedder_free(prompted);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_choose, setup, teardown),
        cmocka_unit_test(test_identity),
        cmocka_unit_test_setup_teardown(test_embedder, setup, teardown),
    };

    return cmocka_run_group_tests_name("lib/services/ml/model_prompts", tests, NULL, NULL);
}
