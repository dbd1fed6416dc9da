/* Old downloads go, and nothing else. */

#include "lib/services/validation/cleanup_service.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"
#include "lib/services/enrichment/kaggle_parser/dump_cache.h"
#include "tests/unit/lib/core/database_fixture.h"

#define NOW_S (INT64_C(1700000000))

struct context {
    struct fixture base; /* its directory is the cache */
    struct clock clock;
    struct cleanup_counts counts;
    struct error err;
    int n_until_cancel;
    struct progress progress;
};

static int64_t
now_us(const struct clock *clock)
{
    (void)clock;
    return NOW_S * US_PER_S;
}

static struct context *cancelling;

static bool
is_cancelled(const struct progress *progress)
{
    (void)progress;
    return cancelling->n_until_cancel > 0 && --cancelling->n_until_cancel == 0;
}

static int
set_up(void **state)
{
    struct context *self = calloc(1, sizeof(*self));

    assert_non_null(self);
    fixture_init(&self->base);
    self->clock.now_us = now_us;
    self->progress = (struct progress){NULL, is_cancelled};
    cancelling = self;
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct context *self = *state;

    fixture_fini(&self->base);
    free(self);
    return 0;
}

static const char *
path_of(const struct context *self, const char *name)
{
    static char path[300];

    (void)snprintf(path, sizeof(path), "%s/%s", self->base.dir, name);
    return path;
}

/* A file of ten bytes, so many hours old. */
static void
put_file(const struct context *self, const char *name, int64_t hours)
{
    const struct timespec times[2] = {{NOW_S - hours * 3600, 0}, {NOW_S - hours * 3600, 0}};
    char dir[300];
    struct error err;

    (void)snprintf(dir, sizeof(dir), "%s", path_of(self, name));
    *strrchr(dir, '/') = '\0';
    assert_ok(file_make_dirs(dir, &err), err);
    assert_ok(file_write_atomic(path_of(self, name), STR("0123456789"), &err), err);
    assert_int_equal(utimensat(AT_FDCWD, path_of(self, name), times, 0), 0);
}

static bool
has(const struct context *self, const char *name)
{
    struct stat info;

    return lstat(path_of(self, name), &info) == 0;
}

static int
clean(struct context *self, int64_t max_age_hours)
{
    const struct cleanup_service service = {str_from_cstr(self->base.dir), &self->clock};
    const struct run_context ctx = {.progress = &self->progress};

    return cleanup_remove_old(&service, max_age_hours, &ctx, &self->counts, &self->err);
}

static void
assert_cleaned(struct context *self, int64_t n_downloads, int64_t n_unfinished)
{
    assert_ok(clean(self, 24), self->err);
    assert_int_equal(self->counts.n_downloads, n_downloads);
    assert_int_equal(self->counts.n_unfinished, n_unfinished);
    assert_int_equal(self->counts.n_bytes, 10 * (n_downloads + n_unfinished));
    assert_int_equal(self->counts.n_failed, 0);
}

static void
test_old_versions_go_as_a_whole(void **state)
{
    struct context *self = *state;

    put_file(self, "meta-kaggle/7/Datasets.csv", 30);
    put_file(self, "meta-kaggle/7/Users.csv", 26);
    put_file(self, "meta-kaggle/7/complete", 25);
    put_file(self, "meta-kaggle/8/Datasets.csv", 30); /* complete was written later */
    put_file(self, "meta-kaggle/8/complete", 23);
    put_file(self, "meta-kaggle/unknown/Tags.csv.part", 25);
    put_file(self, "meta-kaggle/unknown/Tags.csv.part.etag", 25);
    put_file(self, "meta-kaggle/unknown/complete.Ab3dE6", 25);
    assert_cleaned(self, 2, 3);
    assert_false(has(self, "meta-kaggle/7"));
    assert_false(has(self, "meta-kaggle/unknown"));
    assert_true(has(self, "meta-kaggle/8/Datasets.csv"));
    assert_true(has(self, "meta-kaggle/8/complete"));
    assert_cleaned(self, 0, 0);
}

static void
test_what_is_not_ours_stays(void **state)
{
    struct context *self = *state;
    char outside[300];

    put_file(self, "other/Datasets.csv", 100);
    put_file(self, "meta-kaggle/Datasets.csv", 100);
    put_file(self, "meta-kaggle/notes/Datasets.csv", 100);
    put_file(self, "meta-kaggle/7/notes.txt", 100);
    put_file(self, "meta-kaggle/7/Datasets.csv.bak", 100);
    put_file(self, "meta-kaggle/7/Datasets.csv.part.x", 100);
    put_file(self, "meta-kaggle/7/Datasets.csv", 100);
    (void)snprintf(outside, sizeof(outside), "%s", path_of(self, "other"));
    assert_int_equal(symlink(outside, path_of(self, "meta-kaggle/9")), 0);
    (void)snprintf(outside, sizeof(outside), "%s", path_of(self, "other/Datasets.csv"));
    assert_int_equal(symlink(outside, path_of(self, "meta-kaggle/7/Users.csv")), 0);
    assert_int_equal(mkdir(path_of(self, "meta-kaggle/7/Tags.csv"), 0700), 0);
    assert_cleaned(self, 1, 0);
    assert_true(has(self, "other/Datasets.csv"));
    assert_true(has(self, "meta-kaggle/Datasets.csv"));
    assert_true(has(self, "meta-kaggle/notes/Datasets.csv"));
    assert_true(has(self, "meta-kaggle/9"));
    assert_true(has(self, "meta-kaggle/7/notes.txt"));
    assert_true(has(self, "meta-kaggle/7/Datasets.csv.bak"));
    assert_true(has(self, "meta-kaggle/7/Datasets.csv.part.x"));
    assert_true(has(self, "meta-kaggle/7/Users.csv"));
    assert_true(has(self, "meta-kaggle/7/Tags.csv"));
    assert_false(has(self, "meta-kaggle/7/Datasets.csv"));
}

/* The directory of all downloads may be no link either. */
static void
test_a_linked_cache(void **state)
{
    struct context *self = *state;
    char outside[300];

    put_file(self, "other/7/Datasets.csv", 100);
    (void)snprintf(outside, sizeof(outside), "%s", path_of(self, "other"));
    assert_int_equal(symlink(outside, path_of(self, "meta-kaggle")), 0);
    assert_cleaned(self, 0, 0);
    assert_true(has(self, "other/7/Datasets.csv"));
}

static void
test_in_use(void **state)
{
    struct context *self = *state;
    int fd;

    put_file(self, "meta-kaggle/7/Datasets.csv", 100);
    assert_ok(kaggle_dump_hold(path_of(self, "meta-kaggle/7"), &fd, &self->err), self->err);
    assert_cleaned(self, 0, 0);
    assert_int_equal(self->counts.n_in_use, 1);
    assert_int_equal(close(fd), 0);
    assert_cleaned(self, 1, 0);
    assert_int_equal(self->counts.n_in_use, 0);
}

/* Two may read the same version. */
static void
test_held_twice(void **state)
{
    struct context *self = *state;
    int first, second;

    assert_ok(kaggle_dump_hold(path_of(self, "meta-kaggle/7"), &first, &self->err), self->err);
    assert_ok(kaggle_dump_hold(path_of(self, "meta-kaggle/7"), &second, &self->err), self->err);
    assert_int_equal(flock(first, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(close(first), 0);
    assert_int_equal(close(second), 0);
}

static void
test_an_empty_cache(void **state)
{
    struct context *self = *state;
    const struct cleanup_service nowhere = {STR("/nonexistent/cache"), &self->clock};
    const struct run_context ctx = {.run_id = 0};

    assert_cleaned(self, 0, 0);
    assert_ok(cleanup_remove_old(&nowhere, 24, &ctx, &self->counts, &self->err), self->err);
}

static void
test_cancelled_between_files(void **state)
{
    struct context *self = *state;
    int n_left = 0;

    put_file(self, "meta-kaggle/7/Datasets.csv", 100);
    put_file(self, "meta-kaggle/7/Users.csv", 100);
    put_file(self, "meta-kaggle/7/complete", 100);
    self->n_until_cancel = 2;
    assert_int_equal(clean(self, 24), -ERR_CANCELLED);
    n_left = has(self, "meta-kaggle/7/Datasets.csv") + has(self, "meta-kaggle/7/Users.csv");
    assert_int_equal(n_left, 1);
    assert_false(has(self, "meta-kaggle/7/complete")); /* half a version never counts as whole */
    assert_cleaned(self, 1, 0);
}

/* Nothing is forbidden to root, so root becomes somebody else. */
static void
test_a_file_that_cannot_be_removed(void **state)
{
    static const char *const dirs[] = {"", "meta-kaggle", "meta-kaggle/7"};
    struct context *self = *state;
    bool is_root = geteuid() == 0;

    put_file(self, "meta-kaggle/7/Datasets.csv", 100);
    for (size_t i = 0; is_root && i < COUNT_OF(dirs); i++)
        assert_int_equal(chown(path_of(self, dirs[i]), 65534, 65534), 0);
    assert_int_equal(chmod(path_of(self, "meta-kaggle/7"), 0500), 0);
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    assert_ok(clean(self, 24), self->err);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(path_of(self, "meta-kaggle/7"), 0700), 0);
    assert_int_equal(self->counts.n_failed, 1);
    assert_int_equal(self->counts.n_downloads, 0);
    assert_true(has(self, "meta-kaggle/7/Datasets.csv"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_old_versions_go_as_a_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_ours_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_linked_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_held_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_empty_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_between_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_removed, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
