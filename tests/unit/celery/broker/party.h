#pragma once

/* A broker handle with its listener, for the tests: what was delivered, completed and lost. */

#include <ftw.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "celery/broker/broker.h"
#include "tests/unit/check.h"

#define PARTY_MAX 4096

/* How a broker wants its messages.  NULL: any bytes are a message. */
struct party_wire {
    /* Append the message that carries these bytes with the rest of what is sent. */
    void (*wrap)(const struct broker_message *message, struct buf *out);
    /* The bytes that a message carries, in the arena; the message itself when it is none of ours.
     */
    struct str (*unwrap)(struct str message, struct arena *arena);
};

extern const struct party_wire *party_wire;         /* of the broker that is tested */
extern const struct party_wire party_wire_envelope; /* Celery's: texts of letters and digits */

/* A clock that stands until it is moved. */
struct fake_clock {
    struct clock clock;
    int64_t now_us;
    int64_t mono_us;
};

void fake_clock_init(struct fake_clock *clock);
void fake_clock_advance(struct fake_clock *clock, int64_t span_us); /* both times */

struct received {
    uint64_t tag;
    char text[32]; /* what the message carries, when it fits */
    char queue[32];
    int priority;
    uint32_t attempt;
    uint32_t n_crashes;
    bool is_redelivered;
    bool is_expired;
    bool is_revoked;
};

struct told {
    uint64_t ticket;
    uint64_t tag;
    enum broker_outcome outcome;
    enum error_code code;
    char holder[32];
};

struct party {
    struct broker *broker;
    const struct clock *clock;
    struct received received[PARTY_MAX];
    size_t n_received;
    struct told told[PARTY_MAX];
    size_t n_told;
    uint64_t lost[64];
    size_t n_lost;
};

/* Options with the party's listener; the caller may change them before party_open. */
struct broker_options party_options(struct party *party, const struct clock *clock);
void party_open(struct party *party, const char *url, const struct broker_options *options);
void party_consume(struct party *party, const char *queue, size_t credit);

/* Rounds until the broker wants none at once, and its server owes no answer. */
void party_run(struct party *party);

/* text is what the message carries; returns the ticket. */
uint64_t party_publish(struct party *party, const char *queue, const char *text);
uint64_t party_publish_with(struct party *party, const struct broker_message *message);
struct broker_message party_message(const char *queue, const char *text);

uint64_t party_settle(struct party *party, uint64_t tag, enum broker_action action);
uint64_t party_settle_with(struct party *party, uint64_t tag, const struct broker_verdict *verdict);

/* Whether a delivery may start. */
uint64_t party_admit(struct party *party, uint64_t tag, const struct broker_admission *admission);

/* Of BROKER_HELD. */
const char *party_holder(const struct party *party, uint64_t ticket);

/* Outcome of a ticket; fails the test when it was not told, or twice. */
enum broker_outcome party_outcome(const struct party *party, uint64_t ticket);

/* What was received since the last call, as "a b c". */
const char *party_texts(struct party *party);
struct broker_stats party_stats(const struct party *party);

/* ready + scheduled + claimed of a queue, and the number of all dead. */
int64_t party_count(struct party *party, const char *queue);
int64_t party_count_dead(struct party *party);

/* fork; the child dies with the test. */
pid_t test_fork(void);

/* A directory of its own. */
void test_dir_make(char dir[64]);
void test_dir_remove(const char *dir);
