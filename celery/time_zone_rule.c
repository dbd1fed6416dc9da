/* POSIX TZ texts: parsed from a cursor, then evaluated by listing the changes of the years around
 * an instant.  A change may be a week off its day (hours go to 167), so two years on each side are
 * listed: then the neighbours of the instant are always among them.  Where two changes fall on one
 * instant (daylight time all year), the later one in the list wins. */

#include "celery/time_zone_rule.h"

#include "base/timestamp.h"

#define DAY_S         INT64_C(86400)
#define YEARS_AROUND  2
#define N_CHANGES_MAX ((2 * YEARS_AROUND + 1) * 2)

/* One to max_digits decimal digits from the front of *rest. */
static bool
take_number(struct str *rest, size_t max_digits, unsigned max, unsigned *out)
{
    unsigned value = 0;
    size_t n = 0;

    while (n < rest->len && n < max_digits && rest->ptr[n] >= '0' && rest->ptr[n] <= '9')
        value = value * 10 + (unsigned)(rest->ptr[n++] - '0');
    *rest = str_slice(*rest, n, rest->len);
    *out = value;
    return n > 0 && value <= max;
}

static bool
take_char(struct str *rest, char wanted)
{
    if (rest->len == 0 || rest->ptr[0] != wanted)
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    return true;
}

/* [+-]h[h[h]][:mm[:ss]] in seconds. */
static bool
take_clock(struct str *rest, unsigned max_hours, int32_t *out_s)
{
    int32_t sign = take_char(rest, '-') ? -1 : 1;
    unsigned hours;
    unsigned minutes = 0;
    unsigned seconds = 0;

    if (sign == 1)
        (void)take_char(rest, '+');
    if (!take_number(rest, 3, max_hours, &hours))
        return false;
    if (take_char(rest, ':') && !take_number(rest, 2, 59, &minutes))
        return false;
    if (take_char(rest, ':') && !take_number(rest, 2, 59, &seconds))
        return false;
    *out_s = sign * (int32_t)(hours * 3600 + minutes * 60 + seconds);
    return true;
}

static bool
is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
is_quoted_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-';
}

/* "CET", or "<+0330>": three characters at least.  Its text is of no use here. */
static bool
take_name(struct str *rest)
{
    bool is_quoted = take_char(rest, '<');
    size_t n = 0;

    while (n < rest->len && (is_quoted ? is_quoted_char(rest->ptr[n]) : is_letter(rest->ptr[n])))
        n++;
    *rest = str_slice(*rest, n, rest->len);
    return n >= 3 && (!is_quoted || take_char(rest, '>'));
}

static bool
take_date(struct str *rest, struct celery_rule_date *out)
{
    *out = (struct celery_rule_date){.kind = CELERY_RULE_DAY, .time_s = 2 * 3600};
    if (take_char(rest, 'M')) {
        out->kind = CELERY_RULE_WEEKDAY;
        if (!take_number(rest, 2, 12, &out->month) || out->month < 1 || !take_char(rest, '.') ||
            !take_number(rest, 1, 5, &out->week) || out->week < 1 || !take_char(rest, '.') ||
            !take_number(rest, 1, 6, &out->day))
            return false;
    } else if (take_char(rest, 'J')) {
        out->kind = CELERY_RULE_JULIAN;
        if (!take_number(rest, 3, 365, &out->day) || out->day < 1)
            return false;
    } else if (!take_number(rest, 3, 365, &out->day)) {
        return false;
    }
    return !take_char(rest, '/') || take_clock(rest, 167, &out->time_s);
}

/* Offsets in these texts count west of Greenwich. */
static bool
take_rule(struct str *rest, struct celery_zone_rule *rule)
{
    if (!take_name(rest) || !take_clock(rest, 24, &rule->std_offset_s))
        return false;
    rule->std_offset_s = -rule->std_offset_s;
    if (rest->len == 0)
        return true;
    rule->has_dst = true;
    if (!take_name(rest))
        return false;
    rule->dst_offset_s = rule->std_offset_s + 3600;
    if (rest->len && rest->ptr[0] != ',') {
        if (!take_clock(rest, 24, &rule->dst_offset_s))
            return false;
        rule->dst_offset_s = -rule->dst_offset_s;
    }
    return take_char(rest, ',') && take_date(rest, &rule->dst_start) && take_char(rest, ',') &&
           take_date(rest, &rule->dst_end) && rest->len == 0;
}

int
celery_zone_rule_parse(struct str text, struct celery_zone_rule *out, struct error *err)
{
    struct celery_zone_rule rule = {0};
    struct str rest = text;

    if (!take_rule(&rest, &rule))
        return error_set(err, ERR_INVALID,
                         "time zone rule '%.*s' is broken at byte %zu: wanted a form as "
                         "'CET-1CEST,M3.5.0,M10.5.0/3'",
                         STR_ARG(str_slice(text, 0, 64)), text.len - rest.len);
    *out = rule;
    return 0;
}

static bool
is_leap_year(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days since 1970 of the rule's day in a year. */
static int64_t
find_day(const struct celery_rule_date *date, int64_t year)
{
    int64_t first = timestamp_days_from_civil(year, 1, 1);
    int64_t next_month;
    int64_t day;

    switch (date->kind) {
    case CELERY_RULE_JULIAN:
        return first + date->day - 1 + (is_leap_year(year) && date->day >= 60);
    case CELERY_RULE_DAY:
        return first + date->day;
    case CELERY_RULE_WEEKDAY:
        break;
    }
    first = timestamp_days_from_civil(year, date->month, 1);
    next_month = date->month == 12 ? timestamp_days_from_civil(year + 1, 1, 1)
                                   : timestamp_days_from_civil(year, date->month + 1, 1);
    /* 1970-01-01 was a Thursday; days may be negative. */
    day = first + ((int64_t)date->day - (first + 4) % 7 + 14) % 7 + 7 * ((int64_t)date->week - 1);
    return day < next_month ? day : day - 7;
}

struct change {
    int64_t time_s;
    int32_t offset_s; /* from then on */
};

static void
insert_change(struct change *changes, size_t n, struct change change)
{
    while (n > 0 && changes[n - 1].time_s > change.time_s) {
        changes[n] = changes[n - 1];
        n--;
    }
    changes[n] = change;
}

/* All changes of the years around one, in their order. */
static void
list_changes(const struct celery_zone_rule *rule, int64_t year, struct change *out)
{
    size_t n = 0;

    for (int64_t y = year - YEARS_AROUND; y <= year + YEARS_AROUND; y++) {
        struct change start = {find_day(&rule->dst_start, y) * DAY_S + rule->dst_start.time_s -
                                   rule->std_offset_s,
                               rule->dst_offset_s};
        struct change end = {find_day(&rule->dst_end, y) * DAY_S + rule->dst_end.time_s -
                                 rule->dst_offset_s,
                             rule->std_offset_s};

        insert_change(out, n++, start);
        insert_change(out, n++, end);
    }
}

void
celery_zone_rule_span(const struct celery_zone_rule *rule, int64_t time_s,
                      struct celery_zone_span *out)
{
    struct change changes[N_CHANGES_MAX];
    int64_t year;
    unsigned month;
    unsigned day;
    size_t idx = 0;

    *out = (struct celery_zone_span){INT64_MIN, INT64_MAX, rule->std_offset_s};
    if (!rule->has_dst)
        return;
    timestamp_civil_from_days(time_s / DAY_S - (time_s % DAY_S < 0), &year, &month, &day);
    list_changes(rule, year, changes);
    while (idx + 1 < N_CHANGES_MAX && changes[idx + 1].time_s <= time_s)
        idx++;
    out->start_s = changes[idx].time_s;
    out->offset_s = changes[idx].offset_s;
    if (idx + 1 < N_CHANGES_MAX)
        out->end_s = changes[idx + 1].time_s;
}
