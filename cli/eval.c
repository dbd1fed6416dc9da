/* trawl eval: how well search finds what people judged to be relevant. */

#include "cli/commands.h"

#include <stdio.h>

#include "base/file.h"
#include "cli/eval_documents.h"
#include "lib/services/search/judgements.h"
#include "lib/services/search/ranking_metrics.h"
#include "lib/services/search/search_service.h"

#define FILE_BYTES      ((size_t)1 << 30)
#define JUDGEMENT_BYTES ((size_t)1 << 30)
#define QUERY_BYTES     ((size_t)256 << 20)
#define HITS            ((size_t)100)

enum mode { MODE_KEYWORD, MODE_DENSE, MODE_HYBRID, MODE_PRIOR, N_MODES };

static const char *const mode_names[N_MODES] = {"bm25f", "dense", "hybrid", "hybrid+prior"};

struct evaluation {
    struct search_service *search;
    struct fusion_weights weights; /* the settings' */
    struct judgements judgements;
    struct ranking_metrics sums[N_MODES];
    bool is_run[N_MODES];
    size_t n_queries; /* those with a relevant document */
    size_t n_skipped;
    char note[256];
};

static struct fusion_weights
weights_of(const struct evaluation *self, enum mode mode)
{
    struct fusion_weights weights = self->weights;

    if (mode == MODE_KEYWORD)
        weights = (struct fusion_weights){.keyword = 1};
    else if (mode == MODE_DENSE)
        weights = (struct fusion_weights){.dense = 1};
    else if (mode == MODE_HYBRID)
        weights.prior = 0;
    return weights;
}

/* By its reference, or by "source:reference". */
static double
grade_of(const struct judgement *items, size_t n_items, const struct dataset *row,
         struct arena *arena)
{
    double grade = judgements_grade(items, n_items, row->external_id);
    char *name;

    if (grade > 0)
        return grade;
    name = arena_printf(arena, "%.*s:%.*s", STR_ARG(row->source_name), STR_ARG(row->external_id));
    return name ? judgements_grade(items, n_items, str_from_cstr(name)) : 0;
}

static int
run_one(struct evaluation *self, enum mode mode, struct str text, const struct judgement *items,
        size_t n_items, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(QUERY_BYTES);
    struct search_query query = {
        .text = text,
        .limit = HITS,
        .filter = {.min_size_bytes = DATASET_UNKNOWN,
                   .max_size_bytes = DATASET_UNKNOWN,
                   .updated_since_us = DATASET_UNKNOWN},
    };
    double *relevant = arena_calloc(&arena, n_items, sizeof(*relevant));
    struct ranking_metrics metrics;
    struct search_answer answer;
    double grades[HITS];
    size_t n_relevant = 0;
    int rc;

    if (!relevant)
        return error_set(err, ERR_NOMEM, "no memory for a query");
    self->search->weights = weights_of(self, mode);
    rc = search_service_run(self->search, &query, &arena, &answer, err);
    if (rc < 0)
        return rc;
    if (mode != MODE_KEYWORD && answer.note.len) {
        (void)snprintf(self->note, sizeof(self->note), "%.*s", STR_ARG(answer.note));
        return 0;
    }
    for (size_t i = 0; i < answer.n_items; i++)
        grades[i] = grade_of(items, n_items, answer.items[i].dataset, &arena);
    for (size_t i = 0; i < n_items; i++) {
        if (items[i].grade > 0)
            relevant[n_relevant++] = items[i].grade;
    }
    metrics = ranking_metrics_compute(grades, answer.n_items, relevant, n_relevant);
    self->is_run[mode] = true;
    self->sums[mode].ndcg_10 += metrics.ndcg_10;
    self->sums[mode].mrr_10 += metrics.mrr_10;
    self->sums[mode].recall_100 += metrics.recall_100;
    return 0;
}

static bool
has_relevant(const struct judgement *items, size_t n_items)
{
    for (size_t i = 0; i < n_items; i++) {
        if (items[i].grade > 0)
            return true;
    }
    return false;
}

static int
run_all(struct evaluation *self, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < self->judgements.n_queries; i++) {
        const struct judged_query *query = &self->judgements.queries[i];
        size_t n_items;
        const struct judgement *items =
            judgements_find_query(&self->judgements, query->id, &n_items);

        if (!has_relevant(items, n_items)) {
            self->n_skipped++;
            continue;
        }
        self->n_queries++;
        for (int mode = 0; rc == 0 && mode < N_MODES; mode++)
            rc = run_one(self, (enum mode)mode, query->text, items, n_items, err);
        if (rc < 0)
            rc = error_wrap(err, rc, "query '%.*s'", STR_ARG(str_slice(query->id, 0, 64)));
    }
    if (rc == 0 && self->n_queries == 0)
        rc = error_set(err, ERR_INVALID, "no query has a relevant document in the qrels");
    return rc;
}

static int
print_json(const struct evaluation *self, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    double n = (double)self->n_queries;

    json_begin_object(&json);
    json_member_i64(&json, STR("queries"), (int64_t)self->n_queries);
    json_member_i64(&json, STR("without_judgement"), (int64_t)self->n_skipped);
    json_member_str(&json, STR("note"), self->note[0] ? str_from_cstr(self->note) : STR_NULL);
    json_name(&json, STR("rankings"));
    json_begin_object(&json);
    for (int mode = 0; mode < N_MODES; mode++) {
        json_name(&json, str_from_cstr(mode_names[mode]));
        if (!self->is_run[mode]) {
            json_null(&json);
            continue;
        }
        json_begin_object(&json);
        json_member_f64(&json, STR("ndcg_10"), self->sums[mode].ndcg_10 / n);
        json_member_f64(&json, STR("mrr_10"), self->sums[mode].mrr_10 / n);
        json_member_f64(&json, STR("recall_100"), self->sums[mode].recall_100 / n);
        json_end_object(&json);
    }
    json_end_object(&json);
    json_end_object(&json);
    return cli_print(&out, err);
}

static void
print_text(const struct evaluation *self)
{
    double n = (double)self->n_queries;

    if (self->note[0])
        (void)fprintf(stderr, "note: keywords only: %s\n", self->note);
    if (self->n_skipped)
        (void)fprintf(stderr, "note: %zu queries have no relevant document and do not count\n",
                      self->n_skipped);
    (void)printf("%-14s %8s %8s %11s   (%zu queries)\n", "", "nDCG@10", "MRR@10", "recall@100",
                 self->n_queries);
    for (int mode = 0; mode < N_MODES; mode++) {
        if (self->is_run[mode])
            (void)printf("%-14s %8.4f %8.4f %11.4f\n", mode_names[mode],
                         self->sums[mode].ndcg_10 / n, self->sums[mode].mrr_10 / n,
                         self->sums[mode].recall_100 / n);
    }
}

static int
evaluate(const struct cli *cli, struct container *app, struct evaluation *self, struct error *err)
{
    int rc = container_get_search(app, &self->search, err);

    if (rc < 0)
        return rc;
    self->weights = self->search->weights;
    rc = run_all(self, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        return print_json(self, err);
    print_text(self);
    return 0;
}

/* On the catalogue, or on one of the documents. */
static int
evaluate_files(struct cli *cli, struct str queries, struct str qrels, struct str documents,
               struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(JUDGEMENT_BYTES);
    struct evaluation evaluation = {.n_queries = 0};
    struct file_map map = {.bytes = STR_NULL};
    struct eval_catalogue catalogue;
    int rc = judgements_parse(queries, qrels, &arena, &evaluation.judgements, err);

    if (rc < 0 || documents.len == 0)
        return rc < 0 ? rc : evaluate(cli, cli->app, &evaluation, err);
    rc = file_map_open(documents.ptr, &map, err);
    if (rc < 0)
        return rc;
    rc = eval_catalogue_open(cli, map.bytes, &catalogue, err);
    if (rc == 0) {
        rc = evaluate(cli, catalogue.app, &evaluation, err);
        eval_catalogue_close(&catalogue);
    }
    file_map_close(&map);
    return rc;
}

int
command_eval(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(buf_fini) struct buf query_text = BUF_INIT(FILE_BYTES);
    CLEANUP(buf_fini) struct buf qrels_text = BUF_INIT(FILE_BYTES);
    struct str queries = STR_NULL;
    struct str qrels = STR_NULL;
    struct str documents = STR_NULL;
    struct cli_words words;
    const struct cli_option options[] = {
        CLI_OPTION_TEXT("queries", "FILE", &queries, "'id TAB text' lines, or JSON lines"),
        CLI_OPTION_TEXT("qrels", "FILE", &qrels, "'query 0 document grade' lines"),
        CLI_OPTION_TEXT("documents", "FILE", &documents,
                        "JSON lines to search, instead of the catalogue"),
        CLI_OPTIONS_END,
    };
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 0, err);
    if (rc == 0 && (queries.len == 0 || qrels.len == 0))
        rc = error_set(err, ERR_ARGS, "--queries and --qrels are needed: 'trawl eval --help'");
    if (rc == 0)
        rc = file_read(queries.ptr, &query_text, err);
    if (rc == 0)
        rc = file_read(qrels.ptr, &qrels_text, err);
    if (rc == 0)
        rc = evaluate_files(cli, buf_str(&query_text), buf_str(&qrels_text), documents, err);
    return rc;
}
