/* lib/services/ml/precision_notes.h and model_probe.h: what is kept between starts, and what a
 * precision is measured to be. */

#include "lib/services/ml/precision_notes.h"

#include <math.h>
#include <unistd.h>

#include "lib/services/ml/model_probe.h"
#include "tests/unit/encoder/tiny_model.h"

static void
make_dir(char dir[32], char cache[64])
{
    (void)snprintf(dir, 32, "/tmp/trawl-notes-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(cache, 64, "%s/cache", dir);
}

static void
remove_dir(const char *dir, const char *cache)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/encoder-checks.txt", cache);
    (void)unlink(path);
    (void)rmdir(cache);
    assert_int_equal(rmdir(dir), 0); /* nothing else was left */
}

static void
test_notes(void **state)
{
    struct precision_notes self;
    const struct encoder_notes *notes = &self.notes;
    char cache[64];
    char dir[32];
    double value = 7;

    (void)state;
    make_dir(dir, cache);
    precision_notes_init(&self, str_from_cstr(cache));
    assert_false(notes->find(notes->context, STR("a key"), &value));
    notes->save(notes->context, STR("a key"), 0.99987);
    notes->save(notes->context, STR("another"), 0.5);
    notes->save(notes->context, STR("a key"), 0.25);   /* replaced */
    precision_notes_init(&self, str_from_cstr(cache)); /* another process */
    assert_true(notes->find(notes->context, STR("a key"), &value));
    assert_true(fabs(value - 0.25) < 1e-9);
    assert_true(notes->find(notes->context, STR("another"), &value));
    assert_true(fabs(value - 0.5) < 1e-9);
    assert_false(notes->find(notes->context, STR("key"), &value));
    assert_false(notes->find(notes->context, STR(""), &value));
    remove_dir(dir, cache);
}

/* What is not ours is no note and does no harm; the file does not grow without end. */
static void
test_foreign_lines(void **state)
{
    struct precision_notes self;
    const struct encoder_notes *notes = &self.notes;
    struct buf text = BUF_INIT((size_t)1 << 20);
    char cache[64];
    char path[128];
    char dir[32];
    double value = 7;

    (void)state;
    make_dir(dir, cache);
    precision_notes_init(&self, str_from_cstr(cache));
    assert_ok(file_make_dirs(cache, NULL), (struct error){0});
    (void)snprintf(path, sizeof(path), "%s/encoder-checks.txt", cache);
    buf_printf(&text, "\n \nkey\nnan-ish key\n0.5x key\n");
    for (size_t i = 0; i < 4000; i++)
        buf_printf(&text, "0.5 some other model, number %zu\n", i);
    assert_ok(file_write_atomic(path, buf_str(&text), NULL), (struct error){0});
    assert_false(notes->find(notes->context, STR("key"), &value));
    notes->save(notes->context, STR("key"), 0.75);
    assert_true(notes->find(notes->context, STR("key"), &value));
    assert_true(notes->find(notes->context, STR("some other model, number 3999"), &value));
    assert_false(notes->find(notes->context, STR("some other model, number 10"), &value));
    buf_fini(&text);
    text = (struct buf)BUF_INIT((size_t)1 << 20);
    assert_ok(file_read(path, &text, NULL), (struct error){0});
    assert_true(buf_str(&text).len < 70000);
    buf_fini(&text);
    remove_dir(dir, cache);
}

static void
test_nowhere(void **state)
{
    struct precision_notes self;
    double value;

    (void)state;
    precision_notes_init(&self, STR_NULL);
    self.notes.save(self.notes.context, STR("key"), 0.5);
    assert_false(self.notes.find(self.notes.context, STR("key"), &value));
    precision_notes_init(&self, STR("/proc/no such place"));
    self.notes.save(self.notes.context, STR("key"), 0.5);
    assert_false(self.notes.find(self.notes.context, STR("key"), &value));
}

static void
test_probe(void **state)
{
    static const enum encoder_precision precisions[] = {
        ENCODER_PRECISION_F32, ENCODER_PRECISION_BF16, ENCODER_PRECISION_INT8};
    struct tiny_model model;

    (void)state;
    tiny_create(&model);
    for (size_t i = 0; i < COUNT_OF(precisions); i++) {
        struct model_probe probe = {0};
        struct error err = {0};

        assert_ok(model_probe_run(model.dir, precisions[i], 1, &probe, &err), err);
        assert_int_equal(probe.is_available, encoder_precision_is_available(precisions[i]));
        if (!probe.is_available)
            continue;
        assert_true(probe.accuracy.min_cosine > 0.9 && probe.accuracy.min_cosine < 1.0000001);
        assert_true(probe.texts_per_s > 0 && probe.tokens_per_s > probe.texts_per_s);
        assert_true(probe.query_ms > 0 && probe.open_ms > 0);
        assert_int_equal(probe.n_threads, 1);
        assert_true(str_starts_with(str_from_cstr(probe.fingerprint), STR("bert-l2-h32")));
    }
    tiny_destroy(&model);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_foreign_lines),
        cmocka_unit_test(test_nowhere),
        cmocka_unit_test(test_probe),
    };

    return cmocka_run_group_tests_name("lib/services/ml/precision_notes", tests, NULL, NULL);
}
