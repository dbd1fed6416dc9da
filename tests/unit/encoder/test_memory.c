/* Opening and embedding in every precision while each allocation of ours fails in turn: the error
 * says so, nothing leaks (the sanitizers look), and the last try, in which none fails, works. */

#include "tests/unit/failing_allocations.h"

#include "encoder/encoder_state.h"
#include "tests/unit/check.h"
#include "tests/unit/encoder/tiny_model.h"

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return is_to_fail() ? NULL : __real_aligned_alloc(alignment, size);
}

#define N_TEXTS 3

static int
open_and_embed(const char *dir, const struct kernels_ops *ops, float *vectors, struct error *err)
{
    static const struct encoder_options options = {.n_threads = 1};
    static const struct str texts[N_TEXTS] = {STR_INIT("a b c"), STR_INIT(""), STR_INIT("d e")};
    struct encoder *encoder = NULL;
    int rc = encoder_open_with(dir, &options, ops, &encoder, err);

    if (rc == 0)
        rc = encoder_embed(encoder, texts, N_TEXTS, vectors, NULL, err);
    encoder_close(encoder);
    return rc;
}

static void
check_kernels(const char *dir, const struct kernels_ops *ops)
{
    float expected[N_TEXTS * TINY_HIDDEN] = {0};
    float vectors[N_TEXTS * TINY_HIDDEN];
    struct error err = {0};
    int n = 0;

    n_until_failure = 0;
    assert_ok(open_and_embed(dir, ops, expected, &err), err);
    do {
        int rc;

        err = (struct error){0};
        (void)memset(vectors, 0, sizeof(vectors));
        has_failed = false;
        n_until_failure = ++n;
        rc = open_and_embed(dir, ops, vectors, &err);
        n_until_failure = 0;
        if (has_failed && rc != -ERR_NOMEM)
            fail_msg("%s, allocation %d: %d, %s", ops->precision, n, rc, err.message);
        if (!has_failed)
            assert_ok(rc, err);
    } while (has_failed);
    assert_memory_equal(vectors, expected, sizeof(vectors));
    print_message("# %s: %d allocations\n", ops->precision, n - 1);
    assert_true(n > 30); /* the wrappers are in place */
}

static void
test_open_and_embed(void **state)
{
    const struct kernels_ops *const all[] = {&kernels_loops, kernels_find(ENCODER_PRECISION_F32),
                                             kernels_find(ENCODER_PRECISION_BF16),
                                             kernels_find(ENCODER_PRECISION_INT8)};
    struct tiny_model model;

    (void)state;
    tiny_create(&model);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (all[i])
            check_kernels(model.dir, all[i]);
    }
    tiny_destroy(&model);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_open_and_embed)};

    return cmocka_run_group_tests_name("encoder/memory", tests, NULL, NULL);
}
