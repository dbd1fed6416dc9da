/* trawl worker: tasks from the queue, until told to stop. */

#include "cli/commands.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/number.h"
#include "celery/broker/broker.h"
#include "celery/control/node.h"
#include "celery/control/node_name.h"
#include "celery/control/url.h"
#include "celery/history/writer.h"
#include "celery/worker.h"
#include "cli/beat.h"
#include "cli/history.h"
#include "cli/interrupt.h"
#include "cli/log_file.h"
#include "cli/pid_file.h"
#include "lib/limits_config.h"

#define LIMIT_MAX_S        INT64_C(31536000)
#define MAX_NODES_PER_HOST 1000
#define RULES_BYTES        ((size_t)1 << 20)

struct worker_values {
    int64_t n_children;
    struct str queues;
    struct str pool;
    int64_t soft_limit_s;
    int64_t hard_limit_s;
    int64_t max_tasks;
    int64_t max_memory_kib;
    int64_t grace_s;
    struct str autoscale;
    int64_t max_children; /* of --autoscale; 0 = not given */
    struct str node_name;
    struct str log_path;
    struct str pid_path;
    bool has_beat;
    bool has_task_events;
    bool has_no_mingle;
    bool has_no_gossip;
    bool has_no_heartbeat;
};

/* What the line that says "ready" tells. */
struct announcement {
    const struct worker_values *values;
    const struct celery_registry *registry;
    struct str broker_url;
};

static size_t
count_tasks(const struct celery_registry *registry)
{
    size_t n = 0;

    for (const struct celery_task *const *module = registry->modules; *module; module++) {
        for (const struct celery_task *task = *module; task->name; task++)
            n++;
    }
    return n;
}

static void
announce(void *context)
{
    const struct announcement *self = context;
    int64_t n = self->values->n_children;
    bool is_threads = str_equal(self->values->pool, STR("threads"));
    struct pollfd room = {.fd = STDOUT_FILENO, .events = POLLOUT};
    CLEANUP(buf_fini) struct buf url = BUF_INIT(65536);
    char broker[512];
    char line[1024];
    int len;

    control_url_mask(self->broker_url, &url);
    (void)log_sanitize(buf_str(&url), broker, sizeof(broker));
    len =
        snprintf(line, sizeof(line), "ready: %zu tasks, %" PRId64 " %s%s, queue %.*s, broker %s\n",
                 count_tasks(self->registry), n, is_threads ? "thread" : "process",
                 n == 1       ? ""
                 : is_threads ? "s"
                              : "es",
                 STR_ARG(str_slice(self->values->queues, 0, 256)), broker);
    if (len >= (int)sizeof(line))
        len = (int)sizeof(line) - 1;
    if (poll(&room, 1, 0) < 1 || write(STDOUT_FILENO, line, (size_t)len) < 0)
        log_info("nobody reads standard output: %.*s", len - 1, line);
}

static int
split_queues(struct str text, struct str *queues, size_t *n_queues, struct error *err)
{
    struct str rest = text;
    struct str name;

    *n_queues = 0;
    while (str_split(&rest, ',', &name)) {
        name = str_trim(name);
        if (name.len == 0)
            return error_set(err, ERR_ARGS, "--queues has an empty name: '%.*s'", STR_ARG(text));
        if (*n_queues == BROKER_MAX_QUEUES)
            return error_set(err, ERR_ARGS, "--queues has more than %zu names", BROKER_MAX_QUEUES);
        queues[(*n_queues)++] = name;
    }
    if (*n_queues == 0)
        return error_set(err, ERR_ARGS, "--queues names no queue");
    return 0;
}

/* "MAX,MIN", or "MAX": from one on; as Celery has it.  The pool begins with the fewer. */
static int
read_autoscale(struct worker_values *values, struct error *err)
{
    struct str rest = values->autoscale;
    struct str text;
    int64_t max = 0;
    int64_t min = 1;
    bool ok = str_split(&rest, ',', &text) && number_parse_i64(str_trim(text), &max, NULL) == 0;

    if (!values->autoscale.ptr)
        return 0;
    if (ok && str_split(&rest, ',', &text))
        ok = number_parse_i64(str_trim(text), &min, NULL) == 0 && !str_split(&rest, ',', &text);
    if (!ok || min < 1 || max < min || max > POOL_MAX_CHILDREN)
        return error_set(err, ERR_ARGS, "--autoscale must be MAX,MIN, 1 to %d, got '%.*s'",
                         POOL_MAX_CHILDREN, STR_ARG(str_slice(values->autoscale, 0, 64)));
    if (values->n_children)
        return error_set(err, ERR_ARGS, "--autoscale goes without --concurrency");
    if (str_equal(values->pool, STR("solo")))
        return error_set(err, ERR_ARGS,
                         "--pool solo runs one task at a time: leave out "
                         "--autoscale");
    values->n_children = min;
    values->max_children = max;
    return 0;
}

static int
check_pool(const struct worker_values *values, struct error *err)
{
    if (!str_equal(values->pool, STR("prefork")) && !str_equal(values->pool, STR("solo")) &&
        !str_equal(values->pool, STR("threads")))
        return error_set(err, ERR_ARGS, "--pool must be prefork, threads or solo, not '%.*s'",
                         STR_ARG(values->pool));
    if (str_equal(values->pool, STR("solo")) && values->n_children != 1)
        return error_set(err, ERR_ARGS,
                         "--pool solo runs one task at a time: leave out "
                         "--concurrency");
    return 0;
}

/* What beat would refuse at its start is refused at ours. */
static int
check_schedule(const struct cli *cli, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CLI_SCHEDULE_BYTES);
    struct schedule_table table;

    return cli_schedule_load(cli, &arena, &table, err);
}

/* The name that was asked for, or the first one of ours that no other worker on this host has:
 * trawl@host, trawl2@host and so on. */
static int
name_node(struct str pattern, struct str broker_url, char name[NODE_NAME_BYTES], int *fd,
          struct error *err)
{
    char host[NODE_NAME_BYTES];
    char numbered[32];
    struct error taken = {0};
    int rc = -ERR_BUSY;

    node_name_host(host);
    for (int n = 1; !pattern.ptr && rc == -ERR_BUSY && n <= MAX_NODES_PER_HOST; n++) {
        (void)snprintf(numbered, sizeof(numbered), n == 1 ? "trawl@%%h" : "trawl%d@%%h", n);
        rc = node_name_format(str_from_cstr(numbered), str_from_cstr(host), name, err);
        if (rc == 0)
            rc = node_name_claim(str_from_cstr(name), broker_url, fd, err);
    }
    if (!pattern.ptr)
        return rc;
    rc = node_name_format(pattern, str_from_cstr(host), name, err);
    if (rc == 0 && node_name_claim(str_from_cstr(name), broker_url, fd, &taken) < 0)
        log_warning("node name is not unique, remote control cannot tell its nodes apart: %s",
                    taken.message);
    return rc;
}

/* For `inspect conf`. */
static size_t
list_settings(const struct config *config, struct control_setting out[CONFIG_N_KEYS])
{
    for (int key = 0; key < CONFIG_N_KEYS; key++)
        out[key] = (struct control_setting){
            .name = str_from_cstr(config_name((enum config_key)key)),
            .value = config_get(config, (enum config_key)key),
            .is_secret = config_is_secret((enum config_key)key),
        };
    return CONFIG_N_KEYS;
}

static int
work(struct cli *cli, const struct worker_values *values, struct error *err)
{
    CLEANUP(pid_file_close) struct pid_file pid_file = {.fd = -1};
    struct str queues[BROKER_MAX_QUEUES];
    struct announcement announcement = {values, cli->program->registry,
                                        config_get(cli->config, CONFIG_BROKER_URL)};
    const struct worker_runtime runtime = {
        cli->config,
        (size_t)(values->max_children ? values->max_children : values->n_children),
    };
    struct celery_worker_options options = {
        .registry = cli->program->registry,
        .broker_url = announcement.broker_url,
        .backend_url = config_get(cli->config, CONFIG_RESULT_BACKEND),
        .queues = queues,
        .pool = values->pool,
        .n_children = (size_t)values->n_children,
        .min_children = values->max_children ? (size_t)values->n_children : 0,
        .max_children = (size_t)values->max_children,
        .max_tasks_per_child = (uint64_t)values->max_tasks,
        .max_memory_per_child_kib = values->max_memory_kib,
        .grace_ms = values->grace_s * 1000,
        .flags = (values->has_task_events ? CELERY_WORKER_TASK_EVENTS : 0u) |
                 (values->has_no_mingle ? CELERY_WORKER_NO_MINGLE : 0u) |
                 (values->has_no_gossip ? CELERY_WORKER_NO_GOSSIP : 0u) |
                 (values->has_no_heartbeat ? CELERY_WORKER_NO_HEARTBEAT : 0u),
        .soft_limit_ms = values->soft_limit_s * 1000,
        .hard_limit_ms = values->hard_limit_s * 1000,
        .runner = cli->program->runner(&runtime),
        .ready = announce,
        .is_stopped = interrupt_is_pending,
        .context = &announcement,
    };
    CLEANUP(arena_fini) struct arena rules_arena = ARENA_INIT(RULES_BYTES);
    struct limit_rules rules;
    struct control_setting settings[CONFIG_N_KEYS];
    struct history_settings history;
    CLEANUP(file_close_fdp) int name_fd = -1;
    char name[NODE_NAME_BYTES];
    const char *beat_words[CLI_BEAT_WORDS];
    int rc = split_queues(values->queues, queues, &options.n_queues, err);

    if (rc == 0)
        rc = cli_history_settings(cli->config, &history, &options.history, err);
    if (rc == 0)
        rc = limits_config_load(cli->config, &rules_arena, &rules, err);
    if (rc == 0)
        rc = cli_log_open(values->log_path, err);
    if (rc == 0 && values->pid_path.ptr)
        rc = pid_file_open(values->pid_path, &pid_file, err);
    if (rc == 0)
        rc = name_node(values->node_name, options.broker_url, name, &name_fd, err);
    if (rc < 0)
        return rc;
    if (values->has_beat) {
        cli_beat_make_words(cli, values->log_path, beat_words);
        options.companion = beat_words;
    }
    options.name = str_from_cstr(name);
    options.limits = &rules;
    options.settings = settings;
    options.n_settings = list_settings(cli->config, settings);
    rc = celery_worker_run(&options, err);
    if (rc == CELERY_WORKER_IS_LEFT) {
        pid_file_close(&pid_file);
        _exit(EXIT_STATUS_OK);
    }
    return rc;
}

int
command_worker(struct cli *cli, int argc, char **argv, struct error *err)
{
    long n_cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct worker_values values = {.queues = STR("celery"), .pool = STR("prefork")};
    const struct cli_option options[] = {
        {.name = "concurrency",
         .letter = 'c',
         .argument = "N",
         .kind = CLI_WHOLE,
         .target = &values.n_children,
         .min = 1,
         .max = POOL_MAX_CHILDREN,
         .help = "processes that run tasks (one per core)"},
        CLI_OPTION_TEXT("autoscale", "MAX,MIN", &values.autoscale,
                        "as many processes as there are tasks for, between these bounds"),
        {.name = "queues",
         .letter = 'Q',
         .argument = "Q1,Q2",
         .kind = CLI_TEXT,
         .target = &values.queues,
         .help = "queues to take from (celery)"},
        {.name = "hostname",
         .letter = 'n',
         .argument = "NAME",
         .kind = CLI_TEXT,
         .target = &values.node_name,
         .help = "of this node: w1@%h; %n, %d: parts of the host's name (trawl@%h)"},
        CLI_OPTION_TEXT("pool", "NAME", &values.pool,
                        "prefork; threads, for tasks that only wait; or solo, to debug (prefork)"),
        CLI_OPTION_WHOLE("soft-time-limit", "S", &values.soft_limit_s, 0, LIMIT_MAX_S,
                         "ask a task to end after so many seconds (0 = never)"),
        CLI_OPTION_WHOLE("time-limit", "S", &values.hard_limit_s, 0, LIMIT_MAX_S,
                         "kill it after so many (0 = never)"),
        CLI_OPTION_WHOLE("max-tasks-per-child", "N", &values.max_tasks, 0, INT64_MAX,
                         "replace a process after so many tasks (0 = never)"),
        CLI_OPTION_WHOLE("max-memory-per-child", "KIB", &values.max_memory_kib, 0, INT64_MAX,
                         "replace it after a task when it has used more (0 = never)"),
        CLI_OPTION_WHOLE("grace", "S", &values.grace_s, 0, LIMIT_MAX_S,
                         "told to stop, kill running tasks after so many seconds (0 = never)"),
        CLI_OPTION_TEXT("logfile", "FILE", &values.log_path,
                        "log to this file; SIGHUP opens it again"),
        CLI_OPTION_TEXT("pidfile", "FILE", &values.pid_path, "number of the worker's process"),
        {.name = "task-events",
         .letter = 'E',
         .kind = CLI_FLAG,
         .target = &values.has_task_events,
         .help = "tell monitors what happens to tasks: 'trawl events', 'trawl top', Flower"},
        CLI_OPTION_FLAG("without-mingle", &values.has_no_mingle,
                        "do not ask other workers what they have revoked"),
        CLI_OPTION_FLAG("without-gossip", &values.has_no_gossip,
                        "do not listen to other workers; no part in elections"),
        CLI_OPTION_FLAG("without-heartbeat", &values.has_no_heartbeat,
                        "do not tell others every 2 s that this one lives"),
        CLI_OPTION_FLAG("beat", &values.has_beat,
                        "send the schedule's tasks as well, as 'trawl beat' does"),
        CLI_OPTIONS_END,
    };
    struct cli_words words;
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 0, err);
    if (rc == 0)
        rc = read_autoscale(&values, err);
    if (rc != 0)
        return rc;
    if (values.n_children == 0)
        values.n_children = str_equal(values.pool, STR("solo")) || n_cores < 1 ? 1
                            : n_cores > POOL_MAX_CHILDREN                      ? POOL_MAX_CHILDREN
                                                                               : n_cores;
    rc = check_pool(&values, err);
    if (rc == 0 && values.has_beat)
        rc = check_schedule(cli, err);
    return rc == 0 ? work(cli, &values, err) : rc;
}
