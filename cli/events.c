/* trawl events: what workers and tasks do, as they tell it. */

#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "celery/events/monitor.h"
#include "cli/event_feed.h"
#include "cli/interrupt.h"
#include "cli/safe_text.h"

#define VALUE_BYTES ((size_t)160) /* of a field, shown */
#define SPAN_MAX_S  INT64_C(31536000)

struct events_values {
    struct str type;
    struct str task;
    int64_t n_wanted; /* 0 = all that come */
    int64_t span_s;   /* 0 = until Ctrl-C */
    bool is_enabling;
};

struct events_command {
    const struct cli *cli;
    const struct events_values *values;
    struct monitor *monitor; /* knows the names of tasks */
    int64_t n_shown;
    int rc;
    struct error err;
};

/* "task" also means "task-received" and so on. */
static bool
is_wanted(const struct events_command *self, const struct event *event, struct str name)
{
    struct str type = self->values->type;

    if (type.len && !str_equal(event->type, type) &&
        !(str_starts_with(event->type, type) && event->type.ptr[type.len] == '-'))
        return false;
    return !self->values->task.len || str_equal(name, self->values->task);
}

/* What stands elsewhere in the line, or says nothing to a person. */
static bool
is_common(struct str name)
{
    static const struct str common[] = {
        STR_INIT("type"),     STR_INIT("hostname"),  STR_INIT("timestamp"), STR_INIT("utcoffset"),
        STR_INIT("pid"),      STR_INIT("clock"),     STR_INIT("uuid"),      STR_INIT("name"),
        STR_INIT("root_id"),  STR_INIT("parent_id"), STR_INIT("traceback"), STR_INIT("sw_sys"),
        STR_INIT("sw_ident"), STR_INIT("sw_ver"),    STR_INIT("cver"),      STR_INIT("freq"),
    };

    for (size_t i = 0; i < COUNT_OF(common); i++)
        if (str_equal(name, common[i]))
            return true;
    return false;
}

static void
print_field(const struct json_member *member)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)32 << 20);
    struct json_writer json = JSON_WRITER_INIT(&text);

    if (member->value.type == JSON_STRING)
        buf_append(&text, member->value.text);
    else
        json_value(&json, &member->value);
    (void)fputc(' ', stdout);
    cli_print_safe(str_slice(member->name, 0, VALUE_BYTES), stdout);
    (void)fputc('=', stdout);
    cli_print_safe(str_slice(buf_str(&text), 0, VALUE_BYTES), stdout);
    if (text.len > VALUE_BYTES)
        (void)fputs("...", stdout);
}

static void
print_line(const struct cli *cli, const struct event *event, struct str name)
{
    time_t seconds = (time_t)(event->time_us / US_PER_S);
    struct tm utc = {0};

    (void)gmtime_r(&seconds, &utc);
    (void)printf("%s%02d:%02d:%02d.%03dZ%s ", cli_dim(cli), utc.tm_hour, utc.tm_min, utc.tm_sec,
                 (int)(event->time_us % US_PER_S / US_PER_MS), cli_reset(cli));
    cli_print_safe(event->hostname, stdout);
    (void)printf(" %s", cli_bold(cli));
    cli_print_safe(event->type, stdout);
    (void)fputs(cli_reset(cli), stdout);
    if (event->uuid.ptr) {
        (void)fputc(' ', stdout);
        cli_print_safe(name.len ? name : STR("?"), stdout);
        (void)fputc('[', stdout);
        cli_print_safe(event->uuid, stdout);
        (void)fputc(']', stdout);
    }
    for (size_t i = 0; i < event->fields->object.n_members; i++) {
        const struct json_member *member = &event->fields->object.members[i];

        if (!is_common(member->name) && member->value.type != JSON_NULL)
            print_field(member);
    }
    (void)fputc('\n', stdout);
}

static int
print_event(const struct cli *cli, const struct event *event, struct str name, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);

    if (cli->json) {
        json_value(&json, event->fields);
        return cli_print(&out, err);
    }
    print_line(cli, event, name);
    return fflush(stdout) == EOF ? error_set_errno(err, "cannot write to standard output") : 0;
}

static bool
is_done(const struct events_command *self)
{
    return self->rc < 0 || (self->values->n_wanted > 0 && self->n_shown >= self->values->n_wanted);
}

static void
on_event(void *context, const struct event *event)
{
    struct events_command *self = context;
    struct str name;

    monitor_take(self->monitor, event, clock_mono_us(&clock_system));
    name = monitor_find_name(self->monitor, event);
    if (is_done(self) || !is_wanted(self, event, name))
        return;
    self->n_shown++;
    self->rc = print_event(self->cli, event, name, &self->err);
}

static int
show(struct events_command *self, struct cli_event_feed *feed, struct error *err)
{
    int64_t end_us = self->values->span_s
                         ? clock_mono_us(&clock_system) + self->values->span_s * US_PER_S
                         : INT64_MAX;
    int rc = cli_event_feed_open(feed, err);

    if (rc == -ERR_CANCELLED)
        return 0;
    while (rc == 0 && !is_done(self) && !interrupt_is_pending(NULL) &&
           clock_mono_us(&clock_system) < end_us) {
        int64_t slice_us = clock_mono_us(&clock_system) + 50 * US_PER_MS;

        rc = cli_event_feed_run(feed, slice_us < end_us ? slice_us : end_us, err);
    }
    if (rc == 0 && self->rc < 0) {
        rc = self->rc;
        *err = self->err;
    }
    if (feed->n_unread && !self->cli->quiet)
        (void)fprintf(stderr, "trawl: %" PRIu64 " events could not be read\n", feed->n_unread);
    return rc;
}

int
command_events(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct events_values values = {STR_NULL, STR_NULL, 0, 0, false};
    CLEANUP(monitor_freep) struct monitor *monitor = NULL;
    struct events_command self = {.cli = cli, .values = &values};
    struct cli_event_feed feed = {.cli = cli, .take = on_event, .context = &self};
    const struct cli_option options[] = {
        CLI_OPTION_TEXT("type", "TYPE", &values.type,
                        "only these: task, task-failed, worker, worker-heartbeat"),
        CLI_OPTION_TEXT("task", "NAME", &values.task, "only of tasks of that name"),
        CLI_OPTION_WHOLE("count", "N", &values.n_wanted, 1, INT64_MAX, "end after so many events"),
        CLI_OPTION_WHOLE("for", "S", &values.span_s, 1, SPAN_MAX_S, "end after so many seconds"),
        CLI_OPTION_FLAG("enable-events", &values.is_enabling,
                        "tell all workers to send events of tasks; they go on afterwards"),
        CLI_OPTIONS_END,
    };
    struct cli_words words;
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 0, 0, err);
    if (rc == 0)
        rc = monitor_create(&monitor, err);
    if (rc != 0)
        return rc;
    self.monitor = monitor;
    feed.is_enabling = values.is_enabling;
    rc = show(&self, &feed, err);
    cli_event_feed_close(&feed);
    return rc;
}
