#pragma once

/* What is known about whether a dataset can be reached: plain records. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

/* A moment that never was or will be; stored as NULL. */
#define LINK_NEVER INT64_MIN

/* clang-format off */
#define LINK_STATES(X) \
    /* state        text            meaning */ \
    X(UNCHECKED,    "unchecked")    /* never asked, or must not be asked */      \
    X(ALIVE,        "alive")        /* it answered */                            \
    X(RESTRICTED,   "restricted")   /* it is there, and not open to us */        \
    X(SUSPECT,      "suspect")      /* first signs that it is not there */       \
    X(UNREACHABLE,  "unreachable")  /* its host has failed for days */           \
    X(GONE,         "gone")         /* not there any more: the row is hidden */
/* clang-format on */

enum link_state {
#define LINK_STATE_ENUM(name, text) LINK_##name,
    LINK_STATES(LINK_STATE_ENUM)
#undef LINK_STATE_ENUM
};

const char *link_state_name(enum link_state state);
/* Absent text is LINK_UNCHECKED.  Errors: ERR_INVALID. */
MUST_CHECK int link_parse_state(struct str text, enum link_state *out, struct error *err);

/* Strikes of two kinds: evidence of gone (404, 410), and of lost (timeouts, 5xx). */
struct link_strikes {
    int64_t n_gone; /* a 410 counts twice */
    int64_t n_gone_strong;
    int64_t gone_since_us; /* the first one; LINK_NEVER without */
    int64_t gone_strong_since_us;
    int64_t n_lost;
    int64_t lost_since_us;
};

struct link_status {
    enum link_state state;
    int64_t last_checked_at_us; /* the last verdict; LINK_NEVER without */
    int64_t next_at_us;         /* not before; LINK_NEVER = with the stalest rows */
    int64_t gone_at_us;         /* when it became gone; LINK_NEVER while it is not */
    struct link_strikes strikes;
};

/* A dataset that is to be checked; texts are borrowed, usually from an arena. */
struct link {
    int64_t row_id;
    struct str source_name;
    struct str external_id;
    struct str url;
    struct link_status status;
};

struct link_list {
    const struct link *items;
    size_t n_items;
};

/* One host over the passes. */
struct link_host {
    struct str origin;
    int64_t parked_until_us; /* times: LINK_NEVER where there is none */
    int64_t outage_since_us;
    int64_t canary_at_us;
    int64_t canary_good_at_us;
    int64_t n_good_probes; /* of the last good pass; 0 without one */
    int64_t n_good_failures;
    int64_t n_head_lies;
    int64_t get_first_until_us;
};

/* A host of which nothing is known; origin is borrowed. */
void link_host_init(struct link_host *host, struct str origin);

/* Nothing against it: neither strikes nor times. */
void link_status_init(struct link_status *status);
