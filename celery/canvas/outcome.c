/* After the end of a task: success on its way down the chain, failure on its way past it. */

#include "celery/canvas/outcome.h"

#include "base/json_scan.h"

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for what follows a task");
}

static int
add_failure(struct canvas_plan *plan, struct canvas_outcome *out, struct canvas_failure failure,
            struct error *err)
{
    struct canvas_failure *copy;

    for (copy = out->failures; copy; copy = copy->next) {
        if (str_equal(copy->task_id, failure.task_id))
            return 0; /* a chain and its last task have one id */
    }
    copy = arena_calloc(plan->arena, 1, sizeof(*copy));
    if (!copy)
        return no_memory(err);
    *copy = failure;
    if (out->last_failure)
        out->last_failure->next = copy;
    else
        out->failures = copy;
    out->last_failure = copy;
    return 0;
}

static int
add_part(struct canvas_plan *plan, struct canvas_outcome *out, struct canvas_part part,
         struct error *err)
{
    struct canvas_part *copy = arena_calloc(plan->arena, 1, sizeof(*copy));

    if (!copy)
        return no_memory(err);
    *copy = part;
    if (out->last_part)
        out->last_part->next = copy;
    else
        out->parts = copy;
    out->last_part = copy;
    return 0;
}

int
canvas_add_own_part(struct canvas_plan *plan, const struct celery_message *message,
                    struct canvas_outcome *out, struct error *err)
{
    if (!message->chord.ptr || !message->group.len)
        return 0;
    return add_part(plan, out,
                    (struct canvas_part){.group_id = message->group,
                                         .task_id = message->id,
                                         .index = message->group_index,
                                         .body = message->chord},
                    err);
}

/* One signature is applied by itself, and so is each group; the others become one new group. */
static int
apply_callbacks(struct canvas_plan *plan, struct str callbacks, const struct canvas_extra *extra,
                bool is_always_group, struct error *err)
{
    struct canvas_node *group = canvas_create(CANVAS_GROUP, STR("\"celery.group\""), plan->arena);
    struct canvas_node **items;
    size_t n_items;
    int rc = canvas_parse_list(callbacks, plan->arena, &items, &n_items, err);

    if (rc < 0 || !group)
        return rc < 0 ? rc : no_memory(err);
    if (n_items == 1 && !is_always_group)
        return canvas_apply(plan, items[0], extra, err);
    group->items = items;
    for (size_t i = 0; rc == 0 && i < n_items; i++) {
        if (items[i]->kind == CANVAS_GROUP && !is_always_group)
            rc = canvas_apply(plan, items[i], extra, err);
        else
            group->items[group->n_items++] = items[i];
    }
    if (rc < 0 || group->n_items == 0)
        return rc;
    if (group->n_items == 1 && !is_always_group)
        return canvas_apply(plan, group->items[0], extra, err);
    return canvas_apply(plan, group, extra, err);
}

static int
apply_chain(struct canvas_plan *plan, struct str chain, struct str result, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)64 << 20);
    struct canvas_extra extra = {.prefix = result};
    struct canvas_node **steps;
    size_t n_steps;
    bool ok = true;
    int rc = canvas_parse_list(chain, plan->arena, &steps, &n_steps, err);

    if (rc < 0 || n_steps == 0)
        return rc;
    canvas_write_list(steps, n_steps - 1, &text);
    rc = buf_status(&text, err);
    if (rc < 0)
        return rc;
    extra.chain = arena_dup(plan->arena, buf_str(&text), &ok);
    return ok ? canvas_apply(plan, steps[n_steps - 1], &extra, err) : no_memory(err);
}

int
canvas_succeed(struct canvas_plan *plan, const struct celery_message *message, struct str result,
               struct error *err)
{
    struct canvas_extra extra = {.prefix = result};
    int rc = 0;

    if (message->callbacks.ptr)
        rc = apply_callbacks(plan, message->callbacks, &extra, false, err);
    if (rc == 0 && message->chain.ptr)
        rc = apply_chain(plan, message->chain, result, err);
    return rc;
}

/* Whoever waits for a task that will not run now. */
static int
fail_branch(struct canvas_plan *plan, const struct canvas_node *node, bool is_chord_error,
            struct canvas_outcome *out, struct error *err)
{
    bool ok = true;
    struct str id = canvas_get_text(node, STR("task_id"), plan->arena, &ok);
    struct str group_id = canvas_get_text(node, STR("group_id"), plan->arena, &ok);
    struct str chord = canvas_get(node, STR("chord"));
    struct canvas_part part = {.group_id = group_id,
                               .task_id = id,
                               .index = CELERY_NO_INDEX,
                               .body = chord,
                               .is_chord_error = is_chord_error};
    struct json index;
    int rc = ok ? 0 : no_memory(err);

    if (rc == 0 && id.len)
        rc = add_failure(plan, out,
                         (struct canvas_failure){
                             .task_id = id, .group_id = group_id, .is_chord_error = is_chord_error},
                         err);
    if (rc == 0 && node->kind == CANVAS_TASK && id.len && group_id.len && chord.ptr) {
        struct str text = canvas_get(node, STR("group_index"));

        if (text.ptr && json_parse(text, NULL, plan->arena, &index, NULL) == 0 &&
            !json_is_i64(&index, &part.index))
            part.index = CELERY_NO_INDEX;
        rc = add_part(plan, out, part, err);
    }
    if (rc == 0 && node->kind == CANVAS_CHORD)
        rc = fail_branch(plan, node->body, is_chord_error, out, err);
    for (size_t i = 0; rc == 0 && node->kind != CANVAS_CHORD && i < node->n_items; i++)
        rc = fail_branch(plan, node->items[i], is_chord_error, out, err);
    return rc;
}

static int
fail_list(struct canvas_plan *plan, struct str list, bool is_chord_error,
          struct canvas_outcome *out, struct error *err)
{
    struct canvas_node **items;
    size_t n_items;
    int rc = canvas_parse_list(list, plan->arena, &items, &n_items, err);

    for (size_t i = 0; rc == 0 && i < n_items; i++)
        rc = fail_branch(plan, items[i], is_chord_error, out, err);
    return rc;
}

/* One new group, each told the id of what has failed. */
static int
call_errbacks(struct canvas_plan *plan, struct str errbacks, struct str failed_id,
              struct error *err)
{
    bool ok = true;
    struct canvas_extra extra = {.prefix = canvas_quote(failed_id, plan->arena, &ok)};

    if (!errbacks.ptr)
        return 0;
    return ok ? apply_callbacks(plan, errbacks, &extra, true, err) : no_memory(err);
}

int
canvas_fail(struct canvas_plan *plan, const struct celery_message *message,
            struct canvas_outcome *out, struct error *err)
{
    int rc = message->chain.ptr ? fail_list(plan, message->chain, false, out, err) : 0;

    plan->n_quiet++; /* sent after the document that would list them */
    if (rc == 0)
        rc = call_errbacks(plan, message->errbacks, message->id, err);
    plan->n_quiet--;
    return rc;
}

/* The errbacks of a body, those of a chord's body included; the id that they are told. */
static int
call_body_errbacks(struct canvas_plan *plan, const struct canvas_node *body, struct error *err)
{
    struct canvas_node all = {.kind = CANVAS_TASK};
    struct str before[2] = {plan->parent_id, plan->root_id};
    bool ok = true;
    struct str id;
    int rc = 0;

    for (; rc == 0 && body->kind == CANVAS_CHORD; body = body->body)
        rc = canvas_add(&all, STR("link_error"), canvas_get(body, STR("link_error")), plan->arena,
                        err);
    if (rc == 0)
        rc = canvas_add(&all, STR("link_error"), canvas_get(body, STR("link_error")), plan->arena,
                        err);
    id = canvas_get_text(body, STR("task_id"), plan->arena, &ok);
    if (!id.len && body->kind == CANVAS_CHAIN && body->n_items > 0)
        id = canvas_get_text(body->items[body->n_items - 1], STR("task_id"), plan->arena, &ok);
    if (rc < 0 || !ok || !id.len)
        return rc < 0 || ok ? rc : no_memory(err);
    plan->parent_id = id;
    plan->root_id = id;
    rc = call_errbacks(plan, canvas_get(&all, STR("link_error")), id, err);
    plan->parent_id = before[0];
    plan->root_id = before[1];
    return rc;
}

int
canvas_fail_chord(struct canvas_plan *plan, struct str body, struct canvas_outcome *out,
                  struct error *err)
{
    struct canvas_node *node;
    bool is_group;
    int rc = canvas_parse(body, plan->arena, &node, err);

    if (rc < 0)
        return rc;
    is_group = node->kind == CANVAS_GROUP;
    if (!is_group)
        rc = call_body_errbacks(plan, node, err);
    for (size_t i = 0; rc == 0 && is_group && i < node->n_items; i++)
        rc = call_body_errbacks(plan, node->items[i], err);
    if (rc == 0)
        rc = fail_branch(plan, node, !is_group, out, err);
    return rc < 0 ? rc : fail_list(plan, canvas_get(node, STR("chain")), true, out, err);
}
