/* trawl queue: what waits where, and whether anybody takes from there. */

#include "cli/commands.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/timestamp.h"
#include "celery/broker/broker.h"
#include "cli/safe_text.h"

#define NAMES_ARENA_BYTES ((size_t)32 << 20)
#define WHO_BYTES         256

struct queue_values {
    struct str why;
    struct str who;
};

/* "kim@host". */
static struct str
name_user(char text[WHO_BYTES])
{
    const struct passwd *user = getpwuid(getuid()); /* NOLINT: one thread */
    char host[128] = "localhost";

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(text, WHO_BYTES, "%.100s@%.120s", user ? user->pw_name : "?", host);
    return str_from_cstr(text);
}

static const struct broker_pause *
find_pause(const struct broker_pause_list *list, struct str queue)
{
    for (size_t i = 0; i < list->n_items; i++)
        if (str_equal(list->items[i].queue, queue))
            return &list->items[i];
    return NULL;
}

static void
write_queue(struct json_writer *json, struct str queue, const struct broker_depth *depth,
            const struct broker_pause *pause)
{
    char when[TIMESTAMP_TEXT_BYTES];

    json_begin_object(json);
    json_member_str(json, STR("queue"), queue);
    json_member_i64(json, STR("ready"), depth->n_ready);
    json_member_i64(json, STR("scheduled"), depth->n_scheduled);
    json_member_i64(json, STR("claimed"), depth->n_claimed);
    json_member_bool(json, STR("paused"), pause != NULL);
    if (pause) {
        json_member_str(json, STR("paused_since"),
                        str_from_cstr(timestamp_format(pause->since_us, when)));
        json_member_str(json, STR("paused_by"), pause->who);
        json_member_str(json, STR("reason"), pause->why);
    }
    json_end_object(json);
}

static void
print_queue(struct str queue, const struct broker_depth *depth, const struct broker_pause *pause)
{
    char when[TIMESTAMP_TEXT_BYTES];

    (void)printf("%9" PRId64 " %9" PRId64 " %9" PRId64 "  ", depth->n_ready, depth->n_scheduled,
                 depth->n_claimed);
    cli_print_safe(queue, stdout);
    if (pause) {
        (void)printf("  paused since %s by ", timestamp_format(pause->since_us, when));
        cli_print_safe(pause->who, stdout);
        (void)printf("%s", pause->why.len > 0 ? ": " : "");
        cli_print_safe(pause->why, stdout);
    }
    (void)putchar('\n');
}

static int
print_queues(const struct cli *cli, struct broker *broker, const struct str_list *queues,
             const struct broker_pause_list *paused, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    int rc = 0;

    if (!cli->json && queues->n_items > 0)
        (void)printf("%s    ready   waiting   claimed  queue%s\n", cli_dim(cli), cli_reset(cli));
    json_begin_array(&json);
    for (size_t i = 0; rc == 0 && i < queues->n_items; i++) {
        const struct broker_pause *pause = find_pause(paused, queues->items[i]);
        struct broker_depth depth;

        rc = broker_count(broker, queues->items[i], &depth, err);
        if (rc == 0 && cli->json)
            write_queue(&json, queues->items[i], &depth, pause);
        else if (rc == 0)
            print_queue(queues->items[i], &depth, pause);
    }
    json_end_array(&json);
    return rc == 0 && cli->json ? cli_print(&out, err) : rc;
}

/* Those that were used, and those that are paused before they are. */
static int
join_names(const struct str_list *known, const struct broker_pause_list *paused,
           struct arena *arena, struct str_list *out, struct error *err)
{
    size_t n_room = known->n_items + paused->n_items;
    struct str *names = arena_calloc(arena, n_room, sizeof(*names));
    size_t n = known->n_items;

    if (!names)
        return error_set(err, ERR_NOMEM, "no memory for the names of %zu queues", n_room);
    if (n > 0)
        (void)memcpy(names, known->items, n * sizeof(*names));
    for (size_t i = 0; i < paused->n_items; i++) {
        bool is_known = false;

        for (size_t k = 0; k < known->n_items && !is_known; k++)
            is_known = str_equal(known->items[k], paused->items[i].queue);
        if (!is_known)
            names[n++] = paused->items[i].queue;
    }
    *out = (struct str_list){names, n};
    return 0;
}

static int
list_queues(const struct cli *cli, struct broker *broker, struct str only, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(NAMES_ARENA_BYTES);
    struct broker_pause_list paused = {NULL, 0};
    struct str_list known = {NULL, 0};
    struct str_list queues = {&only, 1};
    int rc = 0;

    if (!broker) /* nothing was ever sent */
        return print_queues(cli, NULL, &known, &paused, err);
    rc = broker_list_paused(broker, &arena, &paused, err);
    if (rc == 0 && !only.ptr)
        rc = broker_list_queues(broker, &arena, &known, err);
    if (rc == 0 && !only.ptr)
        rc = join_names(&known, &paused, &arena, &queues, err);
    return rc < 0 ? rc : print_queues(cli, broker, &queues, &paused, err);
}

static int
report(const struct cli *cli, struct str queue, bool is_paused, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&out);

    if (cli->json) {
        json_begin_object(&json);
        json_member_str(&json, STR("queue"), queue);
        json_member_bool(&json, STR("paused"), is_paused);
        json_end_object(&json);
    } else {
        buf_printf(&out, "queue %.*s is %s", STR_ARG(queue), is_paused ? "paused" : "resumed");
    }
    return cli_print(&out, err);
}

static int
pause_queue(const struct cli *cli, struct broker *broker, struct str queue,
            const struct queue_values *values, struct error *err)
{
    char who[WHO_BYTES];
    const struct broker_pause pause = {
        .queue = queue,
        .who = values->who.ptr ? values->who : name_user(who),
        .why = values->why,
    };
    int rc = broker_pause_queue(broker, &pause, err);

    return rc < 0 ? rc : report(cli, queue, true, err);
}

static int
resume_queue(const struct cli *cli, struct broker *broker, struct str queue, struct error *err)
{
    int rc = broker_resume_queue(broker, queue, err);

    return rc < 0 ? rc : report(cli, queue, false, err);
}

static int
check_words(const struct cli *cli, const struct cli_words *words, struct error *err)
{
    static const struct str actions[] = {STR_INIT("list"), STR_INIT("pause"), STR_INIT("resume")};

    for (size_t i = 0; words->n_items > 0 && i < COUNT_OF(actions); i++)
        if (str_equal(words->items[0], actions[i]))
            return cli_expect_words(cli, words, i == 0 ? 1 : 2, 2, err);
    if (words->n_items > 0)
        return error_set(err, ERR_ARGS, "'queue %.*s' is unknown: use list, pause or resume",
                         STR_ARG(str_slice(words->items[0], 0, 64)));
    return cli_expect_words(cli, words, 1, 2, err);
}

int
command_queue(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(broker_closep) struct broker *broker = NULL;
    struct broker_options options = {.must_exist = true};
    struct queue_values values = {STR_NULL, STR_NULL};
    struct cli_words words;
    const struct cli_option table[] = {
        CLI_OPTION_TEXT("why", "TEXT", &values.why, "pause: the reason, for those who wonder"),
        CLI_OPTION_TEXT("who", "NAME", &values.who, "pause: instead of user@host"),
        CLI_OPTIONS_END,
    };
    bool is_list;
    struct str queue;
    int rc = cli_parse(cli, table, argc, argv, &words, err);

    if (rc == 0)
        rc = check_words(cli, &words, err);
    if (rc != 0)
        return rc;
    is_list = str_equal(words.items[0], STR("list"));
    queue = words.n_items > 1 ? words.items[1] : STR_NULL;
    options.must_exist =
        !str_equal(words.items[0], STR("pause")); /* before anything is sent, too */
    rc = broker_open(config_get(cli->config, CONFIG_BROKER_URL), &options, &broker, err);
    if (rc < 0 && !(is_list && rc == -ERR_NOT_FOUND))
        return rc;
    if (is_list)
        return list_queues(cli, broker, queue, err);
    if (str_equal(words.items[0], STR("pause")))
        return pause_queue(cli, broker, queue, &values, err);
    return resume_queue(cli, broker, queue, err);
}
