/* lib/services/export/export_service.h: batches, filters, references, faults. */

#include "tests/unit/lib/repositories/repo_fixture.h"

#include "lib/repositories/dataset_repository_ops.h"
#include "lib/services/export/export_service.h"

#define N_ROWS 600 /* more than two batches */

struct collector {
    struct buf text;
    int64_t n_done;
    int64_t n_total;
    int64_t cancel_at;
    bool fails;
};

static int
collect(void *context, struct str bytes, struct error *err)
{
    struct collector *self = context;

    if (self->fails)
        return error_set(err, ERR_DISK_FULL, "no space");
    buf_append(&self->text, bytes);
    return buf_status(&self->text, err);
}

static void
progress(void *context, int64_t n_done, int64_t n_total)
{
    struct collector *self = context;

    assert_true(n_done == 0 || n_done >= self->n_done);
    self->n_done = n_done;
    self->n_total = n_total;
}

static bool
is_cancelled(void *context)
{
    const struct collector *self = context;

    return self->cancel_at && self->n_done >= self->cancel_at;
}

struct export_fixture {
    struct repo_fixture repo;
    struct export_service service;
    struct collector collector;
    struct export_sink sink;
    struct export_counts counts;
};

static void
export_open(struct export_fixture *self, size_t n_rows)
{
    struct error err;

    *self = (struct export_fixture){.collector = {.text = BUF_INIT(ARENA_BYTES)}};
    repo_fixture_init(&self->repo);
    self->service = (struct export_service){self->repo.repo, &clock_system};
    self->sink = (struct export_sink){collect, progress, is_cancelled, &self->collector};
    assert_ok(database_begin(self->repo.base.database, &err), err);
    for (size_t i = 0; i < n_rows; i++) {
        char key[16];
        char name[32];

        (void)snprintf(key, sizeof(key), "%zu", i);
        (void)snprintf(name, sizeof(name), "ann/set-%zu", i);
        put_text(&self->repo, key, name, name, i % 2 ? "odd" : "even");
    }
    assert_ok(database_commit(self->repo.base.database, &err), err);
}

static void
export_close(struct export_fixture *self)
{
    buf_fini(&self->collector.text);
    repo_fixture_fini(&self->repo);
}

static void
test_batches_in_order(void **state)
{
    struct export_fixture self;
    struct dataset_filter filter = no_filter();
    struct error err;
    struct str rest;
    struct str line;
    size_t n_lines = 0;

    (void)state;
    export_open(&self, N_ROWS);
    assert_ok(export_service_run(&self.service, &export_format_jsonl, &filter, &self.sink,
                                 &self.counts, &err),
              err);
    assert_int_equal(self.counts.n_rows, N_ROWS);
    assert_int_equal(self.counts.n_bytes, self.collector.text.len);
    assert_int_equal(self.collector.n_done, N_ROWS);
    assert_int_equal(self.collector.n_total, N_ROWS);
    rest = buf_str(&self.collector.text);
    while (str_split(&rest, '\n', &line) && line.len) {
        char wanted[64];

        (void)snprintf(wanted, sizeof(wanted), "\"ref\":\"ann/set-%zu\"", n_lines++);
        assert_true(str_find(line, str_from_cstr(wanted)) < line.len);
    }
    assert_int_equal(n_lines, N_ROWS);
    filter.source_name = STR("huggingface");
    assert_ok(export_service_run(&self.service, &export_format_jsonl, &filter, &self.sink,
                                 &self.counts, &err),
              err);
    assert_int_equal(self.counts.n_rows, 0);
    export_close(&self);
}

static void
test_refs(void **state)
{
    static const struct str refs[] = {STR_INIT("ann/set-2"), STR_INIT("kaggle:ann/set-0"),
                                      STR_INIT("ann/none")};
    struct export_fixture self;
    struct error err;
    struct str text;

    (void)state;
    export_open(&self, 3);
    assert_ok(export_service_run_refs(&self.service, &export_format_dcat, refs, 1, &self.sink,
                                      &self.counts, &err),
              err);
    text = buf_str(&self.collector.text);
    assert_int_equal(str_find(text, STR("dcat:Catalog")), text.len);
    buf_clear(&self.collector.text);
    assert_ok(export_service_run_refs(&self.service, &export_format_dcat, refs, 2, &self.sink,
                                      &self.counts, &err),
              err);
    assert_int_equal(self.counts.n_rows, 2);
    text = buf_str(&self.collector.text);
    assert_true(str_find(text, STR("dcat:Catalog")) < text.len);
    assert_true(str_find(text, STR("ann/set-2")) < str_find(text, STR("ann/set-0")));
    buf_clear(&self.collector.text);
    assert_int_equal(export_service_run_refs(&self.service, &export_format_dcat, refs, 3,
                                             &self.sink, &self.counts, &err),
                     -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "'ann/none'"));
    assert_int_equal(self.collector.text.len, 0);
    export_close(&self);
}

static void
test_cancel_and_full_disk(void **state)
{
    struct export_fixture self;
    struct dataset_filter filter = no_filter();
    struct error err;

    (void)state;
    export_open(&self, N_ROWS);
    self.counts.n_rows = 7;
    self.collector.cancel_at = 1;
    assert_int_equal(export_service_run(&self.service, &export_format_csv, &filter, &self.sink,
                                        &self.counts, &err),
                     -ERR_CANCELLED);
    assert_non_null(strstr(err.message, "after 256 rows"));
    self.collector.cancel_at = 0;
    self.collector.fails = true;
    assert_int_equal(export_service_run(&self.service, &export_format_csv, &filter, &self.sink,
                                        &self.counts, &err),
                     -ERR_DISK_FULL);
    assert_int_equal(self.counts.n_rows, 7); /* out survives a failure */
    export_close(&self);
}

/* Rows so large that three fit into memory at once. */
struct large_repo {
    struct dataset_repo base;
    size_t largest;
};

static int
large_filter(struct dataset_repo *self, const struct dataset_filter *filter, struct arena *arena,
             const int64_t **out_row_ids, size_t *out_n, struct error *err)
{
    int64_t *row_ids = arena_alloc(arena, 10 * sizeof(*row_ids));

    (void)self;
    (void)filter;
    (void)err;
    assert_non_null(row_ids);
    for (int64_t i = 0; i < 10; i++)
        row_ids[i] = i;
    *out_row_ids = row_ids;
    *out_n = 10;
    return 0;
}

static int
large_find_rows(struct dataset_repo *self, const int64_t *row_ids, size_t n_row_ids,
                struct arena *arena, struct dataset_list *out, struct error *err)
{
    struct large_repo *repo = (struct large_repo *)self;
    struct dataset *items;

    if (n_row_ids > 3)
        return error_set(err, ERR_NOMEM, "no memory for %zu rows", n_row_ids);
    items = arena_calloc(arena, n_row_ids, sizeof(*items));
    assert_non_null(items);
    for (size_t i = 0; i < n_row_ids; i++) {
        dataset_init(&items[i]);
        items[i].row_id = row_ids[i];
        items[i].external_id = STR("a/b");
    }
    repo->largest = n_row_ids > repo->largest ? n_row_ids : repo->largest;
    *out = (struct dataset_list){items, n_row_ids};
    return 0;
}

static void
test_large_rows(void **state)
{
    static const struct dataset_repo_ops ops = {.filter = large_filter,
                                                .find_rows = large_find_rows};
    struct large_repo repo = {.base = {&ops}};
    struct collector collector = {.text = BUF_INIT(ARENA_BYTES)};
    struct export_service service = {&repo.base, &clock_system};
    struct export_sink sink = {.write = collect, .context = &collector};
    struct dataset_filter filter = no_filter();
    struct export_counts counts;
    struct error err;

    (void)state;
    assert_ok(export_service_run(&service, &export_format_csv, &filter, &sink, &counts, &err), err);
    assert_int_equal(counts.n_rows, 10);
    assert_int_equal(repo.largest, 3);
    buf_fini(&collector.text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_in_order),
        cmocka_unit_test(test_refs),
        cmocka_unit_test(test_cancel_and_full_disk),
        cmocka_unit_test(test_large_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
