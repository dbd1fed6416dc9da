/* lib/services/enrichment/hf_parser/hf_credentials.h */

#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "lib/services/enrichment/hf_parser/hf_credentials.h"

static char hf_home[] = "/tmp/trawl-hf-XXXXXX";
static const char *disabled;

static const char *
fake_env(const char *name)
{
    if (strcmp(name, "HF_HOME") == 0)
        return hf_home;
    return strcmp(name, "HF_HUB_DISABLE_IMPLICIT_TOKEN") == 0 ? disabled : NULL;
}

static void
test_setting_then_file(void **state)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct str token = STR("unset");
    char path[64];
    struct error err;

    (void)state;
    assert_non_null(mkdtemp(hf_home));
    assert_ok(hf_credentials_find(STR(""), fake_env, &arena, &token, &err), err);
    assert_null(token.ptr);

    (void)snprintf(path, sizeof(path), "%s/token", hf_home);
    assert_ok(file_write_atomic(path, STR("hf_fromfile\r\n"), &err), err);
    assert_ok(hf_credentials_find(STR(""), fake_env, &arena, &token, &err), err);
    assert_str_equal(token, "hf_fromfile");
    assert_ok(hf_credentials_find(STR(" hf_setting "), fake_env, &arena, &token, &err), err);
    assert_str_equal(token, "hf_setting");
    disabled = "yes";
    assert_ok(hf_credentials_find(STR(""), fake_env, &arena, &token, &err), err);
    assert_null(token.ptr);
    disabled = NULL;

    assert_ok(file_write_atomic(path, STR("two words"), &err), err);
    token = STR("unset");
    assert_int_equal(hf_credentials_find(STR(""), fake_env, &arena, &token, &err), -ERR_AUTH);
    assert_int_equal(hf_credentials_find(STR("a\nb"), fake_env, &arena, &token, &err), -ERR_AUTH);
    (void)unlink(path);
    (void)rmdir(hf_home);
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_setting_then_file)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
