/* encoder/pack.h, and encoder/cpu_count.h's parser. */

#include "tests/unit/check.h"

#include "encoder/cpu_count.h"
#include "encoder/pack.h"

/* Every text once, no batch over budget unless one text alone is. */
static void
check_plan(const struct pack_plan *plan, const size_t *lengths, size_t n_texts, size_t budget)
{
    bool is_seen[PACK_TEXTS_MAX] = {false};
    size_t n_seen = 0;
    size_t n_wanted = 0;

    for (size_t i = 0; i < n_texts; i++)
        n_wanted += lengths[i] > 0;
    for (size_t b = 0; b < plan->n_batches; b++) {
        const struct pack_batch *batch = &plan->batches[b];
        size_t n_tokens = 0;

        assert_int_equal(batch->first, n_seen);
        assert_true(batch->n_texts > 0);
        for (size_t i = 0; i < batch->n_texts; i++) {
            size_t text = plan->order[batch->first + i];

            assert_true(text < n_texts && !is_seen[text] && lengths[text] > 0);
            is_seen[text] = true;
            n_tokens += lengths[text];
            n_seen++;
        }
        assert_int_equal(batch->n_tokens, n_tokens);
        assert_true(n_tokens <= budget || batch->n_texts == 1);
    }
    assert_int_equal(n_seen, n_wanted);
}

static void
test_plans(void **state)
{
    static struct pack_plan plan;
    size_t lengths[PACK_TEXTS_MAX] = {0};
    uint32_t random = 3;
    size_t total = 0;

    (void)state;
    for (size_t n_texts = 0; n_texts <= PACK_TEXTS_MAX; n_texts += n_texts < 20 ? 1 : 41) {
        total = 0;
        for (size_t i = 0; i < n_texts; i++) {
            random = random * 1664525u + 1013904223u;
            lengths[i] = (random >> 8) % 7 ? (random >> 16) % 255 + 2 : 0;
            total += lengths[i];
        }
        pack_plan_texts(&plan, lengths, n_texts, 384);
        check_plan(&plan, lengths, n_texts, 384);
        pack_plan_texts(&plan, lengths, n_texts, 100);
        check_plan(&plan, lengths, n_texts, 100);
    }
    /* A full window fills its batches. */
    for (size_t i = 0; i < PACK_TEXTS_MAX; i++) {
        random = random * 1664525u + 1013904223u;
        lengths[i] = (random >> 16) % 255 + 2;
        total = i == 0 ? lengths[0] : total + lengths[i];
    }
    pack_plan_texts(&plan, lengths, PACK_TEXTS_MAX, 384);
    assert_true((double)total / (double)(plan.n_batches * 384) > 0.98);
}

static void
test_plan_example(void **state)
{
    static const size_t lengths[] = {4, 10, 0, 6, 3, 7};
    static const size_t order[] = {1, 5, 4, 3, 0};
    static struct pack_plan plan;

    (void)state;
    pack_plan_texts(&plan, lengths, COUNT_OF(lengths), 10);
    assert_int_equal(plan.n_batches, 3);
    assert_memory_equal(plan.order, order, sizeof(order));
}

static void
test_cpu_quota(void **state)
{
    static const struct {
        struct str text;
        size_t n_cpus;
    } rows[] = {
        {STR_INIT("max 100000\n"), 0},
        {STR_INIT("200000 100000\n"), 2},
        {STR_INIT("150000 100000\n"), 2},
        {STR_INIT("50000 100000\n"), 1},
        {STR_INIT("1 100000"), 1},
        {STR_INIT("0 100000"), 0},
        {STR_INIT("-1 100000"), 0},
        {STR_INIT("100000"), 0},
        {STR_INIT(""), 0},
        {STR_INIT("100000 0"), 0},
        {STR_INIT("99999999999999999999 1"), 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(cpu_count_parse_quota(rows[i].text), rows[i].n_cpus);
    assert_true(cpu_count() >= 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_example),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_cpu_quota),
    };

    return cmocka_run_group_tests_name("encoder/pack", tests, NULL, NULL);
}
