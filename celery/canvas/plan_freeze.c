/* Before anything is sent: who has which id, belongs to which group, reports to which chord. */

#include <inttypes.h>

#include "base/json_scan.h"
#include "base/uuid.h"
#include "celery/canvas/plan.h"

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for a canvas");
}

int
canvas_make_id(struct canvas_plan *plan, struct str *out, struct error *err)
{
    char text[UUID_TEXT_BYTES];
    char *name = arena_printf(plan->arena, "%.*s %" PRIu64, STR_ARG(plan->seed), plan->n_ids);
    char *quoted;
    int rc;

    if (!name)
        return no_memory(err);
    plan->n_ids++;
    rc = uuid_from_name(str_from_cstr(name), text, err);
    if (rc < 0)
        return rc;
    quoted = arena_printf(plan->arena, "\"%s\"", text);
    if (!quoted)
        return no_memory(err);
    *out = str_from_cstr(quoted);
    return 0;
}

/* An option that is there stays. */
static int
set_missing(struct canvas_plan *plan, struct canvas_node *node, struct str name, struct str value,
            struct error *err)
{
    if (!value.ptr || canvas_get(node, name).ptr)
        return 0;
    return canvas_set(node, name, value, plan->arena, err);
}

static int
set_id(struct canvas_plan *plan, struct canvas_node *node, struct str wanted, struct error *err)
{
    struct str id = wanted;
    int rc = 0;

    if (canvas_get(node, STR("task_id")).ptr)
        return 0;
    if (!id.ptr)
        rc = canvas_make_id(plan, &id, err);
    return rc < 0 ? rc : canvas_set(node, STR("task_id"), id, plan->arena, err);
}

static int
set_place(struct canvas_plan *plan, struct canvas_node *node, const struct canvas_place *place,
          struct error *err)
{
    int rc = set_missing(plan, node, STR("group_id"), place->group_id, err);
    char *index;

    if (rc == 0 && place->chord.ptr)
        rc = canvas_set(node, STR("chord"), place->chord, plan->arena, err);
    if (rc < 0 || place->group_index == CELERY_NO_INDEX)
        return rc;
    index = arena_printf(plan->arena, "%" PRId64, place->group_index);
    if (!index)
        return no_memory(err);
    return canvas_set(node, STR("group_index"), str_from_cstr(index), plan->arena, err);
}

/* A growing list of nodes in the arena. */
struct node_list {
    struct canvas_node **items;
    size_t n_items;
    size_t capacity;
};

static int
push(struct canvas_plan *plan, struct node_list *list, struct canvas_node *node, struct error *err)
{
    if (list->n_items == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        struct canvas_node **items =
            arena_calloc(plan->arena, capacity, sizeof(struct canvas_node *));

        if (!items)
            return no_memory(err);
        if (list->n_items > 0)
            (void)memcpy(items, list->items, list->n_items * sizeof(struct canvas_node *));
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n_items++] = node;
    return 0;
}

/* A group of one is its member. */
static struct canvas_node *
unroll_one(struct canvas_node *node)
{
    while (node->kind == CANVAS_GROUP && node->n_items == 1)
        node = node->items[0];
    return node;
}

/* Links of a chain that is dissolved go to its steps. */
static int
hand_down_links(struct canvas_plan *plan, struct canvas_node *chain, struct error *err)
{
    struct str link = canvas_get(chain, STR("link"));
    struct str link_error = canvas_get(chain, STR("link_error"));
    int rc = 0;

    if (chain->n_items == 0)
        return 0;
    if (link.ptr)
        rc = canvas_link(chain->items[chain->n_items - 1], link, plan->arena, err);
    for (size_t i = 0; rc == 0 && link_error.ptr && i < chain->n_items; i++)
        rc = canvas_link_error(chain->items[i], link_error, plan->arena, err);
    canvas_remove(chain, STR("link"));
    canvas_remove(chain, STR("link_error"));
    return rc;
}

/* Its arguments belong to its first step. */
static int
hand_down_args(struct canvas_plan *plan, struct canvas_node *chain, struct error *err)
{
    struct canvas_node *first = chain->n_items ? chain->items[0] : NULL;
    struct str own = str_trim(str_slice(chain->args, 1, chain->args.len - 1));
    struct str args;
    char *text;

    chain->args = STR("[]");
    if (!own.len || !first || first->is_immutable)
        return 0;
    args = str_trim(str_slice(first->args, 1, first->args.len - 1));
    text = arena_printf(plan->arena, args.len ? "[%.*s, %.*s]" : "[%.*s%.*s]", STR_ARG(own),
                        STR_ARG(args));
    if (!text)
        return no_memory(err);
    first->args = str_from_cstr(text);
    first->text = STR_NULL;
    return 0;
}

/* What a chain does not use itself is for its first step. */
static int
hand_down_options(struct canvas_plan *plan, const struct canvas_node *chain,
                  struct canvas_node *first, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < chain->options.n_items; i++) {
        const struct canvas_option *option = &chain->options.items[i];

        if (canvas_is_passed_on(option))
            rc = canvas_set(first, option->name, option->value, plan->arena, err);
    }
    return rc;
}

bool
canvas_is_passed_on(const struct canvas_option *option)
{
    static const struct str own[] = {
        STR_INIT("task_id"),   STR_INIT("group_id"), STR_INIT("group_index"), STR_INIT("chord"),
        STR_INIT("chain"),     STR_INIT("link"),     STR_INIT("link_error"),  STR_INIT("root_id"),
        STR_INIT("parent_id"), STR_INIT("reply_to"),
    };

    if (json_slice_type(option->value) == JSON_NULL)
        return false;
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (str_equal(option->name, own[i]))
            return false;
    }
    return true;
}

/* A chain that does not begin with a group: nothing of it needs the whole list of results but its
 * first step. */
static bool
is_led_by_task(const struct canvas_node *body)
{
    return body->kind == CANVAS_CHAIN && body->n_items > 0 &&
           unroll_one(body->items[0])->kind != CANVAS_GROUP;
}

static int flatten_steps(struct canvas_plan *plan, struct canvas_node *chain, struct node_list *out,
                         struct error *err);

/* chord(header, a | b | c) is chord(header, a) | b | c: else each task of the header would carry
 * all of it, chord by chord. */
static int
unroll_body(struct canvas_plan *plan, struct canvas_node *chord, struct node_list *out,
            struct error *err)
{
    struct node_list steps = {0};
    struct canvas_node *body = chord->body;
    int rc = flatten_steps(plan, body, &steps, err);

    if (rc < 0)
        return rc;
    if (steps.n_items == 0)
        return push(plan, out, chord, err);
    chord->text = STR_NULL;
    chord->body = steps.items[0];
    rc = hand_down_options(plan, body, chord->body, err);
    if (rc == 0)
        rc = push(plan, out, chord, err);
    for (size_t i = 1; rc == 0 && i < steps.n_items; i++)
        rc = push(plan, out, steps.items[i], err);
    return rc;
}

static int
flatten_steps(struct canvas_plan *plan, struct canvas_node *chain, struct node_list *out,
              struct error *err)
{
    int rc = hand_down_links(plan, chain, err);

    if (rc == 0)
        rc = hand_down_args(plan, chain, err);
    for (size_t i = 0; rc == 0 && i < chain->n_items; i++) {
        struct canvas_node *step = unroll_one(chain->items[i]);

        if (step->kind == CANVAS_CHAIN)
            rc = flatten_steps(plan, step, out, err);
        else if (step->kind == CANVAS_CHORD && is_led_by_task(step->body) &&
                 !canvas_get(step->body, STR("chain")).ptr)
            rc = unroll_body(plan, step, out, err);
        else if (step->kind != CANVAS_GROUP || step->n_items > 0)
            rc = push(plan, out, step, err);
    }
    return rc;
}

static struct canvas_node *
make_chord(struct canvas_plan *plan, struct canvas_node *header, struct canvas_node *body)
{
    struct canvas_node *chord = canvas_create(CANVAS_CHORD, STR("\"celery.chord\""), plan->arena);

    if (!chord)
        return NULL;
    chord->header = header;
    chord->body = body;
    canvas_clear_chord(header);
    return chord;
}

int
canvas_order_steps(struct canvas_plan *plan, struct canvas_node *chain, struct error *err)
{
    struct node_list steps = {0};
    struct node_list backwards = {0};
    int rc;

    if (chain->is_prepared)
        return hand_down_links(plan, chain, err);
    rc = flatten_steps(plan, chain, &steps, err);
    for (size_t i = steps.n_items; rc == 0 && i-- > 0;) {
        struct canvas_node *step = steps.items[i];

        if (step->kind == CANVAS_GROUP && backwards.n_items > 0) {
            step = make_chord(plan, step, backwards.items[--backwards.n_items]);
            if (!step)
                return no_memory(err);
        }
        rc = push(plan, &backwards, step, err);
    }
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < backwards.n_items; i++)
        steps.items[i] = backwards.items[backwards.n_items - 1 - i];
    chain->items = steps.items;
    chain->n_items = backwards.n_items;
    chain->text = STR_NULL;
    chain->is_prepared = true;
    return 0;
}

static int
freeze_chain(struct canvas_plan *plan, struct canvas_node *chain, const struct canvas_place *place,
             struct error *err)
{
    static const struct canvas_place inner = {.group_index = CELERY_NO_INDEX};
    struct canvas_place last = *place;
    int rc = canvas_order_steps(plan, chain, err);

    if (!last.id.ptr)
        last.id = canvas_get(chain, STR("task_id"));
    for (size_t i = 0; rc == 0 && i < chain->n_items; i++)
        rc = canvas_freeze(plan, chain->items[i], i + 1 < chain->n_items ? &inner : &last, err);
    return rc;
}

static int
flatten_members(struct canvas_plan *plan, const struct canvas_node *group, struct node_list *out,
                struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < group->n_items; i++) {
        struct canvas_node *member = group->items[i];

        if (member->kind == CANVAS_GROUP)
            rc = flatten_members(plan, member, out, err);
        else if (member->kind != CANVAS_CHAIN || member->n_items > 0)
            rc = push(plan, out, member, err);
    }
    return rc;
}

static int
freeze_group(struct canvas_plan *plan, struct canvas_node *group, const struct canvas_place *place,
             struct error *err)
{
    struct canvas_place own = {.group_id = place->group_id, .chord = place->chord};
    struct node_list members = {0};
    int rc = set_id(plan, group, STR_NULL, err);

    if (rc == 0)
        rc = flatten_members(plan, group, &members, err);
    if (rc < 0)
        return rc;
    if (members.n_items != group->n_items)
        group->text = STR_NULL;
    group->items = members.items;
    group->n_items = members.n_items;
    if (!own.group_id.ptr)
        own.group_id = canvas_get(group, STR("task_id"));
    for (size_t i = 0; rc == 0 && i < group->n_items; i++) {
        own.group_index = (int64_t)i;
        rc = canvas_freeze(plan, group->items[i], &own, err);
    }
    return rc;
}

static int
freeze_chord(struct canvas_plan *plan, struct canvas_node *chord, const struct canvas_place *place,
             struct error *err)
{
    static const struct canvas_place header = {.group_index = CELERY_NO_INDEX};
    struct str id = canvas_get(chord, STR("task_id"));
    int rc = set_missing(plan, chord->header, STR("task_id"), id, err);

    if (rc == 0)
        rc = canvas_freeze(plan, chord->header, &header, err);
    return rc < 0 ? rc : canvas_freeze(plan, chord->body, place, err);
}

int
canvas_freeze(struct canvas_plan *plan, struct canvas_node *node, const struct canvas_place *place,
              struct error *err)
{
    int rc;

    switch (node->kind) {
    case CANVAS_CHAIN:
        return freeze_chain(plan, node, place, err);
    case CANVAS_GROUP:
        return freeze_group(plan, node, place, err);
    case CANVAS_CHORD:
        return freeze_chord(plan, node, place, err);
    case CANVAS_TASK:
        break;
    }
    rc = set_id(plan, node, place->id, err);
    return rc < 0 ? rc : set_place(plan, node, place, err);
}

/* A chain and a chord hand them on when they are ordered, or applied. */
static int
add_link(struct canvas_node *node, struct str name, struct str link, struct arena *arena,
         struct error *err)
{
    int rc = 0;

    if (node->kind != CANVAS_GROUP)
        return canvas_add(node, name, link, arena, err);
    for (size_t i = 0; rc == 0 && i < node->n_items; i++)
        rc = add_link(node->items[i], name, link, arena, err);
    return rc;
}

int
canvas_link(struct canvas_node *node, struct str link, struct arena *arena, struct error *err)
{
    return add_link(node, STR("link"), link, arena, err);
}

int
canvas_link_error(struct canvas_node *node, struct str link, struct arena *arena, struct error *err)
{
    return add_link(node, STR("link_error"), link, arena, err);
}

static void
write_task_result(struct str id, struct str parent, struct buf *out)
{
    buf_append(out, STR("[["));
    buf_append(out, id.ptr ? id : STR("null"));
    buf_append(out, STR(", "));
    buf_append(out, parent.ptr ? parent : STR("null"));
    buf_append(out, STR("], null]"));
}

static void
write_group_result(const struct canvas_node *group, struct str parent, struct buf *out)
{
    struct str id = canvas_get(group, STR("task_id"));

    buf_append(out, STR("[["));
    buf_append(out, id.ptr ? id : STR("null"));
    buf_append(out, STR(", "));
    buf_append(out, parent.ptr ? parent : STR("null"));
    buf_append(out, STR("], ["));
    for (size_t i = 0; i < group->n_items; i++) {
        if (i > 0)
            buf_append(out, STR(", "));
        canvas_write_result(group->items[i], STR_NULL, out);
    }
    buf_append(out, STR("]]"));
}

/* A chain of results, the last one outermost: each step's parent is the one before. */
static void
write_chain_result(const struct canvas_node *chain, struct str parent, struct buf *out)
{
    struct buf before = BUF_INIT(out->max_bytes);

    buf_append(&before, parent);
    for (size_t i = 0; i < chain->n_items; i++) {
        struct buf after = BUF_INIT(out->max_bytes);
        bool has_parent = before.len > 0;

        canvas_write_result(chain->items[i], has_parent ? buf_str(&before) : STR_NULL, &after);
        buf_fini(&before);
        before = after;
    }
    buf_append(out, buf_str(&before));
    if (before.rc < 0 && out->rc == 0)
        out->rc = before.rc;
    buf_fini(&before);
}

void
canvas_write_result(const struct canvas_node *node, struct str parent, struct buf *out)
{
    struct buf header = BUF_INIT(out->max_bytes);

    switch (node->kind) {
    case CANVAS_TASK:
        write_task_result(canvas_get(node, STR("task_id")), parent, out);
        break;
    case CANVAS_CHAIN:
        write_chain_result(node, parent, out);
        break;
    case CANVAS_GROUP:
        write_group_result(node, parent, out);
        break;
    case CANVAS_CHORD:
        write_group_result(node->header, parent, &header);
        canvas_write_result(node->body, buf_str(&header), out);
        if (header.rc < 0 && out->rc == 0)
            out->rc = header.rc;
        break;
    }
    buf_fini(&header);
}
