/* trawl show REF: one dataset, all that is known of it, and what was tried on it. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/timestamp.h"
#include "lib/models/dataset_json.h"
#include "lib/repositories/enrichment_log_repository.h"
#include "lib/repositories/score_repository.h"
#include "lib/services/scoring/score_formula.h"

#define SHOW_ARENA_BYTES ((size_t)16 << 20)
#define HISTORY_ENTRIES  ((size_t)20)

struct shown {
    struct dataset dataset;
    struct static_score score;
    const struct enrichment_log *history;
    size_t n_history;
};

static void
history_json(struct json_writer *json, const struct shown *shown)
{
    char text[TIMESTAMP_TEXT_BYTES];

    json_name(json, STR("history"));
    json_begin_array(json);
    for (size_t i = 0; i < shown->n_history; i++) {
        const struct enrichment_log *entry = &shown->history[i];

        json_begin_object(json);
        json_member_str(json, STR("at"), str_from_cstr(timestamp_format(entry->at_us, text)));
        json_member_str(json, STR("stage"), str_from_cstr(enrichment_stage_name(entry->stage)));
        json_member_str(json, STR("result"),
                        str_from_cstr(enrichment_outcome_name(entry->outcome)));
        json_member_i64(json, STR("attempt"), entry->attempt);
        json_member_str(json, STR("error_type"), entry->error_type);
        json_member_str(json, STR("error"), entry->error_message);
        json_member_i64(json, STR("duration_ms"), entry->duration_ms);
        json_member_str(json, STR("worker_id"), entry->worker_id);
        json_member_str(json, STR("task_id"), entry->task_id);
        json_end_object(json);
    }
    json_end_array(json);
}

static void
score_json(struct json_writer *json, const struct static_score *score)
{
    char text[TIMESTAMP_TEXT_BYTES];

    json_name(json, STR("static_score"));
    if (score->formula == 0) {
        json_null(json);
        return;
    }
    json_begin_object(json);
    json_member_f64(json, STR("value"), score->value);
    json_member_f64(json, STR("popularity"), score->popularity);
    json_member_f64(json, STR("quality"), score->quality);
    json_member_f64(json, STR("freshness"), score->freshness);
    json_member_f64(json, STR("gate"), score->gate);
    json_member_i64(json, STR("formula"), score->formula);
    json_member_str(json, STR("computed_at"),
                    str_from_cstr(timestamp_format(score->computed_at_us, text)));
    json_end_object(json);
}

static void
print_score(const struct static_score *score)
{
    char text[TIMESTAMP_TEXT_BYTES];

    if (score->formula == 0)
        return;
    (void)printf("%-14s %.3f = %.1f gate * (%.2f * %.3f popularity + %.2f * %.3f quality + "
                 "%.2f * %.3f freshness)\n%-14s formula %" PRId64 ", computed %s\n",
                 "static score", score->value, score->gate, SCORE_POPULARITY_WEIGHT,
                 score->popularity, SCORE_QUALITY_WEIGHT, score->quality, SCORE_FRESHNESS_WEIGHT,
                 score->freshness, "", score->formula,
                 timestamp_format(score->computed_at_us, text));
}

static void
print_list(const char *label, struct str_list list)
{
    if (list.n_items == 0)
        return;
    (void)printf("%-14s", label);
    for (size_t i = 0; i < list.n_items && i < 30; i++)
        (void)printf("%s%.*s", i ? ", " : " ", STR_ARG(list.items[i]));
    (void)printf("%s\n", list.n_items > 30 ? ", ..." : "");
}

static void
print_field(const char *label, struct str text)
{
    if (text.len)
        (void)printf("%-14s %.*s\n", label, STR_ARG(text));
}

static void
print_count(const char *label, int64_t value)
{
    char text[32];

    if (value != DATASET_UNKNOWN)
        (void)printf("%-14s %s\n", label, cli_format_count(value, text));
}

static void
print_time(const char *label, int64_t time_us)
{
    char text[TIMESTAMP_TEXT_BYTES];

    if (time_us != DATASET_UNKNOWN)
        (void)printf("%-14s %s\n", label, timestamp_format(time_us, text));
}

static void
print_text(const struct cli *cli, const struct shown *shown)
{
    const struct dataset *dataset = &shown->dataset;
    char text[32];

    (void)printf("%s%.*s%s\n", cli_bold(cli), STR_ARG(dataset->title), cli_reset(cli));
    print_field("ref", dataset->external_id);
    print_field("source", dataset->source_name);
    print_field("url", dataset->url);
    print_field("id", dataset->id);
    print_field("license", dataset->license);
    print_list("tags", dataset->tags);
    print_list("formats", dataset->file_formats);
    print_list("columns", dataset->column_names);
    if (dataset->total_size_bytes != DATASET_UNKNOWN)
        (void)printf("%-14s %s\n", "size", cli_format_bytes(dataset->total_size_bytes, text));
    print_count("rows", dataset->row_count);
    print_count("downloads", dataset->download_count);
    print_count("views", dataset->view_count);
    print_count("likes", dataset->like_count);
    print_time("created", dataset->source_created_at_us);
    print_time("updated", dataset->source_updated_at_us);
    (void)printf("%-14s %s%s%s\n", "state", dataset_status_name(dataset->status),
                 dataset->is_active ? "" : ", inactive", dataset->is_embedded ? ", embedded" : "");
    print_field("link", dataset->link_state);
    print_time("link checked", dataset->last_checked_at_us);
    print_score(&shown->score);
    print_field("last error", dataset->last_enrichment_error);
    print_field("more", dataset->source_meta);
    if (dataset->description.len)
        (void)printf("\n%.*s\n", STR_ARG(dataset->description));
    if (shown->n_history)
        (void)printf("\n%sHistory%s\n", cli_bold(cli), cli_reset(cli));
    for (size_t i = 0; i < shown->n_history; i++) {
        const struct enrichment_log *entry = &shown->history[i];
        char when[TIMESTAMP_TEXT_BYTES];

        (void)printf("  %s  %-12s %-12s %5" PRId64 " ms  %.*s\n",
                     timestamp_format(entry->at_us, when), enrichment_stage_name(entry->stage),
                     enrichment_outcome_name(entry->outcome), entry->duration_ms,
                     STR_ARG(entry->error_message));
    }
}

static int
print_json(const struct shown *shown, struct error *err)
{
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int rc;

    json_begin_object(&json);
    dataset_json_members(&json, &shown->dataset);
    score_json(&json, &shown->score);
    history_json(&json, shown);
    json_end_object(&json);
    rc = cli_print(&out, err);
    buf_fini(&out);
    return rc;
}

static int
load(struct cli *cli, struct str ref, struct arena *arena, struct shown *out, struct error *err)
{
    struct dataset_repo *datasets;
    struct database *database;
    int rc = container_get_database(cli->app, CONTAINER_READS, &database, err);

    if (rc == 0)
        rc = container_get_datasets(cli->app, CONTAINER_READS, &datasets, err);
    if (rc == 0)
        rc = dataset_repo_find(datasets, ref, arena, &out->dataset, err);
    if (rc == -ERR_NOT_FOUND)
        return error_set(err, ERR_NOT_FOUND,
                         "no dataset '%.*s' in the catalogue: 'trawl search' finds its reference",
                         STR_ARG(str_slice(ref, 0, 200)));
    if (rc == 0)
        rc = score_repo_find(database, out->dataset.row_id, &out->score, err);
    if (rc == 0)
        rc = enrichment_log_repo_find(database, out->dataset.row_id, HISTORY_ENTRIES, arena,
                                      &out->history, &out->n_history, err);
    return rc;
}

int
command_show(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct arena arena = ARENA_INIT(SHOW_ARENA_BYTES);
    struct shown shown = {0};
    struct cli_words words;
    int rc = cli_parse(cli, NULL, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, 1, err);
    if (rc == 0)
        rc = load(cli, words.items[0], &arena, &shown, err);
    if (rc == 0 && cli->json)
        rc = print_json(&shown, err);
    else if (rc == 0)
        print_text(cli, &shown);
    arena_fini(&arena);
    return rc;
}
