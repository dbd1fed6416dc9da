/* A table of fields, with the sections that have them. */

#include "lib/limits_config.h"

#include "base/number.h"
#include "lib/core/config_file.h"

#define SHOWN_BYTES 64

enum section { SECTION_TASKS, SECTION_QUEUES, SECTION_KEYS, N_SECTIONS };

static const struct str section_names[N_SECTIONS] = {STR_INIT("tasks"), STR_INIT("queues"),
                                                     STR_INIT("keys")};

typedef int (*read_fn)(struct str text, struct limit_rule *out, struct error *err);

static int
read_rate(struct str text, struct limit_rule *out, struct error *err)
{
    return limit_parse_rate(text, &out->interval_us, err);
}

static int
read_count(struct str text, int64_t *out, struct error *err)
{
    int64_t value;

    if (number_parse_i64(text, &value, NULL) < 0 || value < 1 || value > BROKER_MAX_GATE_COUNT)
        return error_set(err, ERR_INVALID, "'%.*s' is not a number from 1 to %lld",
                         STR_ARG(str_slice(text, 0, SHOWN_BYTES)),
                         (long long)BROKER_MAX_GATE_COUNT);
    *out = value;
    return 0;
}

static int
read_burst(struct str text, struct limit_rule *out, struct error *err)
{
    return read_count(text, &out->burst, err);
}

static int
read_max(struct str text, struct limit_rule *out, struct error *err)
{
    return read_count(text, &out->most, err);
}

static int
read_key(struct str text, struct limit_rule *out, struct error *err)
{
    return limit_parse_key(text, &out->key_form, &out->key_argument, err);
}

static int
read_unique(struct str text, struct limit_rule *out, struct error *err)
{
    return limit_parse_unique(text, &out->unique, &out->unique_us, err);
}

static int
read_unique_by(struct str text, struct limit_rule *out, struct error *err)
{
    bool is_name = str_equal(text, STR("name"));

    if (!is_name && !str_equal(text, STR("arguments")))
        return error_set(err, ERR_INVALID, "'%.*s' is neither name nor arguments",
                         STR_ARG(str_slice(text, 0, SHOWN_BYTES)));
    out->unique_by = is_name ? LIMIT_BY_NAME : LIMIT_BY_ARGUMENTS;
    return 0;
}

static const struct {
    struct str name;
    read_fn read;
    enum section last; /* sections up to this one have it */
} fields[] = {
    {STR_INIT("rate"), read_rate, SECTION_KEYS},
    {STR_INIT("burst"), read_burst, SECTION_KEYS},
    {STR_INIT("max"), read_max, SECTION_KEYS},
    {STR_INIT("key"), read_key, SECTION_TASKS},
    {STR_INIT("unique"), read_unique, SECTION_TASKS},
    {STR_INIT("unique_by"), read_unique_by, SECTION_TASKS},
};

struct reader {
    const char *path;
    struct arena *arena;
};

/* "trawl.yaml:7: limits.tasks 'a.b': " */
static int
refuse(const struct reader *self, enum section section, const struct config_node *rule,
       const struct config_node *node, const char *why, struct error *err)
{
    return error_set(err, ERR_CONFIG, "%s:%zu: " CONFIG_LIMITS_NAME ".%.*s '%.*s': %.*s: %.200s",
                     self->path, node->line, STR_ARG(section_names[section]),
                     STR_ARG(str_slice(rule->key, 0, SHOWN_BYTES)),
                     STR_ARG(str_slice(node->key, 0, SHOWN_BYTES)), why);
}

static int
read_field(const struct reader *self, enum section section, const struct config_node *rule,
           const struct config_node *node, struct limit_rule *out, struct error *err)
{
    struct error why = {0};

    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (!str_equal(fields[i].name, node->key) || section > fields[i].last)
            continue;
        if (node->kind != CONFIG_SCALAR)
            return refuse(self, section, rule, node, "must be a single value", err);
        if (fields[i].read(node->text, out, &why) < 0)
            return refuse(self, section, rule, node, why.message, err);
        return 0;
    }
    return refuse(self, section, rule, node,
                  section == SECTION_TASKS
                      ? "unknown; known are rate, burst, max, key, unique, unique_by"
                      : "unknown; known are rate, burst, max",
                  err);
}

static int
read_rule(const struct reader *self, enum section section, const struct config_node *node,
          struct limit_rule *out, struct error *err)
{
    struct limit_rule rule = {.name = node->key, .burst = 1};
    int rc = 0;

    if (node->kind != CONFIG_MAPPING)
        return refuse(self, section, node, node, "must be a mapping, as {rate: 10/s}", err);
    for (size_t i = 0; rc == 0 && i < node->n_items; i++)
        rc = read_field(self, section, node, &node->items[i], &rule, err);
    if (rc == 0 && rule.burst > 1 && rule.interval_us == 0)
        rc = refuse(self, section, node, node, "has a burst, but no rate", err);
    if (rc == 0)
        *out = rule;
    return rc;
}

static int
read_section(const struct reader *self, enum section section, const struct config_node *node,
             struct limit_rule_list *out, struct error *err)
{
    struct limit_rule *rules;
    int rc = 0;

    if (node->kind == CONFIG_SCALAR && node->text.len == 0)
        return 0; /* "keys:" and nothing below */
    if (node->kind != CONFIG_MAPPING)
        return refuse(self, section, node, node, "must be a mapping of names to rules", err);
    rules = arena_calloc(self->arena, node->n_items, sizeof(*rules));
    if (!rules)
        return error_set(err, ERR_NOMEM, "no memory for %zu limits", node->n_items);
    for (size_t i = 0; rc == 0 && i < node->n_items; i++)
        rc = read_rule(self, section, &node->items[i], &rules[i], err);
    if (rc == 0)
        *out = (struct limit_rule_list){rules, node->n_items};
    return rc;
}

static int
read_part(const struct reader *self, const struct config_node *node, struct limit_rules *out,
          struct error *err)
{
    struct limit_rule_list *const lists[N_SECTIONS] = {&out->tasks, &out->queues, &out->keys};

    for (int i = 0; i < N_SECTIONS; i++)
        if (str_equal(section_names[i], node->key))
            return read_section(self, (enum section)i, node, lists[i], err);
    return error_set(err, ERR_CONFIG,
                     "%s:%zu: " CONFIG_LIMITS_NAME " has no '%.*s': it has tasks, queues and keys",
                     self->path, node->line, STR_ARG(str_slice(node->key, 0, SHOWN_BYTES)));
}

int
limits_config_load(const struct config *config, struct arena *arena, struct limit_rules *out,
                   struct error *err)
{
    const struct config_node *tree = config_limits(config);
    struct reader reader = {config_yaml_path(config).ptr, arena};
    struct limit_rules rules = {0};
    int rc = 0;

    if (tree && tree->kind == CONFIG_SCALAR && tree->text.len == 0)
        tree = NULL;
    if (tree && tree->kind != CONFIG_MAPPING)
        return error_set(err, ERR_CONFIG,
                         "%s:%zu: " CONFIG_LIMITS_NAME
                         " must be a mapping with tasks, queues and keys",
                         reader.path, tree->line);
    for (size_t i = 0; rc == 0 && tree && i < tree->n_items; i++)
        rc = read_part(&reader, &tree->items[i], &rules, err);
    if (rc == 0)
        *out = rules;
    return rc;
}
