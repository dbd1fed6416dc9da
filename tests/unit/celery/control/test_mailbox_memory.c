/* A question and its answer with each allocation failing in turn, on both mailboxes: an error or
 * another try, no leak, no crash, and no letter that is not whole.  Linked with --wrap for malloc
 * and its kin. */

#include "tests/unit/check.h"

#include "celery/control/mailbox.h"
#include "tests/unit/celery/broker/party.h"
#include "tests/unit/celery/redis/redis_server.h"
#include "tests/unit/failing_allocations.h"

#define FEW_ROUNDS  20   /* of two milliseconds: an answer that was lost is not waited for */
#define MANY_ROUNDS 5000 /* one that is to come is */

static const struct str question = STR_INIT("question");
static const struct mailbox_address address = {STR_INIT("replies"), STR_INIT("me")};

struct side {
    struct mailbox *mailbox;
    bool is_node; /* answers */
    int n_heard;
    bool is_unheard; /* nobody listened to what was broadcast: on Redis, not yet */
    int rc;          /* of the run that failed; nothing is done after that */
};

static void
on_received(void *context, struct str bytes)
{
    struct side *self = context;

    assert_true(str_equal(bytes, question));
    self->n_heard++;
    if (self->is_node) /* what cannot be sent is not answered */
        error_ignore(mailbox_send(self->mailbox, &address, bytes, NULL));
}

static void
on_sent(void *context, size_t n_heard)
{
    struct side *self = context;

    self->is_unheard = n_heard == 0;
}

static void
join(struct side *self, const char *url)
{
    struct mailbox_options options = {
        .listener = {on_received, on_sent, self}, .name = STR("test"), .max_open_us = 5 * US_PER_S};

    self->rc = mailbox_open(str_from_cstr(url), &options, &self->mailbox, NULL);
    if (self->rc == 0 && self->is_node)
        self->rc = mailbox_listen(self->mailbox, STR("questions"), STR("node"), NULL);
    else if (self->rc == 0)
        self->rc = mailbox_receive(self->mailbox, &address, STR("client"), NULL);
}

static void
run(struct side *self)
{
    if (self->rc == 0)
        self->rc =
            mailbox_run_until(self->mailbox, clock_mono_us(&clock_system) + 2 * US_PER_MS, NULL);
}

/* True when the client has its answer. */
static bool
ask_once(const char *url)
{
    struct side node = {.is_node = true};
    struct side client = {.is_node = false};

    join(&node, url);
    join(&client, url);
    client.is_unheard = true;
    for (int i = 0; i < (has_failed ? FEW_ROUNDS : MANY_ROUNDS) && client.n_heard == 0; i++) {
        run(&node);
        if (client.rc == 0 && client.is_unheard)
            client.rc = mailbox_broadcast(client.mailbox, STR("questions"), question, NULL);
        client.is_unheard = false;
        run(&client);
    }
    mailbox_close(client.mailbox);
    mailbox_close(node.mailbox);
    assert_true(node.n_heard <= 1 && client.n_heard <= 1);
    return client.n_heard == 1;
}

static void
fail_each(const char *url)
{
    int n_tries = 0;
    bool is_answered;

    assert_true(ask_once(url)); /* makes the files, and shows that it can be done */
    do {
        has_failed = false;
        n_until_failure = ++n_tries;
        is_answered = ask_once(url);
        n_until_failure = 0;
    } while (has_failed);
    assert_true(is_answered);
    assert_true(n_tries > 10);
}

static void
test_sqlite(void **state)
{
    char dir[64];
    char url[128];

    (void)state;
    test_dir_make(dir);
    (void)snprintf(url, sizeof(url), "sqlite:///%s/broker.db", dir);
    fail_each(url);
    test_dir_remove(dir);
}

static void
test_redis(void **state)
{
    struct redis_server *server = redis_server_start(NULL);

    (void)state;
    fail_each(redis_server_url(server, "/0"));
    redis_server_stop(server);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sqlite), cmocka_unit_test(test_redis)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
