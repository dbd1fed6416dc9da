/* Mingle: a worker that starts tells the others what it knows to be revoked, and hears what they
 * know.  The question and its answers are remote control's `hello`; nobody waits for them here:
 * the worker is at work meanwhile, and what it takes in that second is revoked as soon as an answer
 * says so.
 *
 * Source: celery/worker/consumer/mingle.py of 5.2 and 5.7. */

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "celery/worker_control_internal.h"
#include "celery/worker_events_internal.h"

#define PATIENCE_US US_PER_S /* Celery's */
#define REPLY_BYTES ((size_t)96 << 20)

static void
on_reply(void *context, struct str bytes)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(REPLY_BYTES);
    struct worker *self = context;
    struct worker_mingle *mingle = &self->events->mingle;
    struct control_reply reply;
    const struct json *revoked;
    struct error err;

    if (control_reply_decode(bytes, &arena, &reply, NULL) < 0 ||
        !str_equal(reply.ticket, str_from_cstr(mingle->ticket)))
        return;
    mingle->n_replies++;
    worker_events_adjust_clock(self, reply.clock);
    if (str_equal(reply.node, self->options->name) || reply.value.type != JSON_OBJECT)
        return;
    mingle->n_nodes++;
    (void)gossip_note_node(&self->events->gossip, reply.node, GOSSIP_FREQ_US,
                           clock_mono_us(&clock_system));
    revoked = json_get(&reply.value, STR("revoked"));
    if (revoked && control_learn_revoked(&self->control->node, revoked, &arena, &err) < 0)
        log_warning("tasks that others have revoked may run here: node=%.*s reason=%s",
                    STR_ARG(reply.node), err.message);
}

static void
on_sent(void *context, size_t n_heard)
{
    struct worker *self = context;

    self->events->mingle.n_heard = n_heard;
}

/* Python insists on floating point numbers, and ignores what they say. */
static void
write_arguments(const struct worker *self, struct json_writer *json)
{
    const struct revoked_id *position = NULL;
    struct str id;

    json_begin_object(json);
    json_member_str(json, STR("from_node"), self->options->name);
    json_name(json, STR("revoked"));
    json_begin_object(json);
    while (revoked_next(&self->control->node.revoked, &position, &id)) {
        json_name(json, id);
        json_raw(json, STR("0.0"));
    }
    json_end_object(json);
    json_end_object(json);
}

static int
ask(struct worker *self, struct error *err)
{
    CLEANUP(buf_fini) struct buf arguments = BUF_INIT(MAILBOX_MAX_BYTES);
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(MAILBOX_MAX_BYTES);
    struct json_writer json = {.out = &arguments, .style = JSON_STYLE_PYTHON};
    struct worker_mingle *mingle = &self->events->mingle;
    char key[UUID_TEXT_BYTES];
    char queue[UUID_TEXT_BYTES + sizeof(CONTROL_REPLY_SUFFIX)];
    struct mailbox_address address = {STR(CONTROL_REPLY_EXCHANGE), STR_NULL};
    struct control_call call = {.method = STR("hello")};
    int rc;

    uuid_random(mingle->ticket);
    uuid_random(key);
    (void)snprintf(queue, sizeof(queue), "%s" CONTROL_REPLY_SUFFIX, key);
    address.routing_key = str_from_cstr(key);
    write_arguments(self, &json);
    rc = buf_status(&arguments, err);
    call.arguments = buf_str(&arguments);
    call.ticket = str_from_cstr(mingle->ticket);
    call.routing_key = address.routing_key;
    call.clock = worker_events_tick(self);
    call.expires = (double)(clock_now_us(&clock_system) + PATIENCE_US) / (double)US_PER_S;
    if (rc == 0)
        rc = mailbox_receive(mingle->mailbox, &address, str_from_cstr(queue), err);
    if (rc == 0)
        rc = control_call_encode(&call, &bytes, err);
    return rc < 0 ? rc
                  : mailbox_broadcast(mingle->mailbox, STR(CONTROL_EXCHANGE), buf_str(&bytes), err);
}

static void
begin(struct worker *self)
{
    struct worker_mingle *mingle = &self->events->mingle;
    struct mailbox_options options = {
        .listener = {.received = on_reply, .sent = on_sent, .context = self},
        .name = self->options->name,
    };
    struct error err = {0};
    int rc = mailbox_open(self->options->broker_url, &options, &mingle->mailbox, &err);

    if (rc == 0)
        rc = ask(self, &err);
    mingle->is_ready = true;
    mingle->n_heard = MAILBOX_COUNT_UNKNOWN;
    mingle->until_us = clock_mono_us(&clock_system) + PATIENCE_US;
    if (rc < 0) {
        log_warning("others not asked what they have revoked: reason=%s", err.message);
        worker_mingle_close(self);
    }
}

static void
on_fd(void *context, unsigned is)
{
    struct worker_mingle *mingle = context;

    (void)is;
    mingle->is_ready = true;
}

/* False: it is over. */
static bool
run(struct worker *self, int64_t *due_us)
{
    struct worker_mingle *mingle = &self->events->mingle;
    struct mailbox_wait wait;
    struct error err = {0};

    if (mailbox_run(mingle->mailbox, &err) < 0) {
        log_warning("others not asked what they have revoked: reason=%s", err.message);
        return false;
    }
    mingle->is_ready = false;
    mailbox_get_wait(mingle->mailbox, &wait);
    if (wait.fd != mingle->watched_fd) {
        loop_fd_free(mingle->fd);
        mingle->fd = NULL;
        mingle->watched_fd = wait.fd;
        if (wait.fd >= 0 && loop_fd_create(self->loop, wait.fd, LOOP_READABLE, on_fd, mingle,
                                           &mingle->fd, &err) < 0)
            log_debug("answers not watched: reason=%s", err.message);
    }
    *due_us = wait.deadline_us < mingle->until_us ? wait.deadline_us : mingle->until_us;
    return mingle->n_replies < mingle->n_heard && clock_mono_us(&clock_system) < mingle->until_us;
}

int64_t
worker_mingle_turn(struct worker *self)
{
    struct worker_mingle *mingle = &self->events->mingle;
    int64_t due_us = INT64_MAX;

    if (!self->is_ready || mingle->is_done)
        return INT64_MAX;
    if (!mingle->mailbox)
        begin(self);
    if (!mingle->mailbox || run(self, &due_us))
        return due_us;
    log_info("mingle: n_nodes=%zu", mingle->n_nodes);
    worker_mingle_close(self);
    return INT64_MAX;
}

void
worker_mingle_close(struct worker *self)
{
    struct worker_mingle *mingle = &self->events->mingle;

    mingle->is_done = true;
    loop_fd_free(mingle->fd);
    mingle->fd = NULL;
    mailbox_close(mingle->mailbox);
    mingle->mailbox = NULL;
}
