/* trawl search QUERY */

#include "cli/commands.h"

#include <stdio.h>

#include "base/utf8.h"
#include "cli/filter_options.h"
#include "lib/models/dataset_json.h"
#include "lib/services/search/search_service.h"

#define SEARCH_ARENA_BYTES ((size_t)256 << 20)
#define SNIPPET_BYTES      ((size_t)220)

/* The words of the command line, as one text. */
static struct str
join_words(const struct cli_words *words, struct arena *arena)
{
    struct buf text = BUF_INIT(SEARCH_QUERY_BYTES + 1);
    bool ok = true;
    struct str joined;

    for (size_t i = 0; i < words->n_items; i++) {
        if (i)
            buf_append_char(&text, ' ');
        buf_append(&text, words->items[i]);
    }
    joined = arena_dup(arena, buf_str(&text), &ok);
    buf_fini(&text);
    return joined;
}

static void
rank_json(struct json_writer *json, struct str name, size_t rank)
{
    json_name(json, name);
    if (rank)
        json_i64(json, (int64_t)rank);
    else
        json_null(json);
}

static int
print_json(const struct search_answer *answer, struct str text, struct error *err)
{
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int rc;

    json_begin_object(&json);
    json_member_str(&json, STR("query"), text);
    json_member_str(&json, STR("note"), answer->note);
    json_name(&json, STR("hits"));
    json_begin_array(&json);
    for (size_t i = 0; i < answer->n_items; i++) {
        const struct search_hit *hit = &answer->items[i];

        json_begin_object(&json);
        json_member_i64(&json, STR("rank"), (int64_t)i + 1);
        json_member_f64(&json, STR("score"), hit->why.score);
        json_name(&json, STR("why"));
        json_begin_object(&json);
        json_member_bool(&json, STR("is_exact"), hit->is_exact);
        rank_json(&json, STR("keyword_rank"), hit->why.keyword_rank);
        json_member_f64(&json, STR("bm25"), hit->why.keyword_score);
        rank_json(&json, STR("dense_rank"), hit->why.dense_rank);
        json_member_f64(&json, STR("cosine"), hit->why.cosine);
        json_member_f64(&json, STR("fused"), hit->why.fused);
        json_member_f64(&json, STR("static_score"), hit->why.static_score);
        json_end_object(&json);
        dataset_json_members(&json, hit->dataset);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_end_object(&json);
    rc = cli_print(&out, err);
    buf_fini(&out);
    return rc;
}

static void
print_why(const struct cli *cli, const struct search_hit *hit)
{
    (void)printf("    %swhy:", cli_dim(cli));
    if (hit->is_exact)
        (void)printf(" exact name;");
    if (hit->why.keyword_rank)
        (void)printf(" keywords rank %zu (bm25 %.2f);", hit->why.keyword_rank,
                     hit->why.keyword_score);
    if (hit->why.dense_rank)
        (void)printf(" meaning rank %zu (cosine %.3f);", hit->why.dense_rank, hit->why.cosine);
    if (hit->why.fused > 0)
        (void)printf(" fused %.4f, times %.3f by static score %.3f: %.4f%s\n", hit->why.fused,
                     hit->why.score / hit->why.fused, hit->why.static_score, hit->why.score,
                     cli_reset(cli));
    else
        (void)printf(" static score %.3f%s\n", hit->why.static_score, cli_reset(cli));
}

/* The beginning of the description, on one line. */
static void
print_snippet(const struct cli *cli, struct str description)
{
    struct str cut = utf8_cut(description, SNIPPET_BYTES);
    bool was_space = true;

    if (cut.len == 0)
        return;
    (void)printf("    %s", cli_dim(cli));
    for (size_t i = 0; i < cut.len; i++) {
        bool is_space =
            cut.ptr[i] == ' ' || cut.ptr[i] == '\n' || cut.ptr[i] == '\t' || cut.ptr[i] == '\r';

        if (!is_space)
            (void)putchar(cut.ptr[i]);
        else if (!was_space)
            (void)putchar(' ');
        was_space = is_space;
    }
    (void)printf("%s%s\n", cut.len < description.len ? "..." : "", cli_reset(cli));
}

/* What may not be there any more is marked as such. */
static const char *
link_badge(struct str link_state)
{
    if (str_equal(link_state, STR("suspect")))
        return "  [suspect]";
    return str_equal(link_state, STR("unreachable")) ? "  [unreachable]" : "";
}

static void
print_text(const struct cli *cli, const struct search_answer *answer, bool why)
{
    char size[32];
    char downloads[32];

    if (answer->note.len)
        (void)fprintf(stderr, "note: keywords only: %.*s\n", STR_ARG(answer->note));
    if (answer->n_items == 0)
        (void)printf("nothing found\n");
    for (size_t i = 0; i < answer->n_items; i++) {
        const struct dataset *dataset = answer->items[i].dataset;

        (void)printf("%2zu. %s%.*s%s  %.*s:%.*s%s\n", i + 1, cli_bold(cli), STR_ARG(dataset->title),
                     cli_reset(cli), STR_ARG(dataset->source_name), STR_ARG(dataset->external_id),
                     link_badge(dataset->link_state));
        print_snippet(cli, dataset->description);
        (void)printf("    %.*s  license %.*s, size %s, downloads %s\n", STR_ARG(dataset->url),
                     STR_ARG(dataset->license.len ? dataset->license : STR("unknown")),
                     cli_format_bytes(dataset->total_size_bytes, size),
                     cli_format_count(dataset->download_count, downloads));
        if (why)
            print_why(cli, &answer->items[i]);
    }
}

static int
run_search(struct cli *cli, const struct search_query *query, bool why, struct arena *arena,
           struct error *err)
{
    struct search_service *service;
    struct search_answer answer;
    int rc = container_get_search(cli->app, &service, err);

    if (rc == 0)
        rc = search_service_run(service, query, arena, &answer, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        return print_json(&answer, query->text, err);
    print_text(cli, &answer, why);
    return 0;
}

int
command_search(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct arena arena = ARENA_INIT(SEARCH_ARENA_BYTES);
    struct filter_options filters = FILTER_OPTIONS_INIT;
    struct search_query query = {0};
    struct cli_words words;
    int64_t limit = 10;
    bool why = false;
    struct cli_option options[N_FILTER_OPTIONS + 3] = {
        CLI_OPTION_WHOLE("limit", "N", &limit, 1, (int64_t)SEARCH_LIMIT_MAX, "hits at most (10)"),
        CLI_OPTION_FLAG("why", &why, "say why each hit ranks where it does"),
    };
    int rc;

    filter_options_list(&filters, options + 2);
    rc = cli_parse(cli, options, argc, argv, &words, err);
    if (rc == 0)
        rc = filter_options_read(&filters, &query.filter, err);
    if (rc == 0) {
        query.text = join_words(&words, &arena);
        query.limit = (size_t)limit;
        rc = run_search(cli, &query, why, &arena, err);
    }
    arena_fini(&arena);
    return rc;
}
