/* Commands that tell how a worker is set up and how it fares: stats, conf, report. */

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/number.h"
#include "celery/client.h"
#include "celery/control/command.h"
#include "celery/control/url.h"

/* Names are those of the registry: what senders call their tasks would grow without end. */
static void
write_totals(struct control_run *run)
{
    const struct celery_registry *registry = run->node->registry;

    json_name(run->json, STR("total"));
    json_begin_object(run->json);
    for (const struct celery_task *const *module = registry->modules; *module; module++) {
        for (const struct celery_task *task = *module; task->name; task++) {
            uint64_t n = run->node->ops->count_started(run->node->context, task);

            if (n > 0)
                json_member_i64(run->json, str_from_cstr(task->name), (int64_t)n);
        }
    }
    json_end_object(run->json);
}

/* How the work is spread over the children, as shares of one. */
static void
write_writes(struct json_writer *json, const struct control_stats *stats)
{
    CLEANUP(buf_fini) struct buf shares = BUF_INIT(65536);
    CLEANUP(buf_fini) struct buf raw = BUF_INIT(65536);
    uint64_t total = 0;
    char average[16];

    for (size_t i = 0; i < stats->n_pids; i++)
        total += stats->n_done[i];
    for (size_t i = 0; i < stats->n_pids; i++) {
        buf_printf(&shares, "%s%.2f", i ? ", " : "",
                   total ? (double)stats->n_done[i] / (double)total : 0.0);
        buf_printf(&raw, "%s%" PRIu64, i ? ", " : "", stats->n_done[i]);
    }
    (void)snprintf(average, sizeof(average), "%.2f",
                   total && stats->n_pids ? 1.0 / (double)stats->n_pids : 0.0);
    json_name(json, STR("writes"));
    json_begin_object(json);
    json_member_i64(json, STR("total"), (int64_t)total);
    json_member_str(json, STR("avg"), str_from_cstr(average));
    json_member_str(json, STR("all"), buf_str(&shares));
    json_member_str(json, STR("raw"), buf_str(&raw));
    json_member_str(json, STR("strategy"), STR("fair"));
    json_name(json, STR("inqueues"));
    json_begin_object(json);
    json_member_i64(json, STR("total"), (int64_t)stats->n_pids);
    json_member_i64(json, STR("active"), 0);
    json_end_object(json);
    json_end_object(json);
}

static void
write_pool(struct json_writer *json, const struct control_stats *stats)
{
    char implementation[96];

    (void)snprintf(implementation, sizeof(implementation), "trawl.pool.%.*s",
                   STR_ARG(str_slice(stats->pool, 0, 64)));
    json_name(json, STR("pool"));
    json_begin_object(json);
    json_member_str(json, STR("implementation"), str_from_cstr(implementation));
    json_member_i64(json, STR("max-concurrency"), stats->n_children);
    json_name(json, STR("processes"));
    json_begin_array(json);
    for (size_t i = 0; i < stats->n_pids; i++)
        json_i64(json, stats->pids[i]);
    json_end_array(json);
    json_name(json, STR("max-tasks-per-child"));
    if (stats->max_tasks_per_child)
        json_i64(json, (int64_t)stats->max_tasks_per_child);
    else
        json_str(json, STR("N/A"));
    json_member_bool(json, STR("put-guarded-by-semaphore"), false);
    json_name(json, STR("timeouts"));
    json_begin_array(json);
    json_f64(json, (double)stats->soft_limit_ms / 1000.0);
    json_f64(json, (double)stats->hard_limit_ms / 1000.0);
    json_end_array(json);
    write_writes(json, stats);
    json_end_object(json);
}

static void
write_broker(struct json_writer *json, struct str url_text)
{
    struct control_url url;

    control_url_split(url_text, &url);
    json_name(json, STR("broker"));
    json_begin_object(json);
    json_member_str(json, STR("hostname"), url.host);
    json_member_str(json, STR("userid"), url.user);
    json_member_str(json, STR("virtual_host"), url.path);
    json_name(json, STR("port"));
    if (url.port)
        json_i64(json, url.port);
    else
        json_null(json);
    json_member_bool(json, STR("insist"), false);
    json_member_bool(json, STR("ssl"), str_equal(url.scheme, STR("rediss")));
    json_member_str(json, STR("transport"), url.scheme);
    json_member_i64(json, STR("connect_timeout"), 2);
    json_name(json, STR("transport_options"));
    json_begin_object(json);
    json_end_object(json);
    json_member_str(json, STR("login_method"), STR_NULL);
    json_member_str(json, STR("credential_provider"), STR_NULL);
    json_member_str(json, STR("uri_prefix"), STR_NULL);
    json_member_f64(json, STR("heartbeat"), 0);
    json_member_str(json, STR("failover_strategy"), STR("round-robin"));
    json_name(json, STR("alternates"));
    json_begin_array(json);
    json_end_array(json);
    json_end_object(json);
}

static double
seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void
write_rusage(struct json_writer *json)
{
    struct rusage usage = {0};

    (void)getrusage(RUSAGE_SELF, &usage);
    json_name(json, STR("rusage"));
    json_begin_object(json);
    json_member_f64(json, STR("utime"), seconds_of(usage.ru_utime));
    json_member_f64(json, STR("stime"), seconds_of(usage.ru_stime));
    json_member_i64(json, STR("maxrss"), usage.ru_maxrss);
    json_member_i64(json, STR("ixrss"), usage.ru_ixrss);
    json_member_i64(json, STR("idrss"), usage.ru_idrss);
    json_member_i64(json, STR("isrss"), usage.ru_isrss);
    json_member_i64(json, STR("minflt"), usage.ru_minflt);
    json_member_i64(json, STR("majflt"), usage.ru_majflt);
    json_member_i64(json, STR("nswap"), usage.ru_nswap);
    json_member_i64(json, STR("inblock"), usage.ru_inblock);
    json_member_i64(json, STR("oublock"), usage.ru_oublock);
    json_member_i64(json, STR("msgsnd"), usage.ru_msgsnd);
    json_member_i64(json, STR("msgrcv"), usage.ru_msgrcv);
    json_member_i64(json, STR("nsignals"), usage.ru_nsignals);
    json_member_i64(json, STR("nvcsw"), usage.ru_nvcsw);
    json_member_i64(json, STR("nivcsw"), usage.ru_nivcsw);
    json_end_object(json);
}

/* Celery's key, where the pool is autoscaled. */
static void
write_scale(struct control_run *run)
{
    struct control_scale scale;

    run->node->ops->get_scale(run->node->context, &scale);
    if (scale.max == 0)
        return;
    json_name(run->json, STR("autoscaler"));
    json_begin_object(run->json);
    json_member_i64(run->json, STR("max"), scale.max);
    json_member_i64(run->json, STR("min"), scale.min);
    json_member_i64(run->json, STR("current"), scale.n_children);
    json_member_i64(run->json, STR("qty"), scale.n_tasks);
    json_end_object(run->json);
}

/* In the arena: it is large. */
static int
get_stats(struct control_run *run, struct control_stats **out, struct error *err)
{
    *out = arena_calloc(run->arena, 1, sizeof(**out));
    if (!*out)
        return error_set(err, ERR_NOMEM, "no memory for the node's figures");
    run->node->ops->get_stats(run->node->context, *out);
    return 0;
}

static int
run_stats(struct control_run *run, struct error *err)
{
    struct control_stats *stats;
    char clock[24];
    int rc = get_stats(run, &stats, err);

    if (rc < 0)
        return rc;
    (void)snprintf(clock, sizeof(clock), "%" PRId64, run->node->clock);
    json_begin_object(run->json);
    write_totals(run);
    json_member_i64(run->json, STR("pid"), getpid());
    json_member_str(run->json, STR("clock"), str_from_cstr(clock));
    json_member_i64(run->json, STR("uptime"), stats->uptime_s);
    write_pool(run->json, stats);
    write_broker(run->json, run->node->broker_url);
    json_member_i64(run->json, STR("prefetch_count"), stats->prefetch_count);
    write_rusage(run->json);
    write_scale(run);
    json_end_object(run->json);
    return 0;
}

/* A setting as `conf` shows it. */
static void
write_setting(struct json_writer *json, const struct control_setting *setting)
{
    json_name(json, setting->name);
    if (setting->value.len && (setting->is_secret || control_is_secret_name(setting->name)))
        json_str(json, STR("********"));
    else
        control_write_url(json, setting->value);
}

/* A program may have a setting of Celery's name, whose value is shown in its place: a name that
 * stands there twice is read as whichever comes last. */
static bool
is_shown_above(struct str name)
{
    return str_equal(name, STR("broker_url")) || str_equal(name, STR("result_backend")) ||
           str_equal(name, STR("timezone"));
}

static struct str
find_time_zone(const struct control_node *node)
{
    for (size_t i = 0; i < node->n_settings; i++)
        if (str_equal(node->settings[i].name, STR("timezone")))
            return node->settings[i].value;
    return STR("UTC");
}

static void
write_limit(struct json_writer *json, struct str name, int64_t limit_ms)
{
    json_name(json, name);
    if (limit_ms)
        json_f64(json, (double)limit_ms / 1000.0);
    else
        json_null(json);
}

/* Celery's names for what is so here, then the program's own. */
static int
run_conf(struct control_run *run, struct error *err)
{
    struct json_writer *json = run->json;
    struct control_stats *stats;
    int rc = get_stats(run, &stats, err);

    if (rc < 0)
        return rc;
    json_begin_object(json);
    json_name(json, STR("broker_url"));
    control_write_url(json, run->node->broker_url);
    json_name(json, STR("result_backend"));
    control_write_url(json, run->node->backend_url);
    json_name(json, STR("accept_content"));
    json_begin_array(json);
    json_str(json, STR("json"));
    json_end_array(json);
    json_member_bool(json, STR("enable_utc"), true);
    json_member_str(json, STR("timezone"), find_time_zone(run->node));
    json_member_f64(json, STR("broker_heartbeat"), 0);
    json_name(json, STR("include"));
    json_begin_array(json);
    json_end_array(json);
    json_member_bool(json, STR("worker_hijack_root_logger"), false);
    json_member_bool(json, STR("worker_log_color"), false);
    json_member_bool(json, STR("task_acks_late"), true);
    json_member_bool(json, STR("task_reject_on_worker_lost"), true);
    json_member_str(json, STR("task_default_queue"), STR(CELERY_DEFAULT_QUEUE));
    json_member_str(json, STR("worker_pool"), stats->pool);
    json_member_i64(json, STR("worker_concurrency"), stats->n_children);
    write_limit(json, STR("task_soft_time_limit"), stats->soft_limit_ms);
    write_limit(json, STR("task_time_limit"), stats->hard_limit_ms);
    json_member_str(json, STR("deprecated_settings"), STR_NULL);
    for (size_t i = 0; i < run->node->n_settings; i++) {
        if (!is_shown_above(run->node->settings[i].name))
            write_setting(json, &run->node->settings[i]);
    }
    json_end_object(json);
    return 0;
}

static int
run_report(struct control_run *run, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(65536);
    struct control_url broker;
    struct control_url backend;
    struct utsname system = {0};

    (void)uname(&system);
    control_url_split(run->node->broker_url, &broker);
    control_url_split(run->node->backend_url, &backend);
    buf_printf(&text, "\nsoftware -> trawl:%s compiler:%s\n", TRAWL_VERSION, __VERSION__);
    buf_printf(&text, "platform -> system:%s arch:%s\n            kernel version:%s\n",
               system.sysname, system.machine, system.release);
    buf_printf(&text, "settings -> transport:%.*s results:%.*s\n", STR_ARG(broker.scheme),
               STR_ARG(backend.scheme));
    control_write_ok(run, buf_str(&text));
    return buf_status(&text, err);
}

const struct control_command control_stats_commands[] = {
    {STR_INIT("stats"), {NULL, 0}, run_stats},
    {STR_INIT("conf"), STR_INIT("dump_conf"), run_conf},
    {STR_INIT("report"), {NULL, 0}, run_report},
    {{NULL, 0}, {NULL, 0}, NULL},
};
