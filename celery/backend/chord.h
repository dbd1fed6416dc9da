#pragma once

/* Chords: how many ends of a group have reported, and who starts what comes after it.
 *
 * Every end is counted once, however often it reports.  The one whose report makes the count
 * complete owns what follows: it is told so then, and again whenever it reports again, and nobody
 * else ever is.  Its message is not settled before the callback is sent, so a worker that dies in
 * between leaves both to whoever gets the message next.  docs/canvas.md has the argument.
 *
 * On Redis the keys are Celery's: <g>.j, <g>.t, <g>.s, and the <g>.c and <g>.d of 5.7.
 * Source: Celery 5.2 to 5.7, backends/redis.py (on_chord_part_return). */

#include "celery/backend/backend.h"

#define BACKEND_MAX_CHORD_PARTS ((size_t)512) /* in one backend_chord_count */

/* One end's report. */
struct backend_chord_part {
    struct str group_id;
    struct str task_id;
    int64_t index;     /* in the group; < 0: not known, it comes last */
    struct str member; /* JSON: [1, id, state, result] */
};

struct backend_chord_count {
    bool is_due;             /* complete, and this end is the owner of what follows */
    const struct str *parts; /* [n_parts] then: all members, in the group's order */
    size_t n_parts;
    struct str saved; /* then: the group's saved results; absent: none */
};

/* Store the size of a chord (how many ends will report), and the shape of nested results (JSON;
 * absent: none).  Said again it changes nothing; a chord that has been started stays so.
 * Errors: as of backend_store. */
MUST_CHECK int backend_chord_begin(struct backend *backend, struct str group_id, int64_t size,
                                   struct str saved, struct error *err);

/* Count n reports, in their order, in one round trip.
 *
 * counts  [n_parts], in the arena
 *
 * Errors: ERR_TOO_LARGE (n_parts), and as of backend_store: it may be said again. */
MUST_CHECK int backend_chord_count(struct backend *backend, const struct backend_chord_part *parts,
                                   size_t n_parts, struct arena *arena,
                                   struct backend_chord_count *counts, struct error *err);

/* What follows the chord has been sent: forget the reports, remember that it is over.  Not saying
 * it costs memory until they expire, nothing else.  Errors: as of backend_store. */
MUST_CHECK int backend_chord_end(struct backend *backend, struct str group_id, struct error *err);
