#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/library.h"

struct calls {
    double (*floor)(double x);
    double (*ceil)(double x);
};

#define FUNCTION(member, name)                                                                     \
    {                                                                                              \
        (name), offsetof(struct calls, member)                                                     \
    }

static void
test_a_library_is_loaded_once(void **state)
{
    static const struct library_function functions[] = {FUNCTION(floor, "floor"),
                                                        FUNCTION(ceil, "ceil")};
    struct calls calls = {NULL, NULL};
    struct library library = LIBRARY_INIT("libm.so.6", "libc6", functions, &calls);
    struct error err = {0};

    (void)state;
    assert_int_equal(library_load(&library, &err), 0);
    assert_true(library.is_loaded);
    assert_true(calls.floor(1.5) == 1.0 && calls.ceil(1.5) == 2.0);
    calls.floor = NULL;
    assert_int_equal(library_load(&library, &err), 0);
    assert_null(calls.floor); /* nothing was done again */
}

static void
test_what_is_missing_is_named(void **state)
{
    static const struct library_function known[] = {FUNCTION(floor, "floor")};
    static const struct library_function unknown[] = {FUNCTION(floor, "floor"),
                                                      FUNCTION(ceil, "no_such_function")};
    struct calls calls = {NULL, NULL};
    struct library absent = LIBRARY_INIT("libnosuch.so.7", "libnosuch7", known, &calls);
    struct library older = LIBRARY_INIT("libm.so.6", "libc6", unknown, &calls);
    struct error err = {0};

    (void)state;
    for (int i = 0; i < 2; i++) { /* and it is looked for again */
        assert_int_equal(library_load(&absent, &err), -ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "libnosuch.so.7"));
        assert_non_null(strstr(err.message, "the package libnosuch7 brings it"));
    }
    assert_int_equal(library_load(&older, &err), -ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "no_such_function"));
    assert_false(older.is_loaded);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_library_is_loaded_once),
        cmocka_unit_test(test_what_is_missing_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
