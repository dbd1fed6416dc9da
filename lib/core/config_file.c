/* trawl.yaml through libyaml (its only user), .env by hand. */

#include "lib/core/config_file.h"

#include <stdio.h>
#include <string.h>

#include <yaml.h>

#define PAIRS_MAX  ((size_t)1000)
#define NAME_BYTES 256
#define NODES_MAX  ((size_t)20000) /* aliases counted as often as they are used */
#define DEPTH_MAX  16

struct pair_builder {
    struct arena *arena;
    struct config_pair *items;
    size_t n_items;
};

static int
builder_init(struct pair_builder *self, struct arena *arena, struct error *err)
{
    *self = (struct pair_builder){.arena = arena};
    self->items = arena_calloc(arena, PAIRS_MAX, sizeof(*self->items));
    return self->items ? 0 : error_set(err, ERR_NOMEM, "no memory for settings");
}

static int
add_pair(struct pair_builder *self, struct str name, struct str value, size_t line,
         struct error *err)
{
    bool ok = true;

    if (self->n_items == PAIRS_MAX)
        return error_set(err, ERR_CONFIG, "more than %zu settings", PAIRS_MAX);
    self->items[self->n_items++] = (struct config_pair){
        .name = arena_dup(self->arena, name, &ok),
        .value = arena_dup(self->arena, value, &ok),
        .line = line,
    };
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for settings");
}

struct yaml_walk {
    yaml_document_t *document;
    const char *path;
    struct pair_builder pairs;
};

static struct str
scalar_text(const yaml_node_t *node)
{
    return (struct str){(const char *)node->data.scalar.value, node->data.scalar.length};
}

static int walk_mapping(struct yaml_walk *self, const yaml_node_t *node, const char *prefix,
                        struct error *err);

/* The items of a list of words, as one value. */
static int
join_list(struct yaml_walk *self, const yaml_node_t *list, size_t line, struct str *out,
          struct error *err)
{
    const yaml_node_item_t *item = list->data.sequence.items.start;
    char *text = arena_printf(self->pairs.arena, "%s", "");

    for (; item < list->data.sequence.items.top; item++) {
        const yaml_node_t *node = yaml_document_get_node(self->document, *item);

        if (node->type != YAML_SCALAR_NODE || node->data.scalar.length == 0 ||
            memchr(node->data.scalar.value, CONFIG_LIST_MARK, node->data.scalar.length))
            return error_set(err, ERR_CONFIG,
                             "%s:%zu: an item of " CONFIG_LIST_NAME
                             " must be the path of a file, without '%c'",
                             self->path, line, CONFIG_LIST_MARK);
        if (text)
            text = arena_printf(self->pairs.arena, "%s%s%.*s", text,
                                *text ? (const char[]){CONFIG_LIST_MARK, '\0'} : "",
                                STR_ARG(scalar_text(node)));
    }
    *out = str_from_cstr(text);
    return text ? 0 : error_set(err, ERR_NOMEM, "no memory for settings");
}

static int
walk_pair(struct yaml_walk *self, const yaml_node_t *key, const yaml_node_t *value,
          const char *prefix, struct error *err)
{
    char name[NAME_BYTES];
    size_t line = key->start_mark.line + 1;
    struct str text = STR_NULL;
    int len;
    int rc;

    if (key->type != YAML_SCALAR_NODE)
        return error_set(err, ERR_CONFIG, "%s:%zu: a setting's name must be a word", self->path,
                         line);
    if (*prefix == '\0' && (str_equal(scalar_text(key), STR(CONFIG_SCHEDULE_NAME)) ||
                            str_equal(scalar_text(key), STR(CONFIG_LIMITS_NAME))))
        return 0;
    len = snprintf(name, sizeof(name), "%s%s%.*s", prefix, *prefix ? "." : "",
                   STR_ARG(scalar_text(key)));
    if (len >= (int)sizeof(name))
        return error_set(err, ERR_CONFIG, "%s:%zu: a setting's name is too long", self->path, line);
    if (value->type == YAML_MAPPING_NODE)
        return walk_mapping(self, value, name, err);
    if (value->type == YAML_SCALAR_NODE) {
        text = scalar_text(value);
    } else if (str_equal(str_from_cstr(name), STR(CONFIG_LIST_NAME))) {
        rc = join_list(self, value, line, &text, err);
        if (rc < 0)
            return rc;
    } else {
        return error_set(err, ERR_CONFIG, "%s:%zu: %s must be a single value, not a list",
                         self->path, line, name);
    }
    for (size_t i = 0; i < self->pairs.n_items; i++) {
        if (str_equal(self->pairs.items[i].name, str_from_cstr(name)))
            return error_set(err, ERR_CONFIG, "%s:%zu: %s is already set in line %zu", self->path,
                             line, name, self->pairs.items[i].line);
    }
    return add_pair(&self->pairs, str_from_cstr(name), text, line, err);
}

static int
walk_mapping(struct yaml_walk *self, const yaml_node_t *node, const char *prefix, struct error *err)
{
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;

    for (; pair < node->data.mapping.pairs.top; pair++) {
        int rc = walk_pair(self, yaml_document_get_node(self->document, pair->key),
                           yaml_document_get_node(self->document, pair->value), prefix, err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
walk_document(struct yaml_walk *self, struct error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(self->document);

    if (!root) /* an empty file */
        return 0;
    if (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0)
        return 0;
    if (root->type != YAML_MAPPING_NODE)
        return error_set(err, ERR_CONFIG, "%s: settings must be 'name: value' lines", self->path);
    return walk_mapping(self, root, "", err);
}

typedef int (*document_fn)(yaml_document_t *document, void *context, struct error *err);

static int
with_document(struct str text, const char *path, document_fn fn, void *context, struct error *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    int rc;

    if (!yaml_parser_initialize(&parser))
        return error_set(err, ERR_NOMEM, "no memory to read '%s'", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    if (!yaml_parser_load(&parser, &document)) {
        rc = error_set(err, ERR_CONFIG, "%s:%zu: %s", path, parser.problem_mark.line + 1,
                       parser.problem ? parser.problem : "not YAML");
    } else {
        rc = fn(&document, context, err);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return rc;
}

static int
walk_pairs(yaml_document_t *document, void *context, struct error *err)
{
    struct yaml_walk *walk = context;

    walk->document = document;
    return walk_document(walk, err);
}

int
config_parse_yaml(struct str text, const char *path, struct arena *arena, struct config_pairs *out,
                  struct error *err)
{
    struct yaml_walk walk = {.path = path};
    int rc = builder_init(&walk.pairs, arena, err);

    if (rc == 0)
        rc = with_document(text, path, walk_pairs, &walk, err);
    if (rc == 0)
        *out = (struct config_pairs){walk.pairs.items, walk.pairs.n_items};
    return rc;
}

/* A copy of a part of the document.  Aliases are followed, so it may be larger than the file, and
 * one that holds itself never ends: depth and number have limits. */
struct tree_copy {
    yaml_document_t *document;
    const char *path;
    const char *name; /* of the part */
    struct arena *arena;
    size_t n_nodes;
    const struct config_node *found;
};

static int copy_node(struct tree_copy *self, const yaml_node_t *node, int depth,
                     struct config_node *out, struct error *err);

static int
copy_list(struct tree_copy *self, const yaml_node_t *node, int depth, struct config_node *out,
          struct error *err)
{
    size_t n_items = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    struct config_node *items = arena_calloc(self->arena, n_items, sizeof(*items));
    int rc = 0;

    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for settings");
    for (size_t i = 0; rc == 0 && i < n_items; i++)
        rc = copy_node(self,
                       yaml_document_get_node(self->document, node->data.sequence.items.start[i]),
                       depth, &items[i], err);
    out->kind = CONFIG_LIST;
    out->items = items;
    out->n_items = n_items;
    return rc;
}

static int
copy_key(struct tree_copy *self, const yaml_node_t *key, struct config_node *items, size_t idx,
         struct error *err)
{
    size_t line = key->start_mark.line + 1;
    bool ok = true;

    if (key->type != YAML_SCALAR_NODE)
        return error_set(err, ERR_CONFIG, "%s:%zu: a setting's name must be a word", self->path,
                         line);
    for (size_t i = 0; i < idx; i++) {
        if (str_equal(items[i].key, scalar_text(key)))
            return error_set(err, ERR_CONFIG, "%s:%zu: '%.*s' is already set in line %zu",
                             self->path, line, STR_ARG(str_slice(scalar_text(key), 0, 64)),
                             items[i].line);
    }
    items[idx].key = arena_dup(self->arena, scalar_text(key), &ok);
    items[idx].line = line;
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for settings");
}

static int
copy_mapping(struct tree_copy *self, const yaml_node_t *node, int depth, struct config_node *out,
             struct error *err)
{
    const yaml_node_pair_t *pairs = node->data.mapping.pairs.start;
    size_t n_items = (size_t)(node->data.mapping.pairs.top - pairs);
    struct config_node *items = arena_calloc(self->arena, n_items, sizeof(*items));
    int rc = 0;

    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for settings");
    for (size_t i = 0; rc == 0 && i < n_items; i++) {
        rc = copy_key(self, yaml_document_get_node(self->document, pairs[i].key), items, i, err);
        if (rc == 0)
            rc = copy_node(self, yaml_document_get_node(self->document, pairs[i].value), depth,
                           &items[i], err);
    }
    out->kind = CONFIG_MAPPING;
    out->items = items;
    out->n_items = n_items;
    return rc;
}

static int
copy_node(struct tree_copy *self, const yaml_node_t *node, int depth, struct config_node *out,
          struct error *err)
{
    bool ok = true;

    if (!out->line)
        out->line = node->start_mark.line + 1;
    if (depth == DEPTH_MAX || ++self->n_nodes > NODES_MAX)
        return error_set(err, ERR_CONFIG,
                         "%s:%zu: %s is too deep or too large (%d levels, %zu values)", self->path,
                         out->line, self->name, DEPTH_MAX, NODES_MAX);
    if (node->type == YAML_SEQUENCE_NODE)
        return copy_list(self, node, depth + 1, out, err);
    if (node->type == YAML_MAPPING_NODE)
        return copy_mapping(self, node, depth + 1, out, err);
    out->kind = CONFIG_SCALAR;
    out->is_quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    out->text = arena_dup(self->arena, scalar_text(node), &ok);
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for settings");
}

/* The file has been read before: what is no mapping was refused then. */
static int
copy_tree(yaml_document_t *document, void *context, struct error *err)
{
    struct tree_copy *self = context;
    const yaml_node_t *root = yaml_document_get_root_node(document);
    const yaml_node_pair_t *pair;

    if (!root || root->type != YAML_MAPPING_NODE)
        return 0;
    self->document = document;
    for (pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        struct config_node *node;
        int rc;

        if (key->type != YAML_SCALAR_NODE ||
            !str_equal(scalar_text(key), str_from_cstr(self->name)))
            continue;
        if (self->found)
            return error_set(err, ERR_CONFIG, "%s:%zu: %s is already set in line %zu", self->path,
                             key->start_mark.line + 1, self->name, self->found->line);
        node = arena_calloc(self->arena, 1, sizeof(*node));
        if (!node)
            return error_set(err, ERR_NOMEM, "no memory for settings");
        node->line = key->start_mark.line + 1;
        rc = copy_node(self, yaml_document_get_node(document, pair->value), 0, node, err);
        if (rc < 0)
            return rc;
        self->found = node;
    }
    return 0;
}

int
config_parse_tree(struct str text, const char *path, const char *name, struct arena *arena,
                  const struct config_node **out, struct error *err)
{
    struct tree_copy copy = {.path = path, .name = name, .arena = arena};
    int rc = with_document(text, path, copy_tree, &copy, err);

    if (rc == 0)
        *out = copy.found;
    return rc;
}

/* The value part of a .env line: quotes taken off, a comment after a blank cut off. */
static struct str
dotenv_value(struct str text)
{
    struct str value = str_trim(text);
    size_t end;

    if (value.len && (value.ptr[0] == '"' || value.ptr[0] == '\'')) {
        struct str inner = str_slice(value, 1, value.len);

        end = str_find_char(inner, value.ptr[0]);
        if (end < inner.len)
            return str_slice(inner, 0, end);
    }
    end = str_find(value, STR(" #"));
    return str_trim(str_slice(value, 0, end));
}

int
config_parse_dotenv(struct str text, struct arena *arena, struct config_pairs *out,
                    struct error *err)
{
    struct pair_builder pairs;
    struct str line;
    size_t number = 0;
    int rc = builder_init(&pairs, arena, err);

    while (rc == 0 && str_split(&text, '\n', &line)) {
        size_t equals;

        number++;
        line = str_trim(line);
        if (str_starts_with(line, STR("export ")))
            line = str_trim(str_slice(line, 7, line.len));
        equals = str_find_char(line, '=');
        if (equals == 0 || equals == line.len || line.ptr[0] == '#')
            continue;
        rc = add_pair(&pairs, str_trim(str_slice(line, 0, equals)),
                      dotenv_value(str_slice(line, equals + 1, line.len)), number, err);
    }
    if (rc == 0)
        *out = (struct config_pairs){pairs.items, pairs.n_items};
    return rc;
}
