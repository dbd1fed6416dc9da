#pragma once

/* Signatures: what Celery's canvas puts into callbacks, chains and chords, as a tree that can be
 * changed and written again.
 *
 *     {"task": "proj.add", "args": [4], "kwargs": {}, "options": {"task_id": "..."},
 *      "subtask_type": null, "immutable": false}
 *
 * What is only passed on stays the text that it was: a branch that nobody has changed is written as
 * it came, with every digit and every option that is not known here.  Pure, any thread.
 *
 * Source: Celery's user guide, "Canvas", and what 5.2 to 5.7 write; docs/canvas.md. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"

#define CANVAS_MAX_LEVELS ((size_t)200)    /* of signatures inside signatures */
#define CANVAS_MAX_NODES  ((size_t)500000) /* of one tree */

enum canvas_kind {
    CANVAS_TASK,
    CANVAS_CHAIN, /* items: its steps */
    CANVAS_GROUP, /* items: its members */
    CANVAS_CHORD, /* header and body */
};

/* A member of an object, its value as JSON. */
struct canvas_option {
    struct str name; /* as between its quotes */
    struct str value;
};

struct canvas_options {
    struct canvas_option *items;
    size_t n_items;
    size_t capacity;
};

/* A plain record in an arena, of views into the text and the arena. */
struct canvas_node {
    enum canvas_kind kind;
    struct str text;         /* as it came; absent once it was changed */
    struct str task;         /* JSON: a string */
    struct str args;         /* JSON: an array */
    struct str kwargs;       /* JSON: an object; of a task only */
    struct str subtask_type; /* JSON, of a task; absent = null */
    bool is_immutable;
    struct canvas_options options;
    struct canvas_options others; /* members of the signature that are not known here */
    struct canvas_node **items;
    size_t n_items;
    struct canvas_node *header; /* a group */
    struct canvas_node *body;
    struct str chord_kwargs; /* JSON: an object, given to each task of a chord's header */
    bool is_prepared;        /* canvas_freeze has been there */
};

/* Read a signature.
 *
 * text   one JSON value that json_scan has accepted; borrowed by the tree
 * arena  takes about 200 bytes for each signature, and 64 for each option
 *
 * The body that Celery 5.2 copies into each task of a pending chord's header is left out: whoever
 * starts the chord puts it there.  Errors: ERR_INVALID (not a signature, naming what is wrong),
 * ERR_TOO_LARGE (levels, nodes), ERR_NOMEM. */
MUST_CHECK int canvas_parse(struct str text, struct arena *arena, struct canvas_node **out,
                            struct error *err);

/* A list of signatures; STR_NULL and null have none, one that stands alone counts as a list. */
MUST_CHECK int canvas_parse_list(struct str text, struct arena *arena, struct canvas_node ***items,
                                 size_t *n_items, struct error *err);

/* Append it as JSON, in Celery's order and Python's style. */
void canvas_write(const struct canvas_node *node, struct buf *out);
/* As a list. */
void canvas_write_list(struct canvas_node *const *items, size_t n_items, struct buf *out);

/* JSON of an option; absent where it is not there, or null. */
struct str canvas_options_get(const struct canvas_options *options, struct str name);
struct str canvas_get(const struct canvas_node *node, struct str name);
/* Unescaped; absent where it is no string.  *ok turns false without memory. */
struct str canvas_get_text(const struct canvas_node *node, struct str name, struct arena *arena,
                           bool *ok);
/* Set an option, in its place or at the end.  Errors: ERR_NOMEM. */
MUST_CHECK int canvas_options_set(struct canvas_options *options, struct str name, struct str value,
                                  struct arena *arena, struct error *err);
MUST_CHECK int canvas_set(struct canvas_node *node, struct str name, struct str value,
                          struct arena *arena, struct error *err);
void canvas_remove(struct canvas_node *node, struct str name);

/* Add to an option that is a list (link, link_error); JSON values, comma between.  Errors:
 * ERR_NOMEM. */
MUST_CHECK int canvas_add(struct canvas_node *node, struct str name, struct str values,
                          struct arena *arena, struct error *err);

/* A new node with nothing in it, of that task. */
struct canvas_node *canvas_create(enum canvas_kind kind, struct str task_json, struct arena *arena);

/* Remove the option `chord` from whatever ends the branch. */
void canvas_clear_chord(struct canvas_node *node);

/* How many ends the branch will report to the chord that it is in. */
int64_t canvas_count_ends(const struct canvas_node *node);

/* A JSON string of a text, in the arena. */
struct str canvas_quote(struct str text, struct arena *arena, bool *ok);
