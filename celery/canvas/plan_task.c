/* A plain task's message: its options by table, the rest as Celery's apply_async has it. */

#include <inttypes.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/json_writer.h"
#include "base/timestamp.h"
#include "celery/canvas/plan.h"

#define MAX_SECONDS 1e10 /* 300 years */

struct task_builder {
    struct canvas_plan *plan;
    struct celery_message message;
    struct str queue;
    struct str stamped; /* JSON: the names of stamps */
    double countdown_s; /* < 0: none */
    int64_t expires_us;
    struct json_writer properties;
    struct error *err;
};

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for a task's message");
}

static int
wrong(struct task_builder *self, const struct canvas_option *option, const char *wanted)
{
    return error_set(self->err, ERR_INVALID, "signature's option '%.*s' must be %s, got %.*s",
                     STR_ARG(str_slice(option->name, 0, 40)), wanted,
                     STR_ARG(str_slice(option->value, 0, 60)));
}

static int
parse(struct task_builder *self, struct str value, struct json *out)
{
    static const struct json_limits limits = {.flags = JSON_ALLOW_NAN | JSON_KEEP_SURROGATES,
                                              .max_depth = 8};

    return json_parse(value, &limits, self->plan->arena, out, self->err);
}

static int
read_text(struct task_builder *self, const struct canvas_option *option, void *out)
{
    struct json value;
    int rc;

    if (json_slice_type(option->value) != JSON_STRING)
        return wrong(self, option, "a string");
    rc = parse(self, option->value, &value);
    if (rc == 0)
        *(struct str *)out = value.text;
    return rc;
}

static int
read_count(struct task_builder *self, const struct canvas_option *option, void *out)
{
    struct json value;
    int64_t count;

    if (json_slice_type(option->value) != JSON_NUMBER || parse(self, option->value, &value) < 0 ||
        !json_is_i64(&value, &count) || count < 0)
        return wrong(self, option, "a whole number from 0");
    *(int64_t *)out = count;
    return 0;
}

static bool
is_seconds(struct task_builder *self, struct str text, double *out)
{
    struct json value;

    return json_slice_type(text) == JSON_NUMBER && parse(self, text, &value) == 0 &&
           json_is_f64(&value, out) && *out<MAX_SECONDS && * out> - MAX_SECONDS;
}

static int
read_seconds(struct task_builder *self, const struct canvas_option *option, void *out)
{
    double seconds;

    if (!is_seconds(self, option->value, &seconds))
        return wrong(self, option, "a number of seconds");
    *(double *)out = seconds > 0 ? seconds : 0;
    return 0;
}

/* Plain text, or a tagged datetime; going out it is plain text, with an offset. */
static int
read_moment(struct task_builder *self, const struct canvas_option *option, int64_t *out_us)
{
    struct json value;
    struct str text;
    int rc = parse(self, option->value, &value);

    if (rc < 0)
        return rc;
    text = value.type == JSON_STRING ? value.text : json_get_str(&value, STR("__value__"));
    if (!text.ptr || timestamp_parse_iso(text, out_us, NULL) < 0)
        return wrong(self, option, "an ISO 8601 date");
    return 0;
}

static int
read_eta(struct task_builder *self, const struct canvas_option *option, void *out)
{
    int64_t eta_us;
    int rc = read_moment(self, option, &eta_us);

    (void)out;
    return rc < 0 ? rc
                  : celery_message_set_eta(&self->message, eta_us, self->plan->arena, self->err);
}

static int
read_expires(struct task_builder *self, const struct canvas_option *option, void *out)
{
    int64_t expires_us;
    double seconds;
    int rc = 0;

    (void)out;
    if (is_seconds(self, option->value, &seconds))
        expires_us = self->plan->now_us + (int64_t)(seconds * (double)US_PER_S);
    else
        rc = read_moment(self, option, &expires_us);
    if (rc < 0)
        return rc;
    self->expires_us = expires_us;
    return celery_message_set_expires(&self->message, expires_us, self->plan->now_us,
                                      self->plan->arena, self->err);
}

static int
read_flag(struct task_builder *self, const struct canvas_option *option, void *out)
{
    if (json_slice_type(option->value) != JSON_BOOL)
        return wrong(self, option, "true or false");
    *(enum celery_flag *)out = option->value.ptr[0] == 't' ? CELERY_TRUE : CELERY_FALSE;
    return 0;
}

static int
read_list(struct task_builder *self, const struct canvas_option *option, void *out)
{
    char *text;

    if (json_slice_type(option->value) == JSON_ARRAY) {
        *(struct str *)out = option->value;
        return 0;
    }
    text = arena_printf(self->plan->arena, "[%.*s]", STR_ARG(option->value));
    if (!text)
        return no_memory(self->err);
    *(struct str *)out = str_from_cstr(text);
    return 0;
}

static int
read_object(struct task_builder *self, const struct canvas_option *option, void *out)
{
    if (json_slice_type(option->value) != JSON_OBJECT)
        return wrong(self, option, "an object");
    *(struct str *)out = option->value;
    return 0;
}

/* Of the plan, or of no meaning in a message of ours. */
static int
skip(struct task_builder *self, const struct canvas_option *option, void *out)
{
    (void)self;
    (void)option;
    (void)out;
    return 0;
}

#define ROW(name, fn, member)                                                                      \
    {                                                                                              \
        STR_INIT(name), fn, offsetof(struct task_builder, member)                                  \
    }

/* clang-format off */
static const struct {
    struct str name;
    int (*read)(struct task_builder *self, const struct canvas_option *option, void *out);
    size_t offset;
} rows[] = {
    ROW("task_id",               read_text,    message.id),
    ROW("reply_to",              read_text,    message.reply_to),
    ROW("shadow",                read_text,    message.shadow),
    ROW("group_id",              read_text,    message.group),
    ROW("group_index",           read_count,   message.group_index),
    ROW("retries",               read_count,   message.retries),
    ROW("replaced_task_nesting", read_count,   message.replaced_task_nesting),
    ROW("priority",              read_count,   message.priority),
    ROW("queue",                 read_text,    queue),
    ROW("exchange",              read_text,    message.exchange),
    ROW("routing_key",           read_text,    message.routing_key),
    ROW("argsrepr",              read_text,    message.argsrepr),
    ROW("kwargsrepr",            read_text,    message.kwargsrepr),
    ROW("time_limit",            read_seconds, message.timelimit.hard_s),
    ROW("soft_time_limit",       read_seconds, message.timelimit.soft_s),
    ROW("countdown",             read_seconds, countdown_s),
    ROW("eta",                   read_eta,     message),
    ROW("expires",               read_expires, message),
    ROW("ignore_result",         read_flag,    message.ignore_result),
    ROW("link",                  read_list,    message.callbacks),
    ROW("link_error",            read_list,    message.errbacks),
    ROW("chain",                 read_list,    message.chain),
    ROW("chord",                 read_object,  message.chord),
    ROW("headers",               read_object,  message.headers),
    ROW("stamped_headers",       read_list,    stamped),
    ROW("root_id",               skip,         message),
    ROW("parent_id",             skip,         message),
    ROW("serializer",            skip,         message),
    ROW("compression",           skip,         message),
    ROW("add_to_parent",         skip,         message),
    ROW("route_name",            skip,         message),
};
/* clang-format on */

static bool
is_stamp(const struct task_builder *self, struct str name)
{
    struct json_cursor names = json_cursor_open(self->stamped);
    struct json_slice item;

    while (self->stamped.ptr && json_cursor_next(&names, &item)) {
        if (json_slice_type(item.value) == JSON_STRING &&
            str_equal(str_slice(item.value, 1, item.value.len - 1), name))
            return true;
    }
    return false;
}

static int
read_option(struct task_builder *self, const struct canvas_option *option)
{
    if (json_slice_type(option->value) == JSON_NULL)
        return 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (str_equal(option->name, rows[i].name))
            return rows[i].read(self, option, (char *)self + rows[i].offset);
    }
    if (!is_stamp(self, option->name)) {
        json_raw_name(&self->properties, option->name);
        json_raw(&self->properties, option->value);
    }
    return 0;
}

/* A group and its stamps belong to the signature; anything else may be given from outside. */
static bool
is_own(const struct task_builder *self, const struct canvas_node *node, struct str name)
{
    if (!canvas_get(node, name).ptr)
        return false;
    return str_equal(name, STR("group_id")) || str_equal(name, STR("stamped_headers")) ||
           is_stamp(self, name);
}

static int
read_options(struct task_builder *self, const struct canvas_node *node,
             const struct canvas_extra *extra)
{
    static const struct canvas_options none = {0};
    const struct canvas_options *given = extra->options ? extra->options : &none;
    struct str stamped = canvas_get(node, STR("stamped_headers"));
    int rc = 0;

    if (!stamped.ptr)
        stamped = canvas_options_get(given, STR("stamped_headers"));
    if (stamped.ptr && json_slice_type(stamped) == JSON_ARRAY)
        self->stamped = stamped;
    for (size_t i = 0; rc == 0 && i < node->options.n_items; i++) {
        const struct canvas_option *option = &node->options.items[i];

        if (!canvas_options_get(given, option->name).ptr || is_own(self, node, option->name))
            rc = read_option(self, option);
    }
    for (size_t i = 0; rc == 0 && i < given->n_items; i++) {
        if (!is_own(self, node, given->items[i].name))
            rc = read_option(self, &given->items[i]);
    }
    return rc;
}

static int
keep(struct task_builder *self, struct buf *text, struct str *out)
{
    bool ok = true;
    int rc = buf_status(text, self->err);

    if (rc == 0)
        *out = arena_dup(self->plan->arena, buf_str(text), &ok);
    return rc < 0 || ok ? rc : no_memory(self->err);
}

/* {"name": value} of the names in stamped_headers. */
static int
write_stamps(struct task_builder *self, const struct canvas_node *node,
             const struct canvas_extra *extra)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)4 << 20);
    struct json_writer json = {.out = &text, .style = JSON_STYLE_PYTHON};
    struct json_cursor names = json_cursor_open(self->stamped);
    struct json_slice item;

    if (!self->stamped.ptr)
        return 0;
    json_begin_object(&json);
    while (json_cursor_next(&names, &item)) {
        struct str name = str_slice(item.value, 1, item.value.len - 1);
        struct str value;

        if (json_slice_type(item.value) != JSON_STRING)
            return error_set(self->err, ERR_INVALID, "stamped_headers must be a list of strings");
        value = canvas_get(node, name);
        if (!value.ptr && extra->options)
            value = canvas_options_get(extra->options, name);
        json_raw_name(&json, name);
        json_raw(&json, value.ptr ? value : STR("null"));
    }
    json_end_object(&json);
    self->message.stamped_headers = self->stamped;
    return keep(self, &text, &self->message.stamps);
}

/* Two objects as one; what is given counts more. */
static int
merge_kwargs(struct task_builder *self, struct str own, struct str given)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)64 << 20);
    struct json_writer json = {.out = &text, .style = JSON_STYLE_PYTHON};
    struct json_cursor members = json_cursor_open(own);
    struct json_slice member, other;

    json_begin_object(&json);
    while (json_cursor_next(&members, &member)) {
        struct json_cursor others = json_cursor_open(given);
        bool is_given = false;

        while (!is_given && json_cursor_next(&others, &other))
            is_given = str_equal(member.name, other.name);
        if (!is_given) {
            json_raw_name(&json, member.name);
            json_raw(&json, member.value);
        }
    }
    members = json_cursor_open(given);
    while (json_cursor_next(&members, &member)) {
        json_raw_name(&json, member.name);
        json_raw(&json, member.value);
    }
    json_end_object(&json);
    return keep(self, &text, &self->message.kwargs);
}

static int
set_arguments(struct task_builder *self, const struct canvas_node *node,
              const struct canvas_extra *extra)
{
    struct str own = str_trim(str_slice(node->args, 1, node->args.len - 1));
    struct json_cursor given = json_cursor_open(extra->kwargs);
    struct json_slice member;
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)64 << 20);
    int rc = 0;

    self->message.args = node->args;
    self->message.kwargs = node->kwargs;
    if (node->is_immutable)
        return 0;
    if (extra->kwargs.ptr && json_cursor_next(&given, &member))
        rc = merge_kwargs(self, node->kwargs, extra->kwargs);
    if (rc < 0 || !extra->prefix.len)
        return rc;
    buf_append_char(&text, '[');
    buf_append(&text, extra->prefix);
    if (own.len)
        buf_append(&text, STR(", "));
    buf_append(&text, own);
    buf_append_char(&text, ']');
    return keep(self, &text, &self->message.args);
}

/* Brokers of ours know queues by name: a direct exchange's key is its queue's name. */
static void
set_route(struct task_builder *self)
{
    struct celery_message *message = &self->message;

    if (!self->queue.len)
        self->queue = message->routing_key.len ? message->routing_key
                      : message->exchange.len  ? message->exchange
                                               : self->plan->default_queue;
    if (!message->exchange.len)
        message->routing_key = self->queue;
    else if (!message->routing_key.len)
        message->routing_key = self->queue;
}

static int
set_countdown(struct task_builder *self)
{
    if (self->countdown_s < 0)
        return 0;
    return celery_message_set_eta(
        &self->message, self->plan->now_us + (int64_t)(self->countdown_s * (double)US_PER_S),
        self->plan->arena, self->err);
}

static int
build(struct task_builder *self, const struct canvas_node *node, const struct canvas_extra *extra)
{
    CLEANUP(buf_fini) struct buf properties = BUF_INIT((size_t)4 << 20);
    int rc;

    self->properties = (struct json_writer){.out = &properties, .style = JSON_STYLE_PYTHON};
    json_begin_object(&self->properties);
    rc = read_options(self, node, extra);
    json_end_object(&self->properties);
    if (rc == 0)
        rc = keep(self, &properties, &self->message.properties);
    if (rc == 0)
        rc = write_stamps(self, node, extra);
    if (rc == 0)
        rc = set_arguments(self, node, extra);
    if (rc == 0)
        rc = set_countdown(self);
    if (rc == 0 && self->message.priority > 9)
        rc = error_set(self->err, ERR_INVALID,
                       "signature's option 'priority' must be 0 to 9, got %" PRId64,
                       self->message.priority);
    if (extra->chain.ptr)
        self->message.chain = extra->chain;
    if (extra->chord.ptr)
        self->message.chord = extra->chord;
    set_route(self);
    return rc;
}

int
canvas_send_task(struct canvas_plan *plan, const struct canvas_node *node,
                 const struct canvas_extra *extra, struct error *err)
{
    struct task_builder self = {
        .plan = plan, .err = err, .countdown_s = -1, .expires_us = TIME_UNKNOWN};
    struct canvas_message *sent;
    struct json name;
    int rc = parse(&self, node->task, &name);

    if (rc < 0)
        return rc;
    celery_message_init(&self.message, name.text, STR_NULL);
    self.message.parent_id = plan->parent_id;
    self.message.root_id = plan->root_id;
    self.message.origin = plan->origin;
    self.message.reply_to = plan->reply_to;
    rc = build(&self, node, extra);
    if (rc < 0)
        return error_wrap(err, rc, "task '%.*s'", STR_ARG(str_slice(name.text, 0, 80)));
    sent = arena_calloc(plan->arena, 1, sizeof(*sent));
    if (!sent)
        return no_memory(err);
    *sent = (struct canvas_message){
        .message = self.message,
        .queue = self.queue,
        .eta_us = self.message.eta.us == CELERY_NO_TIME ? TIME_UNKNOWN : self.message.eta.us,
        .expires_us = self.expires_us};
    if (plan->last_message)
        plan->last_message->next = sent;
    else
        plan->messages = sent;
    plan->last_message = sent;
    plan->n_messages++;
    return 0;
}
