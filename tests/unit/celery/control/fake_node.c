/* The messages of the documentation, and nothing else. */

#include "tests/unit/celery/control/fake_node.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json_writer.h"
#include "celery/control/envelope.h"

struct greet_args {
    int64_t times;
    bool is_loud;
    struct str name;
};

static const struct celery_param greet_params[] = {
    CELERY_INT(struct greet_args, times, .fallback = 1),
    CELERY_BOOL(struct greet_args, is_loud, .fallback = 1),
    CELERY_STR(struct greet_args, name),
    CELERY_PARAMS_END,
};

static int
greet(struct celery_call *call, struct error *err)
{
    (void)call;
    (void)err;
    return 0;
}

/* Not in the order of their names. */
static const struct celery_task tasks[] = {
    CELERY_TASK("demo.greet", greet, .help = "x"),
    CELERY_TASK("celery.ping", greet, .help = "x"),
    CELERY_TASK("aaa.first", greet, .help = "x"),
    CELERY_TASKS_END,
};
static const struct celery_task *const modules[] = {tasks, NULL};
static const struct celery_registry registry = {.modules = modules};

static const struct control_setting settings[] = {
    {STR_INIT("plain"), STR_INIT("value"), false},
    {STR_INIT("hub.token"), STR_INIT("canary"), false}, /* by its name */
    {STR_INIT("hub.other"), STR_INIT("canary"), true},
    {STR_INIT("empty_key"), STR_INIT(""), true},
    {STR_INIT("mirror"), STR_INIT("http://u:canary@h/p"), false},
    {STR_INIT("broker_url"), STR_INIT("shown once"), false},
    {STR_INIT("timezone"), STR_INIT("Asia/Tokyo"), false},
};

/* clang-format off */
static const struct control_task messages[] = {
    {.stage = CONTROL_ACTIVE, .id = STR_INIT("a1"), .type = STR_INIT("demo.greet"),
     .name = STR_INIT("hello"), .args = STR_INIT("[1, NaN]"), .kwargs = STR_INIT("{\"k\": \"v\"}"),
     .argsrepr = STR_INIT("(1, '***')"),
     .stamps = STR_INIT("{\"mtag\": [\"x1\", 7], \"one\": \"y\"}"), .routing_key = STR_INIT("celery"), .priority = 3,
     .started_at_us = INT64_C(1795437054426090), .eta_us = TIME_UNKNOWN, .pid = 4252},
    {.stage = CONTROL_RESERVED, .id = STR_INIT("r1"), .type = STR_INIT("demo.greet"),
     .name = STR_INIT("demo.greet"), .exchange = STR_INIT("ex"), .routing_key = STR_INIT("rk"),
     .is_redelivered = true, .started_at_us = TIME_UNKNOWN, .eta_us = TIME_UNKNOWN},
    {.stage = CONTROL_READY, .id = STR_INIT("d1"), .type = STR_INIT("demo.greet"),
     .name = STR_INIT("demo.greet"), .routing_key = STR_INIT("celery"),
     .started_at_us = TIME_UNKNOWN, .eta_us = TIME_UNKNOWN},
    {.stage = CONTROL_LIMITED, .id = STR_INIT("l1"), .type = STR_INIT("demo.greet"),
     .name = STR_INIT("demo.greet"), .routing_key = STR_INIT("celery"),
     .started_at_us = TIME_UNKNOWN, .eta_us = TIME_UNKNOWN},
};

static const struct control_task scheduled[] = {
    {.stage = CONTROL_SCHEDULED, .id = STR_INIT("s1"), .type = STR_INIT("demo.greet"),
     .name = STR_INIT("demo.greet"), .routing_key = STR_INIT("celery"),
     .started_at_us = TIME_UNKNOWN, .eta_us = INT64_C(1795437354425465)},
};
/* clang-format on */

static bool
next_task(void *context, const void **position, struct control_task *out)
{
    const struct control_task *task = *position;

    (void)context;
    task = task ? task + 1 : messages;
    *position = task;
    if (task == messages + COUNT_OF(messages))
        return false;
    *out = *task;
    return true;
}

static int
note(struct fake_node *self, const char *what, struct str about, struct error *err)
{
    buf_printf(&self->told, "%s %.*s; ", what, STR_ARG(about));
    if (self->fails && strcmp(self->fails, what) == 0)
        return error_set(err, ERR_BUSY, "%s is not possible now", what);
    return 0;
}

static int
list_scheduled(void *context, struct arena *arena, const struct control_task **out, size_t *n_out,
               struct error *err)
{
    (void)arena;
    *out = scheduled;
    *n_out = COUNT_OF(scheduled);
    return note(context, "list", STR(""), err);
}

static void
get_stats(void *context, struct control_stats *out)
{
    (void)context;
    *out = (struct control_stats){
        .uptime_s = 117,
        .prefetch_count = 8,
        .pool = STR("prefork"),
        .n_children = 2,
        .pids = {4252, 4253},
        .n_done = {3, 1},
        .n_pids = 2,
        .soft_limit_ms = 1500,
    };
}

static uint64_t
count_started(void *context, const struct celery_task *task)
{
    (void)context;
    return task == tasks ? 28 : 0;
}

static struct str
get_queue(void *context, size_t idx)
{
    const struct fake_node *self = context;

    return idx < self->n_queues ? self->queues[idx] : STR_NULL;
}

static int
add_queue(void *context, struct str name, struct error *err)
{
    return note(context, "add", name, err);
}

static int
cancel_queue(void *context, struct str name, struct error *err)
{
    return note(context, "cancel", name, err);
}

static int
resize_pool(void *context, int64_t n_more, struct error *err)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%+lld", (long long)n_more);
    return note(context, "resize", str_from_cstr(text), err);
}

static int
set_limits(void *context, const struct celery_task *task, int64_t soft_ms, int64_t hard_ms,
           struct error *err)
{
    char text[80];

    (void)snprintf(text, sizeof(text), "%s %lld %lld", task->name, (long long)soft_ms,
                   (long long)hard_ms);
    return note(context, "limits", str_from_cstr(text), err);
}

static int
revoke(void *context, const struct str *ids, size_t n_ids, struct error *err)
{
    for (size_t i = 0; i < n_ids; i++) {
        int rc = note(context, "revoke", ids[i], err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
learn_revoked(void *context, const struct str *ids, size_t n_ids, struct error *err)
{
    for (size_t i = 0; i < n_ids; i++) {
        int rc = note(context, "learn", ids[i], err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
revoke_stamps(void *context, const struct str *stamps, size_t n_stamps, struct error *err)
{
    for (size_t i = 0; i < n_stamps; i++) {
        int rc = note(context, "stamp", stamps[i], err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool
terminate(void *context, struct str id, int signal_number)
{
    char text[48];

    (void)snprintf(text, sizeof(text), "%.*s %d", STR_ARG(id), signal_number);
    error_ignore(note(context, "terminate", str_from_cstr(text), NULL)); /* it does not fail here */
    return str_equal(id, STR("a1"));
}

static void
stop(void *context)
{
    error_ignore(note(context, "stop", STR(""), NULL)); /* it does not fail here */
}

static void
set_rate(void *context, const struct celery_task *task, double per_s, struct str text)
{
    char told[80];

    (void)snprintf(told, sizeof(told), "%s %g '%.*s'", task->name, per_s, STR_ARG(text));
    error_ignore(note(context, "rate", str_from_cstr(told), NULL)); /* it does not fail here */
}

static struct str
get_rate(void *context, const struct celery_task *task)
{
    const struct fake_node *self = context;

    return task == tasks && self->rate ? str_from_cstr(self->rate) : STR_NULL;
}

static void
get_scale(void *context, struct control_scale *out)
{
    const struct fake_node *self = context;

    *out = self->scale;
}

static int
set_scale(void *context, int64_t max, int64_t min, struct error *err)
{
    struct fake_node *self = context;
    char told[48];

    (void)snprintf(told, sizeof(told), "%lld %lld", (long long)max, (long long)min);
    self->scale.max = max == -1 ? self->scale.max : max;
    self->scale.min = min == -1 ? self->scale.min : min;
    return note(self, "scale", str_from_cstr(told), err);
}

static int
restart_pool(void *context, struct error *err)
{
    return note(context, "restart", STR(""), err);
}

static bool
enable_events(void *context, bool is_enabled)
{
    struct fake_node *self = context;
    bool is_new = self->has_events != is_enabled;

    self->has_events = is_enabled;
    return is_new;
}

static void
send_heartbeat(void *context)
{
    error_ignore(note(context, "heartbeat", STR(""), NULL)); /* it does not fail here */
}

static int
elect(void *context, struct str id, struct str topic, struct str action, struct error *err)
{
    char told[160];

    (void)snprintf(told, sizeof(told), "%.*s %.*s %.*s", STR_ARG(id), STR_ARG(topic),
                   STR_ARG(action));
    return note(context, "elect", str_from_cstr(told), err);
}

#define OPS                                                                                        \
    .next_task = next_task, .list_scheduled = list_scheduled, .get_stats = get_stats,              \
    .count_started = count_started, .get_queue = get_queue, .add_queue = add_queue,                \
    .cancel_queue = cancel_queue, .resize_pool = resize_pool, .set_limits = set_limits,            \
    .set_rate = set_rate, .get_rate = get_rate, .get_scale = get_scale, .set_scale = set_scale,    \
    .restart_pool = restart_pool, .revoke = revoke, .learn_revoked = learn_revoked,                \
    .revoke_stamps = revoke_stamps, .terminate = terminate, .stop = stop

static const struct control_node_ops ops = {OPS, .enable_events = enable_events,
                                            .send_heartbeat = send_heartbeat, .elect = elect};
static const struct control_node_ops ops_without_events = {OPS};

void
fake_node_leave_out_events(struct fake_node *self)
{
    self->node.ops = &ops_without_events;
}

void
fake_node_init(struct fake_node *self)
{
    *self = (struct fake_node){
        .node =
            {
                .name = STR("w1@host"),
                .registry = &registry,
                .broker_url = STR("redis://me:canary@127.0.0.1:6379/2"),
                .backend_url = STR("sqlite:////tmp/results.db"),
                .settings = settings,
                .n_settings = COUNT_OF(settings),
                .revoked = REVOKED_INIT,
                .revoked_stamps = REVOKED_INIT,
                .ops = &ops,
            },
        .told = BUF_INIT((size_t)1 << 20),
        .queues = {STR("celery"), STR("other")},
        .n_queues = 2,
    };
    self->node.context = self;
}

void
fake_node_fini(struct fake_node *self)
{
    revoked_fini(&self->node.revoked);
    revoked_fini(&self->node.revoked_stamps);
    buf_fini(&self->told);
}

struct str
fake_request(struct str body, int64_t clock)
{
    static char bytes[65536];
    struct buf text = BUF_INIT(sizeof(bytes) - 1);
    char headers[64];
    size_t n = 0;

    (void)snprintf(headers, sizeof(headers), "{\"clock\": %lld, \"expires\": 1795437056.15}",
                   (long long)clock);
    if (control_envelope_encode(str_from_cstr(headers), body, CONTROL_PERSISTENT,
                                STR(CONTROL_EXCHANGE), STR(""), &text, NULL) == 0) {
        n = text.len;
        (void)memcpy(bytes, text.ptr, n);
    }
    buf_fini(&text);
    return (struct str){bytes, n};
}

struct str
fake_ask(struct fake_node *self, const char *method, const char *arguments, struct arena *arena)
{
    struct buf reply = BUF_INIT((size_t)32 << 20);
    struct buf value = BUF_INIT((size_t)32 << 20);
    struct json_writer json = {.out = &value, .style = JSON_STYLE_PYTHON};
    struct control_answer answer;
    struct control_reply decoded;
    struct str result = STR_NULL;
    bool is_copied = true;
    char body[8192];

    (void)snprintf(body, sizeof(body),
                   "{\"method\": \"%s\", \"arguments\": %s, \"destination\": null, \"pattern\": "
                   "null, \"matcher\": null, \"ticket\": \"t1\", \"reply_to\": {\"exchange\": "
                   "\"reply.celery.pidbox\", \"routing_key\": \"k1\"}}",
                   method, arguments);
    control_handle(&self->node, fake_request(str_from_cstr(body), 0), arena, &reply, &answer);
    if (answer.is_wanted) {
        struct str copy = arena_dup(arena, buf_str(&reply), &is_copied);

        if (is_copied && control_reply_decode(copy, arena, &decoded, NULL) == 0 &&
            str_equal(decoded.ticket, STR("t1")) && str_equal(decoded.node, STR("w1@host"))) {
            json_value(&json, &decoded.value);
            result = arena_dup(arena, buf_str(&value), &is_copied);
        }
    }
    buf_fini(&value);
    buf_fini(&reply);
    return result;
}
