#pragma once

/* A day in the life of beats, on a clock that stands until it is moved, over a store on SQLite
 * whose operations can be made to fail. */

#include "celery/beat.h"
#include "tests/unit/celery/broker/party.h"

struct day {
    char dir[64];
    char url[128];
    struct fake_clock clock;
    struct party *judge; /* looks into the queue */
    const struct celery_schedule *rows;
};

void day_begin(struct day *day, const struct celery_schedule *rows);
void day_end(struct day *day);

/* A beat on the day's clock and broker. */
struct celery_beat_options day_options(struct day *day);
struct celery_beat *day_start_beat(struct day *day);

/* Let time pass, with one turn of each beat whenever it wants one. */
void day_pass(struct day *day, struct celery_beat *const *beats, size_t n_beats, int64_t span_us);

int64_t day_count(struct day *day, const char *queue);
struct beat_lead day_lead(struct day *day);
struct beat_state day_state(struct day *day, const char *name);

/* Make the n-th operation from now on (1 = the next; 0 = none) of any store fail, before or after
 * it has had its effect. */
enum day_fault { FAULT_BEFORE, FAULT_AFTER };
void day_break(int n_until_failure, enum day_fault fault);
bool day_has_failed(void);
