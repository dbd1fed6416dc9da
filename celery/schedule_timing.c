/* A row becomes a timing: what goes together is checked, texts are parsed, the zone is opened. */

#include "celery/schedule_timing.h"

#include <inttypes.h>

#include "base/clock.h"

#define MINUTE_S INT64_C(60)
#define HOUR_S   INT64_C(3600)
#define DAY_S    INT64_C(86400)

static int
check_when(const struct celery_schedule *row, struct error *err)
{
    if (!row->every_s && !row->crontab)
        return error_set(err, ERR_INVALID,
                         "schedule '%s' never fires: give every_s (seconds) or crontab", row->name);
    if (row->every_s && row->crontab)
        return error_set(err, ERR_INVALID,
                         "schedule '%s' has both every_s %" PRId64 " and crontab '%.64s': give one",
                         row->name, row->every_s, row->crontab);
    if (!row->crontab && (row->every_s < 1 || row->every_s > CELERY_SCHEDULE_EVERY_MAX_S))
        return error_set(err, ERR_INVALID,
                         "schedule '%s': every_s is %" PRId64 ", 1 to %" PRId64 " are allowed",
                         row->name, row->every_s, CELERY_SCHEDULE_EVERY_MAX_S);
    if (row->crontab && row->is_relative)
        return error_set(err, ERR_INVALID,
                         "schedule '%s': is_relative goes with every_s, not with crontab",
                         row->name);
    if (!row->crontab && row->starting_deadline_s)
        return error_set(err, ERR_INVALID,
                         "schedule '%s': starting_deadline_s goes with crontab, not with every_s",
                         row->name);
    if (row->starting_deadline_s < 0 || row->starting_deadline_s > CELERY_SCHEDULE_EVERY_MAX_S)
        return error_set(err, ERR_INVALID,
                         "schedule '%s': starting_deadline_s is %" PRId64 ", 0 (none) to %" PRId64
                         " are allowed",
                         row->name, row->starting_deadline_s, CELERY_SCHEDULE_EVERY_MAX_S);
    if (row->time_zone && !row->crontab && !row->is_relative)
        return error_set(err, ERR_INVALID,
                         "schedule '%s': time_zone '%.64s' means nothing to every_s: leave it out, "
                         "or use crontab",
                         row->name, row->time_zone);
    return 0;
}

/* Source: celery.utils.time.delta_resolution. */
static int64_t
find_resolution(int64_t every_s)
{
    if (every_s >= DAY_S)
        return DAY_S;
    if (every_s >= HOUR_S)
        return HOUR_S;
    return every_s >= MINUTE_S ? MINUTE_S : 1;
}

static int
open_zone(const char *name, const char *dir, struct celery_time_zone **out, struct error *zone_err,
          struct error *err)
{
    struct error why = {.code = ERR_NONE};
    int rc = name ? celery_time_zone_open(dir, str_from_cstr(name), out, &why) : 0;

    if (rc == -ERR_UNSUPPORTED) { /* no zone data here: UTC is better than no beat */
        if (zone_err)
            *zone_err = why;
        return 0;
    }
    if (rc < 0 && err)
        *err = why;
    return rc;
}

int
celery_timing_init(const struct celery_schedule *row, const struct celery_schedule_options *options,
                   struct celery_timing *out, struct error *zone_err, struct error *err)
{
    static const struct celery_schedule_options defaults = {0};
    struct celery_timing timing = {0};
    int rc;

    options = options ? options : &defaults;
    if (zone_err)
        *zone_err = (struct error){.code = ERR_NONE};
    rc = check_when(row, err);
    if (rc < 0)
        return rc;
    if (row->crontab) {
        timing.kind = CELERY_TIMING_CRONTAB;
        timing.deadline_us = row->starting_deadline_s * US_PER_S;
        rc = celery_crontab_parse(str_from_cstr(row->crontab), &timing.crontab, err);
    } else {
        timing.kind = row->is_relative ? CELERY_TIMING_RELATIVE : CELERY_TIMING_INTERVAL;
        timing.resolution_s = row->is_relative ? find_resolution(row->every_s) : 1;
        timing.every_s = row->every_s;
    }
    if (rc == 0 && timing.kind != CELERY_TIMING_INTERVAL)
        rc = open_zone(row->time_zone ? row->time_zone : options->time_zone, options->zoneinfo_dir,
                       &timing.zone, zone_err, err);
    if (rc < 0)
        return error_wrap(err, rc, "schedule '%s'", row->name);
    *out = timing;
    return 0;
}

void
celery_timing_fini(struct celery_timing *timing)
{
    celery_time_zone_free(timing->zone);
    timing->zone = NULL;
}
