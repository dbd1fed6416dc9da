/* lib/services/ml/model_store.h */

#include "tests/unit/check.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "lib/services/ml/model_store.h"
#include "tests/unit/lib/core/http_fixture.h"
#include "tests/unit/lib/core/loopback_server.h"

#define WEIGHTS "weights!"
#define CONFIG  "{}"

/* SHA-256 of the two texts above. */
static const struct model_file tiny_files[] = {
    {"model.safetensors", 8, "fa47a1dc2eaad8414f129b768e1bc3ab746de3ee7d73d82c9356a9ca2ad772f4"},
    {"1_Pooling/config.json", 2,
     "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
};

static const struct model tiny = {"tiny", "some-one/tiny", "abc123", tiny_files,
                                  COUNT_OF(tiny_files)};

struct context {
    struct loopback_server *server;
    struct http_fixture fixture;
    char dir[64];
    struct progress progress;
    int64_t done;
    int64_t total;
    struct model_store_report report;
};

static void
note_progress(const struct progress *progress, int64_t done, int64_t total)
{
    struct context *self =
        (struct context *)((uintptr_t)progress - offsetof(struct context, progress));

    assert_true(done >= self->done);
    self->done = done;
    self->total = total;
}

static int
set_up(void **state)
{
    struct context *self = calloc(1, sizeof(*self));

    self->server = loopback_start();
    http_fixture_init(&self->fixture);
    self->fixture.options.max_attempts = 1;
    http_fixture_open(&self->fixture);
    (void)snprintf(self->dir, sizeof(self->dir), "/tmp/test-models-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    self->progress.report = note_progress;
    *state = self;
    return 0;
}

static int
remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static int
tear_down(void **state)
{
    struct context *self = *state;

    (void)nftw(self->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    http_fixture_close(&self->fixture);
    loopback_stop(self->server);
    free(self);
    return 0;
}

static const char *
path_in(struct context *self, const char *path)
{
    return arena_printf(&self->fixture.arena, "%s/%s", self->dir, path);
}

static void
write_text(struct context *self, const char *path, struct str text)
{
    const char *whole = path_in(self, path);
    struct str dir = str_from_cstr(whole);

    dir.len = str_find_last(dir, STR("/"));
    assert_int_equal(file_make_dirs(arena_printf(&self->fixture.arena, "%.*s", STR_ARG(dir)), NULL),
                     0);
    assert_int_equal(file_write_atomic(whole, text, NULL), 0);
}

static int
pull(struct context *self, const struct model *model)
{
    self->done = 0;
    return model_store_pull(self->fixture.client, loopback_url(self->server, "/"), STR("hf_canary"),
                            path_in(self, "store"), model, &self->progress, &self->report,
                            &self->fixture.err);
}

static void
test_pins(void **state)
{
    const struct model *model = NULL;
    struct error err;

    (void)state;
    assert_ok(model_store_find(STR("all-MiniLM-L6-v2"), &model, &err), err);
    assert_string_equal(model->repo, "sentence-transformers/all-MiniLM-L6-v2");
    assert_ok(model_store_find(str_from_cstr(model->repo), &model, &err), err);
    assert_int_equal(strlen(model->revision), 40);
    assert_int_equal(model->n_files, 10);
    assert_int_equal(model_store_total_bytes(model), 91567913);
    for (size_t i = 0; i < model->n_files; i++) {
        assert_int_equal(strlen(model->files[i].sha256), SHA256_TEXT_BYTES - 1);
        assert_int_equal(strspn(model->files[i].sha256, "0123456789abcdef"), 64);
        assert_null(strstr(model->files[i].path, ".."));
    }
    assert_int_equal(model_store_find(STR("../../etc"), &model, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "only: all-MiniLM-L6-v2"));
    assert_int_equal(model_store_find(STR_NULL, &model, &err), -ERR_NOT_FOUND);
}

static void
test_pull(void **state)
{
    struct context *self = *state;
    struct loopback_server *cdn = loopback_start();
    char location[128];

    (void)snprintf(location, sizeof(location), "Location: %s\r\n",
                   loopback_url(cdn, "/blob?Signature=x").ptr);
    loopback_add_text(self->server, "302 Found", location, "");
    loopback_add_text(cdn, "200 OK", "ETag: \"w\"\r\n", WEIGHTS);
    loopback_add_text(self->server, "200 OK", "", CONFIG);
    assert_ok(pull(self, &tiny), self->fixture.err);
    assert_true(
        loopback_has_sent(self->server, 0, "GET /some-one/tiny/resolve/abc123/model.safetensors"));
    assert_true(loopback_has_sent(self->server, 0, "Authorization: Bearer hf_canary\r\n"));
    assert_false(loopback_has_sent(cdn, 0, "canary"));
    assert_true(loopback_has_sent(self->server, 1, "/abc123/1_Pooling/config.json HTTP"));
    assert_true(file_exists(path_in(self, "store/tiny/1_Pooling/config.json")));
    assert_int_equal(self->report.n_files_added, 2);
    assert_int_equal(self->report.n_files_present, 0);
    assert_int_equal(self->report.n_bytes_added, 10);
    assert_int_equal(self->done, 10);
    assert_int_equal(self->total, 10);

    assert_ok(pull(self, &tiny), self->fixture.err); /* complete: no network */
    assert_int_equal(self->report.n_files_present, 2);
    assert_int_equal(self->report.n_files_added, 0);
    assert_int_equal(self->done, 10);
    assert_int_equal(loopback_count_requests(self->server), 2);

    write_text(self, "store/tiny/model.safetensors", STR("weightsX")); /* damaged later */
    loopback_add_text(self->server, "200 OK", "", WEIGHTS);
    assert_ok(pull(self, &tiny), self->fixture.err);
    assert_int_equal(self->report.n_files_added, 1);
    loopback_stop(cdn);
}

static void
test_pull_fails(void **state)
{
    struct context *self = *state;

    loopback_add_text(self->server, "200 OK", "", "weightsX");
    assert_int_equal(pull(self, &tiny), -ERR_CORRUPT);
    assert_non_null(strstr(self->fixture.err.message, "model.safetensors"));
    assert_false(file_exists(path_in(self, "store/tiny/model.safetensors")));
    assert_false(file_exists(path_in(self, "store/tiny/model.safetensors.part")));

    loopback_add_text(self->server, "401 Unauthorized", "X-Error-Message: Invalid\r\n", "");
    assert_int_equal(pull(self, &tiny), -ERR_AUTH);
    assert_non_null(strstr(self->fixture.err.message, "trawl model pull --from DIR"));
    assert_non_null(strstr(self->fixture.err.message, "status 401: Invalid"));
    assert_null(strstr(self->fixture.err.message, "canary"));

    loopback_add(self->server, (struct loopback_answer){.bytes = STR(""), .is_closing = true});
    assert_int_equal(pull(self, &tiny), -ERR_NETWORK);
    assert_non_null(strstr(self->fixture.err.message, "trawl model pull --from DIR"));
    assert_int_equal(model_store_pull(self->fixture.client, STR("nonsense"), STR_NULL,
                                      path_in(self, "store"), &tiny, NULL, &self->report, NULL),
                     -ERR_INVALID);
}

static void
test_import(void **state)
{
    struct context *self = *state;
    struct error *err = &self->fixture.err;

    write_text(self, "from/model.safetensors", STR(WEIGHTS));
    assert_int_equal(model_store_import(path_in(self, "from"), path_in(self, "store"), &tiny, NULL,
                                        &self->report, err),
                     -ERR_NOT_FOUND);
    assert_non_null(strstr(err->message, "1_Pooling/config.json"));
    write_text(self, "from/1_Pooling/config.json", STR("[]"));
    assert_int_equal(model_store_import(path_in(self, "from"), path_in(self, "store"), &tiny, NULL,
                                        &self->report, err),
                     -ERR_CORRUPT);
    assert_false(file_exists(path_in(self, "store/tiny/1_Pooling/config.json")));
    write_text(self, "from/1_Pooling/config.json", STR(CONFIG));
    assert_ok(model_store_import(path_in(self, "from"), path_in(self, "store"), &tiny,
                                 &self->progress, &self->report, err),
              *err);
    assert_int_equal(self->report.n_files_present, 1); /* from the first try */
    assert_int_equal(self->report.n_files_added, 1);
    assert_int_equal(self->done, 10);
    assert_int_equal(loopback_count_requests(self->server), 0);
}

static void
test_check(void **state)
{
    struct context *self = *state;
    struct arena *arena = &self->fixture.arena;
    struct error *err = &self->fixture.err;
    struct model_check check;

    assert_int_equal(model_store_check(path_in(self, "none"), &tiny, arena, &check, err),
                     -ERR_NOT_FOUND);
    write_text(self, "m/model.safetensors", STR(WEIGHTS));
    write_text(self, "m/1_Pooling/config.json.part", STR("{"));
    assert_ok(model_store_check(path_in(self, "m"), &tiny, arena, &check, err), *err);
    assert_int_equal(check.n_files, 2);
    assert_int_equal(check.files[0].state, MODEL_FILE_OK);
    assert_string_equal(check.files[0].sha256, tiny_files[0].sha256);
    assert_int_equal(check.files[1].state, MODEL_FILE_PARTIAL);
    assert_int_equal(check.files[1].n_bytes, 1);
    assert_false(check.is_usable);
    write_text(self, "m/1_Pooling/config.json", STR("[]"));
    assert_ok(model_store_check(path_in(self, "m"), &tiny, arena, &check, err), *err);
    assert_int_equal(check.files[1].state, MODEL_FILE_BAD);
    write_text(self, "m/1_Pooling/config.json", STR(CONFIG));
    assert_ok(model_store_check(path_in(self, "m"), &tiny, arena, &check, err), *err);
    assert_true(check.is_usable);

    /* Not one of the pinned: what is there is told, and left to the encoder's judgement. */
    assert_ok(model_store_check(path_in(self, "m"), NULL, arena, &check, err), *err);
    assert_null(check.model);
    assert_int_equal(check.files[0].state, MODEL_FILE_UNKNOWN);
    assert_int_equal(check.files[1].state, MODEL_FILE_ABSENT);
    assert_true(check.is_usable);

    /* Known by its name. */
    write_text(self, "all-MiniLM-L6-v2/model.safetensors", STR(WEIGHTS));
    assert_ok(model_store_check(path_in(self, "all-MiniLM-L6-v2/"), NULL, arena, &check, err),
              *err);
    assert_string_equal(check.model->name, "all-MiniLM-L6-v2");
    assert_int_equal(check.files[0].state, MODEL_FILE_BAD);
    assert_string_equal(model_file_state_name(check.files[0].state), "bad");
}

static void
test_list(void **state)
{
    struct context *self = *state;
    struct error *err = &self->fixture.err;
    struct model_listing *models;
    size_t n_models = 0;

    write_text(self, "store/all-MiniLM-L6-v2/config.json.part", STR("123"));
    write_text(self, "store/all-MiniLM-L6-v2/modules.json", STR("12"));
    assert_ok(
        model_store_list(path_in(self, "store"), &self->fixture.arena, &models, &n_models, err),
        *err);
    assert_int_equal(n_models, 1);
    assert_string_equal(models[0].dir, path_in(self, "store/all-MiniLM-L6-v2"));
    assert_int_equal(models[0].n_files_present, 0);
    assert_int_equal(models[0].n_bytes_present, 5);
    assert_false(models[0].is_complete);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pins),
        cmocka_unit_test_setup_teardown(test_pull, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pull_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_import, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
