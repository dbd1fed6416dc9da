/* celery/control: requests and replies, bytes in and out; whom a request means; the clock. */

#include "tests/unit/check.h"

#include "base/log.h"
#include "celery/control/envelope.h"
#include "tests/unit/celery/control/fake_node.h"

/* As Celery 5.7 sends it, with its envelope. */
static const char python_request[] =
    "{\"body\": "
    "\"eyJtZXRob2QiOiAiYWN0aXZlIiwgImFyZ3VtZW50cyI6IHsic2FmZSI6IGZhbHNlfSwgImRlc3RpbmF0aW"
    "9uIjogWyJ3MUBob3N0Il0sICJwYXR0ZXJuIjogbnVsbCwgIm1hdGNoZXIiOiBudWxsLCAidGlja2V0IjogInQtMSIsICJy"
    "ZXBseV90byI6IHsiZXhjaGFuZ2UiOiAicmVwbHkuY2VsZXJ5LnBpZGJveCIsICJyb3V0aW5nX2tleSI6ICJrLTEifX0="
    "\","
    " \"content-encoding\": \"utf-8\", \"content-type\": \"application/json\", \"headers\": "
    "{\"clock\": 6, \"expires\": 1795437056.150192}, \"properties\": {\"delivery_mode\": 2, "
    "\"delivery_info\": {\"exchange\": \"celery.pidbox\", \"routing_key\": \"\"}, \"priority\": 0, "
    "\"body_encoding\": \"base64\", \"delivery_tag\": \"6e5e1b0e\"}}";

static void
test_python_request(void **state)
{
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct control_request request;
    struct error err;

    (void)state;
    assert_ok(control_request_decode(str_from_cstr(python_request), &arena, &request, &err), err);
    assert_str_equal(request.method, "active");
    assert_false(json_get(&request.arguments, STR("safe"))->boolean);
    assert_int_equal(request.recipients->array.n_items, 1);
    assert_null(request.pattern.ptr);
    assert_str_equal(request.ticket, "t-1");
    assert_str_equal(request.reply_to.exchange, "reply.celery.pidbox");
    assert_str_equal(request.reply_to.routing_key, "k-1");
    assert_int_equal(request.clock, 6);
    arena_fini(&arena);
}

/* What may be missing, and what may not. */
static void
test_bodies(void **state)
{
    static const struct {
        const char *body;
        int rc;
    } rows[] = {
        {"{\"method\": \"ping\"}", 0},
        {"{\"method\": \"ping\", \"arguments\": null, \"destination\": [], \"reply_to\": null}", 0},
        {"{\"method\": \"ping\", \"ticket\": null, \"unknown\": 1}", 0},
        {"{}", -ERR_INVALID},
        {"[]", -ERR_INVALID},
        {"null", -ERR_INVALID},
        {"{\"method\": \"\"}", -ERR_INVALID},
        {"{\"method\": 5}", -ERR_INVALID},
        {"{\"method\": \"p\", \"arguments\": []}", -ERR_INVALID},
        {"{\"method\": \"p\", \"destination\": \"w1@host\"}", -ERR_INVALID},
        {"{\"method\": \"p\", \"destination\": [1]}", -ERR_INVALID},
        {"{\"method\": \"p\", \"pattern\": {}}", -ERR_INVALID},
        {"{\"method\": \"p\", \"ticket\": 5}", -ERR_INVALID},
        {"{\"method\": \"p\", \"reply_to\": \"k\"}", -ERR_INVALID},
        {"{\"method\": \"p\", \"reply_to\": {\"exchange\": \"e\"}}", -ERR_INVALID},
        {"{\"method\": \"p\", \"reply_to\": {\"exchange\": \"e\", \"routing_key\": \"\\u0006\"}}",
         -ERR_INVALID},
        {"{\"method\": \"p\"", -ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 20);
        struct control_request request = {.method = STR("untouched")};
        int rc = control_request_decode(fake_request(str_from_cstr(rows[i].body), 0), &arena,
                                        &request, NULL);

        if (rc != rows[i].rc)
            fail_msg("%s: %d", rows[i].body, rc);
        if (rc < 0)
            assert_str_equal(request.method, "untouched");
        arena_fini(&arena);
    }
}

static void
test_envelopes(void **state)
{
    static const struct {
        const char *bytes;
        int rc;
    } rows[] = {
        {"{\"body\": \"{}\", \"content-type\": \"application/json\"}", 0},
        {"{\"body\": \"{}\", \"content-type\": \"application/json\", \"headers\": null}", 0},
        {"{\"body\": \"e30=\", \"content-type\": \"application/json\", \"properties\": "
         "{\"body_encoding\": \"base64\"}}",
         0},
        {"{\"body\": \"e3\\u0000=\", \"content-type\": \"application/json\", \"properties\": "
         "{\"body_encoding\": \"base64\"}}",
         -ERR_INVALID},
        {"{\"body\": \"{}\", \"content-type\": \"application/json\", \"properties\": "
         "{\"body_encoding\": \"rot13\"}}",
         -ERR_UNSUPPORTED},
        {"{\"body\": \"{}\", \"content-type\": \"application/json\", \"content-encoding\": "
         "\"binary\"}",
         -ERR_UNSUPPORTED},
        {"{\"body\": \"{}\", \"content-type\": \"application/json\", \"headers\": "
         "{\"compression\": \"application/x-gzip\"}}",
         -ERR_UNSUPPORTED},
        {"{\"body\": \"gAJ9\", \"content-type\": \"application/x-python-serialize\"}",
         -ERR_UNSUPPORTED},
        {"{\"body\": \"{}\"}", -ERR_UNSUPPORTED},
        {"{\"body\": {}, \"content-type\": \"application/json\"}", -ERR_INVALID},
        {"{\"content-type\": \"application/json\"}", -ERR_INVALID},
        {"[1]", -ERR_INVALID},
        {"", -ERR_INVALID},
        {"\xff", -ERR_INVALID},
    };
    static char large[CONTROL_ENVELOPE_BYTES + 1];
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct control_envelope envelope;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int rc = control_envelope_decode(str_from_cstr(rows[i].bytes), &arena, &envelope, NULL);

        if (rc != rows[i].rc)
            fail_msg("%s: %d", rows[i].bytes, rc);
    }
    assert_int_equal(
        control_envelope_decode((struct str){large, sizeof(large)}, &arena, &envelope, NULL),
        -ERR_TOO_LARGE);
    arena_fini(&arena);
}

/* For the node w1@host. */
static void
test_match(void **state)
{
    static const struct {
        const char *who;
        bool is_meant;
        int rc;
    } rows[] = {
        {"\"destination\": null", true, 0},
        {"\"destination\": [\"w1@host\"]", true, 0},
        {"\"destination\": [\"w2@host\", \"w1@host\"]", true, 0},
        {"\"destination\": [\"W1@host\"]", false, 0},
        {"\"destination\": [\"w2\"], \"pattern\": \"*\", \"matcher\": \"glob\"", false, 0},
        {"\"pattern\": \"w?@*\", \"matcher\": \"glob\"", true, 0},
        {"\"pattern\": \"w[!1]@*\", \"matcher\": \"glob\"", false, 0},
        {"\"pattern\": \"w2*\", \"matcher\": null", true, 0},
        {"\"pattern\": \"w2*\", \"matcher\": \"glob\"", false, 0},
        {"\"pattern\": \"w\\\\d@\", \"matcher\": \"pcre\"", true, 0},
        {"\"pattern\": \"host\", \"matcher\": \"pcre\"", false, 0},
        {"\"pattern\": \"w2|w1\", \"matcher\": \"pcre\"", true, 0},
        {"\"pattern\": \".*\\\\bhost$\", \"matcher\": \"pcre\"", true, 0},
        {"\"pattern\": \"w[0-9]@[^x]\", \"matcher\": \"pcre\"", true, 0},
        {"\"pattern\": \"w[^0-9]@\", \"matcher\": \"pcre\"", false, 0},
        {"\"pattern\": \"w[\\\\d]@\", \"matcher\": \"pcre\"", true, -ERR_UNSUPPORTED},
        {"\"pattern\": \"w[]\\\\d]@\", \"matcher\": \"pcre\"", true, -ERR_UNSUPPORTED},
        {"\"pattern\": \"w[[:digit:]]@\", \"matcher\": \"pcre\"", true, -ERR_UNSUPPORTED},
        {"\"pattern\": \"w[1\", \"matcher\": \"pcre\"", true, -ERR_UNSUPPORTED},
        {"\"pattern\": \"(w1\", \"matcher\": \"pcre\"", true, -ERR_UNSUPPORTED},
        {"\"pattern\": \"w{1,9}\", \"matcher\": \"pcre\"", true, -ERR_UNSUPPORTED},
        {"\"pattern\": \"(?:w)1\", \"matcher\": \"pcre\"", true, -ERR_UNSUPPORTED},
        {"\"pattern\": \"(w)\\\\1\", \"matcher\": \"pcre\"", true, -ERR_UNSUPPORTED},
        {"\"pattern\": \"w\\\\\", \"matcher\": \"pcre\"", true, -ERR_UNSUPPORTED},
        {"\"pattern\": \"w\", \"matcher\": \"xpath\"", true, -ERR_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT((size_t)1 << 20);
        struct control_request request;
        char body[256];
        bool is_meant = false;
        struct error err;

        (void)snprintf(body, sizeof(body), "{\"method\": \"ping\", %s}", rows[i].who);
        assert_ok(
            control_request_decode(fake_request(str_from_cstr(body), 0), &arena, &request, &err),
            err);
        if (control_request_match(&request, STR("w1@host"), &is_meant, NULL) != rows[i].rc ||
            is_meant != rows[i].is_meant)
            fail_msg("%s: %d", rows[i].who, is_meant);
        arena_fini(&arena);
    }
}

/* A call of ours decodes to what was said, a reply likewise. */
static void
test_round_trip(void **state)
{
    static const struct str nodes[] = {STR_INIT("w1@host"), STR_INIT("w2@host")};
    const struct control_call call = {
        .method = STR("query_task"),
        .arguments = STR("{\"ids\": [\"x\"]}"),
        .recipients = nodes,
        .n_recipients = 2,
        .ticket = STR("t"),
        .routing_key = STR("k"),
        .clock = 9,
        .expires = 12.5,
    };
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct buf bytes = BUF_INIT((size_t)1 << 20);
    struct buf answer = BUF_INIT((size_t)1 << 20);
    struct control_request request;
    struct control_reply reply;
    struct error err;

    (void)state;
    assert_ok(control_call_encode(&call, &bytes, &err), err);
    assert_ok(control_request_decode(buf_str(&bytes), &arena, &request, &err), err);
    assert_str_equal(request.method, "query_task");
    assert_int_equal(request.recipients->array.n_items, 2);
    assert_str_equal(request.reply_to.exchange, CONTROL_REPLY_EXCHANGE);
    assert_str_equal(request.reply_to.routing_key, "k");
    assert_int_equal(request.clock, 9);
    assert_ok(control_reply_encode(&request, STR("w@h"), STR("[1]"), 10, &answer, &err), err);
    assert_ok(control_reply_decode(buf_str(&answer), &arena, &reply, &err), err);
    assert_str_equal(reply.ticket, "t");
    assert_str_equal(reply.node, "w@h");
    assert_int_equal(reply.value.array.n_items, 1);
    assert_int_equal(reply.clock, 10);
    buf_fini(&answer);
    buf_fini(&bytes);
    arena_fini(&arena);
}

/* One key, or it is no reply. */
static void
test_bad_replies(void **state)
{
    static const char *const bodies[] = {"{}", "{\"a\": 1, \"b\": 2}", "[]", "null"};
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct control_reply reply;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bodies); i++)
        assert_int_equal(
            control_reply_decode(fake_request(str_from_cstr(bodies[i]), 0), &arena, &reply, NULL),
            -ERR_INVALID);
    arena_fini(&arena);
}

static void
handle(struct fake_node *fake, const char *body, int64_t clock, struct control_answer *answer)
{
    struct arena arena = ARENA_INIT((size_t)1 << 20);
    struct buf reply = BUF_INIT((size_t)1 << 20);

    control_handle(&fake->node, fake_request(str_from_cstr(body), clock), &arena, &reply, answer);
    buf_fini(&reply);
    arena_fini(&arena);
}

/* One step for a request, one for a reply, never behind the sender; a mad clock is not followed. */
static void
test_clock(void **state)
{
    static const char ask[] = "{\"method\": \"ping\", \"ticket\": \"t\", \"reply_to\": "
                              "{\"exchange\": \"e\", \"routing_key\": \"k\"}}";
    struct control_answer answer;
    struct fake_node fake;

    (void)state;
    fake_node_init(&fake);
    handle(&fake, ask, 0, &answer);
    assert_true(answer.is_wanted);
    assert_int_equal(fake.node.clock, 2);
    handle(&fake, ask, 100, &answer);
    assert_int_equal(fake.node.clock, 102);
    handle(&fake, ask, INT64_MAX, &answer);
    assert_int_equal(fake.node.clock, 104);
    handle(&fake, "{\"method\": \"ping\"}", 5, &answer); /* no reply is wanted */
    assert_false(answer.is_wanted);
    assert_int_equal(fake.node.clock, 106);
    handle(&fake, "{\"method\": \"shutdown\", \"destination\": [\"other\"]}", 0, &answer);
    assert_false(answer.is_wanted);
    assert_str_equal(buf_str(&fake.told), "");
    handle(&fake, "[]", 0, &answer);
    assert_false(answer.is_wanted);
    assert_int_equal(fake.node.n_malformed, 1);
    fake_node_fini(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_python_request), cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_envelopes),      cmocka_unit_test(test_match),
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_bad_replies),
        cmocka_unit_test(test_clock),
    };

    log_configure(STDERR_FILENO, LOG_NOTHING, LOG_TEXT); /* what is refused is said */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
