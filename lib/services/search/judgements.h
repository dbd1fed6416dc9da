#pragma once

/* A judged collection's queries and grades, as TREC's tools write them.
 *
 * Queries: a line each, "id TAB text", or a JSON object with "_id" (or "id") and "text".
 * Grades (qrels): a line each, "query 0 document grade", or without the second word; a line of
 * words whose grade is no number may stand first as a heading. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"

struct judged_query {
    struct str id;
    struct str text;
};

struct judgement {
    struct str query_id;
    struct str document_id;
    double grade; /* above 0 = relevant */
};

struct judgements {
    struct judged_query *queries; /* in the file's order */
    size_t n_queries;
    struct judgement *items; /* by query and document */
    size_t n_items;
};

/* Texts are borrowed from the two texts and the arena.  Errors: ERR_INVALID with the line,
 * ERR_NOMEM. */
MUST_CHECK int judgements_parse(struct str queries, struct str qrels, struct arena *arena,
                                struct judgements *out, struct error *err);

/* The judgements of a query, one after another; *out_n 0 where it has none. */
const struct judgement *judgements_find_query(const struct judgements *self, struct str query_id,
                                              size_t *out_n);

/* Of one of a query's judgements as above; 0 where the document is not judged. */
double judgements_grade(const struct judgement *items, size_t n_items, struct str document_id);
