#pragma once

/* What every broker must do.  An implementation's test brings a factory and runs the suite. */

#include "tests/unit/celery/broker/party.h"

struct broker_factory {
    /* A new, empty broker; its URL into url. */
    void (*set_up)(char url[256]);
    void (*tear_down)(void);

    /* Make the broker believe that this handle's process has been killed.  The handle itself knows
     * nothing of it and can still be used, as a process that was only slow could. */
    void (*abandon)(struct broker *broker);

    const struct party_wire *wire; /* NULL: any bytes are a message */
};

extern const struct broker_factory *conformance_factory; /* the one that is tested */

/* The parts; each ends with a test without a name. */
extern const struct CMUnitTest conformance_order[];
extern const struct CMUnitTest conformance_verdicts[];
extern const struct CMUnitTest conformance_leases[];
extern const struct CMUnitTest conformance_admin[];
extern const struct CMUnitTest conformance_limits[];
extern const struct CMUnitTest conformance_processes[];

/* Run all of it; cmocka's number of failures. */
int conformance_run(const struct broker_factory *factory);

/* Fixture of one test: a broker, a clock, two parties that are open. */
struct two_parties {
    char url[256];
    struct fake_clock clock;
    struct party a;
    struct party b;
};

struct two_parties *two_open(void);
void two_close(struct two_parties *two);
