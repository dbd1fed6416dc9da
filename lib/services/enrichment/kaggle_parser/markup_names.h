#pragma once

/* The names that kaggle_markup_ knows: HTML's elements and entities. */

#include <stdint.h>

#include <trawl/str.h>

enum markup_kind {
    MARKUP_NONE,   /* not an element of HTML */
    MARKUP_INLINE, /* vanishes */
    MARKUP_LINE,   /* ends a line */
    MARKUP_CELL,   /* becomes a space */
    MARKUP_RAW,    /* vanishes together with its content */
};

/* The kind of an element's name, ASCII case ignored.  Pure. */
enum markup_kind markup_element_kind(struct str name);

/* The code point of what stands between '&' and ';' ("amp", "#39", "#x27"), or 0 where it is none
 * that belongs into a text (unknown names, controls, surrogates).  Pure. */
uint32_t markup_entity(struct str name);
