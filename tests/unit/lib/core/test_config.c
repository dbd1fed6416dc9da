/* lib/core/: config, config_file. */

#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "lib/core/config.h"
#include "lib/core/config_file.h"

static void
test_parse_dotenv(void **state)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct config_pairs pairs;
    struct error err;

    (void)state;
    assert_ok(config_parse_dotenv(STR("# comment\nHF_TOKEN=hf_x\nexport A = 'b # c'\nB=\"d\" \n"
                                      "C=e # f\nnothing\n=x\nD="),
                                  &arena, &pairs, &err),
              err);
    assert_int_equal(pairs.n_items, 5);
    assert_str_equal(pairs.items[0].value, "hf_x");
    assert_str_equal(pairs.items[1].name, "A");
    assert_str_equal(pairs.items[1].value, "b # c");
    assert_str_equal(pairs.items[2].value, "d");
    assert_str_equal(pairs.items[3].value, "e");
    assert_str_equal(pairs.items[4].value, "");
    arena_fini(&arena);
}

static void
test_parse_yaml(void **state)
{
    static const struct {
        const char *text;
        const char *outcome; /* "name=value@line;" for all, or the error */
    } rows[] = {
        {"", ""},
        {"# nothing\n", ""},
        {"data_dir: /x\nlog:\n  level: debug\n  format: json\n",
         "data_dir=/x@1;log.level=debug@3;log.format=json@4;"},
        {"a: 1\na: 2\n", "f.yaml:2: a is already set in line 1"},
        {"a: [1]\n", "f.yaml:1: a must be a single value, not a list"},
        {"- a\n", "f.yaml: settings must be 'name: value' lines"},
        {"a: 'b\n", "f.yaml:2: found unexpected end of stream"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(1 << 20);
        struct buf seen = BUF_INIT(1000);
        struct config_pairs pairs;
        struct error err;

        if (config_parse_yaml(str_from_cstr(rows[i].text), "f.yaml", &arena, &pairs, &err) == 0) {
            for (size_t p = 0; p < pairs.n_items; p++)
                buf_printf(&seen, "%.*s=%.*s@%zu;", STR_ARG(pairs.items[p].name),
                           STR_ARG(pairs.items[p].value), pairs.items[p].line);
        } else {
            buf_printf(&seen, "%s", err.message);
        }
        assert_string_equal(buf_cstr(&seen), rows[i].outcome);
        buf_fini(&seen);
        arena_fini(&arena);
    }
}

static const char *
fake_env(const char *name)
{
    static const struct {
        const char *name;
        const char *value;
    } rows[] = {
        {"HOME", "/home/ann"},
        {"HUGGING_FACE_HUB_TOKEN", "from-legacy-name"},
        {"HF_ENDPOINT", "http://env"},
        {"TRAWL_LOG_LEVEL", ""}, /* empty counts as not set */
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(name, rows[i].name) == 0)
            return rows[i].value;
    }
    return NULL;
}

static void
write_file(const char *dir, const char *name, const char *text, char path[64])
{
    struct error err;

    (void)snprintf(path, 64, "%s/%s", dir, name);
    assert_ok(file_write_atomic(path, str_from_cstr(text), &err), err);
}

static void
test_precedence(void **state)
{
    char dir[] = "/tmp/trawl-config-XXXXXX";
    char yaml[64];
    char dotenv[64];
    struct config *config;
    struct config_flag flags[] = {{CONFIG_HF_ENDPOINT, STR("http://flag")}};
    struct config_options options = {.get_env = fake_env, .yaml_path = yaml, .dotenv_path = dotenv};
    int64_t threads = 0;
    struct error err;

    (void)state;
    assert_non_null(mkdtemp(dir));
    write_file(dir, "t.yaml",
               "huggingface:\n  endpoint: http://yaml\nlog:\n  level: debug\n"
               "embedding:\n  threads: many\nkaggle:\n  username: y\n",
               yaml);
    write_file(dir, ".env", "HF_ENDPOINT=http://dotenv\nKAGGLE_USERNAME=d\n", dotenv);

    assert_ok(config_create(&options, &config, &err), err);
    assert_str_equal(config_get(config, CONFIG_HF_ENDPOINT), "http://env");
    assert_str_equal(config_origin(config, CONFIG_HF_ENDPOINT), "environment HF_ENDPOINT");
    assert_str_equal(config_get(config, CONFIG_HF_TOKEN), "from-legacy-name");
    assert_str_equal(config_get(config, CONFIG_KAGGLE_USERNAME), "d");
    assert_str_equal(config_origin(config, CONFIG_KAGGLE_USERNAME), ".env KAGGLE_USERNAME");
    assert_str_equal(config_get(config, CONFIG_LOG_LEVEL), "debug");
    assert_true(str_ends_with(config_origin(config, CONFIG_LOG_LEVEL), STR("t.yaml:4")));
    assert_str_equal(config_get(config, CONFIG_DATA_DIR), "/home/ann/.local/share/trawl");
    assert_str_equal(config_get(config, CONFIG_DATABASE_URL),
                     "sqlite:////home/ann/.local/share/trawl/trawl.db");
    assert_str_equal(config_origin(config, CONFIG_DATABASE_URL), "default");
    assert_int_equal(config_get_i64(config, CONFIG_EMBEDDING_THREADS, 0, 64, &threads, &err),
                     -ERR_CONFIG);
    assert_true(str_starts_with(str_from_cstr(err.message),
                                STR("embedding.threads must be a whole number from 0 to 64, got "
                                    "'many' (from ")));
    config_free(config);

    options.flags = flags;
    options.n_flags = 1;
    assert_ok(config_create(&options, &config, &err), err);
    assert_str_equal(config_get(config, CONFIG_HF_ENDPOINT), "http://flag");
    assert_str_equal(config_origin(config, CONFIG_HF_ENDPOINT), "flag");
    config_free(config);

    write_file(dir, "t.yaml", "\nlog:\n  levle: debug\n", yaml);
    assert_int_equal(config_create(&options, &config, &err), -ERR_CONFIG);
    assert_true(str_ends_with(str_from_cstr(err.message),
                              STR("t.yaml:3: setting 'log.levle' is unknown: did you mean "
                                  "'log.level'? ('trawl config show' lists all)")));
    (void)unlink(yaml);
    assert_int_equal(config_create(&options, &config, &err), -ERR_CONFIG);
    (void)unlink(dotenv);
    (void)rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_dotenv),
        cmocka_unit_test(test_parse_yaml),
        cmocka_unit_test(test_precedence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
