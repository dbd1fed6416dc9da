/* Commands about a node's events: enable_events, disable_events, heartbeat, election. */

#include "celery/control/command.h"

#define ACTION_BYTES ((size_t)1 << 20)

static int
set_events(struct control_run *run, bool is_enabled, struct str done, struct str known)
{
    const struct control_node *node = run->node;

    if (!node->ops->enable_events)
        control_write_nok(run, STR("event dispatcher unavailable"));
    else
        control_write_ok(run, node->ops->enable_events(node->context, is_enabled) ? done : known);
    return 0;
}

static int
run_enable_events(struct control_run *run, struct error *err)
{
    (void)err;
    return set_events(run, true, STR("task events enabled"), STR("task events already enabled"));
}

static int
run_disable_events(struct control_run *run, struct error *err)
{
    (void)err;
    return set_events(run, false, STR("task events disabled"), STR("task events already disabled"));
}

static int
run_heartbeat(struct control_run *run, struct error *err)
{
    const struct control_node *node = run->node;

    (void)err;
    if (node->ops->send_heartbeat)
        node->ops->send_heartbeat(node->context);
    json_null(run->json);
    return 0;
}

/* The action is whatever the topic makes of it, and travels as it came. */
static int
run_election(struct control_run *run, struct error *err)
{
    CLEANUP(buf_fini) struct buf action = BUF_INIT(ACTION_BYTES);
    struct json_writer json = {.out = &action, .style = JSON_STYLE_PYTHON};
    const struct json *value = json_get(run->arguments, STR("action"));
    const struct control_node *node = run->node;
    struct str id;
    struct str topic;
    int rc = control_need_text(run, STR("id"), &id, err);

    if (rc == 0)
        rc = control_need_text(run, STR("topic"), &topic, err);
    if (rc < 0)
        return rc;
    if (value)
        json_value(&json, value);
    else
        json_null(&json);
    rc = buf_status(&action, err);
    if (rc == 0 && node->ops->elect)
        rc = node->ops->elect(node->context, id, topic, buf_str(&action), err);
    if (rc == 0)
        json_null(run->json);
    return rc;
}

const struct control_command control_event_commands[] = {
    {STR_INIT("enable_events"), {NULL, 0}, run_enable_events},
    {STR_INIT("disable_events"), {NULL, 0}, run_disable_events},
    {STR_INIT("heartbeat"), {NULL, 0}, run_heartbeat},
    {STR_INIT("election"), {NULL, 0}, run_election},
    {{NULL, 0}, {NULL, 0}, NULL},
};
