/* Names, sizes and tags, before they are anybody's business. */

#include "celery/broker/check.h"

#include "base/utf8.h"

#define LEASE_US          (10 * US_PER_S)
#define MAX_COMMAND_US    (10 * US_PER_S)
#define POISON_CAP        3
#define MAX_LOCK_US       (INT64_C(366) * 86400 * US_PER_S)
#define MAX_INTERVAL_US   (INT64_C(366) * 86400 * US_PER_S)
#define MAX_SAID_BYTES    ((size_t)1000) /* who paused a queue, and why */
#define MAX_PENDING_BYTES ((size_t)64 << 20)

void
check_fill_defaults(struct broker_options *options)
{
    if (!options->clock)
        options->clock = &clock_system;
    if (!options->lease_us)
        options->lease_us = LEASE_US;
    if (!options->max_command_us)
        options->max_command_us = MAX_COMMAND_US;
    if (!options->poison_cap)
        options->poison_cap = POISON_CAP;
    if (!options->max_message_bytes)
        options->max_message_bytes = BROKER_MESSAGE_BYTES;
    if (!options->max_pending_bytes)
        options->max_pending_bytes = MAX_PENDING_BYTES;
}

int
check_queue(struct str name, struct error *err)
{
    if (name.len == 0 || name.len > BROKER_MAX_QUEUE_BYTES)
        return error_set(err, ERR_INVALID, "queue name '%.*s' has %zu bytes, allowed are 1 to %zu",
                         STR_ARG(str_slice(name, 0, 40)), name.len, BROKER_MAX_QUEUE_BYTES);
    if (str_find_char(name, '\0') < name.len || !utf8_is_valid(name))
        return error_set(err, ERR_INVALID, "queue name '%.*s' is not UTF-8 text", STR_ARG(name));
    return 0;
}

int
check_queues(const struct str *names, size_t n_names, struct error *err)
{
    if (n_names > BROKER_MAX_QUEUES)
        return error_set(err, ERR_INVALID, "%zu queues to consume from, allowed are %zu", n_names,
                         BROKER_MAX_QUEUES);
    for (size_t i = 0; i < n_names; i++) {
        int rc = check_queue(names[i], err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
check_key(struct str key, const char *what, struct error *err)
{
    if (key.len == 0 || key.len > BROKER_MAX_KEY_BYTES)
        return error_set(err, ERR_INVALID, "key '%.*s' of a %s has %zu bytes, allowed are 1 to %zu",
                         STR_ARG(str_slice(key, 0, 40)), what, key.len, BROKER_MAX_KEY_BYTES);
    if (str_find_char(key, '\0') < key.len || !utf8_is_valid(key))
        return error_set(err, ERR_INVALID, "key '%.*s' of a %s is not UTF-8 text", STR_ARG(key),
                         what);
    return 0;
}

static int
check_lock(const struct broker_lock *lock, struct error *err)
{
    if (!lock || lock->span == BROKER_LOCK_NONE)
        return 0;
    if (lock->span == BROKER_LOCK_TIMED && (lock->span_us <= 0 || lock->span_us > MAX_LOCK_US))
        return error_set(err, ERR_INVALID, "a lock for %lld us, allowed are 1 to %lld",
                         (long long)lock->span_us, (long long)MAX_LOCK_US);
    return check_key(lock->key, "lock", err);
}

int
check_message(const struct broker_message *message, size_t max_bytes, struct error *err)
{
    if (message->priority < 0 || message->priority > BROKER_MAX_PRIORITY)
        return error_set(err, ERR_INVALID, "priority %d is not one of 0 to %d", message->priority,
                         BROKER_MAX_PRIORITY);
    if (message->id.len > BROKER_MAX_ID_BYTES)
        return error_set(err, ERR_INVALID, "task id '%.*s...' has %zu bytes, allowed are %zu",
                         STR_ARG(str_slice(message->id, 0, 40)), message->id.len,
                         BROKER_MAX_ID_BYTES);
    if (message->bytes.len > max_bytes)
        return error_set(err, ERR_TOO_LARGE,
                         "message of task '%.*s' has %zu bytes, allowed are %zu: pass big data by"
                         " reference",
                         STR_ARG(message->id), message->bytes.len, max_bytes);
    if (check_lock(message->lock, err) < 0)
        return -ERR_INVALID;
    return check_queue(message->queue, err);
}

int
check_ids(const struct str *ids, size_t n_ids, struct error *err)
{
    for (size_t i = 0; i < n_ids; i++)
        if (ids[i].len == 0 || ids[i].len > BROKER_MAX_ID_BYTES)
            return error_set(err, ERR_INVALID, "task id '%.*s' has %zu bytes, allowed are 1 to %zu",
                             STR_ARG(str_slice(ids[i], 0, 40)), ids[i].len, BROKER_MAX_ID_BYTES);
    return 0;
}

int
check_settle(struct outbox *outbox, struct window *window, struct broker_stats *stats, uint64_t tag,
             const struct broker_verdict *verdict, uint64_t *ticket, struct error *err)
{
    struct held *held = window_find(window, tag);
    int rc;

    if (!held && !window_has_issued(window, tag)) {
        stats->n_foreign++;
        return error_set(err, ERR_INVALID, "delivery tag %llu is not of this broker handle",
                         (unsigned long long)tag);
    }
    if (!held || held->state == HELD_SETTLING) {
        stats->n_repeated++;
        if (ticket)
            *ticket = 0;
        return 0;
    }
    rc = outbox_add_verdict(outbox, tag, verdict, ticket, err);
    if (rc == 0)
        held->state = HELD_SETTLING;
    return rc;
}

static int
check_gate(const struct broker_gate *gate, struct error *err)
{
    if (gate->n < 1 || gate->n > BROKER_MAX_GATE_COUNT)
        return error_set(err, ERR_INVALID, "gate '%.*s' lets %lld through, allowed are 1 to %lld",
                         STR_ARG(str_slice(gate->key, 0, 40)), (long long)gate->n,
                         (long long)BROKER_MAX_GATE_COUNT);
    if (gate->interval_us < 0 || gate->interval_us > MAX_INTERVAL_US)
        return error_set(err, ERR_INVALID, "gate '%.*s' has an interval of %lld us",
                         STR_ARG(str_slice(gate->key, 0, 40)), (long long)gate->interval_us);
    return check_key(gate->key, "gate", err);
}

int
check_admit(struct outbox *outbox, struct window *window, struct broker_stats *stats, uint64_t tag,
            const struct broker_admission *admission, uint64_t *ticket, struct error *err)
{
    struct held *held = window_find(window, tag);
    int rc = check_lock(&admission->lock, err);

    if (!held || held->state == HELD_SETTLING) {
        stats->n_foreign += !held && !window_has_issued(window, tag);
        return error_set(err, ERR_INVALID, "delivery tag %llu is not open",
                         (unsigned long long)tag);
    }
    if (rc == 0 && admission->n_gates > BROKER_MAX_GATES)
        rc = error_set(err, ERR_INVALID, "%zu gates for one message, allowed are %zu",
                       admission->n_gates, BROKER_MAX_GATES);
    for (size_t i = 0; rc == 0 && i < admission->n_gates; i++)
        rc = check_gate(&admission->gates[i], err);
    return rc < 0 ? rc : outbox_add_admission(outbox, tag, admission, ticket, err);
}

static int
check_said(struct str text, const char *what, struct error *err)
{
    if (text.len <= MAX_SAID_BYTES && str_find_char(text, '\0') == text.len && utf8_is_valid(text))
        return 0;
    return error_set(err, ERR_INVALID, "%s must be at most %zu bytes of UTF-8, got %zu bytes", what,
                     MAX_SAID_BYTES, text.len);
}

int
check_pause(const struct broker_pause *pause, struct error *err)
{
    int rc = check_queue(pause->queue, err);

    if (rc == 0)
        rc = check_said(pause->who, "who pauses a queue", err);
    return rc < 0 ? rc : check_said(pause->why, "the reason of a pause", err);
}
