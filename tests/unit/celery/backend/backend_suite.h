#pragma once

/* What every result backend must do, whatever it is made of: run it with a factory.
 *
 *     int main(void) { return backend_suite_run(&factory); } */

#include "base/clock.h"
#include "celery/backend/backend.h"
#include "tests/unit/check.h"

/* An empty backend of its own for one test. */
struct backend_place {
    char url[256];
    char dir[128]; /* the factory's */
};

struct backend_factory {
    void (*create)(struct backend_place *place);
    void (*destroy)(struct backend_place *place);
    bool is_self_cleaning; /* what has expired goes by itself: backend_clean finds nothing */
};

int backend_suite_run(const struct backend_factory *factory);

/* A clock that stands still until a test moves it; its monotonic side is the machine's. */
struct fake_clock {
    struct clock base;
    int64_t now_us;
};

void fake_clock_init(struct fake_clock *clock);

/* One test's place and a handle on it. */
struct suite_fixture {
    struct backend_place place;
    struct fake_clock clock;
    struct backend_options options;
    struct backend *backend;
    struct arena arena;
};

int suite_setup(void **state);
int suite_teardown(void **state);

struct backend *suite_open(const struct suite_fixture *fixture);

/* A document {"status":..., "note":..., "task_id":...} into text. */
#define SUITE_DOCUMENT_BYTES 512
struct backend_record suite_record(const char *id, const char *status, int64_t run,
                                   const char *note, char text[SUITE_DOCUMENT_BYTES]);
enum backend_outcome suite_store(struct backend *backend, const char *id, const char *status,
                                 int64_t run, const char *note);

/* The record of one id, or one whose task_id is STR_NULL. */
struct backend_record suite_get(struct suite_fixture *fixture, const char *id);

/* The tests of the other files of the suite: chords; watching and waiting; across processes. */
extern const struct CMUnitTest backend_suite_chord[];
extern const size_t n_backend_suite_chord;
extern const struct CMUnitTest backend_suite_watch[];
extern const size_t n_backend_suite_watch;
extern const struct CMUnitTest backend_suite_processes[];
extern const size_t n_backend_suite_processes;
