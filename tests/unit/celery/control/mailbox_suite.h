#pragma once

/* What every mailbox must do.  The test program says where: a broker's URL, fresh for each test. */

#include "celery/control/mailbox.h"
#include "tests/unit/check.h"

/* The URL of a broker that no test has used yet; lives until the next call. */
const char *mailbox_suite_url(void);

void mailbox_test_broadcast(void **state);
void mailbox_test_topics(void **state);
void mailbox_test_nobody_listens(void **state);
void mailbox_test_answers(void **state);
void mailbox_test_answer_to_nobody(void **state);
void mailbox_test_bytes_and_order(void **state);
void mailbox_test_refused(void **state);
void mailbox_test_processes(void **state);
void mailbox_test_forget(void **state);

/* For a program's own group of tests. */
/* clang-format off */
#define MAILBOX_SUITE_TESTS \
    cmocka_unit_test(mailbox_test_broadcast), \
    cmocka_unit_test(mailbox_test_topics), \
    cmocka_unit_test(mailbox_test_nobody_listens), \
    cmocka_unit_test(mailbox_test_answers), \
    cmocka_unit_test(mailbox_test_answer_to_nobody), \
    cmocka_unit_test(mailbox_test_bytes_and_order), \
    cmocka_unit_test(mailbox_test_refused), \
    cmocka_unit_test(mailbox_test_processes), \
    cmocka_unit_test(mailbox_test_forget)
/* clang-format on */
