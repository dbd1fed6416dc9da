/* From a crontab to instants.
 *
 * Two clocks are at work.  On the wall, time is a plain count of minutes, and matching is bit
 * arithmetic, a month at a time.  Between wall and UTC stand the zone's spans of one offset; next()
 * walks over them, and only where one span meets the next does anything special happen:
 *
 *        wall  ----a b c d          gap: c and d are on no span        b c again: overlap
 *                       \ e f          \                                  / c d
 *        UTC   ----------T-----         T = first instant after           T = second pass starts */

#include "base/timestamp.h"
#include "celery/crontab.h"

#define MINUTE_S       INT64_C(60)
#define DAY_MINUTES    INT64_C(1440)
#define ALL_HOURS      ((UINT64_C(1) << 24) - 1)
#define LAST_INSTANT_S INT64_C(253402300799) /* 9999-12-31T23:59:59 */

/* Rounding down, also below zero. */
static int64_t
divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The lowest set bit at or after from, or -1. */
static int
find_bit(uint64_t bits, int64_t from)
{
    bits = from < 64 ? bits >> from << from : 0;
    return bits ? __builtin_ctzll(bits) : -1;
}

/* The first matching minute of a day at or after from, or -1. */
static int64_t
find_time_of_day(const struct celery_crontab *crontab, int64_t from)
{
    int hour = find_bit(crontab->hour, from / 60);
    int minute;

    if (hour < 0)
        return -1;
    minute = find_bit(crontab->minute, hour == from / 60 ? from % 60 : 0);
    if (minute < 0) {
        hour = find_bit(crontab->hour, hour + 1);
        minute = find_bit(crontab->minute, 0);
    }
    return hour < 0 ? -1 : hour * INT64_C(60) + minute;
}

/* The days of a month that match, as day_of_month counts them. */
static uint64_t
match_days(const struct celery_crontab *crontab, int64_t first_day, int64_t n_days)
{
    /* 1970-01-01 was a Thursday. */
    int64_t first_week_day = ((first_day + 4) % 7 + 7) % 7;
    uint64_t week =
        (crontab->day_of_week >> first_week_day) | (crontab->day_of_week << (7 - first_week_day));
    uint64_t month = 0;

    week &= 0x7F;
    for (int i = 0; i < 5; i++)
        month |= week << (1 + 7 * i);
    return month & crontab->day_of_month & ((UINT64_C(1) << (n_days + 1)) - 1);
}

/* The first matching day at or after one, both since 1970; at least `end` when there is none
 * before. */
static int64_t
find_day(const struct celery_crontab *crontab, int64_t from, int64_t end)
{
    int64_t year;
    unsigned month;
    unsigned day;

    timestamp_civil_from_days(from, &year, &month, &day);
    while (from < end) {
        int64_t first = timestamp_days_from_civil(year, month, 1);
        unsigned next_month = month == 12 ? 1 : month + 1;
        int64_t next_year = year + (month == 12);
        int64_t next_first = timestamp_days_from_civil(next_year, next_month, 1);

        if (crontab->month >> month & 1) {
            int found = find_bit(match_days(crontab, first, next_first - first), day);

            if (found >= 0)
                return first + found - 1;
        }
        year = next_year;
        month = next_month;
        day = 1;
        from = next_first;
    }
    return end;
}

/* The first matching wall minute in [from, end), or end. */
static int64_t
find_wall(const struct celery_crontab *crontab, int64_t from, int64_t end)
{
    int64_t day = divide(from, DAY_MINUTES);
    int64_t end_day = divide(end, DAY_MINUTES) + 1;
    int64_t time_of_day = -1;
    int64_t wall;

    if (find_day(crontab, day, day + 1) == day)
        time_of_day = find_time_of_day(crontab, from - day * DAY_MINUTES);
    if (time_of_day < 0) {
        day = find_day(crontab, day + 1, end_day);
        time_of_day = find_time_of_day(crontab, 0);
    }
    wall = day * DAY_MINUTES + time_of_day;
    return wall < end ? wall : end;
}

static bool
is_match(const struct celery_crontab *crontab, int64_t wall)
{
    return find_wall(crontab, wall, wall + 1) == wall;
}

static bool
is_hourly(const struct celery_crontab *crontab)
{
    return crontab->hour == ALL_HOURS;
}

/* Seconds of wall time to whole minutes, up. */
static int64_t
wall_minutes(int64_t wall_s)
{
    return divide(wall_s + MINUTE_S - 1, MINUTE_S);
}

/* Has the gap between two spans swallowed a time that must be made up for?  Rules 1 and 3. */
static bool
has_lost_time(const struct celery_crontab *crontab, const struct celery_zone_span *before,
              const struct celery_zone_span *span)
{
    int64_t from = wall_minutes(span->start_s + before->offset_s);
    int64_t end = wall_minutes(span->start_s + span->offset_s);
    int64_t shift_s = span->offset_s - before->offset_s;

    for (int64_t wall = find_wall(crontab, from, end); wall < end;
         wall = find_wall(crontab, wall + 1, end)) {
        if (!is_hourly(crontab) || shift_s % MINUTE_S != 0 ||
            !is_match(crontab, wall + shift_s / MINUTE_S))
            return true;
    }
    return false;
}

/* The first fire time in [from_s, end of the span), or CELERY_NEVER. */
static int64_t
find_in_span(const struct celery_crontab *crontab, const struct celery_time_zone *zone,
             const struct celery_zone_span *span, int64_t from_s)
{
    int64_t end_s = span->end_s < LAST_INSTANT_S ? span->end_s : LAST_INSTANT_S + 1;
    int64_t from = wall_minutes(from_s + span->offset_s);
    int64_t end = wall_minutes(end_s + span->offset_s);

    if (span->start_s != INT64_MIN) {
        struct celery_zone_span before;

        celery_time_zone_span(zone, span->start_s - 1, &before);
        if (from_s == span->start_s && before.offset_s < span->offset_s &&
            has_lost_time(crontab, &before, span))
            return from_s;
        if (before.offset_s > span->offset_s && !is_hourly(crontab)) {
            int64_t repeated_end = wall_minutes(span->start_s + before.offset_s);

            from = from > repeated_end ? from : repeated_end;
        }
    }
    from = from < end ? find_wall(crontab, from, end) : end;
    return from < end ? from * MINUTE_S - span->offset_s : CELERY_NEVER;
}

int64_t
celery_crontab_next(const struct celery_crontab *crontab, const struct celery_time_zone *zone,
                    int64_t after_s)
{
    int64_t from_s = after_s + 1;

    while (from_s <= LAST_INSTANT_S) {
        struct celery_zone_span span;
        int64_t found_s;

        celery_time_zone_span(zone, from_s, &span);
        found_s = find_in_span(crontab, zone, &span, from_s);
        if (found_s != CELERY_NEVER)
            return found_s;
        from_s = span.end_s;
    }
    return CELERY_NEVER;
}
