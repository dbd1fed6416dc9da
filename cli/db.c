/* trawl db migrate|check */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/core/catalogue_schema.h"

static int
report_state(const struct cli *cli, const char *what, int64_t version, int64_t n_applied,
             struct error *err)
{
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int rc;

    if (cli->json) {
        json_begin_object(&json);
        json_member_str(&json, STR("database"), config_get(cli->config, CONFIG_DATABASE_URL));
        json_member_i64(&json, STR("schema_version"), version);
        json_member_i64(&json, STR("applied"), n_applied);
        json_member_bool(&json, STR("ok"), true);
        json_end_object(&json);
    } else {
        buf_printf(&out, "%.*s: %s (schema version %" PRId64 ")",
                   STR_ARG(config_get(cli->config, CONFIG_DATABASE_URL)), what, version);
    }
    rc = cli_print(&out, err);
    buf_fini(&out);
    return rc;
}

static int
migrate(struct cli *cli, struct error *err)
{
    struct database_options options = {.schema = &catalogue_schema, .may_create = true};
    struct database *database = NULL;
    int64_t version = 0;
    int n_applied = 0;
    int rc = database_open(config_get(cli->config, CONFIG_DATABASE_URL), &options, &database, err);

    if (rc == 0)
        rc = database_migrate(database, &n_applied, err);
    if (rc == 0)
        rc = database_schema_version(database, &version, err);
    database_close(database);
    if (rc < 0)
        return rc;
    return report_state(cli, n_applied ? "migrated" : "up to date", version, n_applied, err);
}

static int
check(struct cli *cli, struct error *err)
{
    struct database_options options = {.schema = &catalogue_schema};
    struct database *database = NULL;
    int64_t version = 0;
    int rc = database_open(config_get(cli->config, CONFIG_DATABASE_URL), &options, &database, err);

    if (rc == 0)
        rc = database_check(database, err);
    if (rc == 0)
        rc = database_schema_version(database, &version, err);
    database_close(database);
    return rc < 0 ? rc : report_state(cli, "whole", version, 0, err);
}

int
command_db(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct cli_words words;
    int rc = cli_parse(cli, NULL, argc, argv, &words, err);

    if (rc != 0)
        return rc;
    rc = cli_expect_words(cli, &words, 1, 1, err);
    if (rc < 0)
        return rc;
    if (str_equal(words.items[0], STR("migrate")))
        return migrate(cli, err);
    if (str_equal(words.items[0], STR("check")))
        return check(cli, err);
    return error_set(err, ERR_ARGS, "'db %.*s' is unknown: use migrate or check",
                     STR_ARG(words.items[0]));
}
