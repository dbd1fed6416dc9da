#pragma once

/* Random schedules of publishing, consuming, settling, dying and failing, with three consumers on
 * one broker, against a model of what each message may do next.
 *
 *     a message that a live consumer holds is delivered to nobody else
 *     attempts and crashes are exact; first deliveries come in the order of publishing
 *     a verdict of the holder counts; one of a consumer that was taken for dead changes nothing
 *     in the end, published = done + dead, and nothing is left in the broker
 *
 * TRAWL_TEST_SCHEDULES says how many, TRAWL_TEST_SEED where to begin; a failure names the schedule.
 * An implementation brings the functions below. */

#include "tests/unit/celery/broker/party.h"

#define N_HANDLES    3
#define MAX_MESSAGES 24
#define MAX_VERDICTS 128

enum message_state { PUBLISHING, LIVE, DONE, DEAD, FAILED };

struct model_message {
    enum message_state state;
    int publisher;
    uint64_t ticket;
    int64_t eta_us;
    int order;  /* of its commit */
    int holder; /* -1 = nobody */
    uint64_t tag;
    bool is_exposed; /* its holder is, or was, taken for dead */
    bool was_delivered;
    uint32_t attempt;
    uint32_t n_crashes;
};

struct model_verdict {
    int handle;
    uint64_t ticket;
    uint64_t tag;
    size_t message;
    enum broker_action action;
    int64_t delay_us;
    uint64_t after;
};

struct handle {
    struct simulation *simulation;
    struct broker *broker;
    int idx;
    size_t credit;
    int64_t lease_until_us; /* on the test's clock; INT64_MAX where no time ends it */
};

struct simulation_ops {
    /* A round with all that comes of it: when it returns, the broker owes no answer. */
    void (*run)(struct simulation *simulation, struct handle *handle);
    /* The same while something goes wrong. */
    void (*run_hurt)(struct simulation *simulation, struct handle *handle);
    /* From now on anybody may take this handle for dead. */
    void (*abandon)(struct simulation *simulation, struct handle *handle);
    bool (*is_presumed_dead)(const struct handle *handle);
    int64_t (*count_left)(struct simulation *simulation); /* messages that are not dead */
    int64_t (*count_dead)(struct simulation *simulation);
};

struct simulation {
    const struct simulation_ops *ops;
    struct fake_clock clock;
    uint64_t random;
    uint64_t schedule;
    struct handle handles[N_HANDLES];
    struct model_message messages[MAX_MESSAGES];
    size_t n_messages;
    struct model_verdict verdicts[MAX_VERDICTS];
    size_t n_verdicts;
    int n_committed;
    int last_first; /* order of the last first delivery */
    int64_t n_dead;
    int n_lost_verdicts; /* given for lost tags, not told yet */
    bool must_fail;      /* SQLite: the next commit */
    uint64_t n_redelivered;
    uint64_t n_fenced;
    uint64_t n_failed;
};

#define CHECK(simulation, condition)                                                               \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("schedule %llu: %s", (unsigned long long)(simulation)->schedule, #condition); \
    } while (0)

/* Draws, the same for the same schedule. */
uint64_t simulation_draw(struct simulation *self, uint64_t limit);

/* Handles on this URL, all of them consuming from "q" on the simulation's clock. */
void simulation_open(struct simulation *self, const struct simulation_ops *ops, const char *url);
void simulation_close(struct simulation *self);

/* Run fallback schedules, or as many as the environment says. */
void simulation_run(struct simulation *self, uint64_t fallback);
