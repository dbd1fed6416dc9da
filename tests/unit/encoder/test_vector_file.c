/* encoder/vector_file.h: what is written is read, appended segments count, and damage is found. */

#include "tests/unit/check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "encoder/vector_file.h"

#define DIM    ((size_t)70)
#define N_ROWS ((size_t)5000) /* two blocks of codes */

static char dir[] = "/tmp/trawl-test-XXXXXX";
static char path[64];

static const struct vector_file_identity identity = {"0123456789abcde", STR_INIT("bert/1/f32-1"),
                                                     DIM};

static void
fill(struct vector_batch *batch, int64_t first, int64_t step, size_t n_rows, float seed)
{
    struct error err;

    vector_batch_init(batch, DIM);
    for (size_t row = 0; row < n_rows; row++) {
        float vector[DIM];

        for (size_t i = 0; i < DIM; i++)
            vector[i] = (float)((row * 31 + i * 17) % 101) - 50 + seed;
        assert_ok(vector_batch_add(batch, first + step * (int64_t)row, vector, &err), err);
    }
}

/* Ids 0, 10, 20 ... in two segments; the mark is 7. */
static void
write_file(void)
{
    struct vector_writer writer;
    struct vector_batch first;
    struct vector_batch second;
    struct error err;

    fill(&first, 0, 10, N_ROWS, 0);
    fill(&second, 10 * (int64_t)N_ROWS, 10, 100, 0);
    assert_ok(vector_writer_open(&writer, path, &identity, &err), err);
    assert_ok(vector_writer_add(&writer, &first, &err), err);
    assert_ok(vector_writer_commit(&writer, &second, (struct vector_file_mark){7, 77}, &err), err);
    vector_writer_close(&writer);
    vector_batch_fini(&first);
    vector_batch_fini(&second);
}

static struct vector_file *
open_whole(void)
{
    struct vector_file *file;
    struct error err;

    assert_ok(vector_file_open(path, &identity, 2, &file, &err), err);
    return file;
}

static void
test_round_trip(void **state)
{
    struct vector_file *file;
    struct vector_place place;
    size_t n_parts;

    (void)state;
    write_file();
    file = open_whole();
    assert_int_equal(vector_file_mark(file).seq, 7);
    assert_int_equal(vector_file_mark(file).nonce, 77);
    assert_int_equal(vector_file_live_rows(file), N_ROWS + 100);
    (void)vector_file_parts(file, &n_parts);
    assert_int_equal(n_parts, 2);
    assert_true(vector_file_find(file, 20, &place));
    assert_int_equal(place.row, 2);
    assert_true(vector_file_find(file, 10 * (int64_t)N_ROWS + 10, &place));
    assert_int_equal(place.part_idx, 1);
    assert_false(vector_file_find(file, 21, &place));
    assert_false(vector_file_find(file, -1, &place));
    assert_false(vector_file_is_outdated(file, path));
    vector_file_close(file);
}

static void
test_append(void **state)
{
    struct vector_file *old;
    struct vector_file *file;
    struct vector_batch batch;
    struct vector_place dead[2];
    struct vector_place place;
    struct error err;

    (void)state;
    write_file();
    old = open_whole();
    fill(&batch, 20, 5, 1, 3); /* another vector for 20; 30 goes */
    assert_true(vector_file_find(old, 20, &dead[0]));
    assert_true(vector_file_find(old, 30, &dead[1]));
    assert_ok(vector_file_append(old, path, &batch, dead, 2, (struct vector_file_mark){9, 1}, &err),
              err);
    assert_true(vector_file_is_outdated(old, path));
    assert_true(vector_file_find(old, 30, &place)); /* an open reader keeps what it has */
    file = open_whole();
    assert_int_equal(vector_file_mark(file).seq, 9);
    assert_int_equal(vector_file_live_rows(file), N_ROWS + 100 - 1);
    assert_int_equal(vector_file_all_rows(file), N_ROWS + 101);
    assert_true(vector_file_find(file, 20, &place));
    assert_int_equal(place.part_idx, 2);
    assert_false(vector_file_find(file, 30, &place));
    vector_file_close(file);
    vector_file_close(old);
    vector_batch_fini(&batch);
}

static void
test_others_are_refused(void **state)
{
    struct vector_file_identity others[] = {identity, identity, identity};
    struct vector_file *file = NULL;
    struct error err;

    (void)state;
    write_file();
    others[0].store_id[3] = 'x';
    others[1].model = STR("bert/2/f32-1");
    others[2].dim = DIM + 1;
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_int_equal(vector_file_open(path, &others[i], 1, &file, &err), -ERR_INVALID);
    assert_int_equal(vector_file_open("/nonexistent/x", &identity, 1, &file, &err), -ERR_NOT_FOUND);
    assert_null(file);
}

/* Turn one bit over: the file is refused, or it ends before, or the search finds the vector out. */
static void
test_damage_is_found(void **state)
{
    struct stat stat_of;
    size_t n_refused = 0;
    size_t n_found = 0;

    (void)state;
    write_file();
    assert_int_equal(stat(path, &stat_of), 0);
    for (off_t at = 0; at < stat_of.st_size; at += at < 1000 ? 1 : 3989) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        struct vector_file *file = NULL;
        struct error err;
        char byte;
        int rc;

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte = (char)(byte ^ 16);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        rc = vector_file_open(path, &identity, 1, &file, &err);
        if (rc < 0) {
            assert_true(rc == -ERR_CORRUPT || rc == -ERR_INVALID);
            n_refused++;
        } else { /* an f32 vector, or padding */
            struct vector_found found[N_ROWS + 100];
            float query[DIM] = {1};
            size_t n_parts;
            size_t n_hits;
            const struct vector_part *parts = vector_file_parts(file, &n_parts);

            rc = vector_search_top(parts, n_parts, DIM, query, N_ROWS + 100, 1, found, &n_hits,
                                   NULL, &err);
            assert_true(rc == 0 || rc == -ERR_CORRUPT);
            n_found += rc == -ERR_CORRUPT;
            vector_file_close(file);
        }
        byte = (char)(byte ^ 16);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void)close(fd);
    }
    assert_true(n_refused > 500);
    assert_true(n_found > 200);
    vector_file_close(open_whole());
}

/* Cut anywhere: never a crash, and never a file that says it is whole. */
static void
test_cut_file(void **state)
{
    struct stat stat_of;

    (void)state;
    write_file();
    assert_int_equal(stat(path, &stat_of), 0);
    for (off_t len = stat_of.st_size - 1; len >= 0; len -= 60013) {
        struct vector_file *file = NULL;
        struct error err;

        assert_int_equal(truncate(path, len), 0);
        assert_int_equal(vector_file_open(path, &identity, 1, &file, &err), -ERR_CORRUPT);
    }
}

/* What a writer that died has left is no part of the file, and the next one writes over it. */
static void
test_half_an_append(void **state)
{
    int fd;
    struct vector_file *file;
    struct vector_batch batch;
    struct error err;
    char junk[5000];

    (void)state;
    write_file();
    (void)memset(junk, 'j', sizeof(junk));
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    (void)close(fd);
    file = open_whole();
    assert_int_equal(vector_file_mark(file).seq, 7);
    fill(&batch, 1, 10, 3, 0);
    assert_ok(
        vector_file_append(file, path, &batch, NULL, 0, (struct vector_file_mark){8, 0}, &err),
        err);
    vector_file_close(file);
    file = open_whole();
    assert_int_equal(vector_file_mark(file).seq, 8);
    assert_int_equal(vector_file_live_rows(file), N_ROWS + 103);
    vector_file_close(file);
    vector_batch_fini(&batch);
}

/* No room: the file is as it was, and a new one leaves nothing behind. */
static void
test_no_room(void **state)
{
    struct rlimit before;
    struct rlimit limit;
    struct stat stat_of;
    struct vector_writer writer;
    struct vector_file *file;
    struct vector_batch batch;
    struct error err;

    (void)state;
    write_file();
    file = open_whole();
    assert_int_equal(stat(path, &stat_of), 0);
    fill(&batch, 1, 10, 2000, 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)stat_of.st_size + 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(
        vector_file_append(file, path, &batch, NULL, 0, (struct vector_file_mark){8, 0}, &err) < 0);
    limit.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_ok(vector_writer_open(&writer, path, &identity, &err), err);
    assert_true(vector_writer_commit(&writer, &batch, (struct vector_file_mark){8, 0}, &err) < 0);
    assert_int_equal(access(writer.temporary, F_OK), 0);
    vector_writer_close(&writer);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_not_equal(access(writer.temporary, F_OK), 0);
    vector_file_close(file);
    file = open_whole();
    assert_int_equal(vector_file_mark(file).seq, 7);
    vector_file_close(file);
    vector_batch_fini(&batch);
}

static int
make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/vectors", dir);
    return 0;
}

static int
remove_dir(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_others_are_refused),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_cut_file),
        cmocka_unit_test(test_half_an_append),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
