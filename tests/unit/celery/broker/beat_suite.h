#pragma once

/* What every store of beat must do.  An implementation's test brings a factory and runs the suite.
 */

#include "celery/broker/beat_store.h"
#include "tests/unit/check.h"

struct beat_factory {
    /* A new, empty broker; its URL into url. */
    void (*set_up)(char url[256]);
    void (*tear_down)(void);
};

/* Run all of it, and then the implementation's own tests (ended by one without a name; NULL =
 * none); cmocka's number of failures. */
int beat_suite_run(const struct beat_factory *factory, const struct CMUnitTest *own);

/* One who beats, for a test. */
struct beat_store *beat_suite_open(const char *url, const char *owner);
/* See who leads, and take it from him. */
void beat_suite_steal(struct beat_store *store);
/* A message to the queue "q". */
struct broker_message beat_suite_message(const char *text);
/* Messages that wait in a queue. */
int64_t beat_suite_count(const char *url, const char *queue);
/* Slot number n: one a minute. */
int64_t beat_suite_slot(int64_t n);

extern const struct beat_factory *beat_suite_factory; /* the one that is tested */

/* The parts; each ends with a test without a name. */
extern const struct CMUnitTest beat_suite_rules[];
extern const struct CMUnitTest beat_suite_processes[];
