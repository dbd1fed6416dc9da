/* trawl dead: messages that no worker could run, with the reason and their raw bytes. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/number.h"
#include "base/timestamp.h"
#include "celery/broker/broker.h"
#include "celery/codec_base64.h"
#include "celery/message.h"
#include "cli/safe_text.h"

#define DEAD_ARENA_BYTES ((size_t)256 << 20)
#define SHOWN_BYTES      ((size_t)4096) /* of a message as text; --json has all */
#define LIST_MAX         10000

static void
write_common(struct json_writer *json, const struct broker_dead *dead)
{
    char text[TIMESTAMP_TEXT_BYTES];

    json_member_i64(json, STR("dead_id"), dead->dead_id);
    json_member_str(json, STR("queue"), dead->queue);
    json_member_str(json, STR("task_id"), dead->id);
    json_member_str(json, STR("reason"), dead->reason);
    json_member_i64(json, STR("n_bytes"), (int64_t)dead->n_bytes);
    json_member_i64(json, STR("priority"), dead->priority);
    json_member_i64(json, STR("attempt"), dead->attempt);
    json_member_i64(json, STR("n_crashes"), dead->n_crashes);
    json_member_str(json, STR("died_at"), str_from_cstr(timestamp_format(dead->died_us, text)));
}

static void
print_row(const struct cli *cli, const struct broker_dead *dead)
{
    char when[TIMESTAMP_TEXT_BYTES];

    (void)printf("%s%5" PRId64 "%s  %s  ", cli_bold(cli), dead->dead_id, cli_reset(cli),
                 timestamp_format(dead->died_us, when));
    cli_print_safe(dead->queue, stdout);
    (void)printf("  ");
    cli_print_safe(dead->id.len ? dead->id : STR("-"), stdout);
    (void)printf("  ");
    cli_print_safe(dead->reason, stdout);
    (void)putchar('\n');
}

static int
list_dead(const struct cli *cli, struct broker *broker, struct str queue, int64_t limit,
          struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(DEAD_ARENA_BYTES);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    struct broker_dead_list list = {NULL, 0};
    int rc = 0;

    if (broker)
        rc = broker_list_dead(broker, queue, 0, (size_t)limit, &arena, &list, err);
    if (rc < 0)
        return rc;
    json_begin_array(&json);
    for (size_t i = 0; i < list.n_items; i++) {
        if (!cli->json) {
            print_row(cli, &list.items[i]);
            continue;
        }
        json_begin_object(&json);
        write_common(&json, &list.items[i]);
        json_end_object(&json);
    }
    json_end_array(&json);
    if (cli->json)
        return cli_print(&out, err);
    if (list.n_items == 0)
        (void)printf("no dead messages\n");
    return 0;
}

static int
show_json(const struct broker_dead *dead, const struct celery_message *message, struct error *err)
{
    CLEANUP(buf_fini) struct buf base64 = BUF_INIT(CLI_OUTPUT_BYTES);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int rc;

    celery_base64_append(&base64, dead->bytes);
    rc = buf_status(&base64, err);
    if (rc < 0)
        return rc;
    json_begin_object(&json);
    write_common(&json, dead);
    json_member_str(&json, STR("task"), message->task);
    json_name(&json, STR("args"));
    json_raw(&json, message->args.ptr ? message->args : STR("null"));
    json_name(&json, STR("kwargs"));
    json_raw(&json, message->kwargs.ptr ? message->kwargs : STR("null"));
    json_member_str(&json, STR("bytes_base64"), buf_str(&base64));
    json_end_object(&json);
    return cli_print(&out, err);
}

static void
print_field(const char *name, struct str value)
{
    (void)printf("%-10s", name);
    cli_print_safe(value.len ? value : STR("-"), stdout);
    (void)putchar('\n');
}

static void
show_text(const struct broker_dead *dead, const struct celery_message *message)
{
    char when[TIMESTAMP_TEXT_BYTES];

    (void)printf("%-10s%" PRId64 "\n", "dead_id", dead->dead_id);
    print_field("reason", dead->reason);
    print_field("died", str_from_cstr(timestamp_format(dead->died_us, when)));
    print_field("queue", dead->queue);
    print_field("task_id", dead->id);
    print_field("task", message->task);
    print_field("args", str_slice(message->args, 0, SHOWN_BYTES));
    print_field("kwargs", str_slice(message->kwargs, 0, SHOWN_BYTES));
    (void)printf("%-10s%" PRIu32 ", crashes %" PRIu32 "\n%-10s", "attempts", dead->attempt,
                 dead->n_crashes, "bytes");
    cli_print_safe(str_slice(dead->bytes, 0, SHOWN_BYTES), stdout);
    if (dead->bytes.len > SHOWN_BYTES)
        (void)printf(" ... (%zu bytes in all; --json shows them)", dead->bytes.len);
    (void)putchar('\n');
}

static int
show_dead(const struct cli *cli, struct broker *broker, int64_t dead_id, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(DEAD_ARENA_BYTES);
    struct celery_message message = {.task = STR_NULL};
    struct broker_dead dead;
    int rc = broker_get_dead(broker, dead_id, &arena, &dead, err);

    if (rc < 0)
        return rc;
    /* Most are here because they cannot be read: then the bytes have to do. */
    error_ignore(celery_message_decode_envelope(dead.bytes, NULL, &arena, &message, NULL, NULL));
    if (cli->json)
        return show_json(&dead, &message, err);
    show_text(&dead, &message);
    return 0;
}

static int
report(const struct cli *cli, int64_t dead_id, const char *what, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&out);

    if (cli->json) {
        json_begin_object(&json);
        json_member_i64(&json, STR("dead_id"), dead_id);
        json_member_str(&json, STR("done"), str_from_cstr(what));
        json_end_object(&json);
    } else {
        buf_printf(&out, "dead message %" PRId64 " %s", dead_id, what);
    }
    return cli_print(&out, err);
}

static int
requeue_dead(const struct cli *cli, struct broker *broker, int64_t dead_id, struct error *err)
{
    int rc = broker_requeue_dead(broker, dead_id, err);

    return rc < 0 ? rc : report(cli, dead_id, "requeued", err);
}

static int
drop_dead(const struct cli *cli, struct broker *broker, int64_t dead_id, struct error *err)
{
    int rc = broker_drop_dead(broker, dead_id, err);

    return rc < 0 ? rc : report(cli, dead_id, "dropped", err);
}

static const struct {
    struct str name;
    int (*run)(const struct cli *cli, struct broker *broker, int64_t dead_id, struct error *err);
} actions[] = {
    {STR_INIT("show"), show_dead},
    {STR_INIT("requeue"), requeue_dead},
    {STR_INIT("drop"), drop_dead},
};

/* Which action, and on which message; COUNT_OF(actions) stands for the list. */
static int
read_words(const struct cli *cli, const struct cli_words *words, size_t *action, int64_t *dead_id,
           struct error *err)
{
    if (words->n_items && str_equal(words->items[0], STR("list"))) {
        *action = COUNT_OF(actions);
        return cli_expect_words(cli, words, 1, 1, err);
    }
    for (size_t i = 0; words->n_items && i < COUNT_OF(actions); i++) {
        int rc;

        if (!str_equal(words->items[0], actions[i].name))
            continue;
        rc = cli_expect_words(cli, words, 2, 2, err);
        if (rc < 0)
            return rc;
        if (number_parse_i64(words->items[1], dead_id, NULL) < 0 || *dead_id < 1)
            return error_set(err, ERR_ARGS,
                             "'%.*s' is no number of a dead message: 'trawl dead list' shows them",
                             STR_ARG(str_slice(words->items[1], 0, 64)));
        *action = i;
        return 0;
    }
    if (words->n_items)
        return error_set(err, ERR_ARGS, "'dead %.*s' is unknown: use list, show, requeue or drop",
                         STR_ARG(str_slice(words->items[0], 0, 64)));
    return cli_expect_words(cli, words, 1, 2, err);
}

int
command_dead(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(broker_closep) struct broker *broker = NULL;
    struct broker_options broker_options = {.must_exist = true};
    struct str queue = STR_NULL;
    int64_t limit = 100;
    int64_t dead_id = 0;
    size_t action = 0;
    struct cli_words words;
    const struct cli_option options[] = {
        CLI_OPTION_TEXT("queue", "Q", &queue, "list: of that queue only"),
        CLI_OPTION_WHOLE("limit", "N", &limit, 1, LIST_MAX, "list: rows at most (100)"),
        CLI_OPTIONS_END,
    };
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = read_words(cli, &words, &action, &dead_id, err);
    if (rc != 0)
        return rc;
    rc = broker_open(config_get(cli->config, CONFIG_BROKER_URL), &broker_options, &broker, err);
    if (rc < 0 && rc != -ERR_NOT_FOUND)
        return rc;
    if (action == COUNT_OF(actions)) /* a broker that is not there yet has no dead ones */
        return list_dead(cli, broker, queue, limit, err);
    if (!broker)
        return error_set(err, ERR_NOT_FOUND, "there is no dead message %" PRId64, dead_id);
    return actions[action].run(cli, broker, dead_id, err);
}
