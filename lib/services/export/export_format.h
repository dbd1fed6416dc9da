#pragma once

/* The forms of a catalogue outside: one const struct of functions per form, chosen by name.
 *
 * A writer turns rows into bytes and does no I/O; what it appends is valid whatever a row holds:
 * broken UTF-8 becomes U+FFFD, addresses that are none are left out.  Pure but for the buffer, any
 * thread. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/buf.h"
#include "lib/models/dataset.h"

/* Whether the document is one dataset or a list of them. */
enum export_scope { EXPORT_ONE, EXPORT_CATALOGUE };

struct export_document {
    enum export_scope scope;
    int64_t now_us; /* UTC: when it was made */
    int64_t n_rows; /* how many stand in it so far */
};

/* Whether a row has all that the form's standard requires. */
enum export_verdict { EXPORT_COMPLETE, EXPORT_INCOMPLETE };

struct export_format {
    struct str name;    /* for --format */
    struct str summary; /* one line for people */

    /* What stands before the first row, and after the last.  NULL = nothing. */
    void (*begin)(const struct export_document *document, struct buf *out);
    void (*end)(const struct export_document *document, struct buf *out);

    /* One row, with what separates it from the row before.  Failures stick in the buffer. */
    enum export_verdict (*append)(const struct export_document *document, const struct dataset *row,
                                  struct buf *out);
};

extern const struct export_format export_format_jsonl;
extern const struct export_format export_format_csv;
extern const struct export_format export_format_dcat;
extern const struct export_format export_format_croissant;     /* 1.1 */
extern const struct export_format export_format_croissant_1_0; /* for older readers */

extern const struct export_format *const export_formats[]; /* ended by NULL */

/* Errors: ERR_ARGS, listing the names. */
MUST_CHECK int export_format_find(struct str name, const struct export_format **out,
                                  struct error *err);
