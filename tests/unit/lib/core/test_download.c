/* lib/core/download.h */

#include "tests/unit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "lib/core/download.h"
#include "tests/unit/lib/core/http_fixture.h"
#include "tests/unit/lib/core/loopback_server.h"

#define BODY "0123456789"

struct context {
    struct loopback_server *server;
    struct http_fixture fixture;
    char dir[64];
    char path[PATH_MAX];
    char part[PATH_MAX];
    char etag[PATH_MAX];
    char sha256[SHA256_TEXT_BYTES];
    struct download_check check;
    struct progress progress;
    int64_t done;
    int64_t total;
    bool is_cancelled;
};

static struct context *
context_of(const struct progress *progress)
{
    return (struct context *)((uintptr_t)progress - offsetof(struct context, progress));
}

static void
note_progress(const struct progress *progress, int64_t done, int64_t total)
{
    context_of(progress)->done = done;
    context_of(progress)->total = total;
}

static bool
is_cancelled(const struct progress *progress)
{
    return context_of(progress)->is_cancelled;
}

static int
set_up(void **state)
{
    struct context *self = calloc(1, sizeof(*self));

    self->server = loopback_start();
    http_fixture_init(&self->fixture);
    self->fixture.options.max_attempts = 1;
    http_fixture_open(&self->fixture);
    (void)snprintf(self->dir, sizeof(self->dir), "/tmp/test-download-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    (void)snprintf(self->path, sizeof(self->path), "%s/file.bin", self->dir);
    (void)snprintf(self->part, sizeof(self->part), "%s/file.bin.part", self->dir);
    (void)snprintf(self->etag, sizeof(self->etag), "%s/file.bin.part.etag", self->dir);
    assert_int_equal(digest_sha256_text(STR(BODY), self->sha256, NULL), 0);
    self->check.sha256 = str_from_cstr(self->sha256);
    self->check.n_bytes = strlen(BODY);
    self->progress = (struct progress){note_progress, is_cancelled};
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct context *self = *state;

    (void)unlink(self->path);
    (void)unlink(self->part);
    (void)unlink(self->etag);
    assert_int_equal(rmdir(self->dir), 0); /* nothing else was left behind */
    http_fixture_close(&self->fixture);
    loopback_stop(self->server);
    free(self);
    return 0;
}

static int
run(struct context *self, const struct download_check *check)
{
    struct http_request request = {.url = loopback_url(self->server, "/file?token=canary"),
                                   .authorization = STR("Bearer canary")};

    return download_file(self->fixture.client, &request, self->path, check, &self->progress,
                         &self->fixture.arena, &self->fixture.response, &self->fixture.err);
}

static void
write_text(const char *path, struct str text)
{
    assert_int_equal(file_write_atomic(path, text, NULL), 0);
}

static void
assert_file(const char *path, const char *text)
{
    struct buf bytes = BUF_INIT(1000000);

    assert_int_equal(file_read(path, &bytes, NULL), 0);
    assert_str_equal(buf_str(&bytes), text);
    buf_fini(&bytes);
}

/* The finished file is there, and no trace of the way to it. */
static void
assert_done(const struct context *self)
{
    assert_file(self->path, BODY);
    assert_false(file_exists(self->part));
    assert_false(file_exists(self->etag));
}

static void
assert_nothing(const struct context *self)
{
    assert_false(file_exists(self->path));
    assert_false(file_exists(self->part));
    assert_false(file_exists(self->etag));
}

/* An answer that ends after "0123". */
static void
add_broken(struct context *self)
{
    loopback_add(self->server,
                 (struct loopback_answer){.bytes = STR("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\n"
                                                       "Content-Length: 10\r\n\r\n0123"),
                                          .is_closing = true});
}

static void
test_whole(void **state)
{
    struct context *self = *state;

    loopback_add_text(self->server, "200 OK", "ETag: \"v1\"\r\n", BODY);
    assert_ok(run(self, &self->check), self->fixture.err);
    assert_done(self);
    assert_int_equal(self->fixture.response.status, 200);
    assert_int_equal(self->done, 10);
    assert_int_equal(self->total, 10);
    assert_true(download_is_whole(self->path, &self->check));
    assert_true(download_is_whole(self->path, NULL));
    self->check.n_bytes = 11;
    assert_false(download_is_whole(self->path, &self->check));
}

static void
test_continue_in_a_later_process(void **state)
{
    struct context *self = *state;

    add_broken(self);
    assert_int_equal(run(self, &self->check), -ERR_NETWORK);
    assert_null(strstr(self->fixture.err.message, "canary"));
    assert_false(file_exists(self->path));
    assert_file(self->part, "0123");
    assert_file(self->etag, "\"v1\"");

    http_client_free(self->fixture.client);
    http_fixture_open(&self->fixture);
    loopback_add_text(self->server, "206 Partial", "Content-Range: bytes 4-9/10\r\n", "456789");
    assert_ok(run(self, &self->check), self->fixture.err);
    assert_done(self);
    assert_true(loopback_has_sent(self->server, 1, "\r\nRange: bytes=4-\r\n"));
    assert_true(loopback_has_sent(self->server, 1, "\r\nIf-Range: \"v1\"\r\n"));
    assert_true(loopback_has_sent(self->server, 1, "\r\nAuthorization: Bearer canary\r\n"));
}

/* What an earlier call left is no use: each row's answers must lead to the whole file. */
static void
test_start_over(void **state)
{
    static const struct {
        const char *part;
        const char *etag; /* NULL = none */
        const char *status;
        const char *headers;
        const char *body;
        bool is_ranged; /* did the first request ask for the rest? */
        bool is_second; /* is another round with the whole object needed? */
    } rows[] = {
        {"0123", NULL, "200 OK", "", BODY, false, false},
        {"0123", "W/\"v1\"", "200 OK", "", BODY, false, false},
        {"0123", "\"v\r\nX: y\"", "200 OK", "", BODY, false, false},
        {"", "\"v1\"", "200 OK", "", BODY, false, false},
        {"0123", "\"v1\"", "200 OK", "ETag: \"v2\"\r\n", BODY, true, false},
        {"01234567890", "\"v1\"", "200 OK", "", BODY, false, false}, /* longer than it may be */
        {"XXXX", "\"v1\"", "206 Partial", "Content-Range: bytes 4-9/10\r\n", "456789", true, true},
        {"0123", "\"v1\"", "416 Range", "Content-Range: bytes */2\r\n", "", true, true},
        {"XXXXXXXXXX", "\"v1\"", "416 Range", "Content-Range: bytes */10\r\n", "", true, true},
    };
    struct context *self = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t n_before = loopback_count_requests(self->server);

        write_text(self->part, str_from_cstr(rows[i].part));
        if (rows[i].etag)
            write_text(self->etag, str_from_cstr(rows[i].etag));
        loopback_add_text(self->server, rows[i].status, rows[i].headers, rows[i].body);
        if (rows[i].is_second)
            loopback_add_text(self->server, "200 OK", "", BODY);
        assert_ok(run(self, &self->check), self->fixture.err);
        assert_done(self);
        assert_int_equal(loopback_has_sent(self->server, n_before, "\r\nRange: "),
                         rows[i].is_ranged);
        assert_int_equal(loopback_count_requests(self->server) - n_before,
                         rows[i].is_second ? 2 : 1);
        assert_int_equal(unlink(self->path), 0);
    }
}

/* Lengths that agree with each other, and still not the whole file: go on where they end. */
static void
test_short_answers(void **state)
{
    struct context *self = *state;

    loopback_add_text(self->server, "200 OK", "ETag: \"v1\"\r\n", "0123");
    loopback_add_text(self->server, "206 Partial", "Content-Range: bytes 4-7/10\r\n", "4567");
    loopback_add_text(self->server, "206 Partial", "Content-Range: bytes 8-9/10\r\n", "89");
    assert_ok(run(self, &self->check), self->fixture.err);
    assert_done(self);
    assert_true(loopback_has_sent(self->server, 2, "\r\nRange: bytes=8-\r\n"));
}

/* Every byte had come, only the end of the process was in the way. */
static void
test_already_complete(void **state)
{
    struct context *self = *state;

    write_text(self->part, STR(BODY));
    write_text(self->etag, STR("\"v1\""));
    loopback_add_text(self->server, "416 Range", "Content-Range: bytes */10\r\n", "");
    assert_ok(run(self, &self->check), self->fixture.err);
    assert_done(self);
}

static void
test_damage(void **state)
{
    struct context *self = *state;
    struct download_check md5 = {.md5 = STR("781e5e245d69b566979b86e28d23f2c7")}; /* of BODY */

    loopback_add_text(self->server, "200 OK", "ETag: \"v1\"\r\n", "0123456780");
    assert_int_equal(run(self, &self->check), -ERR_CORRUPT);
    assert_non_null(strstr(self->fixture.err.message, "file.bin.part' has SHA-256"));
    assert_nothing(self);
    loopback_add_text(self->server, "200 OK", "ETag: \"v1\"\r\n", "01234567");
    loopback_add_text(self->server, "416 Range", "Content-Range: bytes */8\r\n", "");
    loopback_add_text(self->server, "200 OK", "ETag: \"v1\"\r\n", "01234567");
    loopback_add_text(self->server, "200 OK", "ETag: \"v1\"\r\n", "01234567");
    assert_int_equal(run(self, &self->check), -ERR_CORRUPT);
    assert_non_null(strstr(self->fixture.err.message, "has 8 bytes, not 10"));
    assert_nothing(self);
    loopback_add_text(self->server, "200 OK", "", BODY "!");
    assert_int_equal(run(self, &self->check), -ERR_TOO_LARGE);
    assert_nothing(self);

    loopback_add_text(self->server, "200 OK", "", "0123456780");
    assert_int_equal(run(self, &md5), -ERR_CORRUPT);
    assert_nothing(self);
    loopback_add_text(self->server, "200 OK", "", BODY);
    assert_ok(run(self, &md5), self->fixture.err);
    assert_done(self);
}

/* The MD5 that Google storage sends along, in one field or two; not where it is of other bytes. */
static void
test_goog_hash(void **state)
{
    static const struct {
        const char *headers;
        int rc;
    } rows[] = {
        {"x-goog-hash: crc32c=AAAAAA==,md5=eB5eJF1ptWaXm4bijSPyxw==\r\n", 0},
        {"x-goog-hash: crc32c=AAAAAA==\r\nX-Goog-Hash: md5=eB5eJF1ptWaXm4bijSPyxw==\r\n", 0},
        {"x-goog-hash: md5=1B2M2Y8AsgTpgAmY7PhCfg==\r\n", -ERR_CORRUPT},
        {"x-goog-hash: crc32c=AAAAAA==\r\nX-Goog-Hash: md5=1B2M2Y8AsgTpgAmY7PhCfg==\r\n",
         -ERR_CORRUPT},
        {"x-goog-hash: md5=1B2M2Y8AsgTpgAmY7PhCfg==\r\n"
         "x-goog-stored-content-encoding: gzip\r\n",
         0},
        {"x-goog-hash: md5=nonsense\r\n", 0},
    };
    struct context *self = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        loopback_add_text(self->server, "200 OK", rows[i].headers, BODY);
        assert_int_equal(run(self, NULL), rows[i].rc);
        assert_int_equal(file_exists(self->path), rows[i].rc == 0);
        assert_int_equal(unlink(self->path), rows[i].rc == 0 ? 0 : -1);
    }
}

static void
test_other_answers(void **state)
{
    static const struct {
        const char *status;
        int rc;
    } rows[] = {
        {"401 Unauthorized", -ERR_AUTH},   {"403 Forbidden", -ERR_AUTH},
        {"404 Not Found", -ERR_NOT_FOUND}, {"410 Gone", -ERR_NOT_FOUND},
        {"500 Error", -ERR_NETWORK},       {"416 Range", -ERR_NETWORK},
        {"204 No Content", -ERR_NETWORK},
    };
    struct context *self = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        loopback_add_text(self->server, rows[i].status, "X-Error-Message: ask the owner\r\n", "");
        assert_int_equal(run(self, &self->check), rows[i].rc);
        assert_non_null(strstr(self->fixture.err.message, "ask the owner"));
        assert_null(strstr(self->fixture.err.message, "canary"));
        assert_nothing(self);
    }
    loopback_add_text(self->server, "304 Not Modified", "ETag: \"v1\"\r\n", "");
    assert_ok(run(self, &self->check), self->fixture.err);
    assert_int_equal(self->fixture.response.status, 304);
    assert_nothing(self);
}

static void
test_cancel(void **state)
{
    struct context *self = *state;

    self->is_cancelled = true;
    loopback_add_text(self->server, "200 OK", "ETag: \"v1\"\r\n", BODY);
    assert_int_equal(run(self, &self->check), -ERR_CANCELLED);
    assert_false(file_exists(self->path));
    self->is_cancelled = false;
    loopback_add_text(self->server, "416 Range", "Content-Range: bytes */10\r\n", "");
    assert_ok(run(self, &self->check), self->fixture.err);
    assert_done(self);
}

static void
test_one_at_a_time(void **state)
{
    struct context *self = *state;
    int fd = open(self->part, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(run(self, &self->check), -ERR_BUSY);
    assert_non_null(strstr(self->fixture.err.message, "another process"));
    assert_int_equal(loopback_count_requests(self->server), 0);
    (void)close(fd);
    loopback_add_text(self->server, "200 OK", "", BODY);
    assert_ok(run(self, &self->check), self->fixture.err);
    assert_done(self);
}

/* A link in the way is not followed. */
static void
test_planted_link(void **state)
{
    struct context *self = *state;
    char victim[PATH_MAX];

    (void)snprintf(victim, sizeof(victim), "%s/victim", self->dir);
    write_text(victim, STR("precious"));
    assert_int_equal(symlink(victim, self->part), 0);
    assert_int_equal(run(self, &self->check), -ERR_IO);
    assert_file(victim, "precious");
    assert_int_equal(unlink(victim), 0);
}

static void
test_copy(void **state)
{
    struct context *self = *state;
    char from[PATH_MAX];
    struct error *err = &self->fixture.err;

    (void)snprintf(from, sizeof(from), "%s/from", self->dir);
    assert_int_equal(download_copy(from, self->path, &self->check, NULL, err), -ERR_NOT_FOUND);
    write_text(from, STR("0123456780"));
    write_text(self->part, STR("left over"));
    assert_int_equal(download_copy(from, self->path, &self->check, NULL, err), -ERR_CORRUPT);
    assert_non_null(strstr(err->message, "cannot copy '/tmp/test-download-"));
    assert_nothing(self);
    write_text(from, STR(BODY));
    assert_ok(download_copy(from, self->path, &self->check, &self->progress, err), *err);
    assert_done(self);
    assert_int_equal(self->done, 10);
    assert_int_equal(unlink(from), 0);
}

/* One line into a file of /proc, as user_namespaces(7) has it. */
static bool
write_proc(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    (void)close(fd);
    return is_done;
}

/* We are root there, of ourselves only. */
static bool
enter_name_space(void)
{
    char uid_map[64];
    char gid_map[64];

    (void)snprintf(uid_map, sizeof(uid_map), "0 %u 1", (unsigned)geteuid());
    (void)snprintf(gid_map, sizeof(gid_map), "0 %u 1", (unsigned)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_proc("/proc/self/uid_map", uid_map) &&
           write_proc("/proc/self/setgroups", "deny") && write_proc("/proc/self/gid_map", gid_map);
}

/* In a name space of its own: a tiny file system over the test's directory.  Exit status 77 where
 * the system does not allow that. */
static int
try_on_tiny_disk(struct context *self, unsigned long flags)
{
    int expected = flags ? -ERR_IO : -ERR_DISK_FULL;
    char *body = calloc(1, 300001);

    if (!enter_name_space() || mount("tmpfs", self->dir, "tmpfs", flags, "size=65536") < 0)
        return 77;
    self->server = loopback_start(); /* threads do not come along through a fork */
    (void)memset(body, 'x', 300000);
    if (!flags) { /* the length is told: refused before the first byte */
        loopback_add_text(self->server, "200 OK", "ETag: \"v1\"\r\n", body);
        if (run(self, NULL) != expected || !strstr(self->fixture.err.message, "no room for 300000"))
            return 1;
    }
    /* It is not told: refused when the disk is full. */
    loopback_add(self->server, (struct loopback_answer){
                                   .bytes = str_from_cstr(arena_printf(
                                       &self->fixture.arena, "HTTP/1.1 200 OK\r\n\r\n%s", body)),
                                   .is_closing = true});
    if (run(self, NULL) != expected ||
        !strstr(self->fixture.err.message, flags ? "Read-only" : "free some space"))
        return 2;
    return file_exists(self->path) ? 3 : 0;
}

static void
run_on_tiny_disk(struct context *self, unsigned long flags)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        _exit(try_on_tiny_disk(self, flags));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* no user name spaces here */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_full_disk(void **state)
{
    run_on_tiny_disk(*state, 0);
}

static void
test_read_only_disk(void **state)
{
    run_on_tiny_disk(*state, MS_RDONLY);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_continue_in_a_later_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_start_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_short_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_already_complete, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_goog_hash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_planted_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_only_disk, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
