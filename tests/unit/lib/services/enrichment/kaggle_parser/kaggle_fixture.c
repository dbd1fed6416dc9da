/* The catalogue is a real one: SQLite in a temporary directory. */

#include "tests/unit/lib/services/enrichment/kaggle_parser/kaggle_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "lib/repositories/run_repository.h"

#define ARENA_BYTES ((size_t)64 << 20)

int64_t fixture_now_us;

static int64_t
now(const struct clock *clock)
{
    (void)clock;
    return fixture_now_us;
}

static void
move_on(const struct clock *clock, int64_t span_us)
{
    (void)clock;
    fixture_now_us += span_us;
}

static struct fixture *the_fixture; /* the progress interface hands out const */

static bool
is_cancelled(const struct progress *progress)
{
    (void)progress;
    the_fixture->n_asked++;
    return the_fixture->n_until_cancel > 0 && the_fixture->n_asked >= the_fixture->n_until_cancel;
}

static void
report(const struct progress *progress, int64_t done, int64_t total)
{
    (void)progress;
    the_fixture->progress_done = done;
    the_fixture->progress_total = total;
}

static void
note_call(struct fixture *self, const char *what, struct str about)
{
    assert_true(self->n_calls < FIXTURE_MAX_CALLS);
    (void)snprintf(self->calls[self->n_calls++], sizeof(self->calls[0]), "%s%s%.*s", what,
                   about.len ? " " : "", STR_ARG(about));
}

static struct json
parse(const char *body, struct arena *arena)
{
    struct json value;
    struct error err;

    assert_ok(json_parse(str_from_cstr(body), NULL, arena, &value, &err), err);
    return value;
}

static int
fail_with(int rc, struct error *err)
{
    int failed = error_set(err, (enum error_code)(-rc), "the fake fails");

    err->retry_after_ms = rc == -ERR_RATE_LIMIT ? 960000 : 0;
    return failed;
}

static int
list(struct kaggle_client *base, const struct kaggle_list_query *query, struct arena *arena,
     struct kaggle_api_page *out, struct error *err)
{
    struct fixture *self = (struct fixture *)base;
    static const struct fixture_page no_rows = {0, "[]"};
    const struct fixture_page *page =
        (size_t)query->page > self->n_pages ? &no_rows : &self->pages[query->page - 1];
    struct json body;
    char what[60];

    (void)snprintf(what, sizeof(what), "list %d %s", (int)query->page,
                   kaggle_sort_name(query->sort));
    note_call(self, what, query->search);
    if (page->rc < 0)
        return fail_with(page->rc, err);
    body = parse(page->body, arena);
    return kaggle_api_parse_page(&body, arena, out, err);
}

static int
answer(const struct fixture_answer *answers, size_t n_answers, struct str ref,
       int (*read)(const struct json *body, struct arena *arena, struct kaggle_api_dataset *out,
                   struct error *err),
       struct arena *arena, struct kaggle_answer *out, struct error *err)
{
    for (size_t i = 0; i < n_answers; i++) {
        struct json body;

        if (!str_equal(ref, str_from_cstr(answers[i].ref)))
            continue;
        if (answers[i].rc < 0)
            return fail_with(answers[i].rc, err);
        *out = (struct kaggle_answer){.verdict = answers[i].verdict, .message = STR("words")};
        if (answers[i].verdict != KAGGLE_FOUND)
            return 0;
        body = parse(answers[i].body, arena);
        return read(&body, arena, &out->dataset, err);
    }
    fail_msg("nobody expected a question about '%.*s'", STR_ARG(ref));
    return 0;
}

static int
view(struct kaggle_client *base, struct str ref, struct arena *arena, struct kaggle_answer *out,
     struct error *err)
{
    struct fixture *self = (struct fixture *)base;

    note_call(self, "view", ref);
    return answer(self->views, self->n_views, ref, kaggle_api_parse_dataset, arena, out, err);
}

static int
metadata(struct kaggle_client *base, struct str ref, struct arena *arena, struct kaggle_answer *out,
         struct error *err)
{
    struct fixture *self = (struct fixture *)base;

    note_call(self, "metadata", ref);
    return answer(self->metadata, self->n_metadata, ref, kaggle_api_parse_metadata, arena, out,
                  err);
}

static const struct kaggle_client_ops fake_ops = {.list = list, .view = view, .metadata = metadata};

static void
start_run(struct fixture *self)
{
    struct run run = {
        .task_id = STR("00000000-0000-4000-8000-000000000001"),
        .task_name = STR("test"),
        .arguments = STR("{}"),
        .state = STR("STARTED"),
        .worker_id = STR("host:1:1"),
        .started_at_us = fixture_now_us,
        .ended_at_us = DATABASE_NULL,
    };
    struct error err;

    self->progress = (struct progress){.report = report, .is_cancelled = is_cancelled};
    self->ctx = (struct run_context){
        .task_id = run.task_id, .worker_id = run.worker_id, .progress = &self->progress};
    assert_ok(run_repo_start(self->database, &run, &self->ctx.run_id, &err), err);
}

int
fixture_open(void **state)
{
    struct database_options options = {.schema = &catalogue_schema, .may_create = true};
    struct fixture *self = calloc(1, sizeof(*self));
    struct error err;
    char url[100];

    assert_non_null(self);
    the_fixture = self;
    fixture_now_us = FIXTURE_NOW_US;
    self->client.ops = &fake_ops;
    self->clock = (struct clock){.now_us = now, .mono_us = now, .sleep_us = move_on};
    self->arena = (struct arena)ARENA_INIT(ARENA_BYTES);
    (void)snprintf(self->directory, sizeof(self->directory), "/tmp/test-kaggle-XXXXXX");
    assert_non_null(mkdtemp(self->directory));
    (void)snprintf(url, sizeof(url), "sqlite:///%s/trawl.db", self->directory);
    assert_ok(database_open(str_from_cstr(url), &options, &self->database, &err), err);
    assert_ok(database_migrate(self->database, NULL, &err), err);
    assert_ok(dataset_repo_create(self->database, &self->datasets, &err), err);
    start_run(self);
    *state = self;
    return 0;
}

int
fixture_close(void **state)
{
    struct fixture *self = *state;
    char command[100];

    dataset_repo_free(self->datasets);
    database_close(self->database);
    arena_fini(&self->arena);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", self->directory);
    assert_int_equal(system(command), 0);
    free(self);
    return 0;
}

struct dataset
fixture_find(struct fixture *self, const char *ref)
{
    struct dataset row;
    struct error err;

    assert_ok(dataset_repo_find(self->datasets, str_from_cstr(ref), &self->arena, &row, &err), err);
    return row;
}

bool
fixture_has(struct fixture *self, const char *ref)
{
    struct dataset row;

    return dataset_repo_find(self->datasets, str_from_cstr(ref), &self->arena, &row, NULL) == 0;
}

static struct dataset_source_counts
count_kaggle(struct fixture *self)
{
    struct dataset_counts counts;
    struct error err;

    assert_ok(dataset_repo_count(self->datasets, &self->arena, &counts, &err), err);
    for (size_t i = 0; i < counts.n_items; i++) {
        if (str_equal(counts.items[i].source_name, STR("kaggle")))
            return counts.items[i];
    }
    return (struct dataset_source_counts){.n_rows = 0};
}

int64_t
fixture_count(struct fixture *self)
{
    return count_kaggle(self).n_rows;
}

int64_t
fixture_count_status(struct fixture *self, enum dataset_status status)
{
    struct dataset_source_counts counts = count_kaggle(self);

    switch (status) {
    case DATASET_MINIMAL:
        return counts.n_minimal;
    case DATASET_ENRICHED:
        return counts.n_enriched;
    case DATASET_PENDING:
        return counts.n_pending;
    case DATASET_FAILED:
        return counts.n_failed;
    case DATASET_ENRICHING:
    case DATASET_SKIPPED:
        break;
    }
    fail_msg("status %d is not counted", (int)status);
    return 0;
}

void
fixture_add(struct fixture *self, const char *external_id, const char *source_key,
            enum dataset_status status)
{
    enum upsert_outcome outcome;
    struct dataset row;
    struct error err;

    dataset_init(&row);
    row.source_name = STR("kaggle");
    row.external_id = str_from_cstr(external_id);
    row.source_key = str_from_cstr(source_key);
    row.title = STR("A title");
    row.source_meta = STR("{\"slug\":\"a-slug\"}");
    row.status = status;
    assert_ok(database_begin(self->database, &err), err);
    assert_ok(dataset_repo_upsert(self->datasets, &row, fixture_now_us, &outcome, &err), err);
    assert_ok(database_commit(self->database, &err), err);
}

struct str
fixture_path(struct fixture *self, const char *name)
{
    char *path = arena_printf(&self->arena, "%s/%s", self->directory, name);

    assert_non_null(path);
    return str_from_cstr(path);
}

void
fixture_write(struct fixture *self, const char *name, const char *text)
{
    char path[200];
    char *slash;
    struct error err;

    (void)snprintf(path, sizeof(path), "%s/%s", self->directory, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    assert_ok(file_make_dirs(path, &err), err);
    *slash = '/';
    assert_ok(file_write_atomic(path, str_from_cstr(text), &err), err);
}
