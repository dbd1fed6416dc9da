/* celery/broker/outbox.h: what belongs together is not parted by the end of a batch. */

#include "tests/unit/check.h"

#include "base/clock.h"
#include "celery/broker/outbox.h"

/* 'p': a message, 'v': a verdict, 'b': a verdict bound to the message before. */
static void
fill(struct outbox *outbox, const char *operations)
{
    static const struct broker_message message = {
        .queue = STR_INIT("q"), .bytes = STR_INIT("x"), .eta_us = TIME_UNKNOWN};
    uint64_t published = 0, ticket;
    struct error err;

    outbox_init(outbox, 1 << 20);
    for (; *operations; operations++) {
        struct broker_verdict verdict = {.after = *operations == 'b' ? published : 0};

        if (*operations == 'p')
            assert_ok(outbox_add_publish(outbox, &message, &published, &err), err);
        else
            assert_ok(outbox_add_verdict(outbox, 7, &verdict, &ticket, &err), err);
    }
}

static void
test_must_go_on(void **state)
{
    static const struct {
        const char *operations;
        size_t n_taken;
        bool must_go_on;
    } rows[] = {
        {"", 0, false},    {"ppb", 0, false},  {"ppb", 1, true}, {"ppb", 2, true},
        {"ppb", 3, false}, {"ppp", 2, false},  {"pv", 1, false}, {"pbpb", 2, false},
        {"vpb", 1, false}, {"pvpb", 1, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct pending *last = NULL;
        struct outbox outbox;

        fill(&outbox, rows[i].operations);
        for (size_t n = 0; n < rows[i].n_taken; n++)
            last = outbox_start(&outbox);
        if (outbox_must_go_on(&outbox, last) != rows[i].must_go_on)
            fail_msg("row %zu: '%s' after %zu", i, rows[i].operations, rows[i].n_taken);
        outbox_fini(&outbox);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_must_go_on)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
