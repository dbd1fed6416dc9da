#pragma once

/* What the files that read Redis URLs share.  Private to celery/redis/address*.c.  Pure. */

#include "celery/redis/redis.h"

#define REDIS_URL_ADVICE "percent-encode : / ? # @ and ; in user and password"

/* %41 is A; in a query + is a space, as Python's parser has it.  what names the text in errors.
 * Errors: ERR_CONFIG, ERR_NOMEM. */
MUST_CHECK int redis_url_unescape(struct str text, bool is_query, const char *what,
                                  struct arena *arena, struct str *out, struct error *err);

/* A database's number; none is 0.  Errors: ERR_CONFIG. */
MUST_CHECK int redis_url_parse_database(struct str text, struct redis_address *out,
                                        struct error *err);

/* The options of out->query that are of the connection.  Errors: ERR_CONFIG, ERR_NOMEM. */
MUST_CHECK int redis_url_parse_options(bool is_sentinel, struct arena *arena,
                                       struct redis_address *out, struct error *err);
