/* Settings and options of the history, and its records as JSON. */

#include "cli/history.h"

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/number.h"
#include "base/timestamp.h"

#define KEEP_DAYS_MAX 36500
#define RATE_MAX      1000000
#define LIMIT_MAX     100000
#define AGE_UNITS_MAX 1000000

static int
read_enabled(const struct config *config, bool *out, struct error *err)
{
    struct str text = config_get(config, CONFIG_HISTORY_ENABLED);

    *out = str_equal(text, STR("true"));
    if (*out || str_equal(text, STR("false")))
        return 0;
    return error_set(err, ERR_CONFIG,
                     "history.enabled must be true or false, got '%.*s' (from"
                     " %.*s)",
                     STR_ARG(str_slice(text, 0, 64)),
                     STR_ARG(config_origin(config, CONFIG_HISTORY_ENABLED)));
}

int
cli_history_settings(const struct config *config, struct history_settings *storage,
                     const struct history_settings **out, struct error *err)
{
    struct history_settings settings = {
        .url = config_get(config, CONFIG_HISTORY_URL),
        .exclude = config_get(config, CONFIG_HISTORY_EXCLUDE),
    };
    bool is_enabled = false;
    int rc = read_enabled(config, &is_enabled, err);

    if (rc == 0)
        rc = history_check_url(settings.url, err);
    if (rc == 0)
        rc = config_get_i64(config, CONFIG_HISTORY_SAMPLE, 1, INT64_MAX, &settings.sample, err);
    if (rc == 0)
        rc = config_get_i64(config, CONFIG_HISTORY_MAX_RATE, 0, RATE_MAX, &settings.max_rate, err);
    if (rc == 0)
        rc = config_get_i64(config, CONFIG_HISTORY_KEEP_DAYS, 0, KEEP_DAYS_MAX, &settings.keep_days,
                            err);
    if (rc == 0)
        rc = config_get_i64(config, CONFIG_HISTORY_MAX_ROWS, 0, INT64_MAX, &settings.max_rows, err);
    if (rc < 0)
        return rc;
    *storage = settings;
    *out = is_enabled ? storage : NULL;
    return 0;
}

int
cli_history_open(const struct cli *cli, struct history **out, struct error *err)
{
    struct str url = config_get(cli->config, CONFIG_HISTORY_URL);
    int rc = history_open(url, HISTORY_READS, out, err);

    if (rc == -ERR_NOT_FOUND)
        return error_set(err, ERR_NOT_FOUND,
                         "no history yet: a worker of this host writes it (history_url: %.*s)",
                         STR_ARG(str_slice(url, 0, 160)));
    return rc;
}

void
cli_history_options(struct cli_history_choice *values, struct cli_option *out)
{
    const struct cli_option options[CLI_N_HISTORY_OPTIONS] = {
        CLI_OPTION_TEXT("name", "NAME", &values->name, "of the task, or a pattern: 'kaggle.*'"),
        CLI_OPTION_TEXT("state", "STATE", &values->state,
                        "SUCCESS, FAILURE, RETRY, REVOKED, LOST or REQUEUED"),
        CLI_OPTION_TEXT("queue", "Q", &values->queue, "that it came from"),
        CLI_OPTION_TEXT("worker", "NODE", &values->worker, "that ran it: trawl@host"),
        CLI_OPTION_TEXT("text", "TEXT", &values->text, "somewhere in its arguments"),
        CLI_OPTION_TEXT("since", "TIME", &values->since, "ended at or after: 2026-11-24, 90m, 2d"),
        CLI_OPTION_TEXT("until", "TIME", &values->until, "ended before"),
        CLI_OPTION_WHOLE("limit", "N", &values->limit, 1, LIMIT_MAX, "tasks at most"),
    };

    (void)memcpy(out, options, sizeof(options));
}

/* "3d": so long ago; or a date. */
static int
read_time(const char *option, struct str text, int64_t *out, struct error *err)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    int64_t n;

    if (!text.ptr)
        return 0;
    for (size_t i = 0; text.len > 1 && i < COUNT_OF(units); i++) {
        if (text.ptr[text.len - 1] != units[i].unit ||
            number_parse_i64(str_slice(text, 0, text.len - 1), &n, NULL) < 0 || n < 0 ||
            n > AGE_UNITS_MAX)
            continue;
        *out = clock_now_us(&clock_system) - n * units[i].seconds * US_PER_S;
        return 0;
    }
    if (timestamp_parse_iso(text, out, NULL) < 0)
        return error_set(err, ERR_ARGS,
                         "--%s must be a time like 2026-11-24, 2026-11-24T18:00:00Z, 90m or 2d,"
                         " got '%.*s'",
                         option, STR_ARG(str_slice(text, 0, 64)));
    return 0;
}

int
cli_history_filter(const struct cli_history_choice *values, struct history_filter *out,
                   struct error *err)
{
    struct history_filter filter = HISTORY_FILTER_INIT;
    int rc = read_time("since", values->since, &filter.since_us, err);

    if (rc == 0)
        rc = read_time("until", values->until, &filter.until_us, err);
    if (rc < 0)
        return rc;
    filter.name = values->name;
    filter.state = values->state;
    filter.queue = values->queue;
    filter.worker = values->worker;
    filter.text = values->text;
    filter.limit = (size_t)values->limit;
    *out = filter;
    return 0;
}

/* JSON as it is; what was cut, or never was JSON, as a text. */
static void
member_json(struct json_writer *json, struct str name, struct str text, bool is_json)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 0};
    struct str value;

    json_name(json, name);
    if (text.ptr && is_json && json_scan(text, &limits, &value, NULL) == 0)
        json_raw(json, value);
    else
        json_str(json, text);
}

static void
member_time(struct json_writer *json, struct str name, int64_t time_us)
{
    char text[TIMESTAMP_TEXT_BYTES];

    json_member_str(json, name,
                    time_us == INT64_MIN ? STR_NULL
                                         : str_from_cstr(timestamp_format(time_us, text)));
}

static void
member_number(struct json_writer *json, struct str name, int64_t value)
{
    json_name(json, name);
    if (value == INT64_MIN)
        json_null(json);
    else
        json_i64(json, value);
}

void
cli_history_write_task(struct json_writer *json, const struct history_record *record)
{
    bool is_json = !(record->flags & HISTORY_REDACTED);

    json_member_str(json, STR("task_id"), record->task_id);
    json_member_str(json, STR("name"), record->name);
    json_member_str(json, STR("queue"), record->queue);
    member_json(json, STR("args"), record->args.ptr ? record->args : STR("[]"), is_json);
    member_json(json, STR("kwargs"), record->kwargs.ptr ? record->kwargs : STR("{}"), is_json);
    json_member_bool(json, STR("is_redacted"), !is_json);
    json_member_bool(json, STR("is_cut"), record->flags & HISTORY_CUT);
    json_member_str(json, STR("root_id"), record->root_id);
    json_member_str(json, STR("parent_id"), record->parent_id);
    json_member_str(json, STR("group_id"), record->group_id);
}

void
cli_history_write_run(struct json_writer *json, const struct history_record *record)
{
    json_member_str(json, STR("state"), record->state);
    json_member_str(json, STR("worker"), record->worker);
    member_number(json, STR("pid"), record->pid);
    json_member_i64(json, STR("retries"), record->retries);
    json_member_i64(json, STR("delivery"), record->attempt);
    member_time(json, STR("received_at"), record->received_at_us);
    member_time(json, STR("started_at"), record->started_at_us);
    member_time(json, STR("ended_at"), record->at_us);
    json_name(json, STR("runtime_s"));
    if (record->runtime_us == INT64_MIN)
        json_null(json);
    else
        json_f64(json, (double)record->runtime_us / US_PER_S);
    member_json(json, STR("result"), record->result, true);
    json_member_str(json, STR("error"), record->error);
}
