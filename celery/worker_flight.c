/* Flights: the messages that the worker holds, and the lists that they are in. */

#include <stdlib.h>

#include "celery/worker_internal.h"

#define FLIGHT_ARENA_BYTES ((size_t)128 << 20) /* 8 MiB at most, as they were and unpacked */

/* Behind that flight; NULL: at the front. */
static void
insert_behind(struct flight_list *list, enum flight_list_kind kind, struct flight *place,
              struct flight *flight)
{
    struct flight *next = place ? place->links[kind].next : list->first;

    flight->links[kind] = (struct flight_link){next, place};
    if (place)
        place->links[kind].next = flight;
    else
        list->first = flight;
    if (next)
        next->links[kind].previous = flight;
    else
        list->last = flight;
}

static void
remove_from(struct worker *self, enum flight_list_kind kind, struct flight *flight)
{
    struct flight_list *list = &self->lists[kind];
    struct flight_link *link = &flight->links[kind];

    if (link->previous)
        link->previous->links[kind].next = link->next;
    else
        list->first = link->next;
    if (link->next)
        link->next->links[kind].previous = link->previous;
    else
        list->last = link->previous;
    *link = (struct flight_link){0};
}

static bool
comes_before(const struct flight *a, const struct flight *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->serial < b->serial;
}

/* By priority, then in the order of delivery.  A new one belongs to the end as a rule, one that
 * comes back to the front. */
static void
insert_in_order(struct worker *self, enum flight_list_kind kind, struct flight *flight, bool is_new)
{
    struct flight_list *list = &self->lists[kind];
    struct flight *place = NULL;

    if (is_new) {
        place = list->last;
        while (place && comes_before(flight, place))
            place = place->links[kind].previous;
    } else {
        for (struct flight *next = list->first; next && comes_before(next, flight);
             next = next->links[kind].next)
            place = next;
    }
    insert_behind(list, kind, place, flight);
}

static bool
is_open(enum flight_stage stage)
{
    return stage == FLIGHT_WAITING || stage == FLIGHT_ASKING || stage == FLIGHT_RUNNING;
}

static void
leave_stage(struct worker *self, struct flight *flight)
{
    if (flight->stage == FLIGHT_WAITING) {
        remove_from(self, FLIGHTS_WAITING, flight);
        self->n_waiting--;
    } else if (flight->stage == FLIGHT_LIMITED) {
        remove_from(self, FLIGHTS_LIMITED, flight);
        self->n_limited--;
    } else if (flight->stage == FLIGHT_ENDED) {
        remove_from(self, FLIGHTS_ENDED, flight);
        self->n_ended--;
    }
    if (is_open(flight->stage))
        self->n_open--;
}

static void
enter_stage(struct worker *self, struct flight *flight, enum flight_stage stage)
{
    flight->stage = stage;
    if (is_open(stage))
        self->n_open++;
    if (stage == FLIGHT_WAITING) {
        insert_in_order(self, FLIGHTS_WAITING, flight, false);
        self->n_waiting++;
    } else if (stage == FLIGHT_LIMITED) {
        insert_in_order(self, FLIGHTS_LIMITED, flight, true);
        self->n_limited++;
    } else if (stage == FLIGHT_ENDED) {
        insert_behind(&self->lists[FLIGHTS_ENDED], FLIGHTS_ENDED, self->lists[FLIGHTS_ENDED].last,
                      flight);
        self->n_ended++;
    }
}

void
worker_flight_set_stage(struct worker *self, struct flight *flight, enum flight_stage stage)
{
    if (flight->stage == stage)
        return;
    leave_stage(self, flight);
    enter_stage(self, flight, stage);
}

void
worker_flight_set_record(struct worker *self, struct flight *flight, bool has_record)
{
    struct flight_list *list = &self->lists[FLIGHTS_RECORDED];

    if (flight->has_record == has_record)
        return;
    flight->has_record = has_record;
    if (has_record)
        insert_behind(list, FLIGHTS_RECORDED, list->last, flight);
    else
        remove_from(self, FLIGHTS_RECORDED, flight);
}

void
worker_flight_set_linked(struct worker *self, struct flight *flight, bool is_linked)
{
    struct flight_list *list = &self->lists[FLIGHTS_LINKED];

    if (flight->is_linked == is_linked)
        return;
    flight->is_linked = is_linked;
    if (is_linked)
        insert_behind(list, FLIGHTS_LINKED, list->last, flight);
    else
        remove_from(self, FLIGHTS_LINKED, flight);
}

static struct flight **
bucket_of(struct worker *self, uint64_t tag)
{
    return &self->by_tag[(tag ^ tag >> 32) % WORKER_TAG_BUCKETS];
}

struct flight *
worker_flight_find(struct worker *self, uint64_t tag)
{
    struct flight *flight = *bucket_of(self, tag);

    while (flight && flight->tag != tag)
        flight = flight->next_of_tag;
    return flight;
}

void
worker_flight_drop_tag(struct worker *self, struct flight *flight)
{
    struct flight **link;

    if (!flight->tag)
        return;
    link = bucket_of(self, flight->tag);
    while (*link != flight)
        link = &(*link)->next_of_tag;
    *link = flight->next_of_tag;
    flight->tag = 0;
}

static int
copy_delivery(struct flight *flight, const struct broker_delivery *delivery, struct error *err)
{
    bool ok = true;

    flight->arena = (struct arena)ARENA_INIT(FLIGHT_ARENA_BYTES);
    flight->bytes = arena_dup(&flight->arena, delivery->bytes, &ok);
    flight->id = arena_dup(&flight->arena, delivery->id, &ok);
    flight->queue = arena_dup(&flight->arena, delivery->queue, &ok);
    if (ok)
        return 0;
    arena_fini(&flight->arena);
    return error_set(err, ERR_NOMEM, "no memory for a message of %zu bytes", delivery->bytes.len);
}

int
worker_flight_create(struct worker *self, const struct broker_delivery *delivery,
                     struct flight **out, struct error *err)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    struct flight_list *all = &self->lists[FLIGHTS_ALL];
    struct flight **bucket = bucket_of(self, delivery->tag);
    int rc;

    if (!flight)
        return error_set(err, ERR_NOMEM, "no memory for a message");
    rc = copy_delivery(flight, delivery, err);
    if (rc < 0) {
        free(flight);
        return rc;
    }
    buf_init(&flight->document, BACKEND_MAX_ENCODED_BYTES);
    flight->priority = delivery->priority;
    flight->expires_us = delivery->expires_us;
    flight->attempt = delivery->attempt;
    flight->started_at_us = TIME_UNKNOWN;
    flight->serial = self->next_serial++;
    flight->tag = delivery->tag;
    flight->next_of_tag = *bucket;
    *bucket = flight;
    insert_behind(all, FLIGHTS_ALL, all->last, flight);
    insert_in_order(self, FLIGHTS_WAITING, flight, true); /* its stage is WAITING */
    self->n_waiting++;
    self->n_open++;
    self->n_flights++;
    *out = flight;
    return 0;
}

void
worker_flight_free(struct worker *self, struct flight *flight)
{
    worker_flight_set_stage(self, flight, FLIGHT_SETTLING); /* in no list of a stage */
    worker_flight_set_record(self, flight, false);
    worker_canvas_drop(self, flight);
    worker_map_free(flight);
    worker_flight_drop_tag(self, flight);
    remove_from(self, FLIGHTS_ALL, flight);
    self->n_flights--;
    buf_fini(&flight->document);
    arena_fini(&flight->arena);
    free(flight);
}

void
worker_flight_end(struct worker *self, struct flight *flight, enum broker_action action,
                  int64_t delay_us, struct str reason)
{
    bool ok = true;

    worker_flight_set_stage(self, flight, FLIGHT_ENDED);
    flight->verdict = (struct broker_verdict){
        .action = action,
        .delay_us = delay_us,
        .reason = arena_dup(&flight->arena, str_slice(reason, 0, BROKER_MAX_REASON_BYTES), &ok),
    };
    if (!ok)
        flight->verdict.reason = STR("unknown: no memory for the reason");
    if (flight->has_record && flight_is_soft(flight))
        worker_flight_set_record(self, flight, false); /* a run that gives its message back has
                                                          nothing to say */
}
