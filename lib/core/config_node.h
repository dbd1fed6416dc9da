#pragma once

/* A part of trawl.yaml that is more than single values: mappings, lists and scalars as they stand
 * there, with their lines for messages.  A plain record; all lives in one arena. */

#include <stdbool.h>
#include <stddef.h>

#include <trawl/str.h>

enum config_node_kind { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAPPING };

struct config_node {
    enum config_node_kind kind;
    size_t line;     /* 1-based; of the key, where there is one */
    struct str key;  /* of a mapping's item; else absent */
    struct str text; /* of a scalar; NUL-terminated */
    bool is_quoted;  /* a scalar that is text whatever it looks like */
    const struct config_node *items;
    size_t n_items;
};
