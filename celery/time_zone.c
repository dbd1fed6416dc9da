/* A TZif file: two blocks of the same shape, the second (version 2 and later) with 64-bit times,
 * then a line of text.
 *
 *     "TZif" version reserved[15]  n_isut n_isstd n_leap n_times n_types n_chars   44 bytes
 *     times[n_times]      i32 or i64, ascending, when something changes
 *     indexes[n_times]    u8, which type from then on
 *     types[n_types]      i32 offset east of UTC, u8 is daylight, u8 index of the name
 *     chars  leaps[n_leap]  isstd[n_isstd]  isut[n_isut]                            all passed over
 *     "\n" rule "\n"      what goes on after the last time
 *
 * Before the first time type 0 is valid. */

#include "celery/time_zone.h"

#include <limits.h>
#include <stdlib.h>

#include "base/file.h"

#define HEADER_BYTES 44
#define N_TYPES_MAX  256
#define DAY_S        INT64_C(86400)
#define NAME_BYTES   100

/* RFC 9636 section 3.2: what an offset should stay within. */
#define OFFSET_MIN_S (-89999)
#define OFFSET_MAX_S 93599

#define OFFSET_LIMIT_S INT64_C(93600) /* no offset is larger */

struct change {
    int64_t time_s;
    int32_t offset_s; /* from then on */
};

struct celery_time_zone {
    int32_t first_offset_s; /* before the first change */
    bool has_rule;
    struct celery_zone_rule rule;
    int64_t rule_from_s; /* the table's last time, even one that changes no offset */
    size_t n_changes;
    struct change changes[]; /* ascending; neighbours differ in their offset */
};

struct counts {
    size_t n_isut;
    size_t n_isstd;
    size_t n_leap;
    size_t n_times;
    size_t n_types;
    size_t n_chars;
};

static uint32_t
decode_u32(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* A signed big-endian number of 4 or 8 bytes. */
static int64_t
decode_time(const char *bytes, size_t width)
{
    if (width == 4)
        return (int32_t)decode_u32(bytes);
    return (int64_t)((uint64_t)decode_u32(bytes) << 32 | decode_u32(bytes + 4));
}

static int
decode_header(struct str bytes, char *version, struct counts *counts, struct error *err)
{
    size_t *const fields[] = {&counts->n_isut,  &counts->n_isstd, &counts->n_leap,
                              &counts->n_times, &counts->n_types, &counts->n_chars};

    if (bytes.len < HEADER_BYTES || !str_starts_with(bytes, STR("TZif")))
        return error_set(err, ERR_INVALID, "it is not a TZif file (%zu bytes)", bytes.len);
    *version = bytes.ptr[4];
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        uint32_t count = decode_u32(bytes.ptr + 20 + i * 4);

        if (count > CELERY_ZONE_FILE_BYTES)
            return error_set(err, ERR_INVALID, "its count %zu is %u, more than a file can hold", i,
                             count);
        *fields[i] = count;
    }
    return 0;
}

/* Bytes of the block after its header; every count is at most CELERY_ZONE_FILE_BYTES. */
static size_t
block_bytes(const struct counts *counts, size_t width)
{
    return counts->n_times * (width + 1) + counts->n_types * 6 + counts->n_chars +
           counts->n_leap * (width + 4) + counts->n_isstd + counts->n_isut;
}

static int
decode_offsets(const char *types, size_t n_types, int32_t *out, struct error *err)
{
    for (size_t i = 0; i < n_types; i++) {
        int32_t offset_s = (int32_t)decode_u32(types + i * 6);

        if (offset_s < OFFSET_MIN_S || offset_s > OFFSET_MAX_S)
            return error_set(err, ERR_INVALID, "type %zu has an offset of %d s", i, offset_s);
        out[i] = offset_s;
    }
    return 0;
}

static int
decode_changes(const char *block, size_t width, const struct counts *counts,
               struct celery_time_zone *zone, struct error *err)
{
    const char *indexes = block + counts->n_times * width;
    int32_t offsets[N_TYPES_MAX];
    int64_t previous_s = INT64_MIN;
    int32_t offset_s;
    int rc;

    rc = decode_offsets(indexes + counts->n_times, counts->n_types, offsets, err);
    if (rc < 0)
        return rc;
    zone->first_offset_s = offset_s = offsets[0];
    zone->rule_from_s = INT64_MIN;
    for (size_t i = 0; i < counts->n_times; i++) {
        int64_t time_s = decode_time(block + i * width, width);
        size_t type = (unsigned char)indexes[i];

        if (i > 0 && time_s <= previous_s)
            return error_set(err, ERR_INVALID, "time %zu is not after the one before it", i);
        if (type >= counts->n_types)
            return error_set(err, ERR_INVALID, "time %zu has type %zu of %zu", i, type,
                             counts->n_types);
        previous_s = zone->rule_from_s = time_s;
        if (offsets[type] == offset_s)
            continue;
        offset_s = offsets[type];
        zone->changes[zone->n_changes++] = (struct change){time_s, offset_s};
    }
    return 0;
}

static int
decode_footer(struct str rest, struct celery_time_zone *zone, struct error *err)
{
    size_t len;
    int rc;

    if (rest.len < 2 || rest.ptr[0] != '\n')
        return error_set(err, ERR_INVALID, "its last line is missing");
    rest = str_slice(rest, 1, rest.len);
    len = str_find_char(rest, '\n');
    if (len == rest.len)
        return error_set(err, ERR_INVALID, "its last line has no end");
    if (len == 0)
        return 0;
    rc = celery_zone_rule_parse(str_slice(rest, 0, len), &zone->rule, err);
    if (rc == 0)
        zone->has_rule = true;
    return rc;
}

static int
check_counts(const struct counts *counts, struct error *err)
{
    if (counts->n_leap > 0)
        return error_set(err, ERR_INVALID,
                         "it counts leap seconds, which UTC clocks do not: take the zone without "
                         "'right/'");
    if (counts->n_types < 1 || counts->n_types > N_TYPES_MAX)
        return error_set(err, ERR_INVALID, "it has %zu types, 1 to 256 are allowed",
                         counts->n_types);
    return 0;
}

int
celery_time_zone_decode(struct str bytes, struct celery_time_zone **out, struct error *err)
{
    CLEANUP(celery_time_zone_freep) struct celery_time_zone *zone = NULL;
    struct counts counts;
    size_t width = 4;
    char version;
    int rc;

    rc = decode_header(bytes, &version, &counts, err);
    if (rc == 0 && version >= '2') {
        bytes = str_slice(bytes, HEADER_BYTES + block_bytes(&counts, width), bytes.len);
        width = 8;
        rc = decode_header(bytes, &version, &counts, err);
    }
    if (rc == 0)
        rc = check_counts(&counts, err);
    if (rc < 0)
        return rc;
    bytes = str_slice(bytes, HEADER_BYTES, bytes.len);
    if (bytes.len < block_bytes(&counts, width))
        return error_set(err, ERR_INVALID, "it ends after %zu of %zu bytes", bytes.len,
                         block_bytes(&counts, width));
    zone = calloc(1, sizeof(*zone) + counts.n_times * sizeof(zone->changes[0]));
    if (!zone)
        return error_set(err, ERR_NOMEM, "no memory for a time zone");
    rc = decode_changes(bytes.ptr, width, &counts, zone, err);
    if (rc == 0 && width == 8)
        rc = decode_footer(str_slice(bytes, block_bytes(&counts, width), bytes.len), zone, err);
    if (rc < 0)
        return rc;
    *out = TAKE(zone);
    return 0;
}

void
celery_time_zone_free(struct celery_time_zone *zone)
{
    free(zone);
}

void
celery_time_zone_freep(struct celery_time_zone **zone)
{
    celery_time_zone_free(*zone);
}

static bool
is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+' || c == '/';
}

/* No dots: a name cannot leave the folder. */
static int
check_name(struct str name, struct error *err)
{
    bool is_valid = name.len > 0 && name.len <= NAME_BYTES && name.ptr[0] != '/';

    for (size_t i = 0; is_valid && i < name.len; i++)
        is_valid = is_name_char(name.ptr[i]);
    if (!is_valid)
        return error_set(err, ERR_INVALID,
                         "time zone '%.*s' is not a name: write it as 'Europe/Berlin' or 'UTC'",
                         STR_ARG(str_slice(name, 0, 64)));
    return 0;
}

static int
refuse_name(const char *dir, struct str name, struct error *err)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/UTC", dir);
    if (!file_exists(path))
        return error_set(err, ERR_UNSUPPORTED,
                         "time zone '%.*s' cannot be read: this system has no time zone data in "
                         "'%s'; install Debian's package tzdata",
                         STR_ARG(name), dir);
    return error_set(err, ERR_NOT_FOUND,
                     "time zone '%.*s' is unknown: names are those of the files in '%s', as "
                     "'Europe/Berlin' (old names may be in Debian's package tzdata-legacy)",
                     STR_ARG(name), dir);
}

static int
create_utc(struct celery_time_zone **out, struct error *err)
{
    struct celery_time_zone *zone = calloc(1, sizeof(*zone));

    if (!zone)
        return error_set(err, ERR_NOMEM, "no memory for a time zone");
    *out = zone;
    return 0;
}

int
celery_time_zone_open(const char *dir, struct str name, struct celery_time_zone **out,
                      struct error *err)
{
    struct buf bytes = BUF_INIT(CELERY_ZONE_FILE_BYTES);
    char path[PATH_MAX];
    int rc;

    dir = dir ? dir : CELERY_ZONEINFO_DIR;
    if (str_equal(name, STR("UTC")) || str_equal(name, STR("Etc/UTC")))
        return create_utc(out, err);
    rc = check_name(name, err);
    if (rc < 0)
        return rc;
    if (snprintf(path, sizeof(path), "%s/%.*s", dir, STR_ARG(name)) >= (int)sizeof(path))
        return error_set(err, ERR_INVALID, "time zone folder '%.64s...' is too long", dir);
    if (!file_exists(path))
        return refuse_name(dir, name, err);
    rc = file_read(path, &bytes, err);
    if (rc == 0)
        rc = celery_time_zone_decode(buf_str(&bytes), out, err);
    if (rc < 0)
        rc = error_wrap(err, rc, "cannot read time zone '%s'", path);
    buf_fini(&bytes);
    return rc;
}

/* The number of changes at or before an instant. */
static size_t
count_changes(const struct celery_time_zone *zone, int64_t time_s)
{
    size_t low = 0;
    size_t high = zone->n_changes;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (zone->changes[middle].time_s <= time_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void
celery_time_zone_span(const struct celery_time_zone *zone, int64_t time_s,
                      struct celery_zone_span *out)
{
    size_t n_before;

    *out = (struct celery_zone_span){INT64_MIN, INT64_MAX, 0};
    if (!zone)
        return;
    if (zone->has_rule && time_s >= zone->rule_from_s) {
        celery_zone_rule_span(&zone->rule, time_s, out);
        if (out->start_s < zone->rule_from_s)
            out->start_s = zone->rule_from_s;
        return;
    }
    n_before = count_changes(zone, time_s);
    out->offset_s = zone->first_offset_s;
    if (n_before > 0) {
        out->start_s = zone->changes[n_before - 1].time_s;
        out->offset_s = zone->changes[n_before - 1].offset_s;
    }
    if (n_before < zone->n_changes)
        out->end_s = zone->changes[n_before].time_s;
    else if (zone->has_rule)
        out->end_s = zone->rule_from_s;
}

/* The first instant whose local time is wall_s, or the first one after the gap that swallowed it.
 */
static int64_t
find_instant(const struct celery_time_zone *zone, int64_t wall_s)
{
    struct celery_zone_span span;

    celery_time_zone_span(zone, wall_s - OFFSET_LIMIT_S, &span); /* the first pass is not before */
    while (span.end_s != INT64_MAX && wall_s - span.offset_s >= span.end_s)
        celery_time_zone_span(zone, span.end_s, &span);
    return wall_s - span.offset_s > span.start_s ? wall_s - span.offset_s : span.start_s;
}

int64_t
celery_time_zone_find_midnight(const struct celery_time_zone *zone, int64_t time_s, int64_t wall_s)
{
    struct celery_zone_span span;
    int64_t since_midnight_s;

    celery_time_zone_span(zone, time_s, &span);
    wall_s += time_s + span.offset_s;
    since_midnight_s = (wall_s % DAY_S + DAY_S) % DAY_S; /* also before 1970 */
    return find_instant(zone, wall_s - since_midnight_s);
}
