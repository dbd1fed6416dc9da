/* kaggle_parser/kaggle_credentials.h, with an environment and a home of its own. */

#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <trawl/error.h>

#include "base/file.h"
#include "lib/services/enrichment/kaggle_parser/kaggle_credentials.h"

#define MAX_VARIABLES 6

struct variable {
    const char *name;
    const char *value; /* '~' at the start is the home of the test */
};

struct home {
    char path[64];
    const struct variable *variables;
};

static const struct home *the_home; /* getenv has no context either */
static char the_value[200];

/* The value of a row's variable; "~" at its start is the home. */
static const char *
get_variable(const char *name)
{
    if (strcmp(name, "HOME") == 0)
        return the_home->path;
    for (size_t i = 0; i < MAX_VARIABLES && the_home->variables[i].name; i++) {
        const char *value = the_home->variables[i].value;

        if (strcmp(the_home->variables[i].name, name) != 0)
            continue;
        (void)snprintf(the_value, sizeof(the_value), "%s%s", value[0] == '~' ? the_home->path : "",
                       value[0] == '~' ? value + 1 : value);
        return the_value;
    }
    return NULL;
}

/* A setting that came from the environment, copied. */
static struct str
get_setting(const char *name, struct arena *arena)
{
    bool ok = true;
    struct str value = arena_dup(arena, str_from_cstr(get_variable(name)), &ok);

    assert_true(ok);
    return value;
}

static int
find(struct arena *arena, struct kaggle_credentials *out, struct error *err)
{
    struct kaggle_settings settings = {get_setting("KAGGLE_API_TOKEN", arena),
                                       get_setting("KAGGLE_USERNAME", arena),
                                       get_setting("KAGGLE_KEY", arena)};

    return kaggle_credentials_find(&settings, get_variable, arena, out, err);
}

static void
write_file(const struct home *home, const char *name, const char *text, mode_t mode)
{
    char path[200];
    char *slash;
    struct error err;

    (void)snprintf(path, sizeof(path), "%s/%s", home->path, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    assert_ok(file_make_dirs(path, &err), err);
    *slash = '/';
    assert_ok(file_write_atomic(path, str_from_cstr(text), &err), err);
    assert_int_equal(chmod(path, mode), 0);
}

static void
open_home(struct home *home)
{
    *home = (struct home){.path = "/tmp/test-kaggle-home-XXXXXX"};
    assert_non_null(mkdtemp(home->path));
}

static void
close_home(const struct home *home)
{
    char command[100];

    (void)snprintf(command, sizeof(command), "rm -r '%s'", home->path);
    assert_int_equal(system(command), 0);
}

struct file_row {
    const char *name;
    const char *text;
};

static const struct {
    const char *what;
    struct variable variables[MAX_VARIABLES];
    struct file_row files[3];
    int rc;
    const char *authorization;
    const char *origin_end;
} rows[] = {
    {"nothing", {{NULL, NULL}}, {{NULL, NULL}}, 0, "", ""},
    {"token",
     {{"KAGGLE_API_TOKEN", " KGAT_abc "}},
     {{NULL, NULL}},
     0,
     "Bearer KGAT_abc",
     "KAGGLE_API_TOKEN"},
    {"path of a token",
     {{"KAGGLE_API_TOKEN", "~/t"}},
     {{"t", "KGAT_file\n"}},
     0,
     "Bearer KGAT_file",
     "/t"},
    {"missing path", {{"KAGGLE_API_TOKEN", "~/none"}}, {{NULL, NULL}}, -ERR_CONFIG, "", ""},
    {"token before files",
     {{"KAGGLE_API_TOKEN", "KGAT_a"}},
     {{".kaggle/access_token", "KGAT_b"}},
     0,
     "Bearer KGAT_a",
     "KAGGLE_API_TOKEN"},
    {"access_token",
     {{"KAGGLE_USERNAME", "u"}, {"KAGGLE_KEY", "k"}},
     {{".kaggle/access_token", "KGAT_b\n"}, {".kaggle/access_token.txt", "KGAT_c"}},
     0,
     "Bearer KGAT_b",
     "/.kaggle/access_token"},
    {"access_token.txt",
     {{NULL, NULL}},
     {{".kaggle/access_token.txt", "KGAT_c\r\n"}},
     0,
     "Bearer KGAT_c",
     "/.kaggle/access_token.txt"},
    {"two lines", {{NULL, NULL}}, {{".kaggle/access_token", "KGAT_a\nX: y"}}, -ERR_CONFIG, "", ""},
    {"empty file", {{NULL, NULL}}, {{".kaggle/access_token", "\n"}}, -ERR_CONFIG, "", ""},
    {"pair",
     {{"KAGGLE_USERNAME", "user"}, {"KAGGLE_KEY", "key"}},
     {{NULL, NULL}},
     0,
     "Basic dXNlcjprZXk=",
     "KAGGLE_USERNAME and KAGGLE_KEY"},
    {"pair, 1 byte more",
     {{"KAGGLE_USERNAME", "user"}, {"KAGGLE_KEY", "keys"}},
     {{NULL, NULL}},
     0,
     "Basic dXNlcjprZXlz",
     "KAGGLE_USERNAME and KAGGLE_KEY"},
    {"pair, 2 bytes more",
     {{"KAGGLE_USERNAME", "user"}, {"KAGGLE_KEY", "keys1"}},
     {{NULL, NULL}},
     0,
     "Basic dXNlcjprZXlzMQ==",
     "KAGGLE_USERNAME and KAGGLE_KEY"},
    {"user with colon",
     {{"KAGGLE_USERNAME", "u:v"}, {"KAGGLE_KEY", "k"}},
     {{NULL, NULL}},
     -ERR_CONFIG,
     "",
     ""},
    {"half a pair", {{"KAGGLE_USERNAME", "user"}}, {{NULL, NULL}}, -ERR_CONFIG, "", ""},
    {"half a pair, file",
     {{"KAGGLE_KEY", "k"}},
     {{".kaggle/kaggle.json", "{\"username\":\"user\",\"key\":\"key\",\"proxy\":1}"}},
     0,
     "Basic dXNlcjprZXk=",
     "/.kaggle/kaggle.json"},
    {"config dir",
     {{"KAGGLE_CONFIG_DIR", "~/c"}},
     {{".kaggle/kaggle.json", "{}"}, {"c/kaggle.json", "{\"username\":\"user\",\"key\":\"key\"}"}},
     0,
     "Basic dXNlcjprZXk=",
     "/c/kaggle.json"},
    {".config",
     {{NULL, NULL}},
     {{".config/kaggle/kaggle.json", "{\"username\":\"user\",\"key\":\"key\"}"}},
     0,
     "Basic dXNlcjprZXk=",
     "/.config/kaggle/kaggle.json"},
    {"XDG",
     {{"XDG_CONFIG_HOME", "~/x"}},
     {{".config/kaggle/kaggle.json", "{}"},
      {"x/kaggle/kaggle.json", "{\"username\":\"user\",\"key\":\"key\"}"}},
     0,
     "Basic dXNlcjprZXk=",
     "/x/kaggle/kaggle.json"},
    {".kaggle is there, so .config is not asked",
     {{NULL, NULL}},
     {{".kaggle/other", ""},
      {".config/kaggle/kaggle.json", "{\"username\":\"user\",\"key\":\"key\"}"}},
     0,
     "",
     ""},
    {"no JSON", {{NULL, NULL}}, {{".kaggle/kaggle.json", "user:key-canary"}}, -ERR_CONFIG, "", ""},
    {"no key",
     {{NULL, NULL}},
     {{".kaggle/kaggle.json", "{\"username\":\"u\"}"}},
     -ERR_CONFIG,
     "",
     ""},
};

static void
test_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(1000000);
        struct kaggle_credentials found = {.origin = STR_INIT("untouched")};
        struct home home;
        struct error err;
        int rc;

        open_home(&home);
        home.variables = rows[i].variables;
        the_home = &home;
        for (size_t k = 0; k < COUNT_OF(rows[i].files) && rows[i].files[k].name; k++)
            write_file(&home, rows[i].files[k].name, rows[i].files[k].text, 0600);
        rc = find(&arena, &found, &err);
        if (rc != rows[i].rc)
            fail_msg("%s: %d (%s)", rows[i].what, rc, rc < 0 ? err.message : "");
        if (rc == 0) {
            assert_str_equal(found.authorization, rows[i].authorization);
            assert_true(str_ends_with(found.origin, str_from_cstr(rows[i].origin_end)));
            assert_false(found.is_exposed);
        } else {
            assert_str_equal(found.origin, "untouched");
            assert_null(strstr(err.message, "canary"));
        }
        arena_fini(&arena);
        close_home(&home);
    }
}

static void
test_exposed_files(void **state)
{
    static const struct variable none[MAX_VARIABLES] = {{NULL, NULL}};
    struct arena arena = ARENA_INIT(1000000);
    struct kaggle_credentials found;
    struct home home;
    struct error err;

    (void)state;
    open_home(&home);
    home.variables = none;
    the_home = &home;
    write_file(&home, ".kaggle/kaggle.json", "{\"username\":\"u\",\"key\":\"k\"}", 0644);
    assert_ok(find(&arena, &found, &err), err);
    assert_true(found.is_exposed);
    arena_fini(&arena);
    close_home(&home);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_exposed_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
