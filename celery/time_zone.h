#pragma once

/* Time zones from the system's zoneinfo files: offset of local time at an instant, and back.
 *
 * No setenv("TZ"), no tzset: a zone is a value, several may be used at once, and a zone that was
 * opened is read-only, so any thread may use it.  Only offsets are kept: names ("CEST") and which
 * half of the year counts as daylight time mean nothing to a schedule (Africa/Casablanca and
 * Europe/Dublin have it the other way round).
 *
 * Source: RFC 9636 (TZif). */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "celery/time_zone_rule.h"

/* Where Debian's package tzdata puts the files. */
#define CELERY_ZONEINFO_DIR "/usr/share/zoneinfo"

/* Real files are 0.1 to 4 KB. */
#define CELERY_ZONE_FILE_BYTES ((size_t)256 << 10)

struct celery_time_zone; /* opaque */

/* Open a zone by its IANA name.
 *
 * dir   folder of zone files; NULL = CELERY_ZONEINFO_DIR
 * name  "Europe/Berlin"; "UTC" and "Etc/UTC" need no file
 * out   the caller's, for celery_time_zone_free
 *
 * Errors: ERR_UNSUPPORTED (this system has no zone data at all: names the package), ERR_NOT_FOUND
 * (no zone of that name), ERR_INVALID (no name; or a broken file, or one of the "right/" zones,
 * which count leap seconds), ERR_TOO_LARGE, ERR_IO, ERR_NOMEM. */
MUST_CHECK int celery_time_zone_open(const char *dir, struct str name,
                                     struct celery_time_zone **out, struct error *err);

/* The bytes of a TZif file, version 1 to 4; nothing is borrowed.
 * Errors: ERR_INVALID (what is wrong and where; also leap seconds), ERR_NOMEM. */
MUST_CHECK int celery_time_zone_decode(struct str bytes, struct celery_time_zone **out,
                                       struct error *err);

/* NULL is fine. */
void celery_time_zone_free(struct celery_time_zone *zone);
void celery_time_zone_freep(struct celery_time_zone **zone); /* for CLEANUP */

/* The span of one offset around an instant (seconds since 1970, UTC).  zone NULL = UTC. */
void celery_time_zone_span(const struct celery_time_zone *zone, int64_t time_s,
                           struct celery_zone_span *out);

/* Midnight of a local day: take the local time of an instant, go wall_s seconds ahead on the wall,
 * and find where that day begins.  The first pass of midnight where the clocks went back over it,
 * the first instant after the gap where they skipped it. */
int64_t celery_time_zone_find_midnight(const struct celery_time_zone *zone, int64_t time_s,
                                       int64_t wall_s);
