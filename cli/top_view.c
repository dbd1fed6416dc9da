/* Tables of fixed columns.  Each line is made apart and cut to the terminal's width, styles around
 * it, so that no cut meets an escape sequence. */

#include "cli/top_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define LINE_BYTES 1024

struct view {
    const struct cli *cli;
    struct buf *out;
    size_t n_rows;
    size_t n_columns;
    size_t n_lines;
    const char *end_of_line;
};

/* Printable ASCII stays, all else is a question mark: widths are right, and nothing moves the
 * cursor. */
static const char *
harmless(const char *text, char *out, size_t n_bytes)
{
    size_t n = 0;

    for (; *text && n + 1 < n_bytes; text++)
        out[n++] = *text >= 0x20 && *text < 0x7F ? *text : '?';
    out[n] = '\0';
    return out;
}

static void PRINTF_LIKE(3, 4) put(struct view *self, const char *style, const char *fmt, ...)
{
    char line[LINE_BYTES];
    va_list args;
    int n;

    if (self->n_rows && self->n_lines + 1 >= self->n_rows)
        return;
    va_start(args, fmt);
    n = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof(line))
        n = (int)sizeof(line) - 1;
    if (self->n_columns && (size_t)n > self->n_columns)
        n = (int)self->n_columns;
    buf_printf(self->out, "%s%.*s%s%s", style, n, line, style[0] ? cli_reset(self->cli) : "",
               self->end_of_line);
    self->n_lines++;
}

/* "12.3 ms", "4.56 s"; "-" where there is none. */
static const char *
format_us(int64_t us, char text[32])
{
    if (us < 0)
        (void)snprintf(text, 32, "-");
    else if (us < US_PER_MS)
        (void)snprintf(text, 32, "%.2f ms", (double)us / 1e3);
    else if (us < US_PER_S)
        (void)snprintf(text, 32, "%.1f ms", (double)us / 1e3);
    else if (us < 1000 * US_PER_S)
        (void)snprintf(text, 32, "%.2f s", (double)us / 1e6);
    else
        (void)snprintf(text, 32, "%.0f s", (double)us / 1e6);
    return text;
}

static void
format_time(int64_t us, char text[16])
{
    time_t seconds = (time_t)(us / US_PER_S);
    struct tm utc = {0};

    (void)gmtime_r(&seconds, &utc);
    (void)snprintf(text, 16, "%02d:%02d:%02dZ", utc.tm_hour % 24, utc.tm_min % 60, utc.tm_sec % 61);
}

static size_t
count_alive(const struct top_picture *picture)
{
    size_t n_workers;
    const struct monitor_worker *workers = monitor_workers(picture->monitor, &n_workers);
    size_t n = 0;

    for (size_t i = 0; i < n_workers; i++)
        n += monitor_is_alive(&workers[i], picture->mono_us);
    return n;
}

static double
total_rate(const struct top_picture *picture)
{
    size_t n_kinds;
    const struct monitor_kind *kinds = monitor_kinds(picture->monitor, &n_kinds);
    double rate = 0;

    for (size_t i = 0; i < n_kinds; i++)
        rate += monitor_rate(&kinds[i], picture->mono_us);
    return rate;
}

static void
put_head(struct view *self, const struct top_picture *picture)
{
    char at[16];
    char url[200];
    char masked[200];
    size_t n_workers;

    (void)monitor_workers(picture->monitor, &n_workers);
    format_time(picture->now_us, at);
    (void)snprintf(masked, sizeof(masked), "%.*s", STR_ARG(picture->broker_url));
    put(self, cli_bold(self->cli), "trawl top  %s  %zu of %zu workers online  %.1f tasks/s  %s", at,
        count_alive(picture), n_workers, total_rate(picture), harmless(masked, url, sizeof(url)));
    if (picture->trouble)
        put(self, cli_bold(self->cli), "broker: %s", harmless(picture->trouble, url, sizeof(url)));
}

static void
put_workers(struct view *self, const struct top_picture *picture)
{
    size_t n;
    const struct monitor_worker *workers = monitor_workers(picture->monitor, &n);
    char name[MONITOR_NAME_BYTES];
    char software[64];
    char processed[32];

    put(self, "", "%s", "");
    put(self, cli_bold(self->cli), "%-32s %-8s %7s %12s %6s  %s", "WORKER", "STATE", "ACTIVE",
        "PROCESSED", "LOAD", "SOFTWARE");
    for (size_t i = 0; i < n; i++) {
        const struct monitor_worker *worker = &workers[i];
        bool is_alive = monitor_is_alive(worker, picture->mono_us);

        put(self, is_alive ? "" : cli_dim(self->cli), "%-32.64s %-8s %7" PRId64 " %12s %6.2f  %s",
            harmless(worker->name, name, sizeof(name)),
            is_alive             ? "online"
            : worker->is_offline ? "offline"
                                 : "silent",
            worker->n_active, cli_format_count(worker->n_processed, processed), worker->load,
            harmless(worker->software, software, sizeof(software)));
    }
    if (n == 0)
        put(self, cli_dim(self->cli), "none has been heard yet");
}

static void
put_queues(struct view *self, const struct top_picture *picture)
{
    char name[256];
    char text[256];
    char n_ready[32];
    char n_scheduled[32];
    char n_claimed[32];

    put(self, "", "%s", "");
    put(self, cli_bold(self->cli), "%-32s %12s %12s %12s", "QUEUE", "READY", "SCHEDULED",
        "WITH WORKERS");
    for (size_t i = 0; i < picture->n_queues; i++) {
        const struct top_queue *queue = &picture->queues[i];

        (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(queue->name));
        put(self, "", "%-32.64s %12s %12s %12s", harmless(text, name, sizeof(name)),
            cli_format_count(queue->depth.n_ready, n_ready),
            cli_format_count(queue->depth.n_scheduled, n_scheduled),
            cli_format_count(queue->depth.n_claimed, n_claimed));
    }
}

static void
put_kinds(struct view *self, const struct top_picture *picture)
{
    size_t n;
    const struct monitor_kind *kinds = monitor_kinds(picture->monitor, &n);
    char name[MONITOR_NAME_BYTES];
    char spans[4][32];

    put(self, "", "%s", "");
    put(self, cli_bold(self->cli), "%-32s %9s %9s %7s %7s %7s %10s %10s %10s %10s", "TASK",
        "RATE/S", "DONE", "FAILED", "RETRIED", "REVOKED", "RUN p50", "RUN p99", "WAIT p50",
        "WAIT p99");
    for (size_t i = 0; i < n; i++) {
        const struct monitor_kind *kind = &kinds[i];

        put(self, "",
            "%-32.64s %9.1f %9" PRIu64 " %7" PRIu64 " %7" PRIu64 " %7" PRIu64
            " %10s %10s %10s %10s",
            harmless(kind->name, name, sizeof(name)), monitor_rate(kind, picture->mono_us),
            kind->n_events[MONITOR_SUCCEEDED], kind->n_events[MONITOR_FAILED],
            kind->n_events[MONITOR_RETRIED], kind->n_events[MONITOR_REVOKED],
            format_us(monitor_percentile(&kind->runtimes, 0.5), spans[0]),
            format_us(monitor_percentile(&kind->runtimes, 0.99), spans[1]),
            format_us(monitor_percentile(&kind->waits, 0.5), spans[2]),
            format_us(monitor_percentile(&kind->waits, 0.99), spans[3]));
    }
    if (n == 0)
        put(self, cli_dim(self->cli),
            "no event of a task yet: start workers with -E, or this with --enable-events");
}

static void
put_failures(struct view *self, const struct top_picture *picture)
{
    const struct monitor_failure *failure = monitor_failure(picture->monitor, 0);
    char texts[4][MONITOR_NAME_BYTES];
    char at[16];

    if (!failure)
        return;
    put(self, "", "%s", "");
    put(self, cli_bold(self->cli), "FAILED OF LATE");
    for (size_t i = 0; (failure = monitor_failure(picture->monitor, i)); i++) {
        format_time(failure->time_us, at);
        put(self, "", "%s %s[%s] %s %s", at, harmless(failure->name, texts[0], sizeof(texts[0])),
            harmless(failure->uuid, texts[1], sizeof(texts[1])),
            harmless(failure->exception, texts[2], sizeof(texts[2])),
            harmless(failure->worker, texts[3], sizeof(texts[3])));
    }
}

void
top_view_format(const struct cli *cli, const struct top_picture *picture, size_t n_rows,
                size_t n_columns, const char *end_of_line, struct buf *out)
{
    struct view view = {cli, out, n_rows, n_columns, 0, end_of_line};

    put_head(&view, picture);
    put_workers(&view, picture);
    put_queues(&view, picture);
    put_kinds(&view, picture);
    put_failures(&view, picture);
}

static void
write_workers(const struct top_picture *picture, struct json_writer *json)
{
    size_t n;
    const struct monitor_worker *workers = monitor_workers(picture->monitor, &n);

    json_name(json, STR("workers"));
    json_begin_array(json);
    for (size_t i = 0; i < n; i++) {
        const struct monitor_worker *worker = &workers[i];

        json_begin_object(json);
        json_member_str(json, STR("name"), str_from_cstr(worker->name));
        json_member_bool(json, STR("online"), monitor_is_alive(worker, picture->mono_us));
        json_member_i64(json, STR("pid"), worker->pid);
        json_member_str(json, STR("software"), str_from_cstr(worker->software));
        json_member_i64(json, STR("active"), worker->n_active);
        json_member_i64(json, STR("processed"), worker->n_processed);
        json_member_f64(json, STR("load"), worker->load);
        json_end_object(json);
    }
    json_end_array(json);
}

static void
write_queues(const struct top_picture *picture, struct json_writer *json)
{
    json_name(json, STR("queues"));
    json_begin_array(json);
    for (size_t i = 0; i < picture->n_queues; i++) {
        json_begin_object(json);
        json_member_str(json, STR("name"), picture->queues[i].name);
        json_member_i64(json, STR("ready"), picture->queues[i].depth.n_ready);
        json_member_i64(json, STR("scheduled"), picture->queues[i].depth.n_scheduled);
        json_member_i64(json, STR("claimed"), picture->queues[i].depth.n_claimed);
        json_end_object(json);
    }
    json_end_array(json);
}

static void
write_latency(struct json_writer *json, struct str name, const struct monitor_samples *samples)
{
    int64_t p50_us = monitor_percentile(samples, 0.5);

    json_name(json, name);
    if (p50_us < 0) {
        json_null(json);
        return;
    }
    json_begin_object(json);
    json_member_i64(json, STR("p50_us"), p50_us);
    json_member_i64(json, STR("p99_us"), monitor_percentile(samples, 0.99));
    json_end_object(json);
}

static void
write_kinds(const struct top_picture *picture, struct json_writer *json)
{
    size_t n;
    const struct monitor_kind *kinds = monitor_kinds(picture->monitor, &n);

    json_name(json, STR("tasks"));
    json_begin_array(json);
    for (size_t i = 0; i < n; i++) {
        json_begin_object(json);
        json_member_str(json, STR("name"), str_from_cstr(kinds[i].name));
        json_member_f64(json, STR("rate"), monitor_rate(&kinds[i], picture->mono_us));
        for (int state = 0; state < MONITOR_N_STATES; state++)
            json_member_i64(json, monitor_state_name((enum monitor_state)state),
                            (int64_t)kinds[i].n_events[state]);
        write_latency(json, STR("run"), &kinds[i].runtimes);
        write_latency(json, STR("wait"), &kinds[i].waits);
        json_end_object(json);
    }
    json_end_array(json);
}

void
top_view_write(const struct top_picture *picture, struct json_writer *json)
{
    const struct monitor_failure *failure;

    json_begin_object(json);
    write_workers(picture, json);
    write_queues(picture, json);
    write_kinds(picture, json);
    json_name(json, STR("failures"));
    json_begin_array(json);
    for (size_t i = 0; (failure = monitor_failure(picture->monitor, i)); i++) {
        json_begin_object(json);
        json_member_f64(json, STR("time"), (double)failure->time_us / (double)US_PER_S);
        json_member_str(json, STR("name"), str_from_cstr(failure->name));
        json_member_str(json, STR("id"), str_from_cstr(failure->uuid));
        json_member_str(json, STR("worker"), str_from_cstr(failure->worker));
        json_member_str(json, STR("exception"), str_from_cstr(failure->exception));
        json_end_object(json);
    }
    json_end_array(json);
    json_member_str(json, STR("trouble"), str_from_cstr(picture->trouble));
    json_end_object(json);
}
