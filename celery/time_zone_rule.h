#pragma once

/* The last line of a time zone file: a POSIX TZ text that says what the clocks do after the file's
 * table ends ("CET-1CEST,M3.5.0,M10.5.0/3").  Pure.
 *
 * Source: POSIX.1-2017 section 8.3 (TZ); RFC 9636 section 3.3 (its extensions: hours to 167). */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

enum celery_rule_kind {
    CELERY_RULE_JULIAN,  /* Jn: day 1 to 365, 29 February is never counted */
    CELERY_RULE_DAY,     /* n: day 0 to 365, 29 February is counted in leap years */
    CELERY_RULE_WEEKDAY, /* Mm.w.d: the w-th (5 = last) weekday d (0 = Sunday) of month m */
};

struct celery_rule_date {
    enum celery_rule_kind kind;
    unsigned month;
    unsigned week;
    unsigned day;
    int32_t time_s; /* after local midnight, -167 h to 167 h */
};

struct celery_zone_rule {
    bool has_dst;
    int32_t std_offset_s; /* east of UTC */
    int32_t dst_offset_s;
    struct celery_rule_date dst_start; /* in standard time */
    struct celery_rule_date dst_end;   /* in daylight time */
};

/* A stretch of time with one offset: start_s <= t < end_s. */
struct celery_zone_span {
    int64_t start_s;  /* since 1970, UTC; INT64_MIN = for ever */
    int64_t end_s;    /* INT64_MAX = for ever */
    int32_t offset_s; /* local = UTC + offset */
};

/* Errors: ERR_INVALID, naming the text and the place.  Daylight time without dates is refused:
 * POSIX leaves its meaning to the system. */
MUST_CHECK int celery_zone_rule_parse(struct str text, struct celery_zone_rule *out,
                                      struct error *err);

/* The span around an instant of the years -9999 to 99999. */
void celery_zone_rule_span(const struct celery_zone_rule *rule, int64_t time_s,
                           struct celery_zone_span *out);
