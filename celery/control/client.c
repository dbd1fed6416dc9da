/* The reply address first, then the question, then what comes. */

#include "celery/control/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/uuid.h"
#include "celery/control/mailbox.h"
#include "celery/control/request.h"

#define OPEN_US  US_PER_S
#define LEAVE_US (1500 * US_PER_MS) /* for the question to leave */
#define SLICE_US (250 * US_PER_MS)  /* so often is_cancelled is asked */

/* One question under way. */
struct asking {
    struct mailbox *mailbox;
    struct arena *arena;
    struct str ticket;
    bool (*is_cancelled)(void *context);
    struct control_node_reply *replies;
    size_t n_replies;
    size_t n_room;
    size_t n_expected; /* MAILBOX_COUNT_UNKNOWN: nobody knows */
    size_t n_heard;
    bool is_out;      /* the question has left */
    int64_t until_us; /* monotonic */
    int64_t patience_us;
    int rc; /* of what happened in a callback */
    struct error err;
};

static int
make_room(struct asking *self)
{
    size_t n_room = self->n_room ? 2 * self->n_room : 16;
    struct control_node_reply *replies;

    if (self->n_replies < self->n_room)
        return 0;
    if (self->n_replies >= CONTROL_MAX_REPLIES)
        return error_set(&self->err, ERR_TOO_LARGE, "more than %zu nodes have answered",
                         CONTROL_MAX_REPLIES);
    replies = arena_calloc(self->arena, n_room, sizeof(*replies));
    if (!replies)
        return error_set(&self->err, ERR_NOMEM, "no memory for the replies of %zu nodes", n_room);
    if (self->n_replies)
        (void)memcpy(replies, self->replies, self->n_replies * sizeof(*replies));
    self->replies = replies;
    self->n_room = n_room;
    return 0;
}

/* A reply of another question, or of nobody, is not ours to mind. */
static void
on_received(void *context, struct str bytes)
{
    struct asking *self = context;
    struct control_reply reply;
    struct error err = {0};
    bool is_copied = true;
    struct str copy;
    int rc;

    if (self->rc < 0)
        return;
    copy = arena_dup(self->arena, bytes, &is_copied);
    if (!is_copied) {
        self->rc =
            error_set(&self->err, ERR_NOMEM, "no memory for a reply of %zu bytes", bytes.len);
        return;
    }
    rc = control_reply_decode(copy, self->arena, &reply, &err);
    if (rc < 0) {
        log_warning("control reply cannot be read, dropped: reason=%s", err.message);
        return;
    }
    if (!str_equal(reply.ticket, self->ticket))
        return;
    self->rc = make_room(self);
    if (self->rc < 0)
        return;
    self->replies[self->n_replies++] =
        (struct control_node_reply){.node = reply.node, .value = reply.value};
    self->until_us = clock_mono_us(&clock_system) + self->patience_us;
}

static void
on_sent(void *context, size_t n_heard)
{
    struct asking *self = context;

    self->is_out = true;
    self->n_heard = n_heard;
    if (n_heard < self->n_expected)
        self->n_expected = n_heard;
    self->until_us = clock_mono_us(&clock_system) + self->patience_us;
}

static int
run_once(struct asking *self, int64_t until_us, struct error *err)
{
    int64_t slice_us = clock_mono_us(&clock_system) + SLICE_US;
    int rc;

    if (self->is_cancelled && self->is_cancelled(NULL))
        return error_set(err, ERR_CANCELLED, "interrupted");
    rc = mailbox_run_until(self->mailbox, until_us < slice_us ? until_us : slice_us, err);
    if (rc == 0 && self->rc < 0) {
        rc = self->rc;
        if (err)
            *err = self->err;
    }
    return rc;
}

static int
send_question(struct asking *self, const struct control_question *question, struct str routing_key,
              struct error *err)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(MAILBOX_MAX_BYTES);
    int64_t until_us = clock_mono_us(&clock_system) + LEAVE_US;
    struct control_call call = {
        .method = question->method,
        .arguments = question->arguments,
        .recipients = question->recipients,
        .n_recipients = question->n_recipients,
        .ticket = question->has_reply ? self->ticket : STR_NULL,
        .routing_key = routing_key,
        .clock = 1,
        .expires = (double)(clock_now_us(&clock_system) + self->patience_us) / (double)US_PER_S,
    };
    int rc = control_call_encode(&call, &bytes, err);

    if (rc == 0)
        rc = mailbox_broadcast(self->mailbox, STR(CONTROL_EXCHANGE), buf_str(&bytes), err);
    while (rc == 0 && !self->is_out) {
        if (clock_mono_us(&clock_system) >= until_us)
            return error_set(err, ERR_TIMEOUT,
                             "the broker does not take the question within %lld ms: it is paused, "
                             "locked or full",
                             (long long)(LEAVE_US / US_PER_MS));
        rc = run_once(self, until_us, err);
    }
    return rc;
}

static int
gather(struct asking *self, struct error *err)
{
    int rc = 0;

    while (rc == 0 && self->n_replies < self->n_expected &&
           clock_mono_us(&clock_system) < self->until_us)
        rc = run_once(self, self->until_us, err);
    return rc;
}

static int
compare_replies(const void *a, const void *b)
{
    const struct control_node_reply *left = a;
    const struct control_node_reply *right = b;

    return str_compare(left->node, right->node);
}

static int
ask(struct asking *self, const struct control_question *question, struct error *err)
{
    char key[UUID_TEXT_BYTES];
    char queue[UUID_TEXT_BYTES + sizeof(CONTROL_REPLY_SUFFIX)];
    struct mailbox_address address = {.exchange = STR(CONTROL_REPLY_EXCHANGE)};
    int rc = 0;

    uuid_random(key);
    (void)snprintf(queue, sizeof(queue), "%s" CONTROL_REPLY_SUFFIX, key);
    address.routing_key = str_from_cstr(key);
    if (question->has_reply)
        rc = mailbox_receive(self->mailbox, &address, str_from_cstr(queue), err);
    if (rc == 0)
        rc = send_question(self, question, address.routing_key, err);
    if (rc == 0 && question->has_reply)
        rc = gather(self, err);
    return rc;
}

int
control_ask(struct str broker_url, const struct control_question *question,
            bool (*is_cancelled)(void *context), struct arena *arena, struct control_replies *out,
            struct error *err)
{
    char ticket[UUID_TEXT_BYTES];
    char name[64];
    struct asking asking = {
        .arena = arena,
        .is_cancelled = is_cancelled,
        .n_expected = question->n_recipients ? question->n_recipients : MAILBOX_COUNT_UNKNOWN,
        .patience_us = question->timeout_us ? question->timeout_us : CONTROL_TIMEOUT_US,
    };
    struct mailbox_options options = {
        .listener = {on_received, on_sent, &asking},
        .max_open_us = OPEN_US,
        .must_exist = true,
    };
    int rc;

    uuid_random(ticket);
    asking.ticket = str_from_cstr(ticket);
    (void)snprintf(name, sizeof(name), "trawl-control-%d", (int)getpid());
    options.name = str_from_cstr(name);
    *out = (struct control_replies){NULL, 0, 0};
    rc = mailbox_open(broker_url, &options, &asking.mailbox, err);
    if (rc == -ERR_NOT_FOUND) /* nobody ever listened */
        return 0;
    if (rc == 0)
        rc = ask(&asking, question, err);
    mailbox_close(asking.mailbox);
    if (rc < 0)
        return rc;
    if (asking.n_replies)
        qsort(asking.replies, asking.n_replies, sizeof(*asking.replies), compare_replies);
    *out = (struct control_replies){asking.replies, asking.n_replies, asking.n_heard};
    return 0;
}
