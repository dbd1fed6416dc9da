/* lib/schedule_config.h: the default schedule, and what trawl.yaml makes of it. */

#include "tests/unit/check.h"

#include <inttypes.h>

#include "base/file.h"
#include "celery/params.h"
#include "lib/schedule_config.h"
#include "lib/worker.h"

static const struct celery_schedule defaults[] = {
    {"fetch-daily", "kaggle.fetch_latest", 86400, .kwargs = "{\"limit\": 100}", .priority = 2},
    {"embed", "enrich.generate_embeddings", 1800, .args = "[100]"},
    CELERY_SCHEDULE_END,
};

static char dir[] = "/tmp/trawl-schedule-XXXXXX";
static char yaml[64];

static const char *
no_env(const char *name)
{
    return strcmp(name, "HOME") == 0 ? dir : NULL;
}

/* One row as text, without what it leaves out. */
static void
show(struct buf *out, const struct celery_schedule *row, const char *origin)
{
    buf_printf(out, "%s %s", row->name, row->task);
    if (row->every_s)
        buf_printf(out, " every=%" PRId64, row->every_s);
    if (row->crontab)
        buf_printf(out, " cron='%s'", row->crontab);
    if (row->args)
        buf_printf(out, " args=%s", row->args);
    if (row->kwargs)
        buf_printf(out, " kwargs=%s", row->kwargs);
    if (row->time_zone)
        buf_printf(out, " tz=%s", row->time_zone);
    if (row->queue)
        buf_printf(out, " queue=%s", row->queue);
    if (row->priority)
        buf_printf(out, " priority=%d", row->priority);
    if (row->expires_s)
        buf_printf(out, " expires=%" PRId64, row->expires_s);
    if (row->starting_deadline_s)
        buf_printf(out, " deadline=%" PRId64, row->starting_deadline_s);
    if (row->is_relative)
        buf_printf(out, " relative");
    buf_printf(out, " @%s\n", strcmp(origin, "default") == 0 ? "default" : strrchr(origin, ':'));
}

/* The rows as text, or the error. */
static void
load(const char *text, struct buf *out)
{
    const struct config_options options = {.get_env = no_env, .yaml_path = yaml};
    struct arena arena = ARENA_INIT(4 << 20);
    struct config *config = NULL;
    struct schedule_table table;
    struct error err;
    int rc;

    buf_clear(out);
    assert_ok(file_write_atomic(yaml, str_from_cstr(text), &err), err);
    rc = config_create(&options, &config, &err);
    if (rc == 0)
        rc = schedule_config_load(config, defaults, &worker_registry, &arena, &table, &err);
    if (rc < 0) {
        size_t at =
            str_starts_with(str_from_cstr(err.message), str_from_cstr(yaml)) ? strlen(yaml) + 1 : 0;

        assert_int_equal(rc, -ERR_CONFIG);
        assert_int_equal(err.code, ERR_CONFIG);
        buf_printf(out, "%s", err.message + at);
    }
    for (size_t i = 0; rc == 0 && i < table.n_rows; i++)
        show(out, &table.rows[i], table.origins[i]);
    if (rc == 0) {
        assert_null(table.rows[table.n_rows].name);
        if (strcmp(table.options.time_zone, "UTC") != 0)
            buf_printf(out, "zone %s\n", table.options.time_zone);
    }
    config_free(config);
    arena_fini(&arena);
}

#define FETCH                                                                                      \
    "fetch-daily kaggle.fetch_latest every=86400 kwargs={\"limit\": 100} priority=2 @default\n"
#define EMBED "embed enrich.generate_embeddings every=1800 args=[100] @default\n"
#define OWN   "beat_schedule:\n  x:\n    task: kaggle.seed_initial\n"

static void
test_rows(void **state)
{
    static const struct {
        const char *text;
        const char *rows;
    } rows[] = {
        {"log:\n  level: info\n", FETCH EMBED},
        {"beat_schedule:\n", FETCH EMBED},
        {"beat_schedule: {}\n", FETCH EMBED},
        {"timezone: Europe/Berlin\n", FETCH EMBED "zone Europe/Berlin\n"},
        /* Changes of a default entry, and its end. */
        {"beat_schedule:\n  fetch-daily:\n    schedule: 6h\n",
         "fetch-daily kaggle.fetch_latest every=21600 kwargs={\"limit\": 100} priority=2 "
         "@:2\n" EMBED},
        {"beat_schedule: {fetch-daily: {enabled: false}, embed: {enabled: False}}\n", ""},
        {"beat_schedule:\n  embed:\n    kwargs: {batch_size: 7}\n    enabled: true\n",
         FETCH "embed enrich.generate_embeddings every=1800 kwargs={\"batch_size\": 7} @:2\n"},
        {"beat_schedule: {fetch-daily: {options: {queue: slow, expires: 1d}}}\n",
         "fetch-daily kaggle.fetch_latest every=86400 kwargs={\"limit\": 100} queue=slow priority=2"
         " expires=86400 @:1\n" EMBED},
        /* A task makes it an entry of one's own: nothing of the default stays. */
        {"beat_schedule: {embed: {task: kaggle.seed_initial, schedule: 5}}\n",
         FETCH "embed kaggle.seed_initial every=5 @:1\n"},
        {OWN
         "    schedule: \"0 3 * * mon\"\n    timezone: Asia/Tokyo\n    starting_deadline: 10m\n",
         FETCH EMBED "x kaggle.seed_initial cron='0 3 * * mon' tz=Asia/Tokyo deadline=600 @:2\n"},
        {OWN "    schedule: {minute: [0, 30], hour: 8-17, day_of_week: mon-fri}\n",
         FETCH EMBED "x kaggle.seed_initial cron='0,30 8-17 * * mon-fri' @:2\n"},
        {OWN "    schedule: {}\n", FETCH EMBED "x kaggle.seed_initial cron='* * * * *' @:2\n"},
        {OWN "    schedule: 1w2d3h4m5s\n    relative: true\n",
         FETCH EMBED "x kaggle.seed_initial every=788645 relative @:2\n"},
        {OWN "    schedule: 90.0\n    args: [5, true, null]\n",
         FETCH EMBED "x kaggle.seed_initial every=90 args=[5, true, null] @:2\n"},
        {OWN "    schedule: 1\n    enabled: false\n", FETCH EMBED},
        {OWN "    enabled: false\n", FETCH EMBED},
        /* A task of another worker, with all that YAML can say. */
        {"beat_schedule:\n  y:\n    task: proj.add\n    foreign: true\n    schedule: 10\n"
         "    args: [1, -2, 1.50, 1e3, .5, true, ~, '5', yes, 007, 123456789012345678901, [a, {b: "
         "c}]]\n"
         "    kwargs: {\"\xc3\xa9\": \"\", n: }\n    options: {priority: 9}\n",
         FETCH EMBED
         "y proj.add every=10 args=[1, -2, 1.50, 1e3, 0.5, true, null, \"5\", \"yes\", 7,"
         " 123456789012345678901, [\"a\", {\"b\": \"c\"}]]"
         " kwargs={\"\\u00e9\": \"\", \"n\": null} priority=9 @:2\n"},
        {"beat_schedule:\n  a: &a {task: kaggle.seed_initial, schedule: 5}\n  b: *a\n",
         FETCH EMBED "a kaggle.seed_initial every=5 @:2\nb kaggle.seed_initial every=5 @:3\n"},
    };
    struct buf out = BUF_INIT(1 << 16);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        load(rows[i].text, &out);
        assert_string_equal(buf_cstr(&out), rows[i].rows);
    }
    buf_fini(&out);
}

static void
test_mistakes(void **state)
{
    static const struct {
        const char *text;
        const char *error; /* its beginning, without the file */
    } rows[] = {
        {"timezone: Europe/Berln\n", "timezone 'Europe/Berln' (from /tmp/"},
        {"beat_schedule: [a]\n", "1: beat_schedule must be a mapping of names to entries"},
        {"beat_schedule: 5\n", "1: beat_schedule must be a mapping of names to entries"},
        {"beat_schedule: {}\nbeat_schedule: {}\n", "2: beat_schedule is already set in line 1"},
        {"beat_schedule:\n  x: 5\n",
         "2: beat_schedule 'x' must be a mapping of task, schedule ..., got '5'"},
        {"beat_schedule:\n  x: {}\n  x: {}\n", "3: 'x' is already set in line 2"},
        {"beat_schedule:\n  emebd: {enabled: false}\n",
         "2: beat_schedule 'emebd': task is missing, or did you mean the default entry 'embed'?"},
        {OWN, "2: beat_schedule 'x': schedule is missing"},
        {OWN "    schedule: 5\n    arsg: []\n",
         "5: beat_schedule 'x': field 'arsg' is unknown: did you mean 'args'?"},
        {OWN "    schedule: 5\n    options: {countdown: 5}\n",
         "5: beat_schedule 'x': option 'countdown' is unknown: did you mean '"},
        {OWN "    schedule: 5\n    options: [q]\n",
         "5: beat_schedule 'x': options must be a mapping of queue, priority and expires, got 'a"
         " list'"},
        {OWN "    schedule: 5\n    options: {priority: 10}\n",
         "5: beat_schedule 'x': priority must be 0 (served first) to 9, got '10'"},
        {OWN "    schedule: 5\n    options: {expires: soon}\n",
         "5: beat_schedule 'x': expires must be whole seconds, or as 90s, 30m, 6h, 1d, got 'soon'"},
        {OWN "    schedule: 5\n    enabled: maybe\n",
         "5: beat_schedule 'x': enabled must be true or false, got 'maybe'"},
        {OWN "    schedule: 0\n", "4: beat_schedule 'x': schedule must be one second or more"},
        {OWN "    schedule: 0.5\n", "4: beat_schedule 'x': schedule must be whole seconds, as 30m"},
        {OWN "    schedule: 30min\n",
         "4: beat_schedule 'x': schedule must be whole seconds, as 30m or 6h, a crontab"},
        {OWN "    schedule: 5m3h\n", "4: beat_schedule 'x': schedule must be whole seconds"},
        {OWN "    schedule: 99999999999999999999w\n",
         "4: beat_schedule 'x': schedule must be whole seconds"},
        {OWN "    schedule: [1]\n", "4: beat_schedule 'x': schedule must be whole seconds"},
        {OWN "    schedule: 999999999999\n", "2: schedule 'x': every_s is 999999999999, 1 to"},
        {OWN "    schedule: 61 * * * *\n", "2: schedule 'x': "},
        {OWN "    schedule: {minutes: 5}\n",
         "4: beat_schedule 'x': schedule has no 'minutes': allowed are minute, hour,"},
        {OWN "    schedule: {hour: 25}\n", "4: beat_schedule 'x': schedule: "},
        {OWN "    schedule: {hour: 1 2}\n", "4: beat_schedule 'x': hour must be as \"*/15\""},
        {OWN "    schedule: {hour: []}\n", "4: beat_schedule 'x': hour must be as \"*/15\""},
        {OWN "    schedule: 0 3 * * *\n    timezone: Mars/Base\n", "2: schedule 'x': "},
        {OWN "    schedule: 5\n    timezone: UTC\n",
         "2: schedule 'x': time_zone 'UTC' means nothing to every_s"},
        {OWN "    schedule: 5\n    args: 5\n",
         "5: beat_schedule 'x': args must be a list, as [100, \"updated\"], got '5'"},
        {OWN "    schedule: 5\n    kwargs: [5]\n",
         "5: beat_schedule 'x': kwargs must be a mapping, as {limit: 100}, got 'a list'"},
        {OWN "    schedule: 5\n    kwargs: {pat: x}\n",
         "2: schedule 'x': kaggle.seed_initial got an unexpected parameter 'pat': did you mean"
         " 'path'?"},
        {OWN "    schedule: 5\n    args: [0]\n",
         "2: schedule 'x': kaggle.seed_initial: batch_size must be between 1 and 100000, got 0"},
        {OWN "    schedule: 5\n    kwargs: {force_redownload: yes}\n",
         "2: schedule 'x': kaggle.seed_initial: force_redownload must be "},
        {"beat_schedule: {x: {task: kaggle.seed_initia, schedule: 5}}\n",
         "1: schedule 'x': task 'kaggle.seed_initia' is unknown: did you mean"
         " 'kaggle.seed_initial'? ('foreign: true' for a task of another worker)"},
        {"beat_schedule: {x: {task: enrich.fetch_kaggle_latest, schedule: 5}}\n",
         "1: schedule 'x': task 'enrich.fetch_kaggle_latest' was removed: use"
         " 'kaggle.fetch_latest'"},
        {"beat_schedule: {\"a\\tb\": {task: t, schedule: 5, foreign: true}}\n", "1: schedule 'a"},
        {"beat_schedule: &a {x: *a}\n", "1: beat_schedule is too deep or too large (16 levels,"},
        {"beat_schedule: {[a]: {}}\n", "1: a setting's name must be a word"},
    };
    struct buf out = BUF_INIT(1 << 16);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        load(rows[i].text, &out);
        if (!str_starts_with(buf_str(&out), str_from_cstr(rows[i].error)))
            fail_msg("row %zu: '%s' is not '%s'", i, buf_cstr(&out), rows[i].error);
    }
    buf_fini(&out);
}

/* Aliases of aliases: a small file that would grow to a billion values. */
static void
test_a_bomb(void **state)
{
    struct buf text = BUF_INIT(1 << 16);
    struct buf out = BUF_INIT(1 << 16);

    (void)state;
    buf_printf(&text, "beat_schedule:\n  a0: &a0 {args: [1, 2, 3, 4, 5, 6, 7, 8, 9]}\n");
    for (int i = 1; i < 10; i++)
        buf_printf(&text, "  a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
                   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    load(buf_cstr(&text), &out);
    assert_non_null(strstr(buf_cstr(&out), "beat_schedule is too deep or too large"));
    buf_fini(&text);
    buf_fini(&out);
}

/* The rows that everybody gets: tasks that exist, arguments that they take. */
static void
test_the_default_schedule(void **state)
{
    static const struct {
        const char *task;
        int64_t every_s;
        const char *kwargs;
    } wanted[] = {
        {"enrich.fetch_hf_datasets", 86400, "{\"limit\": 1000}"},
        {"enrich.generate_embeddings", 1800, "{\"batch_size\": 100}"},
        {"kaggle.enrich_pending", 3600, "{\"batch_size\": 50}"},
        {"kaggle.fetch_latest", 86400, "{\"limit\": 100}"},
        {"cleanup.check_broken_links", 3600, "{\"batch_size\": 100}"},
        {"cleanup.remove_old_cache", 86400, "{\"max_age_hours\": 24}"},
        {"scoring.calculate_static", 86400, "{\"batch_size\": 100}"},
    };
    const struct config_options options = {.get_env = no_env, .yaml_path = yaml};
    struct arena arena = ARENA_INIT(4 << 20);
    struct config *config = NULL;
    struct schedule_table table;
    struct error err;

    (void)state;
    assert_ok(file_write_atomic(yaml, STR(""), &err), err);
    assert_ok(config_create(&options, &config, &err), err);
    assert_ok(schedule_config_load(config, worker_schedule, &worker_registry, &arena, &table, &err),
              err);
    assert_int_equal(table.n_rows, COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        assert_string_equal(table.rows[i].task, wanted[i].task);
        assert_int_equal(table.rows[i].every_s, wanted[i].every_s);
        assert_string_equal(table.rows[i].kwargs, wanted[i].kwargs);
    }
    config_free(config);
    arena_fini(&arena);
}

static int
set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    (void)snprintf(yaml, sizeof(yaml), "%s/t.yaml", dir);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    (void)unlink(yaml);
    return rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_a_bomb),
        cmocka_unit_test(test_the_default_schedule),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
