/* celery/crontab and celery/time_zone: the first line of the input is a crontab, the rest a TZif
 * file, or, after "TZ=", a POSIX rule.  What was taken must keep its promises: spans that join
 * without holes, fire times that ascend and do not depend on where the search began, one latest
 * slot. */

#include <stdlib.h>

#include "base/clock.h"
#include "celery/schedule_timing.h"
#include "fuzz/fuzz.h"

#define N_STEPS 20

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static const int64_t starts[] = {0, 1000000000, 1711846800, 2147483000, 4102444800, 253402000000};

static void
check_spans(const struct celery_time_zone *zone, int64_t time_s)
{
    for (int i = 0; i < N_STEPS; i++) {
        struct celery_zone_span span;
        struct celery_zone_span next;

        celery_time_zone_span(zone, time_s, &span);
        REQUIRE(span.start_s <= time_s && time_s < span.end_s);
        REQUIRE(abs(span.offset_s) <= 93600);
        if (span.end_s >= starts[COUNT_OF(starts) - 1])
            return;
        celery_time_zone_span(zone, span.end_s, &next);
        REQUIRE(next.start_s == span.end_s);
        time_s = span.end_s;
    }
}

static void
check_timing(const struct celery_timing *timing, int64_t start_us)
{
    int64_t slot_us = start_us;

    for (int i = 0; i < N_STEPS; i++) {
        int64_t next_us = celery_timing_next(timing, slot_us);
        struct celery_due due;

        REQUIRE(next_us > slot_us);
        if (next_us == CELERY_NEVER)
            return;
        if (timing->kind == CELERY_TIMING_CRONTAB) {
            REQUIRE(celery_timing_next(timing, next_us - US_PER_S) == next_us);
            REQUIRE(celery_timing_next(timing, slot_us + (next_us - slot_us) / 2) == next_us);
            celery_timing_due(timing, start_us, next_us, &due);
            REQUIRE(due.state == CELERY_DUE_NOW && due.slot_us == next_us);
        }
        celery_timing_due(timing, slot_us, next_us, &due);
        REQUIRE(due.state == CELERY_DUE_NOW && due.slot_us > slot_us && due.slot_us <= next_us);
        REQUIRE(due.next_check_us > due.slot_us);
        slot_us = next_us;
    }
}

/* A version 2 file that holds nothing but a rule. */
static int
decode_rule(struct str rule, struct celery_time_zone **out)
{
    char bytes[2 * 44 + 2 * 7 + 200] = {0};
    struct str file = {bytes, 2 * 44 + 2 * 7 + rule.len + 2};

    if (rule.len > 190)
        return -1;
    for (size_t at = 0; at <= 51; at += 51) { /* header, one type, one letter */
        memcpy(bytes + at, "TZif2", 5);
        bytes[at + 39] = 1;
        bytes[at + 43] = 1;
    }
    bytes[102] = '\n';
    memcpy(bytes + 103, rule.ptr, rule.len);
    bytes[103 + rule.len] = '\n';
    return celery_time_zone_decode(file, out, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(celery_timing_fini)
    struct celery_timing timing = {.every_s = 90000, .resolution_s = 86400};
    struct str zone = {(const char *)data, size};
    struct str line = STR_NULL;
    struct error err;
    int rc;

    (void)str_split(&zone, '\n', &line);
    rc = celery_crontab_parse(line, &timing.crontab, &err);
    timing.kind = rc < 0 ? CELERY_TIMING_RELATIVE : CELERY_TIMING_CRONTAB;
    if (str_starts_with(zone, STR("TZ=")))
        rc = decode_rule(str_slice(zone, 3, zone.len), &timing.zone);
    else
        rc = celery_time_zone_decode(zone, &timing.zone, &err);
    if (rc < 0 && timing.kind == CELERY_TIMING_RELATIVE)
        return 0;
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        check_spans(timing.zone, starts[i]);
        check_timing(&timing, starts[i] * US_PER_S);
    }
    return 0;
}
