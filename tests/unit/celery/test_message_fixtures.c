/* celery/message.h over what real Celery clients sent: decoded to what Python reads, encoded again.
 */

#include "tests/unit/check.h"

#include <limits.h>

#include "base/file.h"
#include "base/json_scan.h"
#include "celery/codec_repr.h"
#include "celery/message.h"

#define FILE_BYTES  ((size_t)4 << 20)
#define ARENA_BYTES ((size_t)8 << 20)

#define TEXT_ROW(member)                                                                           \
    {                                                                                              \
        STR_INIT(#member), offsetof(struct celery_message, member)                                 \
    }

struct row {
    struct str name;
    size_t offset;
};

static const struct row text_rows[] = {
    TEXT_ROW(lang),
    TEXT_ROW(task),
    TEXT_ROW(id),
    TEXT_ROW(shadow),
    TEXT_ROW(group),
    TEXT_ROW(root_id),
    TEXT_ROW(parent_id),
    TEXT_ROW(argsrepr),
    TEXT_ROW(kwargsrepr),
    TEXT_ROW(origin),
    TEXT_ROW(reply_to),
    TEXT_ROW(correlation_id),
    TEXT_ROW(expiration),
    TEXT_ROW(exchange),
    TEXT_ROW(routing_key),
    TEXT_ROW(delivery_tag),
    {STR_INIT("eta"), offsetof(struct celery_message, eta.text)},
    {STR_INIT("expires"), offsetof(struct celery_message, expires.text)},
};

static const struct row raw_rows[] = {
    TEXT_ROW(args),  TEXT_ROW(kwargs), TEXT_ROW(callbacks), TEXT_ROW(errbacks),
    TEXT_ROW(chain), TEXT_ROW(chord),  TEXT_ROW(stamps),    TEXT_ROW(stamped_headers),
};

static const struct row number_rows[] = {
    TEXT_ROW(retries),
    TEXT_ROW(replaced_task_nesting),
    TEXT_ROW(delivery_mode),
    TEXT_ROW(priority),
};

static void
check_text(struct str shape, struct str name, struct str found, const struct json *expect)
{
    struct str wanted = expect->type == JSON_STRING ? expect->text : STR_NULL;

    if (!str_equal(found, wanted) || !found.ptr != !wanted.ptr)
        fail_msg("%.*s: %.*s is '%.*s', not '%.*s'", STR_ARG(shape), STR_ARG(name), STR_ARG(found),
                 STR_ARG(wanted));
}

static void
check_texts(struct str shape, const struct celery_message *message, const struct json *expect)
{
    const struct json *raw = json_get(expect, STR("raw"));

    for (size_t i = 0; i < COUNT_OF(text_rows); i++)
        check_text(shape, text_rows[i].name,
                   *(const struct str *)((const char *)message + text_rows[i].offset),
                   json_get(expect, text_rows[i].name));
    for (size_t i = 0; i < COUNT_OF(raw_rows); i++)
        check_text(shape, raw_rows[i].name,
                   *(const struct str *)((const char *)message + raw_rows[i].offset),
                   json_get(raw, raw_rows[i].name));
}

/* The number under a name, or fallback for null. */
static int64_t
number_of(const struct json *expect, struct str name, int64_t fallback)
{
    int64_t number = fallback;

    (void)json_is_i64(json_get(expect, name), &number);
    return number;
}

static void
check_numbers(const struct celery_message *message, const struct json *expect)
{
    const struct json *flag = json_get(expect, STR("ignore_result"));
    double hard_s = -1;
    double soft_s = -1;

    for (size_t i = 0; i < COUNT_OF(number_rows); i++)
        assert_int_equal(*(const int64_t *)((const char *)message + number_rows[i].offset),
                         number_of(expect, number_rows[i].name, INT64_MIN));
    assert_int_equal(message->protocol, number_of(expect, STR("protocol"), 0));
    assert_int_equal(message->group_index, number_of(expect, STR("group_index"), CELERY_NO_INDEX));
    assert_int_equal(message->eta.us, number_of(expect, STR("eta_us"), CELERY_NO_TIME));
    assert_int_equal(message->expires.us, number_of(expect, STR("expires_us"), CELERY_NO_TIME));
    assert_false(message->eta.is_local);
    assert_int_equal(message->ignore_result, flag->type == JSON_NULL ? CELERY_UNSET
                                             : flag->boolean         ? CELERY_TRUE
                                                                     : CELERY_FALSE);
    assert_true(json_is_f64(json_get(expect, STR("hard_limit_s")), &hard_s));
    assert_true(json_is_f64(json_get(expect, STR("soft_limit_s")), &soft_s));
    assert_memory_equal(&message->timelimit.hard_s, &hard_s, sizeof(hard_s));
    assert_memory_equal(&message->timelimit.soft_s, &soft_s, sizeof(soft_s));
}

static void
check_other_headers(const struct celery_message *message, const struct json *expect)
{
    const struct json *others = json_get(expect, STR("other_headers"));
    struct json_cursor members = json_cursor_open(message->headers);
    struct json_slice member;
    size_t n = 0;

    for (; celery_message_next_other(CELERY_HEADERS, &members, &member); n++)
        assert_non_null(json_get(others, member.name));
    assert_int_equal(n, others->object.n_members);
}

/* Slices of two messages that were one. */
static void
check_same(struct str shape, const struct celery_message *a, const struct celery_message *b)
{
    for (size_t i = 0; i < COUNT_OF(text_rows); i++) {
        struct str old = *(const struct str *)((const char *)a + text_rows[i].offset);
        struct str new = *(const struct str *)((const char *)b + text_rows[i].offset);

        if (!str_equal(old, new) && !(a->protocol == CELERY_PROTOCOL_1 && !old.ptr))
            fail_msg("%.*s: %.*s was '%.*s', came back as '%.*s'", STR_ARG(shape),
                     STR_ARG(text_rows[i].name), STR_ARG(old), STR_ARG(new));
    }
    for (size_t i = 0; i < COUNT_OF(raw_rows); i++) {
        struct str old = *(const struct str *)((const char *)a + raw_rows[i].offset);
        struct str new = *(const struct str *)((const char *)b + raw_rows[i].offset);

        if (!str_equal(old, new) && !(old.ptr == NULL && str_equal(new, STR("{}"))))
            fail_msg("%.*s: %.*s came back changed", STR_ARG(shape), STR_ARG(raw_rows[i].name));
    }
    assert_int_equal(a->ignore_result, b->ignore_result);
    assert_int_equal(a->retries, b->retries);
}

static void
check_encoded(struct str shape, const struct celery_message *message, struct str envelope,
              bool is_exact, struct arena *arena)
{
    struct buf out = BUF_INIT(ARENA_BYTES);
    struct celery_message again;
    struct error err;

    assert_ok(celery_message_encode_envelope(message, &out, &err), err);
    if (is_exact && message->protocol == CELERY_PROTOCOL_2 && !message->compression.ptr &&
        !str_equal(buf_str(&out), envelope))
        fail_msg("%.*s: not what Celery wrote:\n%.*s\n%.*s", STR_ARG(shape), STR_ARG(envelope),
                 STR_ARG(buf_str(&out)));
    assert_ok(celery_message_decode_envelope(buf_str(&out), NULL, arena, &again, NULL, &err), err);
    assert_int_equal(again.protocol, CELERY_PROTOCOL_2);
    check_same(shape, message, &again);
    buf_fini(&out);
}

/* What Celery showed of the arguments, where JSON still knows them: no bytes, dates, secrets. */
static void
check_repr(struct str shape, const struct celery_message *message)
{
    static const struct str unlike[] = {STR_INIT("hidden arguments"), STR_INIT("bytes"),
                                        STR_INIT("dates, uuids, decimals")};
    struct buf args = BUF_INIT(8192);
    struct buf kwargs = BUF_INIT(8192);

    for (size_t i = 0; i < COUNT_OF(unlike); i++) {
        if (str_equal(shape, unlike[i]))
            return;
    }
    celery_repr_append(&args, message->args,
                       message->protocol == CELERY_PROTOCOL_1 ? CELERY_REPR_SAFE
                                                              : CELERY_REPR_SAFE_TUPLE);
    celery_repr_append(&kwargs, message->kwargs, CELERY_REPR_SAFE);
    if (!str_equal(buf_str(&args), message->argsrepr) ||
        !str_equal(buf_str(&kwargs), message->kwargsrepr))
        fail_msg("%.*s:\n%.*s\n%.*s\n%.*s\n%.*s", STR_ARG(shape), STR_ARG(buf_str(&args)),
                 STR_ARG(message->argsrepr), STR_ARG(buf_str(&kwargs)),
                 STR_ARG(message->kwargsrepr));
    buf_fini(&args);
    buf_fini(&kwargs);
}

static void
check_line(struct str line, bool is_newest, bool is_exact)
{
    struct json_limits limits = {JSON_KEEP_SURROGATES | JSON_ALLOW_NAN, 64};
    struct arena lines = ARENA_INIT(ARENA_BYTES);
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct celery_message message;
    struct str envelope;
    struct str shape;
    struct error err;
    struct json row;
    const struct json *expect;

    assert_ok(json_parse(line, &limits, &lines, &row, &err), err);
    shape = json_get_str(&row, STR("shape"));
    envelope = json_get_str(&row, STR("envelope"));
    expect = json_get(&row, STR("expect"));
    if (celery_message_decode_envelope(envelope, NULL, &arena, &message, NULL, &err) < 0)
        fail_msg("%.*s: %s", STR_ARG(shape), err.message);
    if (!message.compression.ptr)
        assert_true(arena.used <= 4 * envelope.len + ((size_t)16 << 10));
    check_texts(shape, &message, expect);
    check_numbers(&message, expect);
    check_other_headers(&message, expect);
    if (is_newest)
        check_repr(shape, &message);
    check_encoded(shape, &message, envelope, is_exact, &arena);
    arena_fini(&arena);
    arena_fini(&lines);
}

static void
check_file(const char *name, size_t n_wanted, bool is_newest, bool is_exact)
{
    const char *root = getenv("TRAWL_SOURCE_ROOT");
    struct buf bytes = BUF_INIT(FILE_BYTES);
    char path[PATH_MAX];
    struct error err;
    struct str rest;
    struct str line;
    size_t n = 0;

    (void)snprintf(path, sizeof(path), "%s/tests/fixtures/celery/%s", root ? root : ".", name);
    assert_ok(file_read(path, &bytes, &err), err);
    rest = buf_str(&bytes);
    while (str_split(&rest, '\n', &line)) {
        if (line.len == 0)
            continue;
        check_line(line, is_newest, is_exact);
        n++;
    }
    assert_int_equal(n, n_wanted);
    buf_fini(&bytes);
}

static void
test_celery_5_2(void **state)
{
    (void)state;
    check_file("celery-5.2.7.jsonl", 41, false, false); /* it writes three headers less */
}

static void
test_celery_5_6(void **state)
{
    (void)state;
    check_file("celery-5.6.3.jsonl", 44, false, true);
}

static void
test_celery_5_7(void **state)
{
    (void)state;
    check_file("celery-5.7.0.jsonl", 44, true, true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_celery_5_2),
        cmocka_unit_test(test_celery_5_6),
        cmocka_unit_test(test_celery_5_7),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
