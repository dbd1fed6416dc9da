/* trawl stats: what the catalogue holds, by source, and where each harvest stands. */

#include "cli/commands.h"

#include <stdio.h>

#include "base/timestamp.h"
#include "lib/repositories/source_state_repository.h"

#define STATS_ARENA_BYTES ((size_t)16 << 20)

struct stats {
    struct dataset_counts counts;
    const struct source_state *states;
    size_t n_states;
    struct dataset_vector_state vectors;
    int64_t n_left; /* rows that still wait for a vector of the model being made; 0 without one */
};

/* One column of the table: its JSON name, its heading, and where it is in the counts. */
static const struct {
    const char *name;
    const char *heading;
    size_t offset;
} columns[] = {
    {"rows", "rows", offsetof(struct dataset_source_counts, n_rows)},
    {"active", "active", offsetof(struct dataset_source_counts, n_active)},
    {"minimal", "minimal", offsetof(struct dataset_source_counts, n_minimal)},
    {"pending", "pending", offsetof(struct dataset_source_counts, n_pending)},
    {"failed", "failed", offsetof(struct dataset_source_counts, n_failed)},
    {"enriched", "enriched", offsetof(struct dataset_source_counts, n_enriched)},
    {"embedded", "embedded", offsetof(struct dataset_source_counts, n_embedded)},
    {"ready", "ready", offsetof(struct dataset_source_counts, n_ready)},
};

static int64_t
column_value(const struct dataset_source_counts *row, size_t i)
{
    return *(const int64_t *)(const void *)((const char *)row + columns[i].offset);
}

static void
time_json(struct json_writer *json, struct str name, int64_t time_us)
{
    char text[TIMESTAMP_TEXT_BYTES];

    json_member_str(json, name,
                    time_us == DATABASE_NULL ? STR_NULL
                                             : str_from_cstr(timestamp_format(time_us, text)));
}

static int
print_json(const struct stats *stats, struct error *err)
{
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int rc;

    json_begin_object(&json);
    json_name(&json, STR("sources"));
    json_begin_array(&json);
    for (size_t i = 0; i < stats->counts.n_items; i++) {
        json_begin_object(&json);
        json_member_str(&json, STR("source"), stats->counts.items[i].source_name);
        for (size_t c = 0; c < COUNT_OF(columns); c++)
            json_member_i64(&json, str_from_cstr(columns[c].name),
                            column_value(&stats->counts.items[i], c));
        json_end_object(&json);
    }
    json_end_array(&json);
    json_name(&json, STR("harvests"));
    json_begin_array(&json);
    for (size_t i = 0; i < stats->n_states; i++) {
        const struct source_state *state = &stats->states[i];

        json_begin_object(&json);
        json_member_str(&json, STR("source"), state->source_name);
        json_member_str(&json, STR("stream"), state->stream);
        json_member_bool(&json, STR("is_interrupted"), state->cursor.len > 0);
        time_json(&json, STR("watermark"), state->watermark_us);
        time_json(&json, STR("updated_at"), state->updated_at_us);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_name(&json, STR("vectors"));
    json_begin_object(&json);
    json_member_str(&json, STR("searched"), stats->vectors.active);
    json_member_str(&json, STR("location"), stats->vectors.active_location);
    json_member_str(&json, STR("building"), stats->vectors.building);
    json_member_i64(&json, STR("left_to_build"), stats->n_left);
    json_end_object(&json);
    json_end_object(&json);
    rc = cli_print(&out, err);
    buf_fini(&out);
    return rc;
}

static void
print_row(struct str label, const int64_t values[COUNT_OF(columns)])
{
    char text[32];

    (void)printf("%-14.*s", STR_ARG(label));
    for (size_t c = 0; c < COUNT_OF(columns); c++)
        (void)printf(" %10s", cli_format_count(values[c], text));
    (void)putchar('\n');
}

static void
print_text(const struct cli *cli, const struct stats *stats)
{
    int64_t sums[COUNT_OF(columns)] = {0};
    char text[32];

    (void)printf("%s%-14s", cli_bold(cli), "source");
    for (size_t c = 0; c < COUNT_OF(columns); c++)
        (void)printf(" %10s", columns[c].heading);
    (void)printf("%s\n", cli_reset(cli));
    for (size_t i = 0; i < stats->counts.n_items; i++) {
        int64_t values[COUNT_OF(columns)];

        for (size_t c = 0; c < COUNT_OF(columns); c++) {
            values[c] = column_value(&stats->counts.items[i], c);
            sums[c] += values[c];
        }
        print_row(stats->counts.items[i].source_name, values);
    }
    if (stats->counts.n_items != 1)
        print_row(STR("all"), sums);
    for (size_t i = 0; i < stats->n_states; i++) {
        const struct source_state *state = &stats->states[i];

        (void)printf("%s%.*s %.*s: %s%s\n", i ? "" : "\n", STR_ARG(state->source_name),
                     STR_ARG(state->stream),
                     state->cursor.len ? "interrupted, goes on at its next run, last page "
                                       : "complete, ",
                     cli_format_age(state->updated_at_us, clock_now_us(&clock_system), text));
    }
    if (stats->vectors.active.ptr)
        (void)printf("\nsearched by the vectors of %.*s\n", STR_ARG(stats->vectors.active));
    if (stats->vectors.building.ptr)
        (void)printf("those of %.*s take their place when %s more rows have one\n",
                     STR_ARG(stats->vectors.building), cli_format_count(stats->n_left, text));
}

static int
load(struct cli *cli, struct arena *arena, struct stats *out, struct error *err)
{
    struct dataset_repo *datasets;
    struct database *database;
    int rc = container_get_database(cli->app, CONTAINER_READS, &database, err);

    if (rc == 0)
        rc = container_get_datasets(cli->app, CONTAINER_READS, &datasets, err);
    if (rc == 0)
        rc = dataset_repo_count(datasets, arena, &out->counts, err);
    if (rc == 0)
        rc = source_state_repo_list(database, arena, &out->states, &out->n_states, err);
    if (rc == 0)
        rc = dataset_repo_vector_state(datasets, arena, &out->vectors, err);
    if (rc == 0 && out->vectors.building.ptr)
        rc = dataset_repo_count_unembedded(datasets, out->vectors.building, &out->n_left, err);
    return rc;
}

int
command_stats(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct arena arena = ARENA_INIT(STATS_ARENA_BYTES);
    struct stats stats = {0};
    struct cli_words words;
    int rc = cli_parse(cli, NULL, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 0, err);
    if (rc == 0)
        rc = load(cli, &arena, &stats, err);
    if (rc == 0 && cli->json)
        rc = print_json(&stats, err);
    else if (rc == 0)
        print_text(cli, &stats);
    arena_fini(&arena);
    return rc;
}
