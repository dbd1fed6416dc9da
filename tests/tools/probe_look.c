/* probe depth, inject, states: what a ledger needs beside trawl's own commands. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "celery/backend/result.h"
#include "celery/broker/broker.h"
#include "celery/client.h"
#include "cli/task_result.h"
#include "tests/tools/probe.h"

#define ARENA_BYTES   ((size_t)256 << 20)
#define MESSAGE_BYTES ((size_t)256 << 20)
#define DEAD_PAGE     ((size_t)1000)

static int
count_dead(struct broker *broker, struct str queue, int64_t *out, struct error *err)
{
    struct broker_dead_list list;
    int64_t after_id = 0;
    int rc = 0;

    *out = 0;
    do {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);

        rc = broker_list_dead(broker, queue, after_id, DEAD_PAGE, &arena, &list, err);
        if (rc == 0 && list.n_items)
            after_id = list.items[list.n_items - 1].dead_id;
        if (rc == 0)
            *out += (int64_t)list.n_items;
    } while (rc == 0 && list.n_items == DEAD_PAGE);
    return rc;
}

int
probe_command_depth(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(broker_closep) struct broker *broker = NULL;
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct broker_options options = {.must_exist = true, .max_open_us = 2 * US_PER_S};
    struct json_writer json = JSON_WRITER_INIT(&out);
    struct broker_depth depth = {0};
    int64_t n_dead = 0;
    struct cli_words words;
    struct str queue;
    int rc = cli_parse(cli, NULL, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 1, err);
    if (rc != 0)
        return rc;
    queue = words.n_items ? words.items[0] : STR(CELERY_DEFAULT_QUEUE);
    rc = broker_open(config_get(cli->config, CONFIG_BROKER_URL), &options, &broker, err);
    if (rc == 0)
        rc = broker_count(broker, queue, &depth, err);
    if (rc == 0)
        rc = count_dead(broker, queue, &n_dead, err);
    if (rc < 0 && rc != -ERR_NOT_FOUND) /* no broker yet: nothing waits */
        return rc;
    json_begin_object(&json);
    json_member_i64(&json, STR("ready"), depth.n_ready);
    json_member_i64(&json, STR("scheduled"), depth.n_scheduled);
    json_member_i64(&json, STR("claimed"), depth.n_claimed);
    json_member_i64(&json, STR("dead"), n_dead);
    json_end_object(&json);
    return cli_print(&out, err);
}

static int
read_file(const char *path, struct buf *out, struct error *err)
{
    FILE *file = fopen(path, "re");
    size_t n;
    int rc = 0;

    if (!file)
        return error_set_errno(err, "cannot open '%s'", path);
    do {
        char *room = buf_reserve(out, 65536);

        n = room ? fread(room, 1, 65536, file) : 0;
        if (n)
            buf_commit(out, n);
    } while (n > 0);
    if (ferror(file))
        rc = error_set_errno(err, "cannot read '%s'", path);
    (void)fclose(file);
    return rc < 0 ? rc : buf_status(out, err);
}

static void
on_completed(void *context, const struct broker_completion *completion)
{
    struct broker_completion *last = context;

    *last = *completion;
    last->err = NULL;
}

int
probe_command_inject(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(broker_closep) struct broker *broker = NULL;
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(MESSAGE_BYTES);
    struct broker_completion last = {.outcome = BROKER_FAILED};
    struct broker_options broker_options = {
        .listener = {.completed = on_completed, .context = &last},
        .max_message_bytes = MESSAGE_BYTES,
        .max_pending_bytes = 2 * MESSAGE_BYTES,
    };
    struct broker_message message = {
        .queue = STR(CELERY_DEFAULT_QUEUE), .eta_us = TIME_UNKNOWN, .expires_us = TIME_UNKNOWN};
    const struct cli_option options[] = {
        CLI_OPTION_TEXT("queue", "Q", &message.queue, "where it waits (celery)"),
        CLI_OPTION_TEXT("id", "ID", &message.id, "of the task, for lists"),
        CLI_OPTIONS_END,
    };
    struct cli_words words;
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, 1, err);
    if (rc == 0)
        rc = read_file(words.items[0].ptr, &bytes, err);
    if (rc == 0)
        rc = broker_open(config_get(cli->config, CONFIG_BROKER_URL), &broker_options, &broker, err);
    message.bytes = buf_str(&bytes);
    if (rc == 0)
        rc = broker_publish(broker, &message, NULL, err);
    if (rc == 0)
        rc = broker_flush(broker, 10 * US_PER_S, err);
    if (rc == 0 && last.outcome != BROKER_DONE)
        rc = error_set(err, ERR_IO, "the broker did not take the message");
    return rc;
}

struct state_counts {
    int64_t items[RESULT_SUCCESS + 1];
};

static int
count_states(struct celery_client *client, struct str ids, struct state_counts *out,
             struct error *err)
{
    struct str id;
    int rc = 0;

    while (rc == 0 && str_split(&ids, '\n', &id)) {
        CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct result result;

        if (!id.len)
            continue;
        rc = celery_client_get(client, id, &arena, &result, err);
        if (rc == 0)
            out->items[result_state_of(result.status)]++;
    }
    return rc;
}

int
probe_command_states(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(celery_client_freep) struct celery_client *client = NULL;
    CLEANUP(buf_fini) struct buf ids = BUF_INIT(MESSAGE_BYTES);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&out);
    struct state_counts counts = {{0}};
    struct cli_words words;
    int rc = cli_parse(cli, NULL, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, 1, err);
    if (rc == 0)
        rc = read_file(words.items[0].ptr, &ids, err);
    if (rc == 0)
        rc = cli_client_create(cli, &client, err);
    if (rc == 0)
        rc = count_states(client, buf_str(&ids), &counts, err);
    if (rc != 0)
        return rc;
    json_begin_object(&json);
    for (size_t i = 0; i < COUNT_OF(counts.items); i++) {
        if (counts.items[i])
            json_member_i64(&json, result_state_name((enum result_state)i), counts.items[i]);
    }
    json_end_object(&json);
    return cli_print(&out, err);
}
