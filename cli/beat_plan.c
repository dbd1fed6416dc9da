/* trawl beat --dry-run: each entry with its last run and its next ones, as a beat that started now
 * would see them. */

#include <inttypes.h>
#include <stdio.h>

#include "base/timestamp.h"
#include "celery/beat.h"
#include "celery/client.h"
#include "celery/schedule_timing.h"
#include "cli/beat.h"
#include "cli/safe_text.h"

#define PLAN_ARENA_BYTES ((size_t)64 << 20)

struct plan {
    const struct celery_schedule *row;
    const char *origin;
    const struct beat_record *record; /* NULL: no beat has seen it yet */
    const char *zone_name;
    struct celery_time_zone *zone; /* for display; NULL = UTC */
    bool is_due;
    int64_t *runs; /* [n_runs] */
    size_t n_runs;
};

struct plan_list {
    struct plan *items;
    size_t n_items;
    struct beat_lead lead;
    int64_t now_us;
};

/* What is remembered; an absent broker remembers nothing. */
static int
read_store(const struct cli *cli, struct arena *arena, struct beat_lead *lead,
           struct beat_record_list *records, struct error *err)
{
    CLEANUP(beat_store_closep) struct beat_store *store = NULL;
    const struct beat_store_options options = {.owner = STR("trawl beat --dry-run"),
                                               .must_exist = true};
    struct str url = config_get(cli->config, CONFIG_BROKER_URL);
    int rc = beat_store_open(url, &options, &store, err);

    *lead = (struct beat_lead){0};
    *records = (struct beat_record_list){NULL, 0};
    if (rc == -ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = beat_store_look(store, lead, err);
    return rc < 0 ? rc : beat_store_list(store, arena, records, err);
}

static const struct beat_record *
find_record(const struct beat_record_list *records, const char *name)
{
    for (size_t i = 0; i < records->n_items; i++) {
        if (str_equal(records->items[i].name, str_from_cstr(name)))
            return &records->items[i];
    }
    return NULL;
}

static void
find_runs(struct plan *plan, const struct celery_timing *timing, int64_t now_us)
{
    int64_t last_us =
        plan->record ? plan->record->state.last_slot_us : celery_timing_first_anchor(now_us);
    size_t n_max = plan->n_runs;
    struct celery_due due;

    celery_timing_due(timing, last_us, now_us, &due);
    plan->n_runs = 0;
    plan->is_due = due.state == CELERY_DUE_NOW;
    if (plan->is_due)
        plan->runs[plan->n_runs++] = due.slot_us;
    if (due.next_check_us == CELERY_NEVER || plan->n_runs == n_max)
        return;
    plan->runs[plan->n_runs++] = due.next_check_us;
    plan->n_runs += celery_timing_list(timing, due.next_check_us, n_max - plan->n_runs,
                                       plan->runs + plan->n_runs);
}

static int
fill_plan(const struct schedule_table *table, size_t idx, const struct beat_record_list *records,
          int64_t now_us, struct plan *plan, struct error *err)
{
    const struct celery_schedule *row = &table->rows[idx];
    struct celery_timing timing;
    int rc = celery_timing_init(row, &table->options, &timing, NULL, err);

    if (rc < 0)
        return rc;
    plan->row = row;
    plan->origin = table->origins[idx];
    plan->record = find_record(records, row->name);
    plan->zone_name = row->time_zone ? row->time_zone : table->options.time_zone;
    find_runs(plan, &timing, now_us);
    celery_timing_fini(&timing);
    rc = celery_time_zone_open(NULL, str_from_cstr(plan->zone_name), &plan->zone, err);
    return rc == -ERR_UNSUPPORTED ? 0 : rc; /* no zone data here: shown in UTC, as it is kept */
}

/* "2026-03-29T03:00:00+02:00" */
static const char *
format_local(const struct celery_time_zone *zone, int64_t time_us, char out[64])
{
    struct celery_zone_span span;
    char text[TIMESTAMP_TEXT_BYTES];
    int64_t minutes;

    celery_time_zone_span(zone, time_us / US_PER_S, &span);
    minutes = span.offset_s < 0 ? -span.offset_s / 60 : span.offset_s / 60;
    (void)snprintf(out, 64, "%.19s%c%02" PRId64 ":%02" PRId64,
                   timestamp_format(time_us + span.offset_s * US_PER_S, text),
                   span.offset_s < 0 ? '-' : '+', minutes / 60, minutes % 60);
    return out;
}

/* "every 30m", or the crontab. */
static const char *
format_when(const struct celery_schedule *row, char out[600])
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;

    if (row->crontab) {
        (void)snprintf(out, 600, "crontab %s", row->crontab);
        return out;
    }
    while (row->every_s % units[i].seconds != 0)
        i++;
    (void)snprintf(out, 600, "every %" PRId64 "%c%s", row->every_s / units[i].seconds,
                   units[i].letter, row->is_relative ? ", relative" : "");
    return out;
}

static void
write_time(struct json_writer *json, struct str name, int64_t time_us)
{
    char text[TIMESTAMP_TEXT_BYTES];

    json_member_str(json, name,
                    time_us == TIME_UNKNOWN ? STR_NULL
                                            : str_from_cstr(timestamp_format(time_us, text)));
}

static void
write_state(struct json_writer *json, const struct plan *plan)
{
    const struct beat_record *record = plan->record;
    int64_t sent_at_us = record ? record->state.sent_at_us : TIME_UNKNOWN;
    char text[64];

    write_time(json, STR("last_slot"), record ? record->state.last_slot_us : TIME_UNKNOWN);
    write_time(json, STR("last_run"), sent_at_us);
    json_member_str(json, STR("last_run_local"),
                    sent_at_us == TIME_UNKNOWN
                        ? STR_NULL
                        : str_from_cstr(format_local(plan->zone, sent_at_us, text)));
    json_member_str(json, STR("last_task_id"),
                    record && record->task_id.len ? record->task_id : STR_NULL);
    json_member_i64(json, STR("n_runs"), record ? record->state.n_runs : 0);
}

static void
write_plan(struct json_writer *json, const struct plan *plan, int64_t now_us)
{
    const struct celery_schedule *row = plan->row;
    char text[600];

    json_begin_object(json);
    json_member_str(json, STR("name"), str_from_cstr(row->name));
    json_member_str(json, STR("task"), str_from_cstr(row->task));
    json_member_str(json, STR("schedule"), str_from_cstr(format_when(row, text)));
    json_name(json, STR("args"));
    json_raw(json, str_from_cstr(row->args ? row->args : "[]"));
    json_name(json, STR("kwargs"));
    json_raw(json, str_from_cstr(row->kwargs ? row->kwargs : "{}"));
    json_member_str(json, STR("queue"),
                    str_from_cstr(row->queue ? row->queue : CELERY_DEFAULT_QUEUE));
    json_member_i64(json, STR("priority"), row->priority);
    json_member_i64(json, STR("expires_s"), row->expires_s);
    json_member_str(json, STR("timezone"), str_from_cstr(plan->zone_name));
    json_member_str(json, STR("origin"), str_from_cstr(plan->origin));
    write_state(json, plan);
    json_member_bool(json, STR("is_due"), plan->is_due);
    json_name(json, STR("next"));
    json_begin_array(json);
    for (size_t i = 0; i < plan->n_runs; i++) {
        json_begin_object(json);
        write_time(json, STR("utc"), plan->runs[i]);
        json_member_str(json, STR("local"),
                        str_from_cstr(format_local(plan->zone, plan->runs[i], text)));
        json_member_i64(json, STR("in_s"), (plan->runs[i] - now_us) / US_PER_S);
        json_end_object(json);
    }
    json_end_array(json);
    json_end_object(json);
}

static int
print_json(const struct plan_list *list, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);

    json_begin_object(&json);
    json_member_str(&json, STR("leader"),
                    list->lead.owner[0] ? str_from_cstr(list->lead.owner) : STR_NULL);
    json_member_i64(&json, STR("term"), list->lead.term);
    write_time(&json, STR("now"), list->now_us);
    json_name(&json, STR("schedules"));
    json_begin_array(&json);
    for (size_t i = 0; i < list->n_items; i++)
        write_plan(&json, &list->items[i], list->now_us);
    json_end_array(&json);
    json_end_object(&json);
    return cli_print(&out, err);
}

static void
print_plan(const struct cli *cli, const struct plan *plan, int64_t now_us)
{
    const struct celery_schedule *row = plan->row;
    const struct beat_state *state = plan->record ? &plan->record->state : NULL;
    char utc[TIMESTAMP_TEXT_BYTES];
    char text[600];
    char age[32];

    (void)printf("%s", cli_bold(cli));
    cli_print_safe(str_from_cstr(row->name), stdout);
    (void)printf("%s  %s", cli_reset(cli), cli_dim(cli));
    cli_print_safe(str_from_cstr(plan->origin), stdout);
    (void)printf("%s\n  task      ", cli_reset(cli));
    cli_print_safe(str_from_cstr(row->task), stdout);
    (void)printf("  ");
    cli_print_safe(str_from_cstr(row->args ? row->args : row->kwargs ? row->kwargs : ""), stdout);
    (void)printf("\n  schedule  ");
    cli_print_safe(str_from_cstr(format_when(row, text)), stdout);
    (void)printf("\n  last run  ");
    if (state && state->sent_at_us != TIME_UNKNOWN)
        (void)printf("%.19sZ  %s  %s, %" PRId64 " so far\n",
                     timestamp_format(state->sent_at_us, utc),
                     format_local(plan->zone, state->sent_at_us, text),
                     cli_format_age(state->sent_at_us, now_us, age), state->n_runs);
    else
        (void)printf("never\n");
    for (size_t i = 0; i < plan->n_runs; i++)
        (void)printf("  %-9s %s  %s%s\n", i ? "" : "next runs",
                     timestamp_format(plan->runs[i], utc),
                     format_local(plan->zone, plan->runs[i], text),
                     i == 0 && plan->is_due ? "  due now" : "");
}

static void
print_text(const struct cli *cli, const struct plan_list *list)
{
    char now[TIMESTAMP_TEXT_BYTES];

    (void)printf("%snow %s, leader: ", cli_dim(cli), timestamp_format(list->now_us, now));
    cli_print_safe(list->lead.owner[0] ? str_from_cstr(list->lead.owner) : STR("none"), stdout);
    (void)printf("%s\n", cli_reset(cli));
    for (size_t i = 0; i < list->n_items; i++)
        print_plan(cli, &list->items[i], list->now_us);
}

int
cli_beat_print_plan(const struct cli *cli, const struct schedule_table *table, size_t n_runs,
                    struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(PLAN_ARENA_BYTES);
    struct plan_list list = {.now_us = clock_now_us(&clock_system)};
    struct beat_record_list records;
    int rc = read_store(cli, &arena, &list.lead, &records, err);

    if (rc < 0)
        return error_wrap(err, rc, "cannot read what beat has sent");
    list.items = arena_calloc(&arena, table->n_rows, sizeof(*list.items));
    if (!list.items)
        return error_set(err, ERR_NOMEM, "no memory for %zu schedules", table->n_rows);
    for (; rc == 0 && list.n_items < table->n_rows; list.n_items++) {
        struct plan *plan = &list.items[list.n_items];

        plan->runs = arena_calloc(&arena, n_runs, sizeof(*plan->runs));
        plan->n_runs = n_runs;
        rc = plan->runs ? fill_plan(table, list.n_items, &records, list.now_us, plan, err)
                        : error_set(err, ERR_NOMEM, "no memory for %zu runs", n_runs);
    }
    if (rc == 0 && cli->json)
        rc = print_json(&list, err);
    else if (rc == 0)
        print_text(cli, &list);
    for (size_t i = 0; i < list.n_items; i++)
        celery_time_zone_free(list.items[i].zone);
    return rc;
}
