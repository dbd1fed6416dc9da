/* trawl config show */

#include "cli/commands.h"

#include <stdio.h>

static struct str
shown_value(const struct cli *cli, enum config_key key)
{
    struct str value = config_get(cli->config, key);

    return config_is_secret(key) && value.len ? STR("***") : value;
}

static int
print_json(const struct cli *cli, struct error *err)
{
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int rc;

    json_begin_object(&json);
    for (size_t i = 0; i < CONFIG_N_KEYS; i++) {
        enum config_key key = (enum config_key)i;

        json_name(&json, str_from_cstr(config_name(key)));
        json_begin_object(&json);
        json_member_str(&json, STR("value"), shown_value(cli, key));
        json_member_str(&json, STR("origin"), config_origin(cli->config, key));
        json_end_object(&json);
    }
    json_end_object(&json);
    rc = cli_print(&out, err);
    buf_fini(&out);
    return rc;
}

static void
print_text(const struct cli *cli)
{
    struct str yaml = config_yaml_path(cli->config);

    (void)printf("%ssettings file: %.*s%s\n", cli_dim(cli),
                 STR_ARG(yaml.ptr ? yaml : STR("none found")), cli_reset(cli));
    for (size_t i = 0; i < CONFIG_N_KEYS; i++) {
        enum config_key key = (enum config_key)i;
        struct str value = shown_value(cli, key);

        (void)printf("%-24s %.*s  %s(%.*s)%s\n", config_name(key),
                     STR_ARG(value.len ? value : STR("-")), cli_dim(cli),
                     STR_ARG(config_origin(cli->config, key)), cli_reset(cli));
    }
}

int
command_config(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct cli_words words;
    int rc = cli_parse(cli, NULL, argc, argv, &words, err);

    if (rc != 0)
        return rc;
    rc = cli_expect_words(cli, &words, 1, 1, err);
    if (rc < 0)
        return rc;
    if (!str_equal(words.items[0], STR("show")))
        return error_set(err, ERR_ARGS, "'config %.*s' is unknown: use 'trawl config show'",
                         STR_ARG(words.items[0]));
    if (cli->json)
        return print_json(cli, err);
    print_text(cli);
    return 0;
}
