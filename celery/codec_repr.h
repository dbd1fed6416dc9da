#pragma once

/* JSON values as Python shows them, for argsrepr, kwargsrepr, events and logs.  Pure, any thread.
 *
 * All append UTF-8; a lone surrogate becomes three bytes (JSON_KEEP_SURROGATES), for the JSON
 * writer's Python style to turn back.  Failures stick in the buffer. */

#include <trawl/str.h>

#include "base/buf.h"

/* Characters of a text for display, before it is cut, and how deep containers are shown. */
#define CELERY_REPR_CHARS  1024
#define CELERY_REPR_LEVELS 3

enum celery_repr_form {
    /* What Celery's saferepr writes: only quotes are escaped, cut after CELERY_REPR_CHARS at a
     * space or between two elements, deeper levels as [...] and {...}. Source:
     * celery/utils/saferepr.py of Celery 5.7 (5.2 to 5.6 differ in where they close brackets after
     * a cut). */
    CELERY_REPR_SAFE,
    CELERY_REPR_SAFE_TUPLE, /* the same, the outermost list as the tuple that a caller passed */
    CELERY_REPR_PYTHON,     /* what repr() writes, all of it */
};

/* json  one value that json_scan has accepted (flags JSON_ALLOW_NAN, JSON_KEEP_SURROGATES) */
void celery_repr_append(struct buf *out, struct str json, enum celery_repr_form form);

/* A text (not JSON) as repr() shows it: "it's" -> "it's" in double quotes, controls as \x1b.
 * Characters that Unicode has not assigned yet are shown as they are, where Python escapes them. */
void celery_repr_append_text(struct buf *out, struct str text);
