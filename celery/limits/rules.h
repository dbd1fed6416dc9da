#pragma once

/* What limits are declared: by task name, queue and key.  Plain records; whoever made them keeps
 * them.  docs/limits.md says what they mean. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "celery/broker/broker.h"

/* "*", among the rules for keys: of every key that has no rule of its own. */
#define LIMIT_ANY_KEY "*"

enum limit_key_form {
    LIMIT_KEY_NONE,
    LIMIT_KEY_VALUE, /* the argument as it is */
    LIMIT_KEY_HOST,  /* the host name of the URL in it */
};

enum limit_scope { LIMIT_BY_ARGUMENTS, LIMIT_BY_NAME };

struct limit_rule {
    struct str name;
    int64_t interval_us; /* of the rate; 0 = none */
    int64_t burst;       /* of the rate; at least 1 */
    int64_t most;        /* at the same time; 0 = no limit */

    /* Of a task only. */
    enum limit_key_form key_form;
    struct str key_argument;
    enum broker_lock_span unique;
    int64_t unique_us; /* BROKER_LOCK_TIMED */
    enum limit_scope unique_by;
};

struct limit_rule_list {
    const struct limit_rule *items;
    size_t n_items;
};

struct limit_rules {
    struct limit_rule_list tasks;
    struct limit_rule_list queues;
    struct limit_rule_list keys;
};

/* NULL when there is none. */
const struct limit_rule *limit_rules_find(const struct limit_rule_list *rules, struct str name);

/* "10/s", "2.5/m", "100/h"; a number alone is per second.  *interval_us is the time between two, at
 * least 1.  Errors: ERR_INVALID. */
MUST_CHECK int limit_parse_rate(struct str text, int64_t *interval_us, struct error *err);

/* "host(url)" or "name".  Errors: ERR_INVALID. */
MUST_CHECK int limit_parse_key(struct str text, enum limit_key_form *form, struct str *argument,
                               struct error *err);

/* "queued", "running" (until its end), "no", or a time: seconds, "30s", "10m", "2h", "1d".
 * Errors: ERR_INVALID. */
MUST_CHECK int limit_parse_unique(struct str text, enum broker_lock_span *span, int64_t *span_us,
                                  struct error *err);
