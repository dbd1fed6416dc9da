/* kaggle_parser/dump_fetcher.h against a scripted server: six downloads, a version, a cache. */

#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>

#include <trawl/error.h>

#include "base/file.h"
#include "lib/services/enrichment/kaggle_parser/dump_fetcher.h"
#include "tests/unit/lib/core/http_fixture.h"
#include "tests/unit/lib/core/loopback_server.h"

#define N_FILES 6

struct context {
    struct kaggle_client client; /* first: a fake that tells the version */
    int64_t version;             /* 0: "undecidable" */
    struct loopback_server *server;
    struct http_fixture http;
    struct kaggle_dump_downloads *downloads;
    char cache[64];
    struct arena arena;
};

static int
view(struct kaggle_client *base, struct str ref, struct arena *arena, struct kaggle_answer *out,
     struct error *err)
{
    const struct context *self = (const struct context *)base;

    (void)arena;
    (void)err;
    assert_str_equal(ref, "kaggle/meta-kaggle");
    *out = (struct kaggle_answer){
        .verdict = self->version > 0 ? KAGGLE_FOUND : KAGGLE_UNDECIDABLE,
        .dataset = {.id = 9, .version_number = self->version},
    };
    return 0;
}

static const struct kaggle_client_ops fake_ops = {.view = view};

static int
set_up(void **state)
{
    struct context *self = calloc(1, sizeof(*self));
    struct kaggle_dump_downloads_options options = {.authorization = STR("Bearer canary")};
    struct error err;

    assert_non_null(self);
    self->client.ops = &fake_ops;
    self->version = 12;
    self->arena = (struct arena)ARENA_INIT((size_t)1 << 20);
    self->server = loopback_start();
    http_fixture_init(&self->http);
    http_fixture_open(&self->http);
    (void)snprintf(self->cache, sizeof(self->cache), "/tmp/test-kaggle-dump-XXXXXX");
    assert_non_null(mkdtemp(self->cache));
    options.http = self->http.client;
    options.client = &self->client;
    options.rest_url = loopback_url(self->server, "/api/v1/");
    options.cache_dir = str_from_cstr(self->cache);
    assert_ok(kaggle_dump_downloads_create(&options, &self->downloads, &err), err);
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct context *self = *state;
    char command[100];

    kaggle_dump_downloads_free(self->downloads);
    http_fixture_close(&self->http);
    loopback_stop(self->server);
    arena_fini(&self->arena);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", self->cache);
    assert_int_equal(system(command), 0);
    free(self);
    return 0;
}

static void
answer(struct context *self, const char *body)
{
    loopback_add_text(self->server, "200 OK", "Content-Type: text/csv\r\n", body);
}

static void
answer_all(struct context *self, const char *body)
{
    for (size_t i = 0; i < N_FILES; i++)
        answer(self, body);
}

static int
fetch(struct context *self, bool force_redownload, struct kaggle_dump *out, struct error *err)
{
    struct kaggle_dump_fetcher fetcher = kaggle_dump_downloads_fetcher(self->downloads);

    int rc = fetcher.fetch(fetcher.context, force_redownload, NULL, &self->arena, out, err);

    if (rc == 0) {
        assert_true(out->is_held);
        assert_int_equal(close(out->hold_fd), 0);
    }
    return rc;
}

static bool
has_file(const struct context *self, const char *name)
{
    char path[200];

    (void)snprintf(path, sizeof(path), "%s/meta-kaggle/%s", self->cache, name);
    return file_exists(path);
}

static void
assert_content(const struct context *self, const char *name, const char *text)
{
    CLEANUP(buf_fini) struct buf content = BUF_INIT(100000);
    char path[200];
    struct error err;

    (void)snprintf(path, sizeof(path), "%s/meta-kaggle/%s", self->cache, name);
    assert_ok(file_read(path, &content, &err), err);
    assert_str_equal(buf_str(&content), text);
}

static void
test_six_files_once_per_version(void **state)
{
    struct context *self = *state;
    struct kaggle_dump dump;
    struct error err;

    answer_all(self, "Id,Name\n1,a\n");
    assert_ok(fetch(self, false, &dump, &err), err);
    assert_str_equal(dump.version, "12");
    assert_true(str_ends_with(str_from_cstr(dump.path), STR("/meta-kaggle/12")));
    assert_int_equal(loopback_count_requests(self->server), N_FILES);
    assert_true(loopback_has_sent(
        self->server, 0, "GET /api/v1/datasets/download/kaggle/meta-kaggle/Datasets.csv "));
    assert_true(loopback_has_sent(self->server, 0, "Bearer canary"));
    assert_content(self, "12/Users.csv", "Id,Name\n1,a\n");
    assert_true(has_file(self, "12/complete"));

    assert_ok(fetch(self, false, &dump, &err), err); /* unchanged: nothing is asked for */
    assert_int_equal(loopback_count_requests(self->server), N_FILES);

    answer_all(self, "Id,Name\n2,b\n");
    assert_ok(fetch(self, true, &dump, &err), err);
    assert_int_equal(loopback_count_requests(self->server), 2 * N_FILES);
    assert_content(self, "12/Users.csv", "Id,Name\n2,b\n");

    self->version = 13;
    answer_all(self, "\"Id\",\"Name\"\n3,c\n");
    assert_ok(fetch(self, false, &dump, &err), err);
    assert_content(self, "13/Tags.csv", "\"Id\",\"Name\"\n3,c\n");
    assert_false(has_file(self, "12")); /* the old version made room */
}

static void
test_an_interrupted_fetch_goes_on(void **state)
{
    struct context *self = *state;
    struct kaggle_dump dump;
    struct error err;

    answer(self, "Id\n,\n"); /* not "Id,": three times no table */
    answer(self, "<html>robot?</html>");
    answer(self, "");
    assert_int_equal(fetch(self, false, &dump, &err), -ERR_CORRUPT);
    assert_false(has_file(self, "12/Datasets.csv"));

    answer(self, "Id,A\n");
    loopback_add_text(self->server, "403 Forbidden", "", "{}");
    assert_int_equal(fetch(self, false, &dump, &err), -ERR_AUTH);
    assert_true(has_file(self, "12/Datasets.csv"));
    assert_false(has_file(self, "12/complete"));

    for (size_t i = 1; i < N_FILES; i++)
        answer(self, "PK\x03\x04 as good as a zip");
    assert_ok(fetch(self, false, &dump, &err), err);
    assert_int_equal(loopback_count_requests(self->server), 3 + 2 + 5);
    assert_content(self, "12/Datasets.csv", "Id,A\n");
    assert_true(has_file(self, "12/complete"));
}

static void
test_half_a_dump_is_none(void **state)
{
    struct context *self = *state;
    struct kaggle_dump dump;
    struct error err;

    answer(self, "Id,A\n");
    loopback_add_text(self->server, "404 Not Found", "", "{\"code\":404}");
    assert_int_equal(fetch(self, false, &dump, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "Users.csv"));
}

static void
test_an_unknown_version_is_fetched_anew(void **state)
{
    struct context *self = *state;
    struct kaggle_dump dump;
    struct error err;

    self->version = 0;
    answer_all(self, "Id,A\n");
    assert_ok(fetch(self, false, &dump, &err), err);
    assert_null(dump.version.ptr);
    answer_all(self, "Id,B\n");
    assert_ok(fetch(self, false, &dump, &err), err);
    assert_content(self, "unknown/Datasets.csv", "Id,B\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_six_files_once_per_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_interrupted_fetch_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_a_dump_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_unknown_version_is_fetched_anew, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
