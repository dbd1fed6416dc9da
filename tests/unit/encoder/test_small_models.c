/* Every pooling, the modules behind it, prompts and MPNet against vectors of the original
 * implementation in float64: tests/fixtures/encoder/small. */

#include "tests/unit/encoder/data.h"

#include <math.h>
#include <unistd.h>

#include <trawl/encoder.h>

#define ARENA_BYTES ((size_t)16 << 20)
#define FIXTURE     "tests/fixtures/encoder/small"
#define TEXTS_MAX   16
#define FLOATS_MAX  1024
#define MAX_ERROR   2e-5
#define N_CASES_MIN 20

struct texts {
    struct str items[TEXTS_MAX];
    size_t n_items;
};

/* Copy a directory's files, into one that is made if need be. */
static void
copy_files(const char *from, const char *to)
{
    char command[4 * PATH_BYTES];

    (void)snprintf(command, sizeof(command), "mkdir -p '%s' && cp '%s'/* '%s'", to, from, to);
    assert_int_equal(system(command), 0);
}

static void
remove_dir(const char *dir)
{
    char command[PATH_BYTES];

    (void)snprintf(command, sizeof(command), "rm -r '%s'", dir);
    assert_int_equal(system(command), 0);
}

static const char *
fixture_path(struct str name, struct arena *arena)
{
    const char *path = arena_printf(arena, "%s/" FIXTURE "/%.*s", source_root(), STR_ARG(name));

    assert_non_null(path);
    return path;
}

/* The case's model: its transformer, its Dense module, its own files. */
static void
write_case(const struct json *row, const char *dir, struct arena *arena)
{
    const struct json *files = json_get_typed(row, STR("files"), JSON_OBJECT);
    struct str dense = json_get_str(row, STR("dense"));
    struct error err = {0};

    copy_files(fixture_path(json_get_str(row, STR("base")), arena), dir);
    if (dense.len)
        copy_files(fixture_path(dense, arena), arena_printf(arena, "%s/2_Dense", dir));
    assert_non_null(files);
    for (size_t i = 0; i < files->object.n_members; i++) {
        const struct json_member *file = &files->object.members[i];
        char path[PATH_BYTES];
        char *slash;

        (void)snprintf(path, sizeof(path), "%s/%.*s", dir, STR_ARG(file->name));
        slash = strrchr(path, '/');
        *slash = '\0';
        assert_ok(file_make_dirs(path, &err), err);
        *slash = '/';
        assert_ok(file_write_atomic(path, file->value.text, &err), err);
    }
}

static double
largest_error(const struct json *vectors, const float *got, size_t dim)
{
    double largest = 0;

    for (size_t t = 0; t < vectors->array.n_items; t++) {
        const struct json *vector = &vectors->array.items[t];

        assert_int_equal(vector->array.n_items, dim);
        for (size_t i = 0; i < dim; i++) {
            double expected;

            assert_true(json_is_f64(&vector->array.items[i], &expected));
            largest = fmax(largest, fabs((double)got[t * dim + i] - expected));
        }
    }
    return largest;
}

static void
check_case(const struct json *row, const struct texts *texts, struct arena *arena)
{
    static const struct encoder_options options = {.precision = ENCODER_PRECISION_F32};
    const struct json *vectors = json_get_typed(row, STR("vectors"), JSON_ARRAY);
    char dir[] = "/tmp/trawl-small-XXXXXX";
    float got[FLOATS_MAX];
    struct encoder_prompts prompts;
    struct encoder *encoder = NULL;
    struct error err = {0};
    double error;

    assert_non_null(mkdtemp(dir));
    write_case(row, dir, arena);
    assert_ok(encoder_open(dir, &options, &encoder, &err), err);
    encoder_get_prompts(encoder, &prompts);
    assert_true(vectors && vectors->array.n_items == texts->n_items);
    assert_true(texts->n_items * encoder_dim(encoder) <= FLOATS_MAX);
    assert_ok(encoder_embed_prompted(encoder, prompts.query.text, texts->items, texts->n_items, got,
                                     NULL, &err),
              err);
    error = largest_error(vectors, got, encoder_dim(encoder));
    if (!(error < MAX_ERROR))
        fail_msg("%.*s: off by %g", STR_ARG(json_get_str(row, STR("name"))), error);
    encoder_close(encoder);
    remove_dir(dir);
}

static void
test_cases(void **state)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct buf lines = BUF_INIT(ARENA_BYTES);
    struct texts texts = {.n_items = 0};
    struct error err = {0};
    struct str rest;
    struct str line;
    size_t n_cases = 0;

    (void)state;
    assert_ok(file_read(fixture_path(STR("cases.jsonl"), &arena), &lines, &err), err);
    rest = buf_str(&lines);
    while (str_split(&rest, '\n', &line) && line.len) {
        struct json row = parse_json(line, &arena);
        const struct json *list = json_get_typed(&row, STR("texts"), JSON_ARRAY);

        for (size_t i = 0; list && i < list->array.n_items && i < TEXTS_MAX; i++)
            texts.items[texts.n_items++] = list->array.items[i].text;
        if (list)
            continue;
        check_case(&row, &texts, &arena);
        n_cases++;
    }
    assert_true(n_cases >= N_CASES_MIN && texts.n_items > 0);
    buf_fini(&lines);
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};

    return cmocka_run_group_tests_name("encoder/small_models", tests, NULL, NULL);
}
