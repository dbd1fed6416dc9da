/* trawl config show */

#include "cli/commands.h"

#include <stdio.h>

#include "celery/control/url.h"
#include "cli/beat.h"
#include "lib/core/config_file.h"

/* Without what is secret of it; text is the caller's buffer, used for some. */
static struct str
shown_value(const struct cli *cli, enum config_key key, struct buf *text)
{
    struct str value = config_get(cli->config, key);

    if (value.len == 0 || config_is_secret(key))
        return value.len ? STR("***") : value;
    buf_clear(text);
    control_url_mask(value, text);
    return buf_str(text);
}

/* The schedule is no single value: where it comes from, and how many entries it has. */
struct schedule_summary {
    size_t n_rows;
    char origin[512];
};

static int
summarize_schedule(const struct cli *cli, struct schedule_summary *out, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(CLI_SCHEDULE_BYTES);
    const struct config_node *node = config_schedule(cli->config);
    struct schedule_table table;
    int rc = cli_schedule_load(cli, &arena, &table, err);

    if (rc < 0)
        return rc;
    out->n_rows = table.n_rows;
    if (node)
        (void)snprintf(out->origin, sizeof(out->origin), "%.*s:%zu",
                       STR_ARG(config_yaml_path(cli->config)), node->line);
    else
        (void)snprintf(out->origin, sizeof(out->origin), "default");
    return 0;
}

static int
print_json(const struct cli *cli, const struct schedule_summary *schedule, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(CLI_OUTPUT_BYTES);
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int rc;

    json_begin_object(&json);
    for (size_t i = 0; i < CONFIG_N_KEYS; i++) {
        enum config_key key = (enum config_key)i;

        json_name(&json, str_from_cstr(config_name(key)));
        json_begin_object(&json);
        json_member_str(&json, STR("value"), shown_value(cli, key, &text));
        json_member_str(&json, STR("origin"), config_origin(cli->config, key));
        json_end_object(&json);
    }
    json_name(&json, STR(CONFIG_SCHEDULE_NAME));
    json_begin_object(&json);
    json_name(&json, STR("value"));
    json_i64(&json, (int64_t)schedule->n_rows); /* entries */
    json_member_str(&json, STR("origin"), str_from_cstr(schedule->origin));
    json_end_object(&json);
    json_end_object(&json);
    rc = cli_print(&out, err);
    buf_fini(&out);
    return rc;
}

static void
print_text(const struct cli *cli, const struct schedule_summary *schedule)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(CLI_OUTPUT_BYTES);
    struct str yaml = config_yaml_path(cli->config);

    (void)printf("%ssettings file: %.*s%s\n", cli_dim(cli),
                 STR_ARG(yaml.ptr ? yaml : STR("none found")), cli_reset(cli));
    for (size_t i = 0; i < CONFIG_N_KEYS; i++) {
        enum config_key key = (enum config_key)i;
        struct str value = shown_value(cli, key, &text);

        (void)printf("%-24s %.*s  %s(%.*s)%s\n", config_name(key),
                     STR_ARG(value.len ? value : STR("-")), cli_dim(cli),
                     STR_ARG(config_origin(cli->config, key)), cli_reset(cli));
    }
    (void)printf("%-24s %zu entries, see 'trawl beat --dry-run'  %s(%s)%s\n", CONFIG_SCHEDULE_NAME,
                 schedule->n_rows, cli_dim(cli), schedule->origin, cli_reset(cli));
}

int
command_config(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct schedule_summary schedule;
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
    rc = summarize_schedule(cli, &schedule, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        return print_json(cli, &schedule, err);
    print_text(cli, &schedule);
    return 0;
}
