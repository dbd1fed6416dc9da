/* trawl top: a picture of the cluster, drawn anew each second. */

#include "cli/commands.h"

#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "celery/control/url.h"
#include "cli/event_feed.h"
#include "cli/interrupt.h"
#include "cli/top_view.h"

#define DRAW_US       US_PER_S
#define SLICE_US      (100 * US_PER_MS)  /* so often keys are looked for */
#define ONCE_US       (2300 * US_PER_MS) /* a worker tells of itself every 2 s */
#define COMMAND_US    (300 * US_PER_MS)
#define QUEUE_BYTES   ((size_t)4 << 20)
#define PICTURE_BYTES ((size_t)16 << 20)
#define SPAN_MAX_S    INT64_C(31536000)

/* Wipe what is left of each line, and of the screen. */
#define HOME        "\033[H"
#define END_OF_LINE "\033[K\r\n"
#define END         "\033[J"
#define ENTER       "\033[?1049h\033[?25l"
#define LEAVE       "\033[?25h\033[?1049l"

struct top_values {
    bool is_once;
    bool is_enabling;
    int64_t span_s; /* 0 = until q, or as long as a picture takes */
};

struct top {
    const struct cli *cli;
    struct monitor *monitor;
    struct cli_event_feed feed;
    struct broker *broker; /* NULL until it is needed, and after a failure */
    struct buf url;        /* masked */
    struct arena arena;    /* of the queues */
    struct top_queue *queues;
    size_t n_queues;
    struct error trouble; /* ERR_NONE = none */
};

static void
on_event(void *context, const struct event *event)
{
    struct top *self = context;

    monitor_take(self->monitor, event, clock_mono_us(&clock_system));
}

static int
count_queues(struct top *self, struct error *err)
{
    struct broker_options options = {
        .must_exist = true, .max_open_us = COMMAND_US, .max_command_us = COMMAND_US};
    struct str_list names;
    int rc = 0;

    arena_reset(&self->arena);
    self->n_queues = 0;
    if (!self->broker)
        rc = broker_open(config_get(self->cli->config, CONFIG_BROKER_URL), &options, &self->broker,
                         err);
    if (rc == 0)
        rc = broker_list_queues(self->broker, &self->arena, &names, err);
    if (rc < 0)
        return rc;
    if (names.n_items > TOP_MAX_QUEUES)
        names.n_items = TOP_MAX_QUEUES;
    self->queues =
        arena_calloc(&self->arena, names.n_items ? names.n_items : 1, sizeof(*self->queues));
    if (!self->queues)
        return error_set(err, ERR_NOMEM, "no memory for %zu queues", names.n_items);
    for (size_t i = 0; rc == 0 && i < names.n_items; i++) {
        self->queues[i].name = names.items[i];
        rc = broker_count(self->broker, names.items[i], &self->queues[i].depth, err);
        self->n_queues += rc == 0;
    }
    return rc;
}

/* One that fails is opened again for the next picture. */
static void
look_at_queues(struct top *self)
{
    self->trouble = (struct error){.code = ERR_NONE};
    if (count_queues(self, &self->trouble) == 0)
        return;
    if (self->trouble.code == ERR_NOT_FOUND) /* nothing was ever sent */
        self->trouble.code = ERR_NONE;
    broker_close(self->broker);
    self->broker = NULL;
}

static struct top_picture
take_picture(struct top *self)
{
    look_at_queues(self);
    return (struct top_picture){
        .monitor = self->monitor,
        .broker_url = buf_str(&self->url),
        .mono_us = clock_mono_us(&clock_system),
        .now_us = clock_now_us(&clock_system),
        .queues = self->queues,
        .n_queues = self->n_queues,
        .trouble = self->trouble.code == ERR_NONE ? NULL : self->trouble.message,
    };
}

static int
print_picture(struct top *self, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(PICTURE_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    struct top_picture picture = take_picture(self);

    if (self->cli->json)
        top_view_write(&picture, &json);
    else
        top_view_format(self->cli, &picture, 0, 0, "\n", &out);
    if (!self->cli->json && out.len > 0)
        out.len--; /* cli_print ends the last line */
    return cli_print(&out, err);
}

static int
draw(struct top *self, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(PICTURE_BYTES);
    struct top_picture picture = take_picture(self);
    struct winsize size = {.ws_row = 24, .ws_col = 80};

    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size); /* else the size of old */
    buf_append(&out, STR(HOME));
    top_view_format(self->cli, &picture, size.ws_row ? size.ws_row : 24,
                    size.ws_col ? size.ws_col : 80, END_OF_LINE, &out);
    buf_append(&out, STR(END));
    if (buf_status(&out, err) < 0)
        return buf_status(&out, NULL);
    if (fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout) == EOF)
        return error_set_errno(err, "cannot write to the terminal");
    return 0;
}

static bool
is_q_pressed(void)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    char key;

    while (poll(&keys, 1, 0) == 1 && read(STDIN_FILENO, &key, 1) == 1)
        if (key == 'q' || key == 'Q')
            return true;
    return false;
}

static int
draw_until_told(struct top *self, int64_t end_us, bool has_keys, struct error *err)
{
    int64_t draw_us = 0;
    int rc = 0;

    while (rc == 0 && clock_mono_us(&clock_system) < end_us && !interrupt_is_pending(NULL) &&
           !(has_keys && is_q_pressed())) {
        if (clock_mono_us(&clock_system) >= draw_us) {
            rc = draw(self, err);
            draw_us = clock_mono_us(&clock_system) + DRAW_US;
        }
        if (rc == 0)
            rc = cli_event_feed_run(&self->feed, clock_mono_us(&clock_system) + SLICE_US, err);
    }
    return rc;
}

/* Keys come one by one and are not shown; the screen of before comes back. */
static int
show_live(struct top *self, int64_t end_us, struct error *err)
{
    struct termios before;
    struct termios keys;
    bool has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    int rc;

    if (has_keys) {
        keys = before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        has_keys = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
    }
    (void)fputs(ENTER, stdout);
    rc = draw_until_told(self, end_us, has_keys, err);
    (void)fputs(LEAVE, stdout);
    (void)fflush(stdout);
    if (has_keys)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return rc;
}

static int
show(struct top *self, const struct top_values *values, struct error *err)
{
    bool is_live = !values->is_once && !self->cli->json && isatty(STDOUT_FILENO);
    int64_t span_us = values->span_s ? values->span_s * US_PER_S : ONCE_US;
    int64_t now_us;
    int rc = cli_event_feed_open(&self->feed, err);

    if (rc == -ERR_CANCELLED)
        return 0;
    if (rc < 0)
        return rc;
    now_us = clock_mono_us(&clock_system);
    if (is_live)
        return show_live(self, values->span_s ? now_us + span_us : INT64_MAX, err);
    rc = cli_event_feed_run(&self->feed, now_us + span_us, err);
    return rc < 0 ? rc : print_picture(self, err);
}

int
command_top(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct top_values values = {.span_s = 0};
    struct top self = {
        .cli = cli,
        .feed = {.cli = cli, .take = on_event, .context = &self},
        .url = BUF_INIT(65536),
        .arena = ARENA_INIT(QUEUE_BYTES),
    };
    const struct cli_option options[] = {
        CLI_OPTION_FLAG("once", &values.is_once, "print one picture and end"),
        CLI_OPTION_WHOLE("for", "S", &values.span_s, 1, SPAN_MAX_S,
                         "listen so long: before the one picture (2.3), or at all (until q)"),
        CLI_OPTION_FLAG("enable-events", &values.is_enabling,
                        "tell all workers to send events of tasks; they go on afterwards"),
        CLI_OPTIONS_END,
    };
    struct cli_words words;
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 0, err);
    if (rc == 0)
        rc = monitor_create(&self.monitor, err);
    if (rc == 0) {
        self.feed.is_enabling = values.is_enabling;
        control_url_mask(config_get(cli->config, CONFIG_BROKER_URL), &self.url);
        rc = show(&self, &values, err);
    }
    cli_event_feed_close(&self.feed);
    broker_close(self.broker);
    monitor_free(self.monitor);
    arena_fini(&self.arena);
    buf_fini(&self.url);
    return rc;
}
