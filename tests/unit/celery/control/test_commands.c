/* celery/control: what each command answers, in the shapes of Celery's documentation, and what it
 * has the node do. */

#include "tests/unit/check.h"

#include "base/log.h"
#include "celery/control/command.h"
#include "tests/unit/celery/control/fake_node.h"

/* clang-format off */
#define R_ACTIVE                                                                                   \
    "{\"id\": \"a1\", \"name\": \"hello\", \"args\": [1, NaN], \"kwargs\": {\"k\": \"v\"}, "       \
    "\"type\": \"demo.greet\", \"hostname\": \"w1@host\", \"time_start\": 1795437054.42609, "      \
    "\"acknowledged\": false, \"delivery_info\": {\"exchange\": \"\", \"routing_key\": \"celery\", " \
    "\"priority\": 3, \"redelivered\": false}, \"worker_pid\": 4252}"
#define R_SAFE                                                                                     \
    "{\"id\": \"a1\", \"name\": \"hello\", \"args\": \"(1, '***')\", "                             \
    "\"kwargs\": \"{'k': 'v'}\", "                                                                 \
    "\"type\": \"demo.greet\", \"hostname\": \"w1@host\", \"time_start\": 1795437054.42609, "      \
    "\"acknowledged\": false, \"delivery_info\": {\"exchange\": \"\", \"routing_key\": \"celery\", " \
    "\"priority\": 3, \"redelivered\": false}, \"worker_pid\": 4252}"
#define R_RESERVED                                                                                 \
    "{\"id\": \"r1\", \"name\": \"demo.greet\", \"args\": [], \"kwargs\": {}, "                    \
    "\"type\": \"demo.greet\", \"hostname\": \"w1@host\", \"time_start\": null, "                  \
    "\"acknowledged\": false, \"delivery_info\": {\"exchange\": \"ex\", \"routing_key\": \"rk\", " \
    "\"priority\": 0, \"redelivered\": true}, \"worker_pid\": null}"
#define R_SCHEDULED                                                                                \
    "{\"id\": \"s1\", \"name\": \"demo.greet\", \"args\": [], \"kwargs\": {}, "                    \
    "\"type\": \"demo.greet\", \"hostname\": \"w1@host\", \"time_start\": null, "                  \
    "\"acknowledged\": false, \"delivery_info\": {\"exchange\": \"\", \"routing_key\": \"celery\", " \
    "\"priority\": 0, \"redelivered\": false}, \"worker_pid\": null}"
#define QUEUE(name)                                                                                \
    "{\"name\": \"" name "\", \"exchange\": {\"name\": \"" name "\", \"type\": \"direct\", "       \
    "\"arguments\": null, \"durable\": true, \"passive\": false, \"auto_delete\": false, "         \
    "\"delivery_mode\": null, \"no_declare\": false}, \"routing_key\": \"" name "\", "             \
    "\"queue_arguments\": null, \"binding_arguments\": null, \"consumer_arguments\": null, "       \
    "\"durable\": true, \"exclusive\": false, \"auto_delete\": false, \"no_ack\": false, "         \
    "\"alias\": null, \"bindings\": [], \"no_declare\": null, \"expires\": null, "                 \
    "\"message_ttl\": null, \"max_length\": null, \"max_length_bytes\": null, "                    \
    "\"max_priority\": null}"

/* NULL: no answer. */
static const struct {
    const char *method;
    const char *arguments;
    const char *answer;
    const char *told;
} rows[] = {
    {"ping", "{}", "{\"ok\": \"pong\"}", ""},
    {"ping", "{\"unknown\": [1]}", "{\"ok\": \"pong\"}", ""},
    {"clock", "{}", "{\"clock\": 1}", ""},
    {"active", "{}", "[" R_ACTIVE "]", ""},
    {"dump_active", "{\"safe\": true}", "[" R_SAFE "]", ""},
    {"reserved", "{}", "[" R_RESERVED "]", ""},
    {"dump_reserved", "{\"safe\": null}", "[" R_RESERVED "]", ""},
    {"scheduled", "{}", "[{\"eta\": \"2026-11-23T12:35:54.425465+00:00\", \"priority\": 6, "
     "\"request\": " R_SCHEDULED "}]", "list ; "},
    {"query_task", "{\"ids\": [\"a1\", \"r1\", \"zz\"]}",
     "{\"a1\": [\"active\", " R_ACTIVE "], \"r1\": [\"reserved\", " R_RESERVED "]}", ""},
    {"query_task", "{\"ids\": \"s1\"}", "{}", ""},
    {"query_task", "{}", "{}", ""},
    {"query_task", "{\"ids\": [5]}", "{\"error\": \"TypeError(\\\"argument 'ids' must be a string or"
     " a list of strings, got number\\\")\"}", ""},
    {"revoked", "{}", "[]", ""},
    {"registered", "{}", "[\"aaa.first\", \"demo.greet\"]", ""},
    {"dump_tasks", "{\"taskinfoitems\": null, \"builtins\": true}",
     "[\"aaa.first\", \"celery.ping\", \"demo.greet\"]", ""},
    {"registered", "{\"taskinfoitems\": [\"name\", \"rate_limit\", \"acks_late\", \"max_retries\"]}",
     "[\"aaa.first [name=aaa.first acks_late=True max_retries=3]\", "
     "\"demo.greet [name=demo.greet acks_late=True max_retries=3]\"]", ""},
    {"active_queues", "{}", "[" QUEUE("celery") ", " QUEUE("other") "]", ""},
    {"hello", "{\"from_node\": \"w1@host\", \"revoked\": {}}", "null", ""},
    {"hello", "{\"from_node\": \"w2@host\", \"revoked\": {\"x\": [1.5, \"x\"]}}",
     "{\"revoked\": {\"x\": 0.0}, \"clock\": 2}", "learn x; "},
    {"hello", "{}", "{\"error\": \"TypeError(\\\"missing 1 required argument: 'from_node'\\\")\"}",
     ""},
    {"revoke", "{\"task_id\": \"a\", \"terminate\": false}",
     "{\"ok\": \"tasks {'a'} flagged as revoked\"}", "revoke a; "},
    {"revoke", "{\"task_id\": [\"a\", \"b\", \"a\"]}",
     "{\"ok\": \"tasks {'a', 'b'} flagged as revoked\"}", "revoke a; revoke b; "},
    {"revoke", "{\"task_id\": [\"a\", \"\"]}",
     "{\"error\": \"ValueError('a task id has 0 bytes, allowed are 1 to 255')\"}", ""},
    {"revoke", "{\"task_id\": []}", "{\"ok\": \"tasks set() flagged as revoked\"}", ""},
    {"revoke", "{\"task_id\": [\"zz\", \"a1\"], \"terminate\": true, \"signal\": \"SIGKILL\"}",
     "{\"ok\": \"terminate: a1\"}", "revoke zz; revoke a1; terminate zz 9; terminate a1 9; "},
    {"terminate", "{\"task_id\": \"zz\", \"signal\": 9}", "{\"ok\": \"terminate: tasks unknown\"}",
     "revoke zz; terminate zz 9; "},
    {"terminate", "{\"task_id\": \"a1\", \"signal\": null}", "{\"ok\": \"terminate: a1\"}",
     "revoke a1; terminate a1 15; "},
    {"terminate", "{\"task_id\": \"a1\", \"signal\": \"INT\"}", "{\"ok\": \"terminate: a1\"}",
     "revoke a1; terminate a1 2; "},
    {"terminate", "{\"task_id\": \"zz\", \"signal\": \"BOGUS\"}",
     "{\"error\": \"AttributeError(\\\"module 'signal' has no attribute 'SIGBOGUS'\\\")\"}", ""},
    {"terminate", "{\"task_id\": \"zz\", \"signal\": 99}",
     "{\"error\": \"ValueError('signal number out of range')\"}", ""},
    {"terminate", "{\"task_id\": {}}", "{\"error\": \"TypeError(\\\"argument 'task_id' must be a "
     "string or a list of strings, got object\\\")\"}", ""},
    {"pool_grow", "{}", "{\"ok\": \"pool will grow\"}", "resize +1; "},
    {"pool_grow", "{\"n\": \"3\"}", "{\"ok\": \"pool will grow\"}", "resize +3; "},
    {"pool_shrink", "{\"n\": 2}", "{\"ok\": \"pool will shrink\"}", "resize -2; "},
    {"pool_shrink", "{\"n\": -2}", "{\"error\": \"ValueError(\\\"argument 'n' must be 0 to 1024, got "
     "-2\\\")\"}", ""},
    {"pool_grow", "{\"n\": [1]}", "{\"error\": \"TypeError(\\\"argument 'n' must be a whole number, "
     "got array\\\")\"}", ""},
    {"add_consumer", "{\"queue\": \"q\", \"exchange\": null, \"exchange_type\": \"direct\"}",
     "{\"ok\": \"add consumer q\"}", "add q; "},
    {"add_consumer", "{}", "{\"error\": \"TypeError(\\\"missing 1 required argument: 'queue'\\\")\"}",
     ""},
    {"cancel_consumer", "{\"queue\": \"q\"}", "{\"ok\": \"no longer consuming from q\"}",
     "cancel q; "},
    {"time_limit", "{\"task_name\": \"demo.greet\", \"soft\": 1.5, \"hard\": \"3\"}",
     "{\"ok\": \"time limits set successfully\"}", "limits demo.greet 1500 3000; "},
    {"time_limit", "{\"task_name\": \"demo.greet\", \"soft\": null}",
     "{\"ok\": \"time limits set successfully\"}", "limits demo.greet 0 0; "},
    {"time_limit", "{\"task_name\": \"nope\", \"soft\": 1}", "{\"error\": \"unknown task\"}", ""},
    {"time_limit", "{\"task_name\": \"demo.greet\", \"soft\": -1}",
     "{\"error\": \"ValueError(\\\"argument 'soft' must be 0 to 1e9 seconds\\\")\"}", ""},
    {"rate_limit", "{\"task_name\": \"demo.greet\", \"rate_limit\": \"6/m\"}",
     "{\"ok\": \"new rate limit set successfully\"}", "rate demo.greet 0.1 '6/m'; "},
    {"rate_limit", "{\"task_name\": \"demo.greet\", \"rate_limit\": 2.5}",
     "{\"ok\": \"new rate limit set successfully\"}", "rate demo.greet 2.5 '2.5'; "},
    {"rate_limit", "{\"task_name\": \"demo.greet\", \"rate_limit\": 0}",
     "{\"ok\": \"rate limit disabled successfully\"}", "rate demo.greet 0 '0'; "},
    {"rate_limit", "{\"task_name\": \"demo.greet\", \"rate_limit\": null}",
     "{\"ok\": \"rate limit disabled successfully\"}", "rate demo.greet 0 ''; "},
    {"rate_limit", "{\"task_name\": \"nope\", \"rate_limit\": \"1/s\"}",
     "{\"error\": \"unknown task\"}", ""},
    {"rate_limit", "{\"task_name\": \"demo.greet\", \"rate_limit\": \"soon\"}",
     "{\"error\": \"Invalid rate limit string: ValueError(\\\"could not convert string to float: "
     "'soon'\\\")\"}", ""},
    {"rate_limit", "{\"task_name\": \"demo.greet\", \"rate_limit\": \"1/y\"}",
     "{\"error\": \"KeyError('y')\"}", ""},
    {"rate_limit", "{\"task_name\": \"demo.greet\", \"rate_limit\": []}",
     "{\"error\": \"TypeError(\\\"argument 'rate_limit' must be a string or a number, got "
     "array\\\")\"}", ""},
    {"autoscale", "{\"max\": 3}", "{\"error\": \"ValueError('Autoscale not enabled')\"}", ""},
    {"pool_restart", "{\"modules\": null, \"reload\": false}", "{\"ok\": \"reload started\"}",
     "restart ; "},
    {"revoke_by_stamped_headers", "{\"headers\": {\"mtag\": [\"x1\"]}}",
     "{\"ok\": \"headers {'mtag': ['x1']} flagged as revoked, but not terminated\"}",
     "stamp [\"mtag\",\"x1\"]; "},
    {"revoke_by_stamped_headers", "{\"headers\": [\"mtag=x1\", \"one=z=2\"], \"terminate\": true}",
     "{\"ok\": \"headers {'mtag': 'x1', 'one': 'z'} revoked\"}",
     "stamp [\"mtag\",\"x1\"]; stamp [\"one\",\"z\"]; terminate a1 15; "},
    {"revoke_by_stamped_headers", "{\"headers\": {\"mtag\": \"7\", \"a\": 1}, \"terminate\": true}",
     "{\"ok\": \"headers {'mtag': '7', 'a': 1} were not terminated\"}",
     "stamp [\"mtag\",\"7\"]; stamp [\"a\",1]; "},
    {"revoke_by_stamped_headers", "{\"headers\": {\"mtag\": 7}, \"terminate\": true, \"signal\": 9}",
     "{\"ok\": \"headers {'mtag': 7} revoked\"}", "stamp [\"mtag\",7]; terminate a1 9; "},
    {"revoke_by_stamped_headers", "{\"headers\": {}}",
     "{\"ok\": \"headers {} flagged as revoked, but not terminated\"}", ""},
    {"revoke_by_stamped_headers", "{\"headers\": [\"mtag\"]}",
     "{\"error\": \"IndexError('list index out of range')\"}", ""},
    {"revoke_by_stamped_headers", "{\"headers\": {\"mtag\": [[1]]}}",
     "{\"error\": \"ValueError(\\\"a stamp of 'mtag' must be a text or a number, with its header at "
     "most 249 bytes\\\")\"}", ""},
    {"revoke_by_stamped_headers", "{}",
     "{\"error\": \"TypeError(\\\"missing 1 required argument: 'headers'\\\")\"}", ""},
    {"hello", "{\"from_node\": \"w2@host\", \"revoked\": [\"y\", 5, \"y\"]}",
     "{\"revoked\": {\"y\": 0.0}, \"clock\": 2}", "learn y; "},
    {"objgraph", "{\"num\": 200}",
     "{\"error\": \"ImportError('a worker in C has no Python objects to draw')\"}", ""},
    {"enable_events", "{}", "{\"ok\": \"task events enabled\"}", ""},
    {"disable_events", "{}", "{\"ok\": \"task events already disabled\"}", ""},
    {"heartbeat", "{}", "null", "heartbeat ; "},
    {"election", "{\"id\": \"e1\", \"topic\": \"task\", \"action\": {\"task\": \"t\", \"n\": 1}}",
     "null", "elect e1 task {\"task\": \"t\", \"n\": 1}; "},
    {"election", "{\"id\": \"e1\"}",
     "{\"error\": \"TypeError(\\\"missing 1 required argument: 'topic'\\\")\"}", ""},
    {"shutdown", "{}", NULL, "stop ; "},
    {"no_such", "{}", "{\"error\": \"KeyError('no_such')\"}", ""},
    {"it's", "null", "{\"error\": \"KeyError(\\\"it's\\\")\"}", ""},
};
/* clang-format on */

static void
test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)64 << 20);
        struct fake_node fake;
        struct str answer;

        fake_node_init(&fake);
        answer = fake_ask(&fake, rows[i].method, rows[i].arguments, &arena);
        if (rows[i].answer)
            assert_str_equal(answer, rows[i].answer);
        else
            assert_null(answer.ptr);
        assert_str_equal(buf_str(&fake.told), rows[i].told);
        fake_node_fini(&fake);
        arena_fini(&arena);
    }
}

/* The node's own failures are answers as well. */
static void
test_failures(void **state)
{
    static const struct {
        const char *method;
        const char *arguments;
        const char *fails;
    } calls[] = {
        {"revoke", "{\"task_id\": \"a\"}", "revoke"},
        {"hello", "{\"from_node\": \"w2\", \"revoked\": [\"a\"]}", "learn"},
        {"scheduled", "{}", "list"},
        {"pool_grow", "{}", "resize"},
        {"add_consumer", "{\"queue\": \"q\"}", "add"},
        {"cancel_consumer", "{\"queue\": \"q\"}", "cancel"},
        {"time_limit", "{\"task_name\": \"demo.greet\", \"soft\": 1}", "limits"},
        {"pool_restart", "{}", "restart"},
        {"revoke_by_stamped_headers", "{\"headers\": {\"a\": 1}}", "stamp"},
        {"election", "{\"id\": \"e\", \"topic\": \"t\"}", "elect"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        struct arena arena = ARENA_INIT((size_t)64 << 20);
        struct fake_node fake;
        char expected[96];

        fake_node_init(&fake);
        fake.fails = calls[i].fails;
        (void)snprintf(expected, sizeof(expected),
                       "{\"error\": \"BlockingIOError('%s is not possible now')\"}",
                       calls[i].fails);
        assert_str_equal(fake_ask(&fake, calls[i].method, calls[i].arguments, &arena), expected);
        fake_node_fini(&fake);
        arena_fini(&arena);
    }
}

static struct json
parse(struct str text, struct arena *arena)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN, 0};
    struct json value;
    struct error err;

    assert_ok(json_parse(text, &limits, arena, &value, &err), err);
    return value;
}

/* All keys of Celery's document, in its types. */
static void
test_stats(void **state)
{
    static const struct {
        const char *name;
        enum json_type type;
    } keys[] = {
        {"total", JSON_OBJECT},          {"pid", JSON_NUMBER},    {"clock", JSON_STRING},
        {"uptime", JSON_NUMBER},         {"pool", JSON_OBJECT},   {"broker", JSON_OBJECT},
        {"prefetch_count", JSON_NUMBER}, {"rusage", JSON_OBJECT},
    };
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct fake_node fake;
    const struct json *pool;
    const struct json *broker;
    struct json stats;

    (void)state;
    fake_node_init(&fake);
    stats = parse(fake_ask(&fake, "stats", "{}", &arena), &arena);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_non_null(json_get_typed(&stats, str_from_cstr(keys[i].name), keys[i].type));
    assert_int_equal(stats.object.n_members, COUNT_OF(keys));
    assert_int_equal(json_get(&stats, STR("total"))->object.n_members, 1);
    assert_str_equal(json_get(json_get(&stats, STR("total")), STR("demo.greet"))->text, "28");
    pool = json_get(&stats, STR("pool"));
    assert_int_equal(json_get(pool, STR("processes"))->array.n_items, 2);
    assert_str_equal(json_get_str(pool, STR("max-tasks-per-child")), "N/A");
    assert_str_equal(json_get(pool, STR("timeouts"))->array.items[0].text, "1.5");
    assert_str_equal(json_get_str(json_get(pool, STR("writes")), STR("all")), "0.75, 0.25");
    assert_str_equal(json_get_str(json_get(pool, STR("writes")), STR("avg")), "0.50");
    broker = json_get(&stats, STR("broker"));
    assert_str_equal(json_get_str(broker, STR("hostname")), "127.0.0.1");
    assert_str_equal(json_get_str(broker, STR("userid")), "me");
    assert_str_equal(json_get_str(broker, STR("virtual_host")), "2");
    assert_str_equal(json_get(broker, STR("port"))->text, "6379");
    fake_node_fini(&fake);
    arena_fini(&arena);
}

static void
test_conf_and_report(void **state)
{
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct fake_node fake;
    struct str text;
    struct json conf;

    (void)state;
    fake_node_init(&fake);
    text = fake_ask(&fake, "conf", "{\"with_defaults\": false}", &arena);
    assert_int_equal(str_find(text, STR("canary")), text.len);
    conf = parse(text, &arena);
    assert_str_equal(json_get_str(&conf, STR("broker_url")), "redis://me:**@127.0.0.1:6379/2");
    assert_str_equal(json_get_str(&conf, STR("timezone")), "Asia/Tokyo");
    for (size_t i = 0; i < conf.object.n_members; i++) /* each name once: Python takes the last */
        assert_ptr_equal(json_get(&conf, conf.object.members[i].name),
                         &conf.object.members[i].value);
    assert_str_equal(json_get_str(&conf, STR("plain")), "value");
    assert_str_equal(json_get_str(&conf, STR("hub.token")), "********");
    assert_str_equal(json_get_str(&conf, STR("hub.other")), "********");
    assert_str_equal(json_get_str(&conf, STR("empty_key")), "");
    assert_str_equal(json_get_str(&conf, STR("mirror")), "http://u:**@h/p");
    assert_int_equal(json_get(&conf, STR("deprecated_settings"))->type, JSON_NULL);
    text = fake_ask(&fake, "report", "{}", &arena);
    assert_int_equal(str_find(text, STR("canary")), text.len);
    assert_true(str_find(text, STR("settings -> transport:redis results:sqlite")) < text.len);
    assert_true(str_ends_with(fake_ask(&fake, "memsample", "{}", &arena), STR("MB\"")));
    fake_node_fini(&fake);
    arena_fini(&arena);
}

/* A pool that scales by itself is told its range, and tells it. */
static void
test_autoscale(void **state)
{
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct fake_node fake;
    struct json stats;

    (void)state;
    fake_node_init(&fake);
    fake.scale = (struct control_scale){.max = 10, .min = 3, .n_children = 4, .n_tasks = 5};
    assert_str_equal(fake_ask(&fake, "pool_grow", "{}", &arena),
                     "{\"error\": \"pool_grow is not supported with autoscale. Adjust autoscale "
                     "range instead.\"}");
    assert_str_equal(fake_ask(&fake, "pool_shrink", "{}", &arena),
                     "{\"error\": \"pool_shrink is not supported with autoscale. Adjust autoscale "
                     "range instead.\"}");
    stats = parse(fake_ask(&fake, "stats", "{}", &arena), &arena);
    assert_str_equal(json_get(json_get(&stats, STR("autoscaler")), STR("max"))->text, "10");
    assert_str_equal(json_get(json_get(&stats, STR("autoscaler")), STR("min"))->text, "3");
    assert_str_equal(json_get(json_get(&stats, STR("autoscaler")), STR("current"))->text, "4");
    assert_str_equal(json_get(json_get(&stats, STR("autoscaler")), STR("qty"))->text, "5");
    assert_str_equal(fake_ask(&fake, "autoscale", "{\"max\": 6, \"min\": null}", &arena),
                     "{\"ok\": \"autoscale now max=6 min=3\"}");
    assert_str_equal(fake_ask(&fake, "autoscale", "{\"max\": \"8\", \"min\": 2}", &arena),
                     "{\"ok\": \"autoscale now max=8 min=2\"}");
    assert_str_equal(buf_str(&fake.told), "scale 6 -1; scale 8 2; ");
    fake_node_fini(&fake);
    arena_fini(&arena);
}

/* Memory is sampled, and told once. */
static void
test_memory(void **state)
{
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct fake_node fake;
    struct str text;

    (void)state;
    fake_node_init(&fake);
    for (size_t i = 0; i < CONTROL_MAX_SAMPLES + 3; i++)
        assert_true(str_ends_with(fake_ask(&fake, "memsample", "{}", &arena), STR("MB\"")));
    assert_int_equal(fake.node.memory.n_samples, CONTROL_MAX_SAMPLES);
    for (size_t i = 0; i < CONTROL_MAX_SAMPLES; i++)
        fake.node.memory.mib[i] = (double)i;
    text = fake_ask(&fake, "memdump", "{\"samples\": 2}", &arena);
    assert_true(str_starts_with(text, STR("\"- rss (sample):\\n-    > 0.000MB,\\n-    > 64.000MB,"
                                          "\\n- rss (end): ")));
    assert_true(str_starts_with(fake_ask(&fake, "memdump", "{}", &arena), STR("\"- rss (end): ")));
    fake_node_fini(&fake);
    arena_fini(&arena);
}

/* A rate limit is an attribute that is shown unasked. */
static void
test_rate_of_a_task(void **state)
{
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct fake_node fake;

    (void)state;
    fake_node_init(&fake);
    fake.rate = "10/m";
    assert_str_equal(fake_ask(&fake, "registered", "{}", &arena),
                     "[\"aaa.first\", \"demo.greet [rate_limit=10/m]\"]");
    assert_str_equal(fake_ask(&fake, "registered", "{\"taskinfoitems\": [\"name\"]}", &arena),
                     "[\"aaa.first [name=aaa.first]\", \"demo.greet [name=demo.greet]\"]");
    fake_node_fini(&fake);
    arena_fini(&arena);
}

/* A node without events says so. */
static void
test_no_events(void **state)
{
    static const char *const switches[] = {"enable_events", "disable_events"};
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct fake_node fake;

    (void)state;
    fake_node_init(&fake);
    assert_str_equal(fake_ask(&fake, "enable_events", "{}", &arena),
                     "{\"ok\": \"task events enabled\"}");
    assert_str_equal(fake_ask(&fake, "enable_events", "{}", &arena),
                     "{\"ok\": \"task events already enabled\"}");
    assert_str_equal(fake_ask(&fake, "disable_events", "{}", &arena),
                     "{\"ok\": \"task events disabled\"}");
    fake_node_leave_out_events(&fake);
    for (size_t i = 0; i < COUNT_OF(switches); i++)
        assert_str_equal(fake_ask(&fake, switches[i], "{}", &arena),
                         "{\"error\": \"event dispatcher unavailable\"}");
    assert_str_equal(fake_ask(&fake, "heartbeat", "{}", &arena), "null");
    assert_str_equal(fake_ask(&fake, "election", "{\"id\": \"e\", \"topic\": \"t\"}", &arena),
                     "null");
    fake_node_fini(&fake);
    arena_fini(&arena);
}

/* What was revoked is listed, and told to others. */
static void
test_revoked_ids(void **state)
{
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct fake_node fake;

    (void)state;
    fake_node_init(&fake);
    (void)fake_ask(&fake, "revoke", "{\"task_id\": [\"b\", \"a\"]}", &arena);
    (void)fake_ask(&fake, "hello", "{\"from_node\": \"x\", \"revoked\": {\"c\": 1.0}}", &arena);
    assert_str_equal(fake_ask(&fake, "dump_revoked", "{}", &arena), "[\"b\", \"a\", \"c\"]");
    fake_node_fini(&fake);
    arena_fini(&arena);
}

/* An answer that does not fit is an error, not silence. */
static void
test_large_arguments(void **state)
{
    static char large[100000];
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct buf value = BUF_INIT((size_t)1 << 20);
    struct json_writer json = {.out = &value, .style = JSON_STYLE_PYTHON};
    struct control_task task = {
        .args = {large, sizeof(large)}, .started_at_us = TIME_UNKNOWN, .eta_us = TIME_UNKNOWN};
    struct fake_node fake;
    struct control_run run = {.node = &fake.node, .json = &json, .arena = &arena};

    (void)state;
    fake_node_init(&fake);
    (void)memset(large, ' ', sizeof(large));
    (void)memcpy(large, "[1", 2);
    large[sizeof(large) - 1] = ']';
    control_write_task(&run, &task, false);
    assert_true(value.len < 1000);
    assert_true(str_find(buf_str(&value), STR("\"args\": \"(1,)\"")) < value.len);
    buf_fini(&value);
    fake_node_fini(&fake);
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),     cmocka_unit_test(test_failures),
        cmocka_unit_test(test_stats),       cmocka_unit_test(test_conf_and_report),
        cmocka_unit_test(test_revoked_ids), cmocka_unit_test(test_large_arguments),
        cmocka_unit_test(test_autoscale),   cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_events),   cmocka_unit_test(test_rate_of_a_task),
    };

    log_configure(STDERR_FILENO, LOG_NOTHING, LOG_TEXT); /* what is refused is said */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
