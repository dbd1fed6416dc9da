/* Where things lie in Redis: Kombu's keys, looked at with raw commands. */

#include "tests/unit/celery/broker/redis_setting.h"

#define SEP "\x06\x16"

/* The bytes go into the list of their priority step as they are, and the queue is bound. */
static void
test_publish(void **state)
{
    static const struct {
        int priority;
        const char *key;
    } rows[] = {{0, "q"},         {2, "q"},         {3, "q" SEP "3"},
                {5, "q" SEP "3"}, {6, "q" SEP "6"}, {9, "q" SEP "9"}};
    struct redis_setting *self = redis_setting_open("/1");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str bytes = redis_setting_envelope(self, "q", "1");
        struct broker_message message = party_message("q", "1");
        struct error err;

        message.bytes = bytes;
        message.priority = rows[i].priority;
        assert_ok(broker_publish(self->a.broker, &message, NULL, &err), err);
        party_run(&self->a);
        assert_true(str_equal(
            redis_setting_text(SAY(self, STR("LPOP"), str_from_cstr(rows[i].key))), bytes));
    }
    assert_int_equal(
        SAY(self, STR("SISMEMBER"), STR("_kombu.binding.q"), STR("q" SEP SEP "q"))->integer, 1);
    assert_int_equal(
        SAY(self, STR("SISMEMBER"), STR("_kombu.binding_permanent.q"), STR("q" SEP SEP "q"))
            ->integer,
        1);
    redis_setting_close(self);
}

/* Kombu's element: [envelope, exchange, routing key] under the envelope's own tag. */
static void
test_held_and_acknowledged(void **state)
{
    struct redis_setting *self = redis_setting_open("/1");
    struct str bytes = redis_setting_envelope(self, "q", "1");
    struct str tag = str_slice(bytes, bytes.len - 39, bytes.len - 3);
    char value[2048];
    double score;

    (void)state;
    assert_int_equal(SAY(self, STR("LPUSH"), STR("q"), bytes)->integer, 1);
    party_consume(&self->a, "q", 5);
    party_run(&self->a);
    assert_string_equal(party_texts(&self->a), "1");
    (void)snprintf(value, sizeof(value), "[%.*s, \"\", \"q\"]", STR_ARG(bytes));
    assert_str_equal(redis_setting_text(SAY(self, STR("HGET"), STR("unacked"), tag)), value);
    score = strtod(SAY(self, STR("ZSCORE"), STR("unacked_index"), tag)->text.ptr, NULL);
    assert_true(score > (double)clock_now_us(&clock_system) / 1e6 - 5);
    assert_true(score < (double)clock_now_us(&clock_system) / 1e6 + 5);
    assert_int_equal(redis_setting_count(self, "LLEN", "q"), 0);

    (void)party_settle(&self->a, self->a.received[0].tag, BROKER_ACK);
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "EXISTS", "unacked"), 0);
    assert_int_equal(redis_setting_count(self, "EXISTS", "unacked_index"), 0);
    redis_setting_close(self);
}

/* Every key begins with the prefix; Trawl's own with "trawl." behind it. */
static void
test_options(void **state)
{
    struct redis_setting *self =
        redis_setting_open("/1?global_keyprefix=app_&fanout_prefix=/"
                           "x.&sep=:&priority_steps=0,5&unacked_key=u&unacked_index_key=ui");
    struct broker_message message = party_message("q", "1");
    const struct redis_value *keys;

    (void)state;
    message.priority = 7;
    (void)party_publish_with(&self->a, &message);
    (void)party_publish(&self->a, "q", "2");
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "LLEN", "app_q:5"), 1);
    assert_int_equal(redis_setting_count(self, "LLEN", "app_q"), 1);
    party_consume(&self->b, "q", 5);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "2 1");
    assert_int_equal(redis_setting_count(self, "HLEN", "app_u"), 2);
    assert_int_equal(redis_setting_count(self, "ZCARD", "app_ui"), 2);
    keys = SAY(self, STR("KEYS"), STR("*"));
    for (size_t i = 0; i < keys->n_items; i++)
        assert_true(str_starts_with(keys->items[i].text, STR("app_u")) ||
                    str_starts_with(keys->items[i].text, STR("app__kombu.binding")) ||
                    str_starts_with(keys->items[i].text, STR("app_trawl.")));
    redis_setting_close(self);
}

static void
test_bad_options(void **state)
{
    static const struct {
        const char *tail;
        const char *says;
    } rows[] = {
        {"/1?visibility=3", "global_keyprefix"},
        {"/1?visibility_timeout=x", "visibility_timeout"},
        {"/1?priority_steps=3,6", "0,3,6,9"},
        {"/1?priority_steps=0,3,3", "0,3,6,9"},
        {"/1?sep=", "sep"},
        {"/1?unacked_key=", "unacked_key"},
        {"/1?queue_order_strategy=best", "round_robin"},
    };
    struct redis_server *server = redis_server_start(NULL);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct broker_options options = {0};
        struct broker *broker = NULL;
        struct error err;

        assert_int_equal(broker_open(str_from_cstr(redis_server_url(server, rows[i].tail)),
                                     &options, &broker, &err),
                         -ERR_CONFIG);
        assert_non_null(strstr(err.message, rows[i].says));
        assert_null(broker);
    }
    redis_server_stop(server);
}

/* What is no envelope is delivered all the same, so that somebody can bury it, and is never put
 * where Kombu would stumble over it. */
static void
test_malformed(void **state)
{
    static const struct str rows[] = {
        STR_INIT("no json"),
        STR_INIT("[]"),
        STR_INIT("{\"headers\": {}, \"properties\": {}}"),
        STR_INIT("{\"headers\": {}, \"properties\": {\"delivery_tag\": 5}}"),
        STR_INIT("{\"properties\": {\"delivery_tag\": \"\"}}"),
        STR_INIT("{\"cut\": "),
        STR_INIT("\"text\""),
        STR_INIT("\xff\xfe"),
    };
    struct redis_setting *self = redis_setting_open("/1");
    struct broker_verdict verdict = {.action = BROKER_BURY, .reason = STR("malformed")};

    (void)state;
    party_consume(&self->a, "q", 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)1 << 20);
        struct broker_dead_list list;
        struct broker_dead dead;
        struct error err;

        assert_int_equal(SAY(self, STR("LPUSH"), STR("q"), rows[i])->integer, 1);
        broker_set_credit(self->a.broker, 1);
        self->a.n_received = 0;
        redis_setting_run_until(&self->a, &self->a.n_received, 1, 5 * US_PER_S);
        assert_int_equal(redis_setting_count(self, "EXISTS", "unacked"), 0);
        (void)party_settle_with(&self->a, self->a.received[0].tag, &verdict);
        party_run(&self->a);
        assert_ok(broker_list_dead(self->a.broker, STR_NULL, (int64_t)i, 10, &arena, &list, &err),
                  err);
        assert_int_equal(list.n_items, 1);
        assert_ok(broker_get_dead(self->a.broker, list.items[0].dead_id, &arena, &dead, &err), err);
        assert_true(str_equal(dead.bytes, rows[i]));
        assert_int_equal(redis_setting_count(self, "EXISTS", "trawl.odd"), 0);
    }
    redis_setting_close(self);
}

static struct str
envelope_with(struct redis_setting *self, const char *headers, const char *tag)
{
    return str_from_cstr(arena_printf(
        &self->arena,
        "{\"body\": \"W10=\", \"content-encoding\": \"utf-8\", \"content-type\":"
        " \"application/json\", \"headers\": {%s}, \"properties\": {\"delivery_info\":"
        " {\"exchange\": \"\", \"routing_key\": \"q\"}, \"priority\": 0, \"body_encoding\":"
        " \"base64\", \"delivery_tag\": \"%s\"}}",
        headers, tag));
}

/* What a user writes into headers is taken for nothing else. */
static void
test_user_data_fools_nobody(void **state)
{
    static const char *const rows[] = {
        "\"stamps\": {\"eta\": \"2099-01-01T00:00:00+00:00\"}, \"eta\": null",
        "\"stamps\": {\"delivery_tag\": \"stolen\", \"redelivered\": true}",
        "\"argsrepr\": \"(\\\"eta\\\": \\\"2099-01-01T00:00:00+00:00\\\")\"",
        "\"properties\": {\"delivery_tag\": \"stolen\"}, \"x\": {\"headers\": {\"eta\":"
        " \"2099-01-01T00:00:00+00:00\"}}",
    };
    struct redis_setting *self = redis_setting_open("/1");

    (void)state;
    party_consume(&self->a, "q", 9);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char tag[16];

        (void)snprintf(tag, sizeof(tag), "tag%zu", i);
        (void)SAY(self, STR("LPUSH"), STR("q"), envelope_with(self, rows[i], tag));
        redis_setting_run_until(&self->a, &self->a.n_received, i + 1, 5 * US_PER_S);
        assert_int_equal(self->a.received[i].attempt, 1);
        assert_int_equal(SAY(self, STR("HEXISTS"), STR("unacked"), str_from_cstr(tag))->integer, 1);
    }
    redis_setting_close(self);
}

/* Two messages of one tag are two messages. */
static void
test_tag_in_use(void **state)
{
    struct redis_setting *self = redis_setting_open("/1");

    (void)state;
    for (int i = 0; i < 3; i++)
        (void)SAY(self, STR("LPUSH"), STR("q"), envelope_with(self, "", "same"));
    party_consume(&self->a, "q", 2);
    party_run(&self->a);
    party_consume(&self->b, "q", 2);
    party_run(&self->b);
    assert_int_equal(self->a.n_received + self->b.n_received, 3);
    assert_int_equal(redis_setting_count(self, "HLEN", "unacked"), 3);
    (void)party_settle(&self->a, self->a.received[0].tag, BROKER_ACK);
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "HLEN", "unacked"), 2);
    broker_close(self->a.broker);
    self->a.broker = NULL;
    assert_int_equal(party_count(&self->b, "q"), 2);
    redis_setting_close(self);
}

/* Whoever takes a message after a death sees Kombu's marks, and every other byte as it was: numbers
 * and empty lists that a JSON library in the server would change. */
static void
test_marks_of_redelivery(void **state)
{
    static const struct {
        const char *headers;
        const char *marked;
    } rows[] = {
        {"\"big\": 12345678901234567890123, \"list\": [], \"f\": 1.10",
         "\"redelivered\": true, \"big\": 12345678901234567890123, \"list\": [], \"f\": 1.10"},
        {"", "\"redelivered\": true"},
        {"\"redelivered\": false, \"x\": {\"headers\": {}}",
         "\"redelivered\": true, \"x\": {\"headers\": {}}"},
        {"\"text\": \"a \\\" b \\\\\"", "\"redelivered\": true, \"text\": \"a \\\" b \\\\\""},
    };
    static const char before[] = "\"delivery_info\": {\"exchange\"";
    static const char after[] = "\"delivery_info\": {\"redelivered\": true, \"exchange\"";

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct redis_setting *self = redis_setting_open("/1");
        struct str expected = envelope_with(self, rows[i].marked, "t");
        size_t at = str_find(expected, str_from_cstr(before));

        (void)SAY(self, STR("LPUSH"), STR("q"), envelope_with(self, rows[i].headers, "t"));
        party_consume(&self->a, "q", 1);
        party_run(&self->a);
        assert_int_equal(self->a.n_received, 1);
        party_consume(&self->b, "other", 1); /* it looks for the dead all the same */
        fake_clock_advance(&self->clock, 10 * US_PER_S);
        party_run(&self->b);
        expected = str_from_cstr(
            arena_printf(&self->arena, "%.*s%s%.*s", (int)at, expected.ptr, after,
                         STR_ARG(str_slice(expected, at + sizeof(before) - 1, expected.len))));
        assert_str_equal(redis_setting_text(SAY(self, STR("LINDEX"), STR("q"), STR("0"))),
                         expected.ptr);
        party_consume(&self->b, "q", 1);
        party_run(&self->b);
        assert_int_equal(self->b.received[0].attempt, 2);
        redis_setting_close(self);
    }
}

/* A Python client's countdown waits in the broker, where Kombu would find it if we were gone. */
static void
test_eta_of_a_header(void **state)
{
    struct redis_setting *self = redis_setting_open("/1");
    struct broker_message message = party_message("q", "later");
    struct broker_depth depth;
    struct error err;
    double score;

    (void)state;
    message.eta_us = self->clock.now_us + 60 * US_PER_S;
    (void)party_publish_with(&self->a, &message);
    (void)party_publish(&self->a, "q", "now");
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "LLEN", "q"), 2); /* a Python worker can take it */
    party_consume(&self->b, "q", 5);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "now");
    assert_ok(broker_count(self->a.broker, STR("q"), &depth, &err), err);
    assert_int_equal(depth.n_scheduled, 1);
    assert_int_equal(redis_setting_count(self, "HLEN", "unacked"), 2);
    score = strtod(
        SAY(self, STR("ZRANGE"), STR("unacked_index"), STR("-1"), STR("-1"), STR("WITHSCORES"))
            ->items[1]
            .text.ptr,
        NULL);
    assert_true(score > (double)clock_now_us(&clock_system) / 1e6 + 50);
    fake_clock_advance(&self->clock, 60 * US_PER_S);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "later");
    assert_int_equal(redis_setting_count(self, "EXISTS", "trawl.eta.q"), 0);
    redis_setting_close(self);
}

/* Without a header that says so, the broker keeps it by itself. */
static void
test_eta_without_header(void **state)
{
    struct redis_setting *self = redis_setting_open("/1");
    struct broker_message message = party_message("q", "plain");
    struct error err;

    (void)state;
    message.bytes = STR("no envelope");
    message.eta_us = self->clock.now_us + 5 * US_PER_S;
    assert_ok(broker_publish(self->a.broker, &message, NULL, &err), err);
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "LLEN", "q"), 0);
    party_consume(&self->b, "q", 5);
    party_run(&self->b);
    assert_int_equal(self->b.n_received, 0);
    fake_clock_advance(&self->clock, 5 * US_PER_S);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "no envelope");
    redis_setting_close(self);
}

/* What was asked for while there was room, and came when there was none, goes back uncounted. */
static void
test_credit_that_shrank(void **state)
{
    struct redis_setting *self = redis_setting_open("/1");
    struct error err;

    (void)state;
    party_consume(&self->b, "q", 1);
    party_run(&self->b);
    for (int i = 1; i <= 4; i++)
        (void)party_publish(&self->a, "q", (const char *[]){"", "1", "2", "3", "4"}[i]);
    party_run(&self->a);
    broker_set_credit(self->b.broker, 0);
    broker_set_credit(self->b.broker, 4);
    assert_ok(broker_run(self->b.broker, &err), err); /* asks */
    broker_set_credit(self->b.broker, 1);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "1");
    broker_set_credit(self->b.broker, 4);
    party_run(&self->b);
    assert_int_equal(self->b.received[0].attempt, 1);
    assert_string_equal(party_texts(&self->b), "2 3 4");
    assert_int_equal(party_stats(&self->b).n_unsettled, 4);
    (void)party_settle(&self->b, self->b.received[0].tag, BROKER_ACK);
    party_run(&self->b);
    assert_int_equal(party_stats(&self->b).n_acked, 1); /* under its new name */
    redis_setting_close(self);
}

/* Several at once come back in their old order. */
static void
test_release_keeps_order(void **state)
{
    struct redis_setting *self = redis_setting_open("/1");

    (void)state;
    for (int i = 1; i <= 5; i++)
        (void)party_publish(&self->a, "q", (const char *[]){"", "1", "2", "3", "4", "5"}[i]);
    party_run(&self->a);
    party_consume(&self->b, "q", 4);
    party_run(&self->b);
    for (size_t i = 0; i < 4; i++)
        (void)party_settle(&self->b, self->b.received[i].tag, BROKER_RELEASE);
    self->b.n_received = 0;
    party_run(&self->b);
    broker_set_credit(self->b.broker, 5);
    party_run(&self->b);
    assert_int_equal(self->b.received[0].attempt, 1);
    assert_string_equal(party_texts(&self->b), "1 2 3 4 5");
    redis_setting_close(self);
}

/* A key of the queue's name that is no list costs that queue only. */
static void
test_foreign_key(void **state)
{
    struct redis_setting *self = redis_setting_open("/1");
    static const struct str queues[] = {STR_INIT("text"), STR_INIT("q")};
    struct broker_verdict bound = {.action = BROKER_ACK};
    struct error err;
    uint64_t bad;
    uint64_t good;
    uint64_t ack;

    (void)state;
    (void)SAY(self, STR("SET"), STR("text"), STR("x"));
    (void)party_publish(&self->a, "q", "1");
    (void)party_publish(&self->a, "q", "2");
    party_run(&self->a);
    assert_ok(broker_consume(self->b.broker, queues, 2, &err), err);
    broker_set_credit(self->b.broker, 2);
    party_run(&self->b);
    assert_int_equal(self->b.n_received, 2);

    bad = party_publish(&self->b, "text", "3");
    good = party_publish(&self->b, "q", "4");
    bound.after = bad;
    ack = party_settle_with(&self->b, self->b.received[0].tag, &bound);
    party_run(&self->b);
    assert_int_equal(party_outcome(&self->b, bad), BROKER_FAILED);
    assert_int_equal(self->b.told[0].code, ERR_CONFIG);
    assert_int_equal(party_outcome(&self->b, good), BROKER_DONE);
    assert_int_equal(party_outcome(&self->b, ack), BROKER_FAILED);
    assert_int_equal(party_stats(&self->b).n_unsettled, 2);
    assert_true(party_settle(&self->b, self->b.received[0].tag, BROKER_ACK) > 0); /* open again */
    party_run(&self->b);
    assert_int_equal(party_stats(&self->b).n_acked, 1);
    redis_setting_close(self);
}

/* What a Python worker left behind comes back after its visibility timeout, from whatever exchange
 * it had come. */
static void
test_restores_kombus(void **state)
{
    static const struct {
        const char *exchange;
        const char *key;
        const char *member; /* of the exchange's bindings */
        const char *list;
    } rows[] = {
        {"", "q", NULL, "q"},
        {"direct", "key", "key" SEP SEP "mine", "mine"},
        {"topic", "a.b.c", "a.#" SEP "^a\\..*?$" SEP "all", "all"},
        {"topic", "a.b-1.c", "a.*.c" SEP "^a\\..*?[^\\.]\\.c$" SEP "some", "some"},
    };
    struct redis_setting *self = redis_setting_open("/1?visibility_timeout=10");
    char score[32];

    (void)state;
    (void)snprintf(score, sizeof(score), "%.3f", (double)clock_now_us(&clock_system) / 1e6 - 11);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *value = arena_printf(&self->arena, "[%.*s, \"%s\", \"%s\"]",
                                   STR_ARG(redis_setting_envelope(self, "q", "1")),
                                   rows[i].exchange, rows[i].key);
        char *table = arena_printf(&self->arena, "_kombu.binding.%s", rows[i].exchange);

        if (rows[i].member)
            (void)SAY(self, STR("SADD"), str_from_cstr(table), str_from_cstr(rows[i].member));
        (void)SAY(self, STR("HSET"), STR("unacked"), STR("tag"), str_from_cstr(value));
        (void)SAY(self, STR("ZADD"), STR("unacked_index"), str_from_cstr(score), STR("tag"));
        party_consume(&self->a, "idle", 1);
        fake_clock_advance(&self->clock, 3 * US_PER_S);
        party_run(&self->a);
        assert_int_equal(redis_setting_count(self, "LLEN", rows[i].list), 1);
        assert_true(
            str_find(redis_setting_text(SAY(self, STR("LPOP"), str_from_cstr(rows[i].list))),
                     STR("\"redelivered\": true")) > 0);
        assert_int_equal(redis_setting_count(self, "EXISTS", "unacked"), 0);
        assert_int_equal(redis_setting_count(self, "EXISTS", "unacked_mutex"), 0);
    }
    redis_setting_close(self);
}

/* While a Python worker is at it, or where nobody knows a queue, it stays where it is. */
static void
test_leaves_kombus(void **state)
{
    struct redis_setting *self = redis_setting_open("/1?visibility_timeout=10");
    struct str value = str_from_cstr(arena_printf(&self->arena, "[%.*s, \"nowhere\", \"x\"]",
                                                  STR_ARG(redis_setting_envelope(self, "q", "1"))));

    (void)state;
    (void)SAY(self, STR("HSET"), STR("unacked"), STR("tag"), value);
    (void)SAY(self, STR("ZADD"), STR("unacked_index"), STR("1"), STR("tag"));
    party_consume(&self->a, "idle", 1);
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "HLEN", "unacked"), 1);
    (void)SAY(self, STR("SADD"), STR("_kombu.binding.nowhere"), STR("x" SEP SEP "q"));
    (void)SAY(self, STR("SET"), STR("unacked_mutex"), STR("python"));
    fake_clock_advance(&self->clock, 3 * US_PER_S);
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "HLEN", "unacked"), 1);
    (void)SAY(self, STR("DEL"), STR("unacked_mutex"));
    fake_clock_advance(&self->clock, 3 * US_PER_S);
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "LLEN", "q"), 1);
    redis_setting_close(self);
}

/* Held messages look young for ever, so that Kombu never takes a live task. */
static void
test_scores_are_renewed(void **state)
{
    struct redis_setting *self = redis_setting_open("/1");
    struct str tag;

    (void)state;
    (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    party_consume(&self->a, "q", 1);
    party_run(&self->a);
    tag = SAY(self, STR("ZRANGE"), STR("unacked_index"), STR("0"), STR("0"))->items[0].text;
    tag = str_from_cstr(arena_printf(&self->arena, "%.*s", STR_ARG(tag)));
    (void)SAY(self, STR("ZADD"), STR("unacked_index"), STR("1"), tag);
    fake_clock_advance(&self->clock, 3 * US_PER_S);
    party_run(&self->a);
    assert_true(strtod(SAY(self, STR("ZSCORE"), STR("unacked_index"), tag)->text.ptr, NULL) > 1e9);

    /* And one that Kombu took although we live is told, not done twice. */
    (void)SAY(self, STR("HDEL"), STR("unacked"), tag);
    (void)SAY(self, STR("ZREM"), STR("unacked_index"), tag);
    fake_clock_advance(&self->clock, 3 * US_PER_S);
    party_run(&self->a);
    assert_int_equal(redis_setting_count(self, "EXISTS", "unacked_index"), 0);
    (void)party_settle(&self->a, self->a.received[0].tag, BROKER_ACK);
    party_run(&self->a);
    assert_int_equal(party_stats(&self->a).n_fenced, 1);
    redis_setting_close(self);
}

/* A flood of countdowns passes by a small window: it costs the worker a few claims. */
static void
test_many_etas(void **state)
{
    struct redis_setting *self = redis_setting_open("/1");
    struct broker_message message = party_message("q", "later");
    int64_t n_before;

    (void)state;
    message.eta_us = self->clock.now_us + 3600 * US_PER_S;
    for (int i = 0; i < 2000; i++)
        (void)party_publish_with(&self->a, &message);
    (void)party_publish(&self->a, "q", "now");
    party_run(&self->a);
    n_before = redis_broker_from(self->b.broker)->n_claims;
    party_consume(&self->b, "q", 4);
    party_run(&self->b);
    assert_string_equal(party_texts(&self->b), "now");
    assert_int_equal(redis_setting_count(self, "ZCARD", "trawl.eta.q"), 2000);
    assert_true(redis_broker_from(self->b.broker)->n_claims - n_before < 20);
    fake_clock_advance(&self->clock, 3600 * US_PER_S);
    broker_set_credit(self->b.broker, 3000);
    party_run(&self->b);
    assert_int_equal(self->b.n_received, 2000);
    redis_setting_close(self);
}

/* What a handle that ended in order leaves: its queue's binding, and what is common to all. */
static void
test_close_leaves_little(void **state)
{
    static const struct str left[] = {STR_INIT("_kombu.binding.q"), STR_INIT("trawl.pulse"),
                                      STR_INIT("_kombu.binding_permanent.q")};
    struct redis_setting *self = redis_setting_open("/1");
    const struct redis_value *keys;

    (void)state;
    (void)party_publish(&self->a, "q", "1");
    party_run(&self->a);
    party_consume(&self->b, "q", 5);
    party_run(&self->b);
    (void)party_settle(&self->b, self->b.received[0].tag, BROKER_ACK);
    party_run(&self->b);
    broker_close(self->a.broker);
    broker_close(self->b.broker);
    self->a.broker = NULL;
    self->b.broker = NULL;
    keys = SAY(self, STR("KEYS"), STR("*"));
    assert_int_equal(keys->n_items, COUNT_OF(left));
    for (size_t i = 0; i < keys->n_items; i++)
        assert_true(str_equal(keys->items[i].text, left[0]) ||
                    str_equal(keys->items[i].text, left[1]) ||
                    str_equal(keys->items[i].text, left[2]));
    redis_setting_close(self);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_held_and_acknowledged),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_user_data_fools_nobody),
        cmocka_unit_test(test_tag_in_use),
        cmocka_unit_test(test_marks_of_redelivery),
        cmocka_unit_test(test_eta_of_a_header),
        cmocka_unit_test(test_eta_without_header),
        cmocka_unit_test(test_credit_that_shrank),
        cmocka_unit_test(test_release_keeps_order),
        cmocka_unit_test(test_foreign_key),
        cmocka_unit_test(test_restores_kombus),
        cmocka_unit_test(test_leaves_kombus),
        cmocka_unit_test(test_scores_are_renewed),
        cmocka_unit_test(test_many_etas),
        cmocka_unit_test(test_close_leaves_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
