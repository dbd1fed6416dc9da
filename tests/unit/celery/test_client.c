/* celery/client.h on SQLite: what is sent can be received, what is stored can be waited for. */

#include "tests/unit/celery/broker/party.h"

#include "celery/backend/backend.h"
#include "celery/client.h"
#include "celery/message.h"

#define NOW_US INT64_C(1795436816633048) /* 2026-11-23T12:26:56.633048Z */

/* A broker, a backend and a client of theirs in a directory. */
struct place {
    char dir[64];
    char broker_url[128];
    char backend_url[160];
    char backend_path[128];
    struct fake_clock clock;
    struct celery_client *client;
    struct arena arena;
};

static int
set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    struct celery_client_options options;
    struct error err;

    assert_non_null(place);
    test_dir_make(place->dir);
    (void)snprintf(place->broker_url, sizeof(place->broker_url), "sqlite:///%s/broker.db",
                   place->dir);
    (void)snprintf(place->backend_path, sizeof(place->backend_path), "%s/results.db", place->dir);
    (void)snprintf(place->backend_url, sizeof(place->backend_url), "sqlite:///%s",
                   place->backend_path);
    fake_clock_init(&place->clock);
    place->clock.now_us = NOW_US;
    place->arena = (struct arena)ARENA_INIT((size_t)8 << 20);
    options = (struct celery_client_options){.broker_url = str_from_cstr(place->broker_url),
                                             .backend_url = str_from_cstr(place->backend_url),
                                             .clock = &place->clock.clock};
    assert_ok(celery_client_create(&options, &place->client, &err), err);
    *state = place;
    return 0;
}

static int
tear_down(void **state)
{
    struct place *place = *state;

    celery_client_free(place->client);
    arena_fini(&place->arena);
    test_dir_remove(place->dir);
    free(place);
    return 0;
}

/* The one delivery, decoded. */
struct inbox {
    struct arena *arena;
    struct celery_message message;
    struct broker_delivery delivery;
    size_t n_delivered;
};

static void
on_delivered(void *context, const struct broker_delivery *delivery)
{
    struct inbox *inbox = context;
    bool is_copied = true;
    struct error err;

    inbox->delivery = *delivery;
    inbox->n_delivered++;
    assert_ok(celery_message_decode_envelope(arena_dup(inbox->arena, delivery->bytes, &is_copied),
                                             NULL, inbox->arena, &inbox->message, NULL, &err),
              err);
    assert_true(is_copied);
    assert_true(str_equal(delivery->id, inbox->message.id));
}

/* Consume from a queue once now, and once after span_us. */
static void
receive(struct place *place, struct str queue, int64_t span_us, struct inbox *inbox)
{
    struct broker_options options = {.listener = {.delivered = on_delivered, .context = inbox},
                                     .clock = &place->clock.clock};
    struct broker *broker;
    struct error err;

    *inbox = (struct inbox){.arena = &place->arena};
    assert_ok(broker_open(str_from_cstr(place->broker_url), &options, &broker, &err), err);
    assert_ok(broker_consume(broker, &queue, 1, &err), err);
    broker_set_credit(broker, 10);
    assert_ok(broker_run(broker, &err), err);
    if (span_us) {
        assert_int_equal(inbox->n_delivered, 0);
        fake_clock_advance(&place->clock, span_us);
        assert_ok(broker_run(broker, &err), err);
    }
    broker_close(broker);
}

static void
test_send_with_defaults(void **state)
{
    struct place *place = *state;
    struct celery_request request = CELERY_REQUEST_INIT;
    char id[UUID_TEXT_BYTES];
    struct inbox inbox;
    struct error err;

    request.task = STR("proj.add");
    assert_ok(celery_client_send(place->client, &request, id, &err), err);
    receive(place, STR("celery"), 0, &inbox);
    assert_int_equal(inbox.n_delivered, 1);
    assert_str_equal(inbox.message.id, id);
    assert_str_equal(inbox.message.root_id, id);
    assert_str_equal(inbox.message.task, "proj.add");
    assert_str_equal(inbox.message.args, "[]");
    assert_str_equal(inbox.message.kwargs, "{}");
    assert_true(str_starts_with(inbox.message.origin, STR("gen")));
    assert_int_equal(inbox.message.eta.us, CELERY_NO_TIME);
    assert_int_equal(inbox.message.expires.us, CELERY_NO_TIME);
    assert_int_equal(inbox.delivery.expires_us, TIME_UNKNOWN);
}

static void
test_send_with_everything(void **state)
{
    struct place *place = *state;
    struct celery_request request = CELERY_REQUEST_INIT;
    char id[UUID_TEXT_BYTES];
    struct inbox inbox;
    struct error err;

    request.task = STR("proj.add");
    request.args = STR("[123456789012345678901234567890, NaN]");
    request.kwargs = STR("{\"y\":1.10}");
    request.queue = STR("slow");
    request.priority = 7;
    request.countdown_us = 10 * US_PER_S;
    request.expires_in_us = 120 * US_PER_S;
    assert_ok(celery_client_send(place->client, &request, id, &err), err);
    receive(place, STR("slow"), 10 * US_PER_S, &inbox);
    assert_int_equal(inbox.n_delivered, 1);
    assert_str_equal(inbox.message.args, "[123456789012345678901234567890, NaN]");
    assert_str_equal(inbox.message.kwargs, "{\"y\":1.10}");
    assert_str_equal(inbox.message.routing_key, "slow");
    assert_int_equal(inbox.message.priority, 7);
    assert_int_equal(inbox.delivery.priority, 7);
    assert_int_equal(inbox.message.eta.us, NOW_US + 10 * US_PER_S);
    assert_int_equal(inbox.message.expires.us, NOW_US + 120 * US_PER_S);
    assert_int_equal(inbox.delivery.expires_us, NOW_US + 120 * US_PER_S);
    assert_str_equal(inbox.message.expiration, "120000");
}

static void
test_refusals(void **state)
{
    static const struct {
        struct celery_request request;
        int rc;
        const char *says;
    } rows[] = {
        {{.args = STR_INIT("{}"), .eta_us = TIME_UNKNOWN}, -ERR_ARGS, "must be a JSON array"},
        {{.args = STR_INIT("[1"), .eta_us = TIME_UNKNOWN}, -ERR_ARGS, "are not JSON"},
        {{.kwargs = STR_INIT("[]"), .eta_us = TIME_UNKNOWN}, -ERR_ARGS, "must be a JSON object"},
        {{.priority = 10, .eta_us = TIME_UNKNOWN}, -ERR_INVALID, "0 to 9, got 10"},
        {{.eta_us = 5, .countdown_us = 5}, -ERR_ARGS, "not both"},
        {{.countdown_us = INT64_MAX, .eta_us = TIME_UNKNOWN}, -ERR_ARGS, "too far away"},
        {{.expires_in_us = -1, .eta_us = TIME_UNKNOWN}, -ERR_ARGS, "must not be negative"},
        {{.queue = STR_INIT(""), .eta_us = TIME_UNKNOWN}, -ERR_INVALID, "queue name"},
    };
    struct place *place = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct celery_request request = rows[i].request;
        char id[UUID_TEXT_BYTES] = "untouched";
        struct error err;

        request.task = STR("proj.add");
        assert_int_equal(celery_client_send(place->client, &request, id, &err), rows[i].rc);
        assert_non_null(strstr(err.message, rows[i].says));
        assert_string_equal(id, "untouched");
    }
}

static void
test_unreachable_broker_is_an_error(void **state)
{
    struct celery_client_options options = {.broker_url = STR("sqlite:////dev/null/broker.db"),
                                            .backend_url = STR("sqlite:////dev/null/results.db")};
    struct celery_request request = CELERY_REQUEST_INIT;
    int64_t begin_us = clock_mono_us(&clock_system);
    struct celery_client *client;
    char id[UUID_TEXT_BYTES];
    struct error err;

    (void)state;
    request.task = STR("proj.add");
    assert_ok(celery_client_create(&options, &client, &err), err);
    assert_true(celery_client_send(client, &request, id, &err) < 0);
    assert_true(clock_mono_us(&clock_system) - begin_us < 2 * US_PER_S);
    celery_client_free(client);
}

static void
store(struct place *place, const char *status, const char *value)
{
    struct backend_options options = {.clock = &place->clock.clock};
    struct result result = RESULT_INIT;
    struct backend *backend;
    struct error err;

    result.status = str_from_cstr(status);
    result.task_id = STR("t1");
    result.result = str_from_cstr(value);
    assert_ok(backend_open(str_from_cstr(place->backend_url), &options, &backend, &err), err);
    assert_ok(backend_store_result(backend, &result, 1, NULL, &err), err);
    backend_close(backend);
}

struct listener {
    int64_t current;
    int64_t total;
    bool is_cancelled;
};

static void
on_progress(void *context, int64_t current, int64_t total)
{
    struct listener *listener = context;

    listener->current = current;
    listener->total = total;
}

static bool
is_cancelled(void *context)
{
    return ((struct listener *)context)->is_cancelled;
}

static void
test_unknown_id_is_pending(void **state)
{
    struct place *place = *state;
    struct result result;
    struct error err;

    assert_ok(celery_client_get(place->client, STR("t1"), &place->arena, &result, &err), err);
    assert_str_equal(result.status, "PENDING");
    assert_str_equal(result.task_id, "t1");
    assert_int_not_equal(access(place->backend_path, F_OK), 0); /* looking makes nothing */
    store(place, "SUCCESS", "5");
    assert_ok(celery_client_get(place->client, STR("t1"), &place->arena, &result, &err), err);
    assert_str_equal(result.status, "SUCCESS");
    assert_ok(celery_client_get(place->client, STR("t2"), &place->arena, &result, &err), err);
    assert_str_equal(result.status, "PENDING");
    assert_int_equal(celery_client_get(place->client, STR(""), &place->arena, &result, &err),
                     -ERR_INVALID);
}

static void
test_wait(void **state)
{
    struct place *place = *state;
    struct listener listener = {0};
    struct celery_client_hooks hooks = {on_progress, is_cancelled, &listener};
    struct result result;
    struct error err;

    store(place, "PROGRESS", "{\"current\": 3, \"total\": 10}");
    assert_int_equal(celery_client_wait(place->client, STR("t1"), 20 * US_PER_MS, &hooks,
                                        &place->arena, &result, &err),
                     -ERR_TIMEOUT);
    assert_non_null(strstr(err.message, "PROGRESS"));
    assert_int_equal(listener.current, 3);
    assert_int_equal(listener.total, 10);
    listener.is_cancelled = true;
    assert_int_equal(
        celery_client_wait(place->client, STR("t1"), 0, &hooks, &place->arena, &result, &err),
        -ERR_CANCELLED);
    listener.is_cancelled = false;
    store(place, "SUCCESS", "{\"processed\": 10}");
    assert_ok(celery_client_wait(place->client, STR("t1"), 5 * US_PER_S, &hooks, &place->arena,
                                 &result, &err),
              err);
    assert_str_equal(result.status, "SUCCESS");
    assert_str_equal(result.result, "{\"processed\": 10}");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_send_with_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_send_with_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test(test_unreachable_broker_is_an_error),
        cmocka_unit_test_setup_teardown(test_unknown_id_is_pending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wait, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
