/* A tree as JSON: what was not changed is written as it came. */

#include "base/json_writer.h"
#include "celery/canvas/signature.h"

static bool
is_intact(const struct canvas_node *node)
{
    if (!node->text.ptr)
        return false;
    for (size_t i = 0; i < node->n_items; i++) {
        if (!is_intact(node->items[i]))
            return false;
    }
    return node->kind != CANVAS_CHORD || (is_intact(node->header) && is_intact(node->body));
}

static void
write_options(struct json_writer *json, const struct canvas_options *options)
{
    for (size_t i = 0; i < options->n_items; i++) {
        json_raw_name(json, options->items[i].name);
        json_raw(json, options->items[i].value);
    }
}

static void write_node(struct json_writer *json, const struct canvas_node *node);

static void
write_items(struct json_writer *json, struct canvas_node *const *items, size_t n_items)
{
    json_begin_array(json);
    for (size_t i = 0; i < n_items; i++)
        write_node(json, items[i]);
    json_end_array(json);
}

static void
write_kwargs(struct json_writer *json, const struct canvas_node *node)
{
    if (node->kind == CANVAS_TASK) {
        json_raw(json, node->kwargs);
        return;
    }
    json_begin_object(json);
    if (node->kind == CANVAS_CHORD) {
        json_name(json, STR("kwargs"));
        json_raw(json, node->chord_kwargs);
        json_name(json, STR("header"));
        write_node(json, node->header);
        json_name(json, STR("body"));
        write_node(json, node->body);
    } else {
        json_name(json, STR("tasks"));
        write_items(json, node->items, node->n_items);
    }
    json_end_object(json);
}

static void
write_node(struct json_writer *json, const struct canvas_node *node)
{
    static const struct str kinds[] = {
        [CANVAS_TASK] = {NULL, 0},
        [CANVAS_CHAIN] = STR_INIT("chain"),
        [CANVAS_GROUP] = STR_INIT("group"),
        [CANVAS_CHORD] = STR_INIT("chord"),
    };

    if (is_intact(node)) {
        json_raw(json, node->text);
        return;
    }
    json_begin_object(json);
    json_name(json, STR("task"));
    json_raw(json, node->task);
    json_name(json, STR("args"));
    json_raw(json, node->args);
    json_name(json, STR("kwargs"));
    write_kwargs(json, node);
    json_name(json, STR("options"));
    json_begin_object(json);
    write_options(json, &node->options);
    json_end_object(json);
    json_name(json, STR("subtask_type"));
    if (node->kind == CANVAS_TASK && node->subtask_type.ptr)
        json_raw(json, node->subtask_type);
    else
        json_str(json, kinds[node->kind]);
    json_member_bool(json, STR("immutable"), node->is_immutable);
    write_options(json, &node->others);
    json_end_object(json);
}

void
canvas_write(const struct canvas_node *node, struct buf *out)
{
    struct json_writer json = {.out = out, .style = JSON_STYLE_PYTHON};

    write_node(&json, node);
}

void
canvas_write_list(struct canvas_node *const *items, size_t n_items, struct buf *out)
{
    struct json_writer json = {.out = out, .style = JSON_STYLE_PYTHON};

    write_items(&json, items, n_items);
}
