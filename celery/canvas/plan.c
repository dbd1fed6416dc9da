/* Applying: a walk down a signature to its first tasks; what comes after them travels with them. */

#include "celery/canvas/plan.h"

#include "base/json_scan.h"

#define RESULT_TUPLE_BYTES ((size_t)64 << 20)

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for a canvas");
}

static int apply(struct canvas_plan *plan, struct canvas_node *node,
                 const struct canvas_extra *extra, struct error *err);

static struct str
inside(struct str list)
{
    return list.ptr ? str_trim(str_slice(list, 1, list.len - 1)) : STR_NULL;
}

/* Two lists' elements, comma between. */
static int
join(struct canvas_plan *plan, struct str a, struct str b, struct str *out, struct error *err)
{
    char *text =
        arena_printf(plan->arena, "%.*s%s%.*s", STR_ARG(a), a.len && b.len ? ", " : "", STR_ARG(b));

    if (!text)
        return no_memory(err);
    *out = str_from_cstr(text);
    return 0;
}

static int
keep(struct canvas_plan *plan, struct buf *text, struct str *out, struct error *err)
{
    bool ok = true;
    int rc = buf_status(text, err);

    if (rc == 0)
        *out = arena_dup(plan->arena, buf_str(text), &ok);
    buf_fini(text);
    return rc < 0 || ok ? rc : no_memory(err);
}

static int
tell_child(struct canvas_plan *plan, const struct canvas_node *node, struct error *err)
{
    if (plan->n_quiet > 0)
        return 0;
    if (plan->children.len > 0)
        buf_append(&plan->children, STR(", "));
    canvas_write_result(node, STR_NULL, &plan->children);
    return buf_status(&plan->children, err);
}

static int
begin_chord(struct canvas_plan *plan, struct str group_id, int64_t size, struct str saved,
            struct error *err)
{
    struct canvas_begin *begin = arena_calloc(plan->arena, 1, sizeof(*begin));

    if (!begin)
        return no_memory(err);
    *begin = (struct canvas_begin){.group_id = group_id, .size = size, .saved = saved};
    if (plan->last_begin)
        plan->last_begin->next = begin;
    else
        plan->begins = begin;
    plan->last_begin = begin;
    return 0;
}

/* What a composite passes on to its tasks, under what is given from outside. */
static int
merge_options(struct canvas_plan *plan, const struct canvas_node *node,
              const struct canvas_extra *extra, struct canvas_options *out, struct error *err)
{
    int rc = 0;

    *out = (struct canvas_options){0};
    for (size_t i = 0; rc == 0 && i < node->options.n_items; i++) {
        if (canvas_is_passed_on(&node->options.items[i]))
            rc = canvas_options_set(out, node->options.items[i].name, node->options.items[i].value,
                                    plan->arena, err);
    }
    for (size_t i = 0; rc == 0 && extra->options && i < extra->options->n_items; i++)
        rc = canvas_options_set(out, extra->options->items[i].name, extra->options->items[i].value,
                                plan->arena, err);
    return rc;
}

static int
apply_chain(struct canvas_plan *plan, struct canvas_node *chain, const struct canvas_extra *extra,
            struct error *err)
{
    struct canvas_place place = {.group_index = CELERY_NO_INDEX, .chord = extra->chord};
    struct canvas_extra first = *extra;
    struct canvas_options options;
    struct buf rest = BUF_INIT(RESULT_TUPLE_BYTES);
    struct str outer = inside(extra->chain);
    int rc = canvas_freeze(plan, chain, &place, err);

    if (rc == 0)
        rc = merge_options(plan, chain, extra, &options, err);
    if (rc < 0 || chain->n_items == 0)
        return rc;
    buf_append_char(&rest, '[');
    buf_append(&rest, outer);
    for (size_t i = chain->n_items; i-- > 1;) {
        if (rest.len > 1)
            buf_append(&rest, STR(", "));
        canvas_write(chain->items[i], &rest);
    }
    buf_append_char(&rest, ']');
    rc = keep(plan, &rest, &first.chain, err);
    first.options = &options;
    first.chord = STR_NULL; /* its end has it */
    if (chain->is_immutable)
        first.prefix = STR_NULL;
    return rc < 0 ? rc : apply(plan, chain->items[0], &first, err);
}

static bool
ends_in_group(const struct canvas_node *node)
{
    if (node->kind == CANVAS_CHAIN)
        return node->n_items > 0 && ends_in_group(node->items[node->n_items - 1]);
    if (node->kind == CANVAS_CHORD)
        return ends_in_group(node->body);
    return node->kind == CANVAS_GROUP;
}

/* Nested results cannot be put together again from the parts alone. */
static int
save_result(struct canvas_plan *plan, const struct canvas_node *group, struct str *out,
            struct error *err)
{
    struct buf text = BUF_INIT(RESULT_TUPLE_BYTES);
    bool is_nested = false;

    for (size_t i = 0; i < group->n_items; i++)
        is_nested |= ends_in_group(group->items[i]);
    if (!is_nested)
        return 0;
    buf_append(&text, STR("{\"result\": "));
    canvas_write_result(group, STR_NULL, &text);
    buf_append_char(&text, '}');
    return keep(plan, &text, out, err);
}

/* The end of a branch: who reports to the chord. */
static const struct canvas_node *
end_of(const struct canvas_node *node)
{
    while (node->kind != CANVAS_TASK) {
        if (node->kind == CANVAS_CHORD)
            node = node->body;
        else if (node->n_items > 0)
            node = node->items[node->n_items - 1];
        else
            break;
    }
    return node;
}

/* Members that report to a chord need its size; it is known by the group that they are in. */
static int
begin_if_chord(struct canvas_plan *plan, const struct canvas_node *group, struct error *err)
{
    struct str saved = STR_NULL;
    struct str group_id = STR_NULL;
    int64_t size = 0;
    bool ok = true;
    int rc;

    for (size_t i = 0; i < group->n_items; i++) {
        const struct canvas_node *end = end_of(group->items[i]);

        size += canvas_count_ends(group->items[i]);
        if (canvas_get(end, STR("chord")).ptr &&
            str_equal(canvas_get(end, STR("group_id")), canvas_get(group, STR("task_id"))))
            group_id = canvas_get_text(group, STR("task_id"), plan->arena, &ok);
    }
    if (!ok)
        return no_memory(err);
    if (!group_id.ptr)
        return 0;
    rc = save_result(plan, group, &saved, err);
    return rc < 0 ? rc : begin_chord(plan, group_id, size, saved, err);
}

static int
send_members(struct canvas_plan *plan, struct canvas_node *group, const struct canvas_extra *extra,
             struct error *err)
{
    struct canvas_extra member = {.prefix = extra->prefix, .kwargs = extra->kwargs};
    struct canvas_options options;
    int rc = merge_options(plan, group, extra, &options, err);

    if (rc == 0)
        rc = begin_if_chord(plan, group, err);
    member.options = &options;
    plan->n_quiet++;
    for (size_t i = 0; rc == 0 && i < group->n_items; i++)
        rc = apply(plan, group->items[i], &member, err);
    plan->n_quiet--;
    return rc < 0 ? rc : tell_child(plan, group, err);
}

static int apply_chord(struct canvas_plan *plan, struct canvas_node *chord,
                       const struct canvas_extra *extra, struct error *err);

/* Something follows a group: the next element is the body of a chord. */
static int
apply_group_before(struct canvas_plan *plan, struct canvas_node *group,
                   const struct canvas_extra *extra, struct error *err)
{
    struct canvas_node *chord = canvas_create(CANVAS_CHORD, STR("\"celery.chord\""), plan->arena);
    struct canvas_extra after = *extra;
    struct canvas_node **steps;
    struct buf rest = BUF_INIT(RESULT_TUPLE_BYTES);
    size_t n_steps;
    int rc = canvas_parse_list(extra->chain, plan->arena, &steps, &n_steps, err);

    if (rc < 0 || !chord)
        return rc < 0 ? rc : no_memory(err);
    chord->header = group;
    chord->body = steps[n_steps - 1];
    canvas_clear_chord(group);
    canvas_write_list(steps, n_steps - 1, &rest);
    rc = keep(plan, &rest, &after.chain, err);
    return rc < 0 ? rc : apply_chord(plan, chord, &after, err);
}

static int
apply_group(struct canvas_plan *plan, struct canvas_node *group, const struct canvas_extra *extra,
            struct error *err)
{
    struct canvas_place place = {.group_index = CELERY_NO_INDEX, .chord = extra->chord};
    int rc;

    if (inside(extra->chain).len)
        return apply_group_before(plan, group, extra, err);
    rc = canvas_freeze(plan, group, &place, err);
    return rc < 0 || group->n_items == 0 ? rc : send_members(plan, group, extra, err);
}

static int
set_text(struct canvas_plan *plan, struct canvas_node *node, struct str name, struct str text,
         struct error *err)
{
    bool ok = true;
    struct str quoted = text.ptr ? canvas_quote(text, plan->arena, &ok) : STR_NULL;

    if (!ok)
        return no_memory(err);
    return quoted.ptr ? canvas_set(node, name, quoted, plan->arena, err) : 0;
}

/* A delay is the header's; the rest counts for the body as well. */
static bool
is_of_body(const struct canvas_option *option)
{
    return !str_equal(option->name, STR("countdown")) && !str_equal(option->name, STR("eta"));
}

/* What comes after the chord comes after whatever follows its body already. */
static int
put_in_front(struct canvas_plan *plan, struct canvas_node *body, struct str chain,
             struct error *err)
{
    struct str elements;
    char *text;
    int rc = join(plan, inside(chain), inside(canvas_get(body, STR("chain"))), &elements, err);

    if (rc < 0)
        return rc;
    text = arena_printf(plan->arena, "[%.*s]", STR_ARG(elements));
    return text ? canvas_set(body, STR("chain"), str_from_cstr(text), plan->arena, err)
                : no_memory(err);
}

/* The body as each task of the header carries it. */
static int
prepare_body(struct canvas_plan *plan, struct canvas_node *chord, const struct canvas_extra *extra,
             const struct canvas_options *options, struct error *err)
{
    struct canvas_node *body = chord->body;
    struct str link = canvas_get(chord, STR("link"));
    struct str link_error = canvas_get(chord, STR("link_error"));
    struct canvas_place place = {.group_index = CELERY_NO_INDEX,
                                 .chord = extra->chord,
                                 .group_id = canvas_get(chord->header, STR("task_id")),
                                 .id = canvas_get(chord, STR("task_id"))};
    int rc = 0;

    if (str_equal(place.id, place.group_id))
        place.id = STR_NULL;
    if (link.ptr)
        rc = canvas_link(body, link, plan->arena, err);
    if (rc == 0 && link_error.ptr)
        rc = canvas_link_error(body, link_error, plan->arena, err);
    for (size_t i = 0; rc == 0 && i < options->n_items; i++) {
        if (is_of_body(&options->items[i]))
            rc =
                canvas_set(body, options->items[i].name, options->items[i].value, plan->arena, err);
    }
    if (rc == 0)
        rc = canvas_freeze(plan, body, &place, err);
    if (rc == 0 && extra->chain.ptr)
        rc = put_in_front(plan, body, extra->chain, err);
    if (rc == 0)
        rc = set_text(plan, body, STR("parent_id"), plan->parent_id, err);
    return rc < 0 ? rc : set_text(plan, body, STR("root_id"), plan->root_id, err);
}

static int
send_header(struct canvas_plan *plan, struct canvas_node *chord, const struct canvas_extra *extra,
            const struct canvas_options *options, struct error *err)
{
    struct canvas_place place = {.group_index = CELERY_NO_INDEX};
    struct canvas_extra member = {.kwargs = chord->chord_kwargs, .options = options};
    struct buf body = BUF_INIT(RESULT_TUPLE_BYTES);
    int rc;

    canvas_write(chord->body, &body);
    rc = keep(plan, &body, &place.chord, err);
    if (rc == 0)
        rc = join(plan, chord->is_immutable ? STR_NULL : extra->prefix, inside(chord->args),
                  &member.prefix, err);
    canvas_remove(chord->header, STR("group_id")); /* of a chord around: the body's business */
    if (rc == 0)
        rc = canvas_freeze(plan, chord->header, &place, err);
    return rc < 0 ? rc : send_members(plan, chord->header, &member, err);
}

static int
apply_chord(struct canvas_plan *plan, struct canvas_node *chord, const struct canvas_extra *extra,
            struct error *err)
{
    static const struct canvas_place nowhere = {.group_index = CELERY_NO_INDEX};
    struct canvas_extra body = {.prefix = STR_INIT("[]"), .chain = extra->chain};
    struct canvas_options options;
    struct str id = canvas_get(chord, STR("task_id"));
    int rc = merge_options(plan, chord, extra, &options, err);

    if (rc == 0 && id.ptr && !canvas_get(chord->header, STR("task_id")).ptr)
        rc = canvas_set(chord->header, STR("task_id"), id, plan->arena, err);
    if (rc == 0)
        rc = canvas_freeze(plan, chord->header, &nowhere, err);
    if (rc == 0)
        rc = prepare_body(plan, chord, extra, &options, err);
    if (rc < 0)
        return rc;
    if (chord->header->n_items == 0)
        return apply(plan, chord->body, &body, err);
    return send_header(plan, chord, extra, &options, err);
}

static int
apply_task(struct canvas_plan *plan, struct canvas_node *node, const struct canvas_extra *extra,
           struct error *err)
{
    static const struct canvas_place nowhere = {.group_index = CELERY_NO_INDEX};
    int rc = canvas_freeze(plan, node, &nowhere, err);

    if (rc == 0)
        rc = canvas_send_task(plan, node, extra, err);
    return rc < 0 ? rc : tell_child(plan, node, err);
}

static int
apply(struct canvas_plan *plan, struct canvas_node *node, const struct canvas_extra *extra,
      struct error *err)
{
    struct canvas_extra given = *extra;

    if (!given.chain.ptr && node->kind != CANVAS_TASK)
        given.chain = canvas_get(node, STR("chain"));
    switch (node->kind) {
    case CANVAS_CHAIN:
        return apply_chain(plan, node, &given, err);
    case CANVAS_GROUP:
        return apply_group(plan, node, &given, err);
    case CANVAS_CHORD:
        return apply_chord(plan, node, &given, err);
    case CANVAS_TASK:
        break;
    }
    return apply_task(plan, node, extra, err);
}

int
canvas_apply(struct canvas_plan *plan, struct canvas_node *node, const struct canvas_extra *extra,
             struct error *err)
{
    return apply(plan, node, extra, err);
}
