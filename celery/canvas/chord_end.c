/* A chord whose parts are all there: their results as one list, or the first failure. */

#include <stdlib.h>

#include "base/json_scan.h"
#include "celery/canvas/outcome.h"
#include "celery/codec_repr.h"

#define RESULTS_BYTES ((size_t)64 << 20)

struct part {
    struct str id; /* JSON, with its quotes */
    struct str state;
    struct str result;
};

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for the results of a chord");
}

/* [1, id, state, result] */
static int
read_part(struct str text, struct part *out, struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 512};
    struct str fields[4];
    struct json_cursor items;
    struct json_slice item;
    struct str value;
    size_t n = 0;
    int rc = json_scan(text, &limits, &value, err);

    if (rc < 0)
        return error_wrap(err, rc, "part of a chord");
    items = json_cursor_open(value);
    while (n < COUNT_OF(fields) && json_cursor_next(&items, &item))
        fields[n++] = item.value;
    if (items.is_object || n < COUNT_OF(fields) || json_slice_type(fields[1]) != JSON_STRING ||
        json_slice_type(fields[2]) != JSON_STRING)
        return error_set(err, ERR_INVALID, "part of a chord must be [1, id, state, result]: %.*s",
                         STR_ARG(str_slice(text, 0, 80)));
    *out = (struct part){fields[1], str_slice(fields[2], 1, fields[2].len - 1), fields[3]};
    return 0;
}

static int
compare_ids(const void *a, const void *b)
{
    return str_compare(((const struct part *)a)->id, ((const struct part *)b)->id);
}

/* A result tuple with each task's result in its place. */
static void
write_nested(struct str tuple, const struct part *sorted, size_t n_parts, struct buf *out)
{
    struct json_cursor items = json_cursor_open(tuple);
    struct json_slice head = {0}, members = {0}, id = {0}, member;
    const struct part *found;
    bool is_first = true;

    if (json_cursor_next(&items, &head) && json_cursor_next(&items, &members) &&
        json_slice_type(members.value) == JSON_ARRAY) {
        struct json_cursor nested = json_cursor_open(members.value);

        buf_append_char(out, '[');
        while (json_cursor_next(&nested, &member)) {
            if (!is_first)
                buf_append(out, STR(", "));
            is_first = false;
            write_nested(member.value, sorted, n_parts, out);
        }
        buf_append_char(out, ']');
        return;
    }
    items = json_cursor_open(head.value);
    found = json_cursor_next(&items, &id) ? bsearch(&(struct part){.id = id.value}, sorted, n_parts,
                                                    sizeof(*sorted), compare_ids)
                                          : NULL;
    buf_append(out, found ? found->result : STR("null"));
}

static int
write_results(const struct canvas_chord *chord, struct part *parts, struct buf *out,
              struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 512};
    struct json_cursor members;
    struct json_slice member;
    struct str saved;

    if (chord->saved.ptr && json_scan(chord->saved, &limits, &saved, NULL) == 0) {
        qsort(parts, chord->n_parts, sizeof(*parts), compare_ids);
        members = json_cursor_open(saved);
        while (json_cursor_next(&members, &member)) {
            if (json_slice_is_named(&member, STR("result")))
                write_nested(member.value, parts, chord->n_parts, out);
        }
    }
    if (out->len == 0) {
        buf_append_char(out, '[');
        for (size_t i = 0; i < chord->n_parts; i++) {
            if (i > 0)
                buf_append(out, STR(", "));
            buf_append(out, parts[i].result);
        }
        buf_append_char(out, ']');
    }
    return buf_status(out, err);
}

/* ValueError('bad') */
static void
write_exception_repr(struct str exception, struct arena *arena, struct buf *out)
{
    struct json_cursor members = json_cursor_open(exception);
    struct json_slice member;
    struct str args = STR_NULL;
    struct json type;
    bool has_type = false;

    while (json_cursor_next(&members, &member)) {
        if (json_slice_is_named(&member, STR("exc_type")) && !has_type)
            has_type =
                json_parse(member.value, NULL, arena, &type, NULL) == 0 && type.type == JSON_STRING;
        if (json_slice_is_named(&member, STR("exc_message")))
            args = member.value;
    }
    if (!members.is_object || !has_type) {
        buf_append(out, STR("Exception()"));
        return;
    }
    buf_append(out, type.text);
    buf_append_char(out, '(');
    if (args.ptr && json_slice_type(args) == JSON_ARRAY) {
        struct json_cursor items = json_cursor_open(args);
        bool is_first = true;

        while (json_cursor_next(&items, &member)) {
            if (!is_first)
                buf_append(out, STR(", "));
            is_first = false;
            celery_repr_append(out, member.value, CELERY_REPR_PYTHON);
        }
    } else if (args.ptr) {
        celery_repr_append(out, args, CELERY_REPR_PYTHON);
    }
    buf_append_char(out, ')');
}

static int
explain(struct canvas_plan *plan, const struct part *part, struct str *reason, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)1 << 20);
    bool ok = true;
    int rc;

    buf_append(&text, STR("Dependency "));
    buf_append(&text, str_slice(part->id, 1, part->id.len - 1));
    buf_append(&text, STR(" raised "));
    write_exception_repr(part->result, plan->arena, &text);
    rc = buf_status(&text, err);
    if (rc < 0)
        return rc;
    *reason = arena_dup(plan->arena, buf_str(&text), &ok);
    return ok ? 0 : no_memory(err);
}

/* A chain's first task is sent by whoever sends the chain; anything else keeps what its options
 * say. */
static int
send_body(struct canvas_plan *plan, const struct canvas_chord *chord, struct str results,
          struct error *err)
{
    struct canvas_extra extra = {.prefix = results};
    struct canvas_node *body;
    struct str parent_id, root_id;
    bool ok = true;
    int rc = canvas_parse(chord->body, plan->arena, &body, err);

    if (rc < 0)
        return rc;
    parent_id = canvas_get_text(body, STR("parent_id"), plan->arena, &ok);
    root_id = canvas_get_text(body, STR("root_id"), plan->arena, &ok);
    if (!ok)
        return no_memory(err);
    if (parent_id.len && body->kind != CANVAS_CHAIN)
        plan->parent_id = parent_id;
    if (root_id.len)
        plan->root_id = root_id;
    return canvas_apply(plan, body, &extra, err);
}

static int
end_chord(struct canvas_plan *plan, const struct canvas_chord *chord, struct part *parts,
          struct canvas_outcome *out, struct str *exception, struct str *reason, struct error *err)
{
    CLEANUP(buf_fini) struct buf results = BUF_INIT(RESULTS_BYTES);
    bool ok = true;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < chord->n_parts; i++) {
        rc = read_part(chord->parts[i], &parts[i], err);
        if (rc < 0 || str_equal(parts[i].state, STR("SUCCESS")))
            continue;
        rc = explain(plan, &parts[i], reason, err);
        *exception = parts[i].result;
        return rc < 0 ? rc : canvas_fail_chord(plan, chord->body, out, err);
    }
    if (rc == 0)
        rc = write_results(chord, parts, &results, err);
    if (rc < 0)
        return rc;
    *exception = STR_NULL;
    rc = send_body(plan, chord, arena_dup(plan->arena, buf_str(&results), &ok), err);
    return ok ? rc : no_memory(err);
}

int
canvas_end_chord(struct canvas_plan *plan, const struct canvas_chord *chord,
                 struct canvas_outcome *out, struct str *exception, struct str *reason,
                 struct error *err)
{
    struct str parent_id = plan->parent_id, root_id = plan->root_id;
    struct part *parts = calloc(chord->n_parts + 1, sizeof(*parts));
    int rc;

    if (!parts)
        return no_memory(err);
    rc = end_chord(plan, chord, parts, out, exception, reason, err);
    free(parts);
    plan->parent_id = parent_id;
    plan->root_id = root_id;
    return rc;
}
