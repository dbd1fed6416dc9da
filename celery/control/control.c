/* From a request to its command, and from the command's value to the reply.
 *
 * The clock is Lamport's: one step for every request that arrives and every reply that leaves, and
 * never behind what others have told.  Source: Lamport 1978, "Time, Clocks, and the Ordering of
 * Events in a Distributed System". */

#include "celery/control/control.h"

#include "base/log.h"
#include "celery/codec_repr.h"
#include "celery/control/command.h"

static const struct control_command *const tables[] = {
    control_event_commands,  control_inspect_commands, control_memory_commands,
    control_revoke_commands, control_stats_commands,   control_task_commands,
    control_worker_commands,
};

static const struct control_command *
find_command(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        for (const struct control_command *command = tables[i]; command->name.ptr; command++) {
            if (str_equal(command->name, name) ||
                (command->alias.ptr && str_equal(command->alias, name)))
                return command;
        }
    }
    return NULL;
}

/* "TypeError('...')", as Python shows an exception. */
static void
format_exception(const char *type, struct str message, struct buf *out)
{
    buf_printf(out, "%s(", type);
    celery_repr_append_text(out, message);
    buf_append_char(out, ')');
}

static void
write_exception(struct buf *value, const char *type, struct str message)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(4096);
    struct json_writer json = {.out = value, .style = JSON_STYLE_PYTHON};

    format_exception(type, message, &text);
    buf_clear(value);
    json_begin_object(&json);
    json_member_str(&json, STR("error"), buf_str(&text));
    json_end_object(&json);
}

static void
adjust_clock(struct control_node *node, int64_t clock)
{
    node->clock++;
    if (clock > 0)
        node->clock = (clock > node->clock ? clock : node->clock) + 1;
}

/* The command's answer as JSON; false: there is none. */
static bool
run_command(struct control_node *node, const struct control_request *request, struct arena *arena,
            struct buf *value)
{
    const struct control_command *command = find_command(request->method);
    struct json_writer json = {.out = value, .style = JSON_STYLE_PYTHON};
    struct control_run run = {
        .node = node, .arguments = &request->arguments, .json = &json, .arena = arena};
    struct error err = {0};
    int rc;

    if (!command) {
        log_warning("control command is unknown, answered so: method=%.*s",
                    STR_ARG(request->method));
        write_exception(value, "KeyError", request->method);
        return true;
    }
    log_debug("control command: method=%.*s", STR_ARG(request->method));
    rc = command->run(&run, &err);
    if (rc == 0)
        rc = buf_status(value, &err);
    if (rc < 0) {
        log_warning("control command failed, answered so: method=%.*s reason=%s",
                    STR_ARG(request->method), err.message);
        write_exception(value, run.exception ? run.exception : error_exception_name(rc),
                        str_from_cstr(err.message));
    }
    return !run.is_silent;
}

void
control_handle(struct control_node *node, struct str bytes, struct arena *arena, struct buf *reply,
               struct control_answer *answer)
{
    CLEANUP(buf_fini) struct buf value = BUF_INIT(MAILBOX_MAX_BYTES);
    struct control_request request;
    struct error err = {0};
    bool is_meant;
    int rc;

    *answer = (struct control_answer){.is_wanted = false};
    rc = control_request_decode(bytes, arena, &request, &err);
    if (rc < 0) {
        node->n_malformed++;
        log_warning("control request cannot be read, dropped: reason=%s total=%llu", err.message,
                    (unsigned long long)node->n_malformed);
        return;
    }
    adjust_clock(node, request.clock);
    rc = control_request_match(&request, node->name, &is_meant, &err);
    if (!is_meant)
        return;
    answer->is_wanted = true;
    if (rc < 0)
        write_exception(&value, error_exception_name(rc), str_from_cstr(err.message));
    else
        answer->is_wanted = run_command(node, &request, arena, &value);
    if (!request.reply_to.routing_key.len)
        answer->is_wanted = false;
    if (!answer->is_wanted)
        return;
    answer->reply_to = request.reply_to;
    rc = control_reply_encode(&request, node->name, buf_str(&value), ++node->clock, reply, &err);
    if (rc < 0) {
        log_warning("control reply not sent: reason=%s", err.message);
        answer->is_wanted = false;
    }
}
