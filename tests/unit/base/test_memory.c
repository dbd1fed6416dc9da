/* base/: arena, buf, error, file, digest, uuid, log. */

#include "tests/unit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/uuid.h"

static void
test_arena(void **state)
{
    struct arena arena = ARENA_INIT(20000);
    bool ok = true;
    char *first = arena_alloc(&arena, 100);
    struct str copy = arena_dup(&arena, STR("hello"), &ok);

    (void)state;
    assert_non_null(first);
    assert_true(ok);
    assert_str_equal(copy, "hello");
    assert_int_equal(copy.ptr[5], '\0');
    assert_null(arena_dup(&arena, STR_NULL, &ok).ptr);
    assert_true(ok);
    assert_int_equal((uintptr_t)arena_alloc_aligned(&arena, 10, 64) % 64, 0);
    assert_non_null(arena_alloc(&arena, 0));
    assert_null(arena_alloc(&arena, 30000)); /* over the ceiling */
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_calloc(&arena, SIZE_MAX, 16));
    assert_string_equal(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    for (int i = 0; i < 1000; i++)
        (void)!arena_alloc(&arena, 100);
    assert_true(arena.used <= 20000);
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 100));
    arena_fini(&arena);
    assert_int_equal(arena.used, 0);
}

static void
test_buf_grows_to_its_ceiling(void **state)
{
    struct buf buf = BUF_INIT(10);
    struct error err;

    (void)state;
    assert_string_equal(buf_cstr(&buf), "");
    buf_append(&buf, STR("12345"));
    buf_printf(&buf, "%d", 67890);
    assert_ok(buf_status(&buf, &err), err);
    assert_string_equal(buf_cstr(&buf), "1234567890");
    buf_append_char(&buf, 'x');
    buf_append(&buf, STR("")); /* nothing after a failure */
    assert_int_equal(buf_status(&buf, &err), -ERR_TOO_LARGE);
    assert_string_equal(buf_cstr(&buf), "1234567890");
    buf_clear(&buf);
    buf_append(&buf, STR("again"));
    assert_ok(buf_status(&buf, &err), err);
    assert_str_equal(buf_str(&buf), "again");
    buf_fini(&buf);
}

static void
test_error_story(void **state)
{
    struct error err = {0};
    int rc;

    (void)state;
    errno = ENOSPC;
    rc = error_set_errno(&err, "cannot write '%s'", "f");
    assert_int_equal(rc, -ERR_DISK_FULL);
    rc = error_wrap(&err, rc, "cannot save %d", 3);
    assert_int_equal(rc, -ERR_DISK_FULL);
    assert_string_equal(err.message, "cannot save 3: cannot write 'f': No space left on device");
    assert_string_equal(error_exception_name(-ERR_NETWORK), "ConnectionError");
    assert_true(error_is_retryable(-ERR_NETWORK));
    assert_false(error_is_retryable(-ERR_INVALID));
    assert_int_equal(error_exit_status(-ERR_AUTH), EXIT_STATUS_AUTH);
    assert_int_equal(error_set(NULL, ERR_INVALID, "nobody listens"), -ERR_INVALID);
}

static void
test_files(void **state)
{
    char dir[] = "/tmp/trawl-test-XXXXXX";
    char path[64];
    char deep[64];
    struct buf text = BUF_INIT(1 << 20);
    struct file_map map = {0};
    char sum[SHA256_TEXT_BYTES];
    struct error err;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    (void)snprintf(deep, sizeof(deep), "%s/a/b", dir);
    assert_int_equal(file_read(path, &text, NULL), -ERR_NOT_FOUND);
    assert_ok(file_write_atomic(path, STR("old"), &err), err);
    assert_ok(file_write_atomic(path, STR("abc"), &err), err);
    assert_ok(file_read(path, &text, &err), err);
    assert_str_equal(buf_str(&text), "abc");
    assert_ok(digest_sha256_file(path, sum, &err), err);
    assert_string_equal(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(file_map_open(path, &map, &err), err);
    assert_str_equal(map.bytes, "abc");
    file_map_close(&map);
    file_map_close(&map);
    assert_int_equal(file_map_open(dir, &map, NULL), -ERR_INVALID);
    assert_ok(file_make_dirs(deep, &err), err);
    assert_ok(file_make_dirs(deep, &err), err);
    assert_true(file_exists(deep));
    buf_fini(&text);
    (void)unlink(path);
    (void)rmdir(deep);
    (void)snprintf(deep, sizeof(deep), "%s/a", dir);
    (void)rmdir(deep);
    (void)rmdir(dir);
}

static void
test_uuid(void **state)
{
    char a[UUID_TEXT_BYTES];
    char b[UUID_TEXT_BYTES];
    struct error err;

    (void)state;
    uuid_random(a);
    uuid_random(b);
    assert_string_not_equal(a, b);
    assert_true(uuid_is_valid(str_from_cstr(a)));
    assert_int_equal(a[14], '4');
    assert_ok(uuid_from_name(STR("kaggle:123"), a, &err), err);
    assert_ok(uuid_from_name(STR("kaggle:123"), b, &err), err);
    assert_string_equal(a, b);
    assert_int_equal(a[14], '5');
    assert_false(uuid_is_valid(STR("not-a-uuid")));
}

static void
test_log_hides_and_escapes(void **state)
{
    static const struct {
        struct str text;
        const char *shown;
    } rows[] = {
        {STR_INIT("plain"), "plain"},
        {STR_INIT("a\nb\x1b[31m"), "a\\x0ab\\x1b[31m"},
        {STR_INIT("Authorization: Bearer hf_abcdefgh1234"), "Authorization: Bearer ***"},
        {STR_INIT("token hf_abcdefgh1234 used"), "token hf_*** used"},
        {STR_INIT("KGAT_0123456789"), "KGAT_***"},
        {STR_INIT("redis://user:secret@host/0"), "redis://***@host/0"},
        {STR_INIT("https://host/path@x"), "https://host/path@x"},
        {STR_INIT("hf_parser failed"), "hf_*** failed"}, /* rather one word too many */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char out[128];
        size_t n = log_sanitize(rows[i].text, out, sizeof(out));

        assert_string_equal(out, rows[i].shown);
        assert_int_equal(n, strlen(out));
    }
}

static void
test_log_line_cannot_be_forged(void **state)
{
    char path[] = "/tmp/trawl-log-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    struct buf text = BUF_INIT(1 << 20);
    struct error err;

    (void)state;
    log_configure(fd, LOG_INFO, LOG_JSON);
    log_set_context(STR("demo.task"), STR("0123"));
    log_info("bad id, row passed over: id=%s", "x\"}\n{\"level\":\"error\"");
    log_debug("not shown");
    log_set_context(STR_NULL, STR_NULL);
    log_configure(STDERR_FILENO, LOG_INFO, LOG_TEXT);
    assert_ok(file_read(path, &text, &err), err);
    assert_int_equal(str_find_char(buf_str(&text), '\n'), text.len - 1); /* one line */
    assert_true(str_find(buf_str(&text), STR("\"task\":\"demo.task\"")) < text.len);
    assert_true(str_find(buf_str(&text), STR("id=x\\\"}\\\\x0a{\\\"level\\\"")) < text.len);
    buf_fini(&text);
    (void)close(fd);
    (void)unlink(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_buf_grows_to_its_ceiling),
        cmocka_unit_test(test_error_story),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_log_hides_and_escapes),
        cmocka_unit_test(test_log_line_cannot_be_forged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
