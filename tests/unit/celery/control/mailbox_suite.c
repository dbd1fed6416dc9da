/* Nodes and clients of one broker, in this process and in others. */

#include "tests/unit/celery/control/mailbox_suite.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/buf.h"

#define EXCHANGE  "test.pidbox"
#define REPLIES   "reply.test.pidbox"
#define WAIT_US   (10 * US_PER_S)
#define MAX_HEARD 400

/* A mailbox that writes down what it hears. */
struct party {
    struct mailbox *mailbox;
    struct buf heard[MAX_HEARD];
    size_t n_heard;
    size_t n_sent;
    size_t n_listeners;               /* of the last broadcast */
    struct mailbox_address answer_to; /* routing_key absent: nothing is answered */
};

static void
on_received(void *context, struct str bytes)
{
    struct party *self = context;
    struct error err;

    assert_true(self->n_heard < MAX_HEARD);
    buf_init(&self->heard[self->n_heard], MAILBOX_MAX_BYTES);
    buf_append(&self->heard[self->n_heard++], bytes);
    if (self->answer_to.routing_key.ptr)
        assert_ok(mailbox_send(self->mailbox, &self->answer_to, bytes, &err), err);
}

static void
on_sent(void *context, size_t n_heard)
{
    struct party *self = context;

    self->n_sent++;
    self->n_listeners = n_heard;
}

static struct party *
join(const char *url)
{
    struct party *self = calloc(1, sizeof(*self));
    struct mailbox_options options = {.name = STR("test"), .max_open_us = 5 * US_PER_S};
    struct error err;

    assert_non_null(self);
    options.listener = (struct mailbox_listener){on_received, on_sent, self};
    assert_ok(mailbox_open(str_from_cstr(url), &options, &self->mailbox, &err), err);
    return self;
}

static void
leave(struct party *self)
{
    mailbox_close(self->mailbox);
    for (size_t i = 0; i < self->n_heard; i++)
        buf_fini(&self->heard[i]);
    free(self);
}

static void
run(struct party *self, int64_t span_us)
{
    struct error err;

    assert_ok(mailbox_run_until(self->mailbox, clock_mono_us(&clock_system) + span_us, &err), err);
}

/* Run all of them until one has heard n letters. */
static void
run_until_heard(struct party *const *parties, size_t n_parties, const struct party *who, size_t n)
{
    int64_t until_us = clock_mono_us(&clock_system) + WAIT_US;

    while (who->n_heard < n && clock_mono_us(&clock_system) < until_us)
        for (size_t i = 0; i < n_parties; i++)
            run(parties[i], 2 * US_PER_MS);
    assert_int_equal(who->n_heard, n);
}

static void
run_until_idle(struct party *self)
{
    int64_t until_us = clock_mono_us(&clock_system) + WAIT_US;

    while (!mailbox_is_idle(self->mailbox) && clock_mono_us(&clock_system) < until_us)
        run(self, 10 * US_PER_MS);
    assert_true(mailbox_is_idle(self->mailbox));
}

static void
listen_as(struct party *self, const char *queue)
{
    int64_t until_us = clock_mono_us(&clock_system) + WAIT_US;
    struct error err;

    assert_ok(mailbox_listen(self->mailbox, STR(EXCHANGE), str_from_cstr(queue), &err), err);
    while (!mailbox_is_listening(self->mailbox) && clock_mono_us(&clock_system) < until_us)
        run(self, 10 * US_PER_MS);
    assert_true(mailbox_is_listening(self->mailbox));
}

static void
receive_as(struct party *self, const char *key)
{
    struct mailbox_address address = {STR(REPLIES), str_from_cstr(key)};
    char queue[64];
    struct error err;

    (void)snprintf(queue, sizeof(queue), "%s." REPLIES, key);
    assert_ok(mailbox_receive(self->mailbox, &address, str_from_cstr(queue), &err), err);
}

static void
broadcast(struct party *self, struct str bytes)
{
    struct error err;

    assert_ok(mailbox_broadcast(self->mailbox, STR(EXCHANGE), bytes, &err), err);
}

static void
listen_to(struct party *self, struct str exchange)
{
    int64_t until_us = clock_mono_us(&clock_system) + WAIT_US;
    struct error err;

    assert_ok(mailbox_listen(self->mailbox, exchange, STR("q"), &err), err);
    while (!mailbox_is_listening(self->mailbox) && clock_mono_us(&clock_system) < until_us)
        run(self, 10 * US_PER_MS);
}

/* Who listens to a part of the topics hears that part, who listens to all hears all. */
void
mailbox_test_topics(void **state)
{
    static const char *const sent[] = {"ev/task.multi", "ev/worker.online", "evil/worker.online",
                                       "ev/worker.elect.ack"};
    const char *url = mailbox_suite_url();
    struct party *speaker = join(url);
    struct party *all = join(url);
    struct party *workers = join(url);
    struct party *parties[] = {speaker, all, workers};
    struct error err;

    (void)state;
    listen_to(all, STR("ev/#"));
    listen_to(workers, STR("ev/worker.#"));
    for (size_t i = 0; i < COUNT_OF(sent); i++)
        assert_ok(mailbox_broadcast(speaker->mailbox, str_from_cstr(sent[i]),
                                    str_from_cstr(sent[i]), &err),
                  err);
    run_until_heard(parties, COUNT_OF(parties), all, 3);
    run_until_heard(parties, COUNT_OF(parties), workers, 2);
    assert_string_equal(buf_cstr(&all->heard[0]), sent[0]);
    assert_string_equal(buf_cstr(&workers->heard[0]), sent[1]);
    assert_string_equal(buf_cstr(&workers->heard[1]), sent[3]);
    for (size_t i = 0; i < COUNT_OF(parties); i++)
        leave(parties[i]);
}

/* All who listen hear it, once; who does not listen does not. */
void
mailbox_test_broadcast(void **state)
{
    const char *url = mailbox_suite_url();
    struct party *parties[] = {join(url), join(url), join(url)};

    (void)state;
    listen_as(parties[0], "a@h.pidbox");
    listen_as(parties[1], "b@h.pidbox");
    broadcast(parties[2], STR("hello"));
    run_until_heard(parties, 3, parties[0], 1);
    run_until_heard(parties, 3, parties[1], 1);
    run_until_idle(parties[2]);
    assert_str_equal(buf_str(&parties[0]->heard[0]), "hello");
    assert_int_equal(parties[2]->n_sent, 1);
    assert_int_equal(parties[2]->n_listeners, 2);
    assert_int_equal(parties[2]->n_heard, 0);
    for (size_t i = 0; i < COUNT_OF(parties); i++)
        leave(parties[i]);
}

/* Nobody listens: that is told, and nothing is kept for who comes later. */
void
mailbox_test_nobody_listens(void **state)
{
    const char *url = mailbox_suite_url();
    struct party *client = join(url);
    struct party *late;

    (void)state;
    broadcast(client, STR("lost"));
    run_until_idle(client);
    assert_int_equal(client->n_sent, 1);
    assert_int_equal(client->n_listeners, 0);
    late = join(url);
    listen_as(late, "late@h.pidbox");
    for (int i = 0; i < 10; i++)
        run(late, 10 * US_PER_MS);
    assert_int_equal(late->n_heard, 0);
    leave(late);
    broadcast(client, STR("after it left"));
    run_until_idle(client);
    assert_int_equal(client->n_listeners, 0);
    leave(client);
}

/* An answer goes to its address alone, also when it is sent from within the callback. */
void
mailbox_test_answers(void **state)
{
    const char *url = mailbox_suite_url();
    struct party *parties[] = {join(url), join(url), join(url)};
    struct party *node = parties[0];

    (void)state;
    node->answer_to = (struct mailbox_address){STR(REPLIES), STR("me")};
    listen_as(node, "a@h.pidbox");
    receive_as(parties[1], "me");
    receive_as(parties[2], "other");
    broadcast(parties[1], STR("question"));
    run_until_heard(parties, 3, parties[1], 1);
    assert_str_equal(buf_str(&parties[1]->heard[0]), "question");
    assert_int_equal(parties[2]->n_heard, 0);
    for (size_t i = 0; i < COUNT_OF(parties); i++)
        leave(parties[i]);
}

/* To an address where nobody receives: dropped, and the sender goes on. */
void
mailbox_test_answer_to_nobody(void **state)
{
    const char *url = mailbox_suite_url();
    struct mailbox_address nobody = {STR(REPLIES), STR("gone")};
    struct party *node = join(url);
    struct error err;

    (void)state;
    assert_ok(mailbox_send(node->mailbox, &nobody, STR("x"), &err), err);
    run_until_idle(node);
    leave(node);
}

/* Bytes of any kind and many of them, in their order. */
void
mailbox_test_bytes_and_order(void **state)
{
    static char large[3 << 20];
    const char *url = mailbox_suite_url();
    struct party *parties[] = {join(url), join(url)};
    char text[16];

    (void)state;
    (void)memset(large, 0xFE, sizeof(large));
    listen_as(parties[0], "a@h.pidbox");
    broadcast(parties[1], ((struct str){"\0\xff\r\n", 4}));
    broadcast(parties[1], (struct str){large, sizeof(large)});
    for (int i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        broadcast(parties[1], str_from_cstr(text));
    }
    run_until_heard(parties, 2, parties[0], 302);
    assert_true(str_equal(buf_str(&parties[0]->heard[0]), (struct str){"\0\xff\r\n", 4}));
    assert_true(str_equal(buf_str(&parties[0]->heard[1]), (struct str){large, sizeof(large)}));
    for (int i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        assert_str_equal(buf_str(&parties[0]->heard[i + 2]), text);
    }
    leave(parties[0]);
    leave(parties[1]);
}

void
mailbox_test_refused(void **state)
{
    static char large[MAILBOX_MAX_BYTES + 1];
    const char *url = mailbox_suite_url();
    struct mailbox_address bad = {STR(REPLIES), STR("a\x06\x16"
                                                    "b")};
    struct party *party = join(url);
    struct error err;

    (void)state;
    assert_int_equal(
        mailbox_broadcast(party->mailbox, STR(EXCHANGE), (struct str){large, sizeof(large)}, &err),
        -ERR_TOO_LARGE);
    assert_int_equal(mailbox_broadcast(party->mailbox, STR(""), STR("x"), &err), -ERR_INVALID);
    assert_int_equal(mailbox_send(party->mailbox, &bad, STR("x"), &err), -ERR_INVALID);
    assert_int_equal(mailbox_receive(party->mailbox, &bad, STR("q"), &err), -ERR_INVALID);
    assert_int_equal(mailbox_listen(party->mailbox, STR("e"), STR("a\n"), &err), -ERR_INVALID);
    leave(party);
}

/* A node in a process of its own answers what it hears to "me", until it is killed. */
static pid_t
start_node(const char *url, const char *queue)
{
    pid_t pid = fork();
    struct party *node;

    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    node = join(url);
    node->answer_to = (struct mailbox_address){STR(REPLIES), STR("me")};
    listen_as(node, queue);
    for (;;)
        run(node, US_PER_S);
}

/* Wait until so many listen. */
static void
run_for(struct party *self, int64_t span_us)
{
    int64_t until_us = clock_mono_us(&clock_system) + span_us;

    while (clock_mono_us(&clock_system) < until_us)
        run(self, 10 * US_PER_MS);
}

/* Asks ten times a second, so that all answers find room. */
static void
await_listeners(struct party *client, size_t n)
{
    int64_t until_us = clock_mono_us(&clock_system) + WAIT_US;

    do {
        broadcast(client, STR("who"));
        run_until_idle(client);
        run_for(client, 100 * US_PER_MS);
    } while (client->n_listeners != n && clock_mono_us(&clock_system) < until_us);
    assert_int_equal(client->n_listeners, n);
}

/* Three processes hear and answer; a killed one is not counted any more. */
void
mailbox_test_processes(void **state)
{
    const char *url = mailbox_suite_url();
    struct party *client = join(url);
    pid_t pids[] = {start_node(url, "a@h"), start_node(url, "b@h"), start_node(url, "c@h")};
    size_t n_before;

    (void)state;
    receive_as(client, "me");
    await_listeners(client, 3);
    run_for(client, 400 * US_PER_MS); /* answers to the questions so far */
    n_before = client->n_heard;
    broadcast(client, STR("now"));
    run_until_heard(&client, 1, client, n_before + 3);
    assert_int_equal(kill(pids[1], SIGKILL), 0);
    assert_int_equal(waitpid(pids[1], NULL, 0), pids[1]);
    await_listeners(client, 2);
    for (size_t i = 0; i < COUNT_OF(pids); i += 2) {
        assert_int_equal(kill(pids[i], SIGKILL), 0);
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    }
    leave(client);
}

/* A child of a node leaves the node's mailbox alone. */
void
mailbox_test_forget(void **state)
{
    const char *url = mailbox_suite_url();
    struct party *parties[] = {join(url), join(url)};
    int status = 1;
    pid_t pid;

    (void)state;
    listen_as(parties[0], "a@h.pidbox");
    pid = fork();
    if (pid == 0) {
        mailbox_forget(parties[0]->mailbox);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    broadcast(parties[1], STR("still there"));
    run_until_heard(parties, 2, parties[0], 1);
    leave(parties[0]);
    leave(parties[1]);
}
