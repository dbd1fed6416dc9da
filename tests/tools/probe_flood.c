/* probe flood: one task many times, through the publisher, in batches.
 *
 * What the broker confirmed is counted, and written with --ids; what it refused is counted and sent
 * no more; what nobody knows (a timeout, a server that died before its answer) is counted apart. */

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/number.h"
#include "base/uuid.h"
#include "celery/broker/publisher.h"
#include "celery/client.h"
#include "celery/limits/rules.h"
#include "celery/message.h"
#include "tests/tools/probe.h"

#define MAX_BATCH         1000
#define MAX_MESSAGE_BYTES ((size_t)8 << 20)

struct flood_values {
    struct str task;
    struct str args;
    struct str kwargs;
    struct str queue;
    struct str ids_path;
    int64_t n_messages;
    int64_t batch;
    int64_t priority;
    int64_t countdown_ms;
    int64_t first;
    int64_t timeout_ms;
    int64_t pace_ms;
    struct str unique;
    bool keeps_going;
};

struct flood {
    const struct flood_values *values;
    struct publisher *publisher;
    FILE *ids;
    struct buf bytes[MAX_BATCH];
    char id[MAX_BATCH][UUID_TEXT_BYTES];
    struct broker_message messages[MAX_BATCH];
    int64_t n_confirmed;
    int64_t n_failed;
    int64_t n_unknown;
    int64_t n_duplicates;
    struct broker_lock lock;
    struct error first_error;
};

/* The template with the message's number for every {i}, and now, monotonic in ms, for every {t}. */
static int
fill_in(struct str template, int64_t number, struct buf *out, struct error *err)
{
    int64_t now_ms = clock_mono_us(&clock_system) / US_PER_MS;

    while (template.len) {
        size_t at = str_find(template, STR("{i}"));
        size_t time_at = str_find(template, STR("{t}"));
        size_t first = at < time_at ? at : time_at;

        buf_append(out, str_slice(template, 0, first));
        if (first < template.len)
            buf_printf(out, "%" PRId64, at < time_at ? number : now_ms);
        template = str_slice(template, first + 3, template.len);
    }
    return buf_status(out, err);
}

static int
write_message(struct flood *self, size_t i, int64_t number, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(65536);
    CLEANUP(buf_fini) struct buf args = BUF_INIT(MAX_MESSAGE_BYTES);
    CLEANUP(buf_fini) struct buf kwargs = BUF_INIT(MAX_MESSAGE_BYTES);
    const struct flood_values *values = self->values;
    struct celery_message message;
    int64_t eta_us = TIME_UNKNOWN;
    int rc = fill_in(values->args, number, &args, err);

    if (rc == 0)
        rc = fill_in(values->kwargs, number, &kwargs, err);
    if (rc < 0)
        return rc;
    uuid_random(self->id[i]);
    celery_message_init(&message, values->task, str_from_cstr(self->id[i]));
    message.args = buf_str(&args);
    message.kwargs = buf_str(&kwargs);
    message.priority = values->priority;
    message.routing_key = values->queue;
    if (values->countdown_ms) {
        eta_us = clock_now_us(&clock_system) + values->countdown_ms * US_PER_MS;
        rc = celery_message_set_eta(&message, eta_us, &arena, err);
    }
    if (rc == 0 && values->unique.ptr)
        rc = limit_parse_unique(values->unique, &self->lock.span, &self->lock.span_us, err);
    buf_clear(&self->bytes[i]);
    if (rc == 0)
        rc = celery_message_encode_envelope(&message, &self->bytes[i], err);
    self->messages[i] = (struct broker_message){
        .queue = values->queue,
        .id = str_from_cstr(self->id[i]),
        .bytes = buf_str(&self->bytes[i]),
        .priority = (int)values->priority,
        .eta_us = eta_us,
        .expires_us = TIME_UNKNOWN,
        .lock = values->unique.ptr ? &self->lock : NULL,
    };
    return rc;
}

/* A batch that failed in part is not known in its parts: it counts as unknown as a whole. */
static void
send_batch(struct flood *self, size_t n)
{
    struct error err = {0};
    size_t n_done = 0;
    int rc = publisher_send(self->publisher, self->messages, n, self->values->timeout_ms * 1000,
                            &n_done, &err);

    if (rc == -ERR_DUPLICATE) {
        self->n_confirmed += (int64_t)n_done;
        self->n_duplicates += (int64_t)(n - n_done);
        return;
    }
    if (rc == 0) {
        self->n_confirmed += (int64_t)n;
        for (size_t i = 0; self->ids && i < n; i++)
            (void)fprintf(self->ids, "%s\n", self->id[i]);
        return;
    }
    if (rc == -ERR_TIMEOUT || rc == -ERR_NETWORK || n_done > 0)
        self->n_unknown += (int64_t)n;
    else
        self->n_failed += (int64_t)n;
    if (!self->first_error.code)
        self->first_error = err;
}

static int
send_all(struct flood *self, struct error *err)
{
    const struct flood_values *values = self->values;
    int64_t i = 0;

    while (i < values->n_messages) {
        size_t n = 0;

        while (n < (size_t)values->batch && i < values->n_messages) {
            int rc = write_message(self, n, values->first + i, err);

            if (rc < 0)
                return rc;
            n++;
            i++;
        }
        send_batch(self, n);
        if (values->pace_ms)
            (void)poll(NULL, 0, (int)values->pace_ms);
        if (self->first_error.code && !values->keeps_going)
            break;
    }
    return 0;
}

static int
print_counts(const struct flood *self, int64_t span_us, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct json_writer json = JSON_WRITER_INIT(&out);

    json_begin_object(&json);
    json_member_i64(&json, STR("wanted"), self->values->n_messages);
    json_member_i64(&json, STR("confirmed"), self->n_confirmed);
    json_member_i64(&json, STR("failed"), self->n_failed);
    json_member_i64(&json, STR("unknown"), self->n_unknown);
    json_member_i64(&json, STR("duplicates"), self->n_duplicates);
    json_member_i64(&json, STR("span_us"), span_us);
    json_member_str(&json, STR("error"),
                    self->first_error.code ? str_from_cstr(self->first_error.message) : STR_NULL);
    json_end_object(&json);
    return cli_print(&out, err);
}

static int
flood(struct cli *cli, const struct flood_values *values, struct error *err)
{
    static struct flood self; /* two thousand small parts: not for the stack */
    struct broker_options options = {.name = STR("probe"),
                                     .max_open_us = values->timeout_ms * 1000,
                                     .max_message_bytes = MAX_MESSAGE_BYTES};
    int64_t begin_us;
    int rc;

    self.values = values;
    self.lock.key = values->task;
    for (size_t i = 0; i < MAX_BATCH; i++)
        buf_init(&self.bytes[i], MAX_MESSAGE_BYTES);
    if (values->ids_path.ptr && !(self.ids = fopen(values->ids_path.ptr, "we")))
        return error_set_errno(err, "cannot open '%s'", values->ids_path.ptr);
    rc = publisher_open(config_get(cli->config, CONFIG_BROKER_URL), &options, &self.publisher, err);
    begin_us = clock_mono_us(&clock_system);
    if (rc == 0)
        rc = send_all(&self, err);
    if (rc == 0)
        rc = print_counts(&self, clock_mono_us(&clock_system) - begin_us, err);
    publisher_close(self.publisher);
    for (size_t i = 0; i < MAX_BATCH; i++)
        buf_fini(&self.bytes[i]);
    if (self.ids && fclose(self.ids) != 0 && rc == 0)
        rc = error_set_errno(err, "cannot write '%s'", values->ids_path.ptr);
    if (rc == 0 && self.first_error.code && err)
        *err = self.first_error;
    return rc == 0 && self.first_error.code ? -(int)self.first_error.code : rc;
}

int
probe_command_flood(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct flood_values values = {.args = STR("[]"),
                                  .kwargs = STR("{}"),
                                  .queue = STR(CELERY_DEFAULT_QUEUE),
                                  .batch = 100,
                                  .timeout_ms = 10000};
    struct cli_words words;
    const struct cli_option options[] = {
        CLI_OPTION_TEXT("task", "NAME", &values.task, "what is sent; not checked"),
        CLI_OPTION_TEXT("args", "JSON", &values.args, "positional arguments; {i}: the number"),
        CLI_OPTION_TEXT("kwargs", "JSON", &values.kwargs, "named arguments; {i}: the number"),
        CLI_OPTION_TEXT("queue", "Q", &values.queue, "where they wait (celery)"),
        CLI_OPTION_TEXT("ids", "FILE", &values.ids_path, "write the ids that were confirmed"),
        CLI_OPTION_WHOLE("batch", "N", &values.batch, 1, MAX_BATCH, "messages at a time (100)"),
        CLI_OPTION_WHOLE("priority", "0-9", &values.priority, 0, 9, "0 is served first"),
        CLI_OPTION_WHOLE("countdown-ms", "MS", &values.countdown_ms, 0, INT64_C(86400000),
                         "start so much later"),
        CLI_OPTION_WHOLE("first", "I", &values.first, 0, INT64_C(1) << 40, "the first number (0)"),
        CLI_OPTION_WHOLE("timeout-ms", "MS", &values.timeout_ms, 1, 600000, "per batch (10000)"),
        CLI_OPTION_WHOLE("pace-ms", "MS", &values.pace_ms, 0, 60000, "between two batches (0)"),
        CLI_OPTION_TEXT("unique", "WHEN", &values.unique, "as in trawl call; all are of one kind"),
        CLI_OPTION_FLAG("keep-going", &values.keeps_going, "after a failure, with the next batch"),
        CLI_OPTIONS_END,
    };
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, 1, err);
    if (rc == 0 && !values.task.ptr)
        rc = error_set(err, ERR_ARGS, "--task is missing");
    if (rc == 0)
        rc = number_parse_i64(words.items[0], &values.n_messages, err);
    return rc != 0 ? rc : flood(cli, &values, err);
}
