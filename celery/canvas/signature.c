/* The tree is built by a walk over checked text (base/json_scan), one function per level; written
 * by another.  Recursion is bounded by CANVAS_MAX_LEVELS. */

#include "celery/canvas/signature.h"

#include "base/json_scan.h"
#include "base/json_writer.h"

#define SHOWN_BYTES 60

struct parser {
    struct arena *arena;
    struct error *err;
    size_t n_nodes;
    size_t level;
};

static int parse_node(struct parser *self, struct str text, struct canvas_node **out);

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for a signature");
}

static int
wrong(struct parser *self, const char *what, const char *wanted, struct str value)
{
    return error_set(self->err, ERR_INVALID, "signature's %s must be %s, got %s %.*s", what, wanted,
                     json_type_name(json_slice_type(value)),
                     STR_ARG(str_slice(value, 0, SHOWN_BYTES)));
}

struct str
canvas_options_get(const struct canvas_options *options, struct str name)
{
    for (size_t i = options->n_items; i-- > 0;) {
        const struct canvas_option *item = &options->items[i];

        if (str_equal(item->name, name))
            return json_slice_type(item->value) == JSON_NULL ? STR_NULL : item->value;
    }
    return STR_NULL;
}

struct str
canvas_get(const struct canvas_node *node, struct str name)
{
    return canvas_options_get(&node->options, name);
}

struct str
canvas_get_text(const struct canvas_node *node, struct str name, struct arena *arena, bool *ok)
{
    static const struct json_limits limits = {.flags = JSON_KEEP_SURROGATES, .max_depth = 1};
    struct str value = canvas_get(node, name);
    struct json text;

    if (!value.ptr || json_slice_type(value) != JSON_STRING)
        return STR_NULL;
    if (json_parse(value, &limits, arena, &text, NULL) == 0)
        return text.text;
    *ok = false;
    return STR_NULL;
}

int
canvas_options_set(struct canvas_options *options, struct str name, struct str value,
                   struct arena *arena, struct error *err)
{
    for (size_t i = 0; i < options->n_items; i++) {
        if (str_equal(options->items[i].name, name)) {
            options->items[i].value = value;
            return 0;
        }
    }
    if (options->n_items == options->capacity) {
        size_t capacity = options->capacity ? 2 * options->capacity : 8;
        struct canvas_option *items = arena_calloc(arena, capacity, sizeof(*items));

        if (!items)
            return no_memory(err);
        if (options->n_items > 0)
            (void)memcpy(items, options->items, options->n_items * sizeof(*items));
        options->items = items;
        options->capacity = capacity;
    }
    options->items[options->n_items++] = (struct canvas_option){name, value};
    return 0;
}

int
canvas_set(struct canvas_node *node, struct str name, struct str value, struct arena *arena,
           struct error *err)
{
    node->text = STR_NULL;
    return canvas_options_set(&node->options, name, value, arena, err);
}

void
canvas_remove(struct canvas_node *node, struct str name)
{
    struct canvas_options *options = &node->options;
    size_t n = 0;

    for (size_t i = 0; i < options->n_items; i++) {
        if (!str_equal(options->items[i].name, name))
            options->items[n++] = options->items[i];
    }
    if (n < options->n_items)
        node->text = STR_NULL;
    options->n_items = n;
}

/* The elements of a list, or the value itself; without white space around. */
static struct str
elements_of(struct str value)
{
    if (!value.ptr || json_slice_type(value) != JSON_ARRAY)
        return value;
    return str_trim(str_slice(value, 1, value.len - 1));
}

int
canvas_add(struct canvas_node *node, struct str name, struct str values, struct arena *arena,
           struct error *err)
{
    struct str old = elements_of(canvas_get(node, name));
    struct str added = elements_of(values);
    char *text;

    if (!added.len)
        return 0;
    if (old.len)
        text = arena_printf(arena, "[%.*s, %.*s]", STR_ARG(old), STR_ARG(added));
    else
        text = arena_printf(arena, "[%.*s]", STR_ARG(added));
    if (!text)
        return no_memory(err);
    return canvas_set(node, name, str_from_cstr(text), arena, err);
}

struct canvas_node *
canvas_create(enum canvas_kind kind, struct str task_json, struct arena *arena)
{
    struct canvas_node *node = arena_calloc(arena, 1, sizeof(*node));

    if (!node)
        return NULL;
    node->kind = kind;
    node->task = task_json;
    node->args = STR("[]");
    node->kwargs = STR("{}");
    node->chord_kwargs = STR("{}");
    return node;
}

/* An object's members, all of them. */
static int
parse_options(struct parser *self, struct str object, struct canvas_options *out)
{
    struct json_cursor members = json_cursor_open(object);
    struct json_cursor counted = members;
    struct json_slice member;
    size_t n = 0;

    while (json_cursor_next(&counted, &member))
        n++;
    *out = (struct canvas_options){.capacity = n};
    out->items = arena_calloc(self->arena, n, sizeof(*out->items));
    if (!out->items)
        return no_memory(self->err);
    while (json_cursor_next(&members, &member))
        out->items[out->n_items++] = (struct canvas_option){member.name, member.value};
    return 0;
}

static int
parse_items(struct parser *self, struct str array, struct canvas_node *node)
{
    struct json_cursor items = json_cursor_open(array);
    struct json_cursor counted = items;
    struct json_slice item;
    size_t n = 0;
    int rc = 0;

    while (json_cursor_next(&counted, &item))
        n++;
    node->items = arena_calloc(self->arena, n, sizeof(*node->items));
    if (!node->items)
        return no_memory(self->err);
    while (rc == 0 && json_cursor_next(&items, &item)) {
        rc = parse_node(self, item.value, &node->items[node->n_items]);
        node->n_items++;
    }
    return rc;
}

static int
parse_header(struct parser *self, struct str value, struct canvas_node *node)
{
    int rc;

    if (json_slice_type(value) == JSON_OBJECT) {
        rc = parse_node(self, value, &node->header);
        if (rc < 0 || node->header->kind == CANVAS_GROUP)
            return rc;
        return wrong(self, "header", "a group or a list", value);
    }
    if (json_slice_type(value) != JSON_ARRAY)
        return wrong(self, "header", "a group or a list", value);
    node->header = canvas_create(CANVAS_GROUP, STR("\"celery.group\""), self->arena);
    if (!node->header)
        return no_memory(self->err);
    return parse_items(self, value, node->header);
}

/* The parts of a composite stand in its kwargs. */
static int
parse_parts(struct parser *self, struct canvas_node *node)
{
    struct json_cursor members = json_cursor_open(node->kwargs);
    struct json_slice member;
    bool is_chord = node->kind == CANVAS_CHORD;
    bool has_parts = false;
    int rc = 0;

    while (rc == 0 && json_cursor_next(&members, &member)) {
        if (!is_chord && json_slice_is_named(&member, STR("tasks"))) {
            if (json_slice_type(member.value) != JSON_ARRAY)
                return wrong(self, "tasks", "a list", member.value);
            rc = parse_items(self, member.value, node);
            has_parts = true;
        } else if (is_chord && json_slice_is_named(&member, STR("header"))) {
            rc = parse_header(self, member.value, node);
        } else if (is_chord && json_slice_is_named(&member, STR("body"))) {
            rc = parse_node(self, member.value, &node->body);
        } else if (is_chord && json_slice_is_named(&member, STR("kwargs")) &&
                   json_slice_type(member.value) == JSON_OBJECT) {
            node->chord_kwargs = member.value;
        }
    }
    if (rc < 0)
        return rc;
    if (is_chord ? !node->header || !node->body : !has_parts)
        return wrong(self, "kwargs", is_chord ? "a header and a body" : "a list of tasks",
                     node->kwargs);
    if (is_chord)
        canvas_clear_chord(node->header);
    return 0;
}

static int
read_kind(struct parser *self, struct str value, enum canvas_kind *out)
{
    static const struct {
        struct str name;
        enum canvas_kind kind;
    } rows[] = {
        {STR_INIT("\"chain\""), CANVAS_CHAIN},
        {STR_INIT("\"group\""), CANVAS_GROUP},
        {STR_INIT("\"chord\""), CANVAS_CHORD},
    };

    *out = CANVAS_TASK; /* null, and the names of tasks that map */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (str_equal(value, rows[i].name))
            *out = rows[i].kind;
    }
    if (json_slice_type(value) != JSON_STRING && json_slice_type(value) != JSON_NULL)
        return wrong(self, "subtask_type", "a string or null", value);
    return 0;
}

static int
read_member(struct parser *self, struct canvas_node *node, const struct json_slice *member)
{
    static const struct {
        struct str name;
        enum json_type type;
        size_t offset;
        const char *wanted;
    } rows[] = {
        {STR_INIT("task"), JSON_STRING, offsetof(struct canvas_node, task), "a string"},
        {STR_INIT("args"), JSON_ARRAY, offsetof(struct canvas_node, args), "a list"},
        {STR_INIT("kwargs"), JSON_OBJECT, offsetof(struct canvas_node, kwargs), "an object"},
    };
    enum json_type type = json_slice_type(member->value);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!json_slice_is_named(member, rows[i].name))
            continue;
        if (type == JSON_NULL && rows[i].type != JSON_STRING)
            return 0;
        if (type != rows[i].type)
            return wrong(self, rows[i].name.ptr, rows[i].wanted, member->value);
        *(struct str *)(void *)((char *)node + rows[i].offset) = member->value;
        return 0;
    }
    if (json_slice_is_named(member, STR("options")))
        return type == JSON_OBJECT ? parse_options(self, member->value, &node->options)
               : type == JSON_NULL ? 0
                                   : wrong(self, "options", "an object", member->value);
    if (json_slice_is_named(member, STR("subtask_type"))) {
        node->subtask_type = member->value;
        return read_kind(self, member->value, &node->kind);
    }
    if (json_slice_is_named(member, STR("immutable"))) {
        node->is_immutable = str_equal(member->value, STR("true"));
        return 0;
    }
    return canvas_options_set(&node->others, member->name, member->value, self->arena, self->err);
}

static int
parse_members(struct parser *self, struct str text, struct canvas_node **out)
{
    struct json_cursor members = json_cursor_open(text);
    struct canvas_node *node = canvas_create(CANVAS_TASK, STR_NULL, self->arena);
    struct json_slice member;
    int rc = 0;

    if (!node)
        return no_memory(self->err);
    node->text = text;
    while (rc == 0 && json_cursor_next(&members, &member))
        rc = read_member(self, node, &member);
    if (rc == 0 && !node->task.len)
        return error_set(self->err, ERR_INVALID, "signature has no task");
    if (rc == 0 && node->kind != CANVAS_TASK)
        rc = parse_parts(self, node);
    *out = node;
    return rc;
}

static int
parse_node(struct parser *self, struct str text, struct canvas_node **out)
{
    int rc;

    if (json_slice_type(text) != JSON_OBJECT)
        return error_set(self->err, ERR_INVALID, "signature must be an object, got %s %.*s",
                         json_type_name(json_slice_type(text)),
                         STR_ARG(str_slice(text, 0, SHOWN_BYTES)));
    if (++self->level > CANVAS_MAX_LEVELS || ++self->n_nodes > CANVAS_MAX_NODES)
        return error_set(self->err, ERR_TOO_LARGE,
                         "signature with more than %zu levels or %zu parts", CANVAS_MAX_LEVELS,
                         CANVAS_MAX_NODES);
    rc = parse_members(self, text, out);
    self->level--;
    return rc;
}

int
canvas_parse(struct str text, struct arena *arena, struct canvas_node **out, struct error *err)
{
    struct parser self = {.arena = arena, .err = err};
    struct canvas_node *node;
    int rc = parse_node(&self, text, &node);

    if (rc == 0)
        *out = node;
    return rc;
}

int
canvas_parse_list(struct str text, struct arena *arena, struct canvas_node ***items,
                  size_t *n_items, struct error *err)
{
    struct parser self = {.arena = arena, .err = err};
    struct canvas_node list = {.kind = CANVAS_GROUP};
    int rc = 0;

    if (text.ptr && json_slice_type(text) == JSON_ARRAY) {
        rc = parse_items(&self, text, &list);
    } else if (text.ptr && json_slice_type(text) != JSON_NULL) {
        list.items = arena_calloc(arena, 1, sizeof(*list.items));
        list.n_items = 1;
        rc = list.items ? parse_node(&self, text, &list.items[0]) : no_memory(err);
    }
    if (rc < 0)
        return rc;
    *items = list.items;
    *n_items = list.n_items;
    return 0;
}

void
canvas_clear_chord(struct canvas_node *node)
{
    canvas_remove(node, STR("chord"));
    if (node->kind == CANVAS_GROUP) {
        for (size_t i = 0; i < node->n_items; i++)
            canvas_clear_chord(node->items[i]);
    } else if (node->kind == CANVAS_CHAIN && node->n_items > 0) {
        canvas_clear_chord(node->items[node->n_items - 1]);
    } else if (node->kind == CANVAS_CHORD) {
        canvas_clear_chord(node->body);
    }
}

int64_t
canvas_count_ends(const struct canvas_node *node)
{
    int64_t n = 0;

    switch (node->kind) {
    case CANVAS_TASK:
        return 1;
    case CANVAS_CHORD:
        return canvas_count_ends(node->body);
    case CANVAS_GROUP:
        for (size_t i = 0; i < node->n_items; i++)
            n += canvas_count_ends(node->items[i]);
        return n;
    case CANVAS_CHAIN:
        for (size_t i = node->n_items; n == 0 && i-- > 0;)
            n = canvas_count_ends(node->items[i]);
        return n;
    }
    return n;
}

struct str
canvas_quote(struct str text, struct arena *arena, bool *ok)
{
    CLEANUP(buf_fini) struct buf quoted = BUF_INIT(8 * text.len + 16);

    json_append_quoted(&quoted, text, JSON_STYLE_PYTHON);
    *ok = *ok && quoted.rc == 0;
    return arena_dup(arena, buf_str(&quoted), ok);
}
