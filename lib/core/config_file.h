#pragma once

/* The two file forms of settings, read into name/value pairs. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/core/config_node.h"

/* The parts of trawl.yaml that are trees. */
#define CONFIG_SCHEDULE_NAME "beat_schedule"
#define CONFIG_LIMITS_NAME   "limits"

/* The one setting that may be a list: its items are joined by the mark that PATH has. */
#define CONFIG_LIST_NAME "include"
#define CONFIG_LIST_MARK ':'

/* Settings that belong to plug-ins: any name may follow. */
#define CONFIG_PLUGIN_PREFIX "plugins."

struct config_pair {
    struct str name; /* "log.level" in YAML: keys of nested mappings joined by points */
    struct str value;
    size_t line; /* 1-based */
};

struct config_pairs {
    const struct config_pair *items;
    size_t n_items;
};

/* Scalars of a YAML file, in its order, without the trees; path is for messages.
 * Errors: ERR_CONFIG with the line (syntax, a list where a value belongs, a name twice). */
MUST_CHECK int config_parse_yaml(struct str text, const char *path, struct arena *arena,
                                 struct config_pairs *out, struct error *err);

/* The tree of that name in a YAML file; *out is NULL when there is none.
 * Errors: ERR_CONFIG with the line (syntax, no mapping, a name twice, too deep or too many). */
MUST_CHECK int config_parse_tree(struct str text, const char *path, const char *name,
                                 struct arena *arena, const struct config_node **out,
                                 struct error *err);

MUST_CHECK static inline int
config_parse_schedule(struct str text, const char *path, struct arena *arena,
                      const struct config_node **out, struct error *err)
{
    return config_parse_tree(text, path, CONFIG_SCHEDULE_NAME, arena, out, err);
}

/* NAME=value lines of a .env file: comments, `export`, single and double quotes.  Lines that are
 * none of this are left out, as other readers of such files do. */
MUST_CHECK int config_parse_dotenv(struct str text, struct arena *arena, struct config_pairs *out,
                                   struct error *err);
