#pragma once

/* A pool with an owner that writes everything down, and tasks that do what their payload says. */

#include <signal.h>

#include "base/clock.h"
#include "celery/pool/pool.h"
#include "tests/unit/check.h"

#define MAX_REQUESTS 4096

struct seen_request {
    int n_done; /* must end as 1 */
    int n_started;
    int n_progress;
    int64_t last_current;
    int64_t started_at_us;
    struct pool_outcome outcome; /* result and message cut off */
    char message[600];
    char result[64]; /* its beginning */
    size_t n_result;
    uint32_t result_sum;
    size_t n_lines;
    uint64_t n_dropped_lines;
    char last_line[64];
};

struct fixture {
    struct loop *loop;
    struct pool *pool;
    struct loop_timer *alarm;
    struct pool_options options;
    size_t n_ready;
    size_t n_trouble;
    char trouble[600];
    size_t n_done;
    bool has_stopped;
    bool is_late;
    pid_t last_ready;
    struct seen_request *requests; /* [MAX_REQUESTS], by id */
    uint64_t resubmit_below; /* requests that are returned go back in when their id is below */
    char payloads[MAX_REQUESTS][32];
};

/* Options filled with the fixture's runner and events; change them, then fixture_start. */
void fixture_init(struct fixture *fixture);
void fixture_start(struct fixture *fixture, const char *kind, size_t n_children);
void fixture_fini(struct fixture *fixture);

/* Turn the loop until the condition is true; fails the test after ten seconds. */
#define fixture_wait(fixture, condition)                                                           \
    do {                                                                                           \
        fixture_begin_wait(fixture);                                                               \
        while (!(condition)) {                                                                     \
            loop_run_once((fixture)->loop);                                                        \
            if ((fixture)->is_late)                                                                \
                fail_msg("waited in vain for %s", #condition);                                     \
        }                                                                                          \
        fixture_end_wait(fixture);                                                                 \
    } while (0)

void fixture_begin_wait(struct fixture *fixture);
void fixture_end_wait(struct fixture *fixture);

int fixture_submit(struct fixture *fixture, uint64_t id, const char *payload, int64_t soft_ms,
                   int64_t hard_ms);

/* Submit one and wait for its outcome. */
const struct seen_request *fixture_run(struct fixture *fixture, uint64_t id, const char *payload);

/* Open descriptors of this process. */
size_t count_fds(void);

extern const struct celery_task fixture_task;
