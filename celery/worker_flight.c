/* Flights: the messages that the worker holds. */

#include <stdlib.h>

#include "celery/worker_internal.h"

#define FLIGHT_ARENA_BYTES ((size_t)128 << 20) /* 8 MiB at most, as they were and unpacked */

int
worker_flight_create(struct worker *self, const struct broker_delivery *delivery,
                     struct flight **out, struct error *err)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    bool ok = true;

    if (!flight)
        return error_set(err, ERR_NOMEM, "no memory for a message");
    flight->arena = (struct arena)ARENA_INIT(FLIGHT_ARENA_BYTES);
    buf_init(&flight->document, BACKEND_MAX_ENCODED_BYTES);
    flight->tag = delivery->tag;
    flight->id = arena_dup(&flight->arena, delivery->id, &ok);
    flight->queue = arena_dup(&flight->arena, delivery->queue, &ok);
    flight->bytes = arena_dup(&flight->arena, delivery->bytes, &ok);
    flight->priority = delivery->priority;
    flight->expires_us = delivery->expires_us;
    flight->attempt = delivery->attempt;
    if (!ok) {
        arena_fini(&flight->arena);
        free(flight);
        return error_set(err, ERR_NOMEM, "no memory for a message of %zu bytes",
                         delivery->bytes.len);
    }
    flight->previous = self->last;
    if (self->last)
        self->last->next = flight;
    else
        self->first = flight;
    self->last = flight;
    self->n_open++;
    self->n_flights++;
    *out = flight;
    return 0;
}

void
worker_flight_free(struct worker *self, struct flight *flight)
{
    if (flight->stage == FLIGHT_WAITING || flight->stage == FLIGHT_RUNNING)
        self->n_open--;
    self->n_flights--;
    if (flight->previous)
        flight->previous->next = flight->next;
    else
        self->first = flight->next;
    if (flight->next)
        flight->next->previous = flight->previous;
    else
        self->last = flight->previous;
    buf_fini(&flight->document);
    arena_fini(&flight->arena);
    free(flight);
}

struct flight *
worker_flight_find(struct worker *self, uint64_t tag)
{
    struct flight *flight = self->first;

    while (flight && flight->tag != tag)
        flight = flight->next;
    return flight;
}

void
worker_flight_end(struct worker *self, struct flight *flight, enum broker_action action,
                  int64_t delay_us, struct str reason)
{
    bool ok = true;

    if (flight->stage == FLIGHT_WAITING || flight->stage == FLIGHT_RUNNING)
        self->n_open--;
    flight->stage = FLIGHT_ENDED;
    flight->verdict = (struct broker_verdict){
        .action = action,
        .delay_us = delay_us,
        .reason = arena_dup(&flight->arena, str_slice(reason, 0, BROKER_MAX_REASON_BYTES), &ok),
    };
    if (!ok)
        flight->verdict.reason = STR("unknown: no memory for the reason");
    if (flight->has_record && flight->is_soft)
        flight->has_record = false; /* a run that gives its message back has nothing to say */
}
