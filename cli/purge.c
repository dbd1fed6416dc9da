/* trawl purge [QUEUE]: throw away what waits. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "celery/broker/broker.h"
#include "cli/safe_text.h"

#define NAMES_ARENA_BYTES ((size_t)16 << 20)

/* Purge one queue, or only count it; n gets the number of messages. */
static int
purge_one(struct broker *broker, struct str queue, bool is_sure, int64_t *n, struct error *err)
{
    struct broker_depth depth;
    int rc;

    if (is_sure)
        return broker_purge(broker, queue, n, err);
    rc = broker_count(broker, queue, &depth, err);
    if (rc == 0)
        *n = depth.n_ready + depth.n_scheduled;
    return rc;
}

static int
purge_all(const struct cli *cli, struct broker *broker, const struct str_list *queues, bool is_sure,
          struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int64_t total = 0;
    int rc = 0;

    json_begin_object(&json);
    json_name(&json, is_sure ? STR("purged") : STR("waiting"));
    json_begin_object(&json);
    for (size_t i = 0; rc == 0 && i < queues->n_items; i++) {
        int64_t n = 0;

        rc = purge_one(broker, queues->items[i], is_sure, &n, err);
        total += n;
        json_member_i64(&json, queues->items[i], n);
        if (rc == 0 && !cli->json) {
            cli_print_safe(queues->items[i], stdout);
            (void)printf(": %" PRId64 " messages %s\n", n, is_sure ? "purged" : "waiting");
        }
    }
    json_end_object(&json);
    json_member_i64(&json, STR("total"), total);
    json_end_object(&json);
    if (rc == 0 && cli->json)
        rc = cli_print(&out, err);
    else if (rc == 0 && total == 0)
        (void)printf("nothing waits\n");
    if (rc == 0 && !is_sure && total > 0)
        rc = error_set(err, ERR_ARGS,
                       "nothing was purged: say --yes to throw %" PRId64 " messages away", total);
    return rc;
}

int
command_purge(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(broker_closep) struct broker *broker = NULL;
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(NAMES_ARENA_BYTES);
    struct broker_options broker_options = {.must_exist = true};
    bool is_sure = false;
    struct cli_words words;
    struct str_list queues = {NULL, 0};
    const struct cli_option options[] = {
        CLI_OPTION_FLAG("yes", &is_sure, "do it; without, only count"),
        CLI_OPTIONS_END,
    };
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 1, err);
    if (rc != 0)
        return rc;
    if (words.n_items == 1)
        queues = (struct str_list){words.items, 1};
    rc = broker_open(config_get(cli->config, CONFIG_BROKER_URL), &broker_options, &broker, err);
    if (rc == -ERR_NOT_FOUND) /* nothing was ever sent */
        return purge_all(cli, NULL, &(struct str_list){NULL, 0}, is_sure, err);
    if (rc == 0 && queues.n_items == 0)
        rc = broker_list_queues(broker, &arena, &queues, err);
    return rc < 0 ? rc : purge_all(cli, broker, &queues, is_sure, err);
}
