/* Events on the wire: ours read by us as Celery reads them, foreign ones, and what is none. */

#include "celery/events/event.h"

#include "base/clock.h"
#include "celery/control/envelope.h"
#include "tests/unit/check.h"

static const struct event_source source = {
    .hostname = STR_INIT("w1@host"), .pid = 42, .utc_offset_h = -2};

/* The envelope of a body. */
static struct str
wrap(struct str body, struct buf *out)
{
    struct error err;

    buf_clear(out);
    assert_ok(event_encode(&source, STR(EVENT_TASK_MULTI), body, out, &err), err);
    return buf_str(out);
}

static void
test_round_trip(void **state)
{
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct buf body = BUF_INIT(65536);
    struct buf bytes = BUF_INIT(65536);
    struct json_writer json = {.out = &body, .style = JSON_STYLE_PYTHON};
    struct event_list list;
    struct error err;

    (void)state;
    event_begin(&json, &source, STR("task-started"), 7, INT64_C(1795436886860001));
    json_member_str(&json, STR("uuid"), STR("id-1"));
    json_end_object(&json);
    assert_string_equal(buf_cstr(&body),
                        "{\"hostname\": \"w1@host\", \"utcoffset\": -2, \"pid\": 42, \"clock\": 7, "
                        "\"timestamp\": 1795436886.860001, \"type\": \"task-started\", "
                        "\"uuid\": \"id-1\"}");
    assert_ok(event_decode(wrap(buf_str(&body), &bytes), &arena, &list, &err), err);
    assert_int_equal(list.n_items, 1);
    assert_int_equal(list.n_refused, 0);
    assert_true(str_equal(list.items[0].type, STR("task-started")));
    assert_true(str_equal(list.items[0].hostname, STR("w1@host")));
    assert_true(str_equal(list.items[0].uuid, STR("id-1")));
    assert_int_equal(list.items[0].pid, 42);
    assert_int_equal(list.items[0].clock, 7);
    assert_true(list.items[0].time_us / US_PER_MS == INT64_C(1795436886860));
    buf_fini(&bytes);
    buf_fini(&body);
    arena_fini(&arena);
}

/* What gossip of Python's workers looks at before it decodes. */
static void
test_envelope(void **state)
{
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct buf bytes = BUF_INIT(65536);
    struct control_envelope envelope;
    struct json whole;
    struct error err;
    const struct json *info;

    (void)state;
    assert_ok(control_envelope_decode(wrap(STR("[]"), &bytes), &arena, &envelope, &err), err);
    assert_true(str_equal(json_get_str(&envelope.headers, STR("hostname")), STR("w1@host")));
    assert_ok(json_parse(buf_str(&bytes), NULL, &arena, &whole, &err), err);
    info = json_get(json_get(&whole, STR("properties")), STR("delivery_info"));
    assert_true(str_equal(json_get_str(info, STR("exchange")), STR("celeryev")));
    assert_true(str_equal(json_get_str(info, STR("routing_key")), STR("task.multi")));
    buf_fini(&bytes);
    arena_fini(&arena);
}

static void
test_decode(void **state)
{
    static const struct {
        struct str body;
        int rc;
        size_t n_items;
        size_t n_refused;
    } rows[] = {
        {STR_INIT("[]"), 0, 0, 0},
        {STR_INIT("7"), -ERR_INVALID, 0, 0},
        {STR_INIT("null"), -ERR_INVALID, 0, 0},
        {STR_INIT("{\"type\": \"x-y\", \"hostname\": \"h\", \"timestamp\": 1}"), 0, 1, 0},
        {STR_INIT("[{\"type\": \"x\", \"hostname\": \"h\", \"timestamp\": 1.5}, 3, null,"
                  " {\"type\": \"x\", \"hostname\": \"h\", \"timestamp\": \"1\"},"
                  " {\"type\": \"\", \"hostname\": \"h\", \"timestamp\": 1},"
                  " {\"type\": \"x\", \"timestamp\": 1},"
                  " {\"type\": \"x\", \"hostname\": \"h\", \"timestamp\": NaN},"
                  " {\"type\": \"x\", \"hostname\": \"h\", \"timestamp\": -1},"
                  " {\"type\": \"x\", \"hostname\": \"h\", \"timestamp\": 1, \"uuid\": \"\"}]"),
         0, 1, 8},
    };
    struct buf bytes = BUF_INIT(65536);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 20);
        struct event_list list = {NULL, 0, 0};

        assert_int_equal(event_decode(wrap(rows[i].body, &bytes), &arena, &list, NULL), rows[i].rc);
        assert_int_equal(list.n_items, rows[i].n_items);
        assert_int_equal(list.n_refused, rows[i].n_refused);
        arena_fini(&arena);
    }
    buf_fini(&bytes);
}

/* A clock that one message could push to its end is not followed. */
static void
test_clock(void **state)
{
    static const struct {
        struct str body;
        int64_t clock;
    } rows[] = {
        {STR_INIT("{\"type\":\"x\",\"hostname\":\"h\",\"timestamp\":1,\"clock\":9007199254740991}"),
         INT64_C(9007199254740991)},
        {STR_INIT("{\"type\":\"x\",\"hostname\":\"h\",\"timestamp\":1,\"clock\":9007199254740992}"),
         0},
        {STR_INIT("{\"type\":\"x\",\"hostname\":\"h\",\"timestamp\":1,\"clock\":-4}"), 0},
        {STR_INIT("{\"type\":\"x\",\"hostname\":\"h\",\"timestamp\":1,\"clock\":\"5\"}"), 0},
    };
    struct buf bytes = BUF_INIT(65536);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 20);
        struct event_list list;
        struct error err;

        assert_ok(event_decode(wrap(rows[i].body, &bytes), &arena, &list, &err), err);
        assert_int_equal(list.items[0].clock, rows[i].clock);
        arena_fini(&arena);
    }
    buf_fini(&bytes);
}

static void
test_topic(void **state)
{
    struct buf topic = BUF_INIT(1024);
    struct error err;

    (void)state;
    assert_ok(event_format_topic(STR("worker-elect-ack"), &topic, &err), err);
    assert_string_equal(buf_cstr(&topic), "celeryev/worker.elect.ack");
    assert_ok(event_format_topic(STR(EVENT_TASK_MULTI), &topic, &err), err);
    assert_string_equal(buf_cstr(&topic), "celeryev/task.multi");
    buf_fini(&topic);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_decode),     cmocka_unit_test(test_clock),
        cmocka_unit_test(test_topic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
