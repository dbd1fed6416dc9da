/* lib/services/search/search_service.h, on a real repository and a fake embedder. */

#include "tests/unit/lib/repositories/repo_fixture.h"

#include "lib/services/ml/embedding_processor.h"
#include "lib/services/search/search_service.h"
#include "lib/services/search/vector_index.h"
#include "tests/unit/lib/services/ml/fake_embedder.h"

struct search_fixture {
    struct repo_fixture repo;
    struct fake_embedder embedder;
    struct vector_index *index; /* in memory */
    struct search_service service;
};

static void
embed_all(struct search_fixture *self)
{
    struct embedding_processor processor = {
        .database = self->repo.base.database,
        .datasets = self->repo.repo,
        .embedder = &self->embedder.base,
        .clock = &clock_system,
    };
    struct run_context run = {.task_id = STR("task"), .worker_id = STR("me")};
    struct embedding_counts counts;
    struct error err;

    assert_ok(embedding_processor_run(&processor, 100, true, &run, &counts, &err), err);
}

static void
search_open(struct search_fixture *self)
{
    struct vector_index_options options = {.n_threads = 2};
    struct error err;

    *self = (struct search_fixture){0};
    repo_fixture_init(&self->repo);
    options.datasets = self->repo.repo;
    fake_embedder_init(&self->embedder, "fake-1");
    put_text(&self->repo, "1", "zoo/felines", "Felines at home", "cat cat cat");
    put_text(&self->repo, "2", "zoo/hounds", "Hounds at work", "dog dog dog");
    put_text(&self->repo, "3", "zoo/mixed", "Pets", "a cat and a dog");
    put_text(&self->repo, "4", "zoo/rocks", "Minerals", "quartz and felines of stone");
    assert_ok(vector_index_create(&options, &self->index, &err), err);
    self->service = (struct search_service){
        .datasets = self->repo.repo,
        .embedder = &self->embedder.base,
        .clock = &clock_system,
        .index = self->index,
        .weights = FUSION_WEIGHTS_DEFAULT,
    };
}

static void
search_close(struct search_fixture *self)
{
    vector_index_free(self->index);
    repo_fixture_fini(&self->repo);
}

static struct search_answer
ask(struct search_fixture *self, const char *text, struct dataset_filter filter, size_t limit)
{
    struct search_query query = {.text = str_from_cstr(text), .filter = filter, .limit = limit};
    struct search_answer answer;
    struct error err;

    assert_ok(search_service_run(&self->service, &query, &self->repo.arena, &answer, &err), err);
    return answer;
}

static void
test_keywords_lead_and_meaning_joins(void **state)
{
    struct search_fixture fixture;
    struct search_answer answer;

    (void)state;
    search_open(&fixture);
    embed_all(&fixture);
    answer = ask(&fixture, "felines", no_filter(), 10);
    assert_null(answer.note.ptr);
    assert_int_equal(answer.n_items, 4);   /* two by the word, the others by their vectors alone */
    assert_true(answer.items[0].is_exact); /* the name behind the owner */
    assert_str_equal(answer.items[0].dataset->external_id, "zoo/felines");
    assert_str_equal(answer.items[1].dataset->external_id, "zoo/rocks");
    assert_int_equal(answer.items[1].why.keyword_rank, 2);

    answer = ask(&fixture, "cat", no_filter(), 1);
    assert_int_equal(answer.n_items, 1);
    assert_str_equal(answer.items[0].dataset->external_id, "zoo/felines");
    assert_int_equal(answer.items[0].why.dense_rank, 1);
    search_close(&fixture);
}

static void
test_filters_reach_the_vectors(void **state)
{
    struct search_fixture fixture;
    struct dataset_filter filter = no_filter();

    (void)state;
    search_open(&fixture);
    embed_all(&fixture);
    filter.source_name = STR("huggingface");
    assert_int_equal(ask(&fixture, "cat", filter, 10).n_items, 0);
    filter.source_name = STR("kaggle");
    assert_int_equal(ask(&fixture, "cat", filter, 10).n_items, 4);
    search_close(&fixture);
}

static void
test_goes_on_without_vectors(void **state)
{
    struct search_fixture fixture;
    struct search_answer answer;

    (void)state;
    search_open(&fixture);
    answer = ask(&fixture, "dog", no_filter(), 10); /* nothing is embedded yet */
    assert_true(str_find(answer.note, STR("enrich.generate_embeddings")) < answer.note.len);
    assert_int_equal(answer.n_items, 2);
    assert_int_equal(answer.items[0].why.dense_rank, 0);

    fixture.service.embedder = NULL;
    fixture.service.why_no_embedder = STR("no model");
    answer = ask(&fixture, "dog", no_filter(), 10);
    assert_str_equal(answer.note, "no model");
    assert_int_equal(answer.n_items, 2);
    search_close(&fixture);
}

static void
test_listing_and_limits(void **state)
{
    struct search_fixture fixture;
    struct search_answer answer;
    static char big[SEARCH_QUERY_BYTES + 1];
    struct search_query query = {.text = {big, sizeof(big)}, .filter = no_filter(), .limit = 5};

    (void)state;
    search_open(&fixture);
    assert_int_equal(ask(&fixture, "  ", no_filter(), 3).n_items, 3); /* no words: a listing */
    (void)memset(big, 'a', sizeof(big));
    assert_int_equal(
        search_service_run(&fixture.service, &query, &fixture.repo.arena, &answer, NULL),
        -ERR_INVALID);
    search_close(&fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keywords_lead_and_meaning_joins),
        cmocka_unit_test(test_filters_reach_the_vectors),
        cmocka_unit_test(test_goes_on_without_vectors),
        cmocka_unit_test(test_listing_and_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
