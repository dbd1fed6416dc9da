/* Leader and followers: requests gather in a list; whoever finds no leader becomes one, takes the
 * list, and works without the mutex while the next list gathers. */

#include "celery/broker/publisher.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct request {
    struct request *next;
    const struct broker_message *messages;
    size_t n_messages;
    int64_t timeout_us;
    uint64_t first_ticket; /* of those that were taken in */
    size_t n_accepted;
    size_t n_told;
    size_t n_done;
    int rc;
    struct error err;
    char *holder; /* room for BROKER_MAX_ID_BYTES + 1, or NULL */
    bool is_over;
};

struct publisher {
    struct broker *broker; /* the leader's */
    pthread_mutex_t mutex;
    pthread_cond_t is_over;
    struct request *waiting; /* newest first */
    struct request *running; /* the leader's */
    bool has_leader;
};

static void
note_failure(struct request *request, int rc, const struct error *err)
{
    if (request->rc < 0)
        return;
    request->rc = rc;
    request->err = *err;
}

static void
note_holder(struct request *request, struct str holder)
{
    struct error err;
    int rc =
        error_set(&err, ERR_DUPLICATE, "it waits or runs already, as task %.*s", STR_ARG(holder));

    if (request->holder && holder.len <= BROKER_MAX_ID_BYTES) {
        (void)memcpy(request->holder, holder.ptr, holder.len);
        request->holder[holder.len] = '\0';
    }
    note_failure(request, rc, &err);
}

static void
on_completed(void *context, const struct broker_completion *completion)
{
    struct publisher *self = context;

    for (struct request *request = self->running; request; request = request->next) {
        if (completion->ticket < request->first_ticket ||
            completion->ticket >= request->first_ticket + request->n_accepted)
            continue;
        request->n_told++;
        if (completion->outcome == BROKER_DONE)
            request->n_done++;
        else if (completion->outcome == BROKER_HELD)
            note_holder(request, completion->holder);
        else
            note_failure(request, -(int)completion->err->code, completion->err);
        return;
    }
}

int
publisher_open(struct str url, const struct broker_options *options, struct publisher **out,
               struct error *err)
{
    struct broker_options own = *options;
    struct publisher *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a publisher");
    own.listener = (struct broker_listener){.completed = on_completed, .context = self};
    rc = broker_open(url, &own, &self->broker, err);
    if (rc < 0) {
        free(self);
        return rc;
    }
    (void)pthread_mutex_init(&self->mutex, NULL);
    (void)pthread_cond_init(&self->is_over, NULL);
    *out = self;
    return 0;
}

void
publisher_close(struct publisher *publisher)
{
    if (!publisher)
        return;
    broker_close(publisher->broker);
    (void)pthread_cond_destroy(&publisher->is_over);
    (void)pthread_mutex_destroy(&publisher->mutex);
    free(publisher);
}

void
publisher_closep(struct publisher **publisher)
{
    publisher_close(*publisher);
}

/* Its messages into the outbox, which is emptied on the way when it is full. */
static void
accept_messages(struct publisher *self, struct request *request)
{
    for (size_t i = 0; i < request->n_messages; i++) {
        struct error err;
        uint64_t ticket;
        int rc = broker_publish(self->broker, &request->messages[i], &ticket, &err);

        if (rc == -ERR_BUSY) {
            rc = broker_flush(self->broker, request->timeout_us, &err);
            if (rc == 0)
                rc = broker_publish(self->broker, &request->messages[i], &ticket, &err);
        }
        if (rc < 0) {
            note_failure(request, rc, &err);
            return;
        }
        if (request->n_accepted++ == 0)
            request->first_ticket = ticket;
    }
}

/* All of the list, with one flush; without the mutex, as the leader. */
static void
lead(struct publisher *self)
{
    int64_t timeout_us = 0;
    struct error err;
    int rc;

    for (struct request *request = self->running; request; request = request->next) {
        accept_messages(self, request);
        if (request->timeout_us > timeout_us)
            timeout_us = request->timeout_us;
    }
    rc = broker_flush(self->broker, timeout_us, &err);
    for (struct request *request = self->running; request; request = request->next)
        if (rc < 0 && request->n_told < request->n_accepted)
            note_failure(request, rc, &err);
}

/* Oldest first. */
static struct request *
reverse(struct request *list)
{
    struct request *reversed = NULL;

    while (list) {
        struct request *next = list->next;

        list->next = reversed;
        reversed = list;
        list = next;
    }
    return reversed;
}

static int
send_request(struct publisher *publisher, struct request *request, size_t *n_done,
             struct error *err)
{
    (void)pthread_mutex_lock(&publisher->mutex);
    request->next = publisher->waiting;
    publisher->waiting = request;
    while (!request->is_over) {
        if (publisher->has_leader) {
            (void)pthread_cond_wait(&publisher->is_over, &publisher->mutex);
            continue;
        }
        publisher->has_leader = true;
        publisher->running = reverse(publisher->waiting);
        publisher->waiting = NULL;
        (void)pthread_mutex_unlock(&publisher->mutex);
        lead(publisher);
        (void)pthread_mutex_lock(&publisher->mutex);
        for (struct request *over = publisher->running; over; over = over->next)
            over->is_over = true;
        publisher->running = NULL;
        publisher->has_leader = false;
        (void)pthread_cond_broadcast(&publisher->is_over);
    }
    (void)pthread_mutex_unlock(&publisher->mutex);
    if (n_done)
        *n_done = request->n_done;
    if (request->rc < 0 && err)
        *err = request->err;
    return request->rc;
}

int
publisher_send(struct publisher *publisher, const struct broker_message *messages,
               size_t n_messages, int64_t timeout_us, size_t *n_done, struct error *err)
{
    struct request request = {
        .messages = messages, .n_messages = n_messages, .timeout_us = timeout_us};

    return send_request(publisher, &request, n_done, err);
}

int
publisher_send_unique(struct publisher *publisher, const struct broker_message *message,
                      int64_t timeout_us, char holder[BROKER_MAX_ID_BYTES + 1], struct error *err)
{
    struct request request = {
        .messages = message, .n_messages = 1, .timeout_us = timeout_us, .holder = holder};

    return send_request(publisher, &request, NULL, err);
}
