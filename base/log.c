/* Formats a line on the stack; log_sink.c writes it. */

#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_sink.h"
#include "base/timestamp.h"

#define MESSAGE_BYTES ((size_t)1536) /* every byte may become six ("\u001f") */

static struct {
    enum log_level level;
    enum log_format format;
} settings = {LOG_INFO, LOG_TEXT};

static _Thread_local struct {
    char task_name[64];
    char task_id[64];
} context;

static _Thread_local struct {
    log_listener_fn fn;
    void *context;
} listener;

static const struct {
    const char *name;
    const char *label;
} levels[] = {
    [LOG_DEBUG] = {"debug", "DEBUG"},       [LOG_INFO] = {"info", "INFO "},
    [LOG_WARNING] = {"warning", "WARN "},   [LOG_ERROR] = {"error", "ERROR"},
    [LOG_NOTHING] = {"nothing", "NOTHING"},
};

void
log_configure(int fd, enum log_level level, enum log_format format)
{
    log_sink_set_fd(fd);
    settings.level = level;
    settings.format = format;
}

int
log_parse_level(struct str text, enum log_level *out, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        if (str_equal(text, str_from_cstr(levels[i].name))) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID,
                     "log level '%.*s' is unknown: use debug, info, warning, error or nothing",
                     STR_ARG(str_slice(text, 0, 32)));
}

int
log_parse_format(struct str text, enum log_format *out, struct error *err)
{
    if (str_equal(text, STR("text")))
        *out = LOG_TEXT;
    else if (str_equal(text, STR("json")))
        *out = LOG_JSON;
    else
        return error_set(err, ERR_INVALID, "log format '%.*s' is unknown: use text or json",
                         STR_ARG(str_slice(text, 0, 32)));
    return 0;
}

void
log_set_context(struct str task_name, struct str task_id)
{
    (void)snprintf(context.task_name, sizeof(context.task_name), "%.*s", STR_ARG(task_name));
    (void)snprintf(context.task_id, sizeof(context.task_id), "%.*s", STR_ARG(task_id));
}

void
log_set_listener(log_listener_fn fn, void *fn_context)
{
    listener.fn = fn;
    listener.context = fn_context;
}

bool
log_is_enabled(enum log_level level)
{
    return level >= settings.level;
}

static bool
is_token_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '+' || c == '/' || c == '=';
}

/* Bytes that a secret's mark begins with; all others need no closer look. */
static bool
may_begin_secret(char c)
{
    return c == 'B' || c == 'h' || c == 'K' || c == ':';
}

/* Length of the secret that begins at text[at], or 0.  *visible of it may be shown. */
static size_t
secret_length(struct str text, size_t at, size_t *visible)
{
    static const struct str marks[] = {STR_INIT("Bearer "), STR_INIT("Basic "), STR_INIT("hf_"),
                                       STR_INIT("KGAT_")};
    struct str rest = str_slice(text, at, text.len);

    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        size_t end = marks[i].len;

        if (!str_starts_with(rest, marks[i]) || (at > 0 && is_token_char(text.ptr[at - 1])))
            continue;
        while (end < rest.len && is_token_char(rest.ptr[end]))
            end++;
        *visible = marks[i].len;
        return end - marks[i].len >= 6 ? end : 0;
    }
    if (str_starts_with(rest, STR("://"))) { /* scheme://user:password@host */
        size_t end = 3;

        while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != ' ' &&
               rest.ptr[end] != '@')
            end++;
        *visible = 3;
        if (end < rest.len && rest.ptr[end] == '@')
            return end;
    }
    return 0;
}

size_t
log_sanitize(struct str text, char *out, size_t out_bytes)
{
    size_t n = 0;

    for (size_t at = 0; at < text.len && n + 8 < out_bytes;) {
        unsigned char c = (unsigned char)text.ptr[at];
        size_t visible;
        size_t secret = may_begin_secret((char)c) ? secret_length(text, at, &visible) : 0;

        if (secret) {
            n += (size_t)snprintf(out + n, out_bytes - n, "%.*s***", (int)visible, text.ptr + at);
            n = n < out_bytes ? n : out_bytes - 1;
            at += secret;
            continue;
        }
        if (c < 0x20 || c == 0x7F)
            n += (size_t)snprintf(out + n, out_bytes - n, "\\x%02x", c);
        else
            out[n++] = (char)c;
        at++;
    }
    out[n] = '\0';
    return n;
}

/* JSON string content: the sanitized text has no control bytes left. */
static void
escape_json(const char *text, char *out, size_t out_bytes)
{
    size_t n = 0;

    for (; *text && n + 3 < out_bytes; text++) {
        if (*text == '"' || *text == '\\')
            out[n++] = '\\';
        out[n++] = *text;
    }
    out[n] = '\0';
}

static int
format_json(char *line, enum log_level level, const char *when, const char *message)
{
    char escaped[MESSAGE_BYTES * 2];
    char name[sizeof(context.task_name) * 2];

    escape_json(message, escaped, sizeof(escaped));
    escape_json(context.task_name, name, sizeof(name));
    if (!context.task_name[0])
        return snprintf(line, LOG_LINE_BYTES,
                        "{\"time\":\"%s\",\"level\":\"%s\",\"pid\":%d,\"message\":\"%s\"}\n", when,
                        levels[level].name, (int)getpid(), escaped);
    return snprintf(
        line, LOG_LINE_BYTES,
        "{\"time\":\"%s\",\"level\":\"%s\",\"pid\":%d,\"task\":\"%s\",\"task_id\":\"%s\","
        "\"message\":\"%s\"}\n",
        when, levels[level].name, (int)getpid(), name, context.task_id, escaped);
}

static size_t
append(char *line, size_t n, const char *text, size_t n_text)
{
    if (n_text > LOG_LINE_BYTES - n)
        n_text = LOG_LINE_BYTES - n;
    (void)memcpy(line + n, text, n_text);
    return n + n_text;
}

static int
format_text(char *line, enum log_level level, const char *when, struct str message)
{
    size_t n = append(line, 0, when, strlen(when));
    char task[sizeof(context.task_name) + 16];

    n = append(line, n, " ", 1);
    n = append(line, n, levels[level].label, strlen(levels[level].label));
    n = append(line, n, " ", 1);
    if (context.task_name[0]) {
        (void)snprintf(task, sizeof(task), "%s[%.8s] ", context.task_name, context.task_id);
        n = append(line, n, task, strlen(task));
    }
    n = append(line, n, message.ptr, message.len);
    return (int)append(line, n, "\n", 1);
}

static void
put_line(enum log_level level, const char *raw)
{
    char message[MESSAGE_BYTES];
    char line[LOG_LINE_BYTES];
    char when[TIMESTAMP_TEXT_BYTES];
    size_t n_message = log_sanitize(str_from_cstr(raw), message, sizeof(message));
    int64_t now_us = clock_now_us(&clock_system);
    int len;

    if (listener.fn)
        listener.fn(listener.context, level, now_us, (struct str){message, n_message});
    (void)timestamp_format(now_us, when);
    if (settings.format == LOG_JSON)
        len = format_json(line, level, when, message);
    else
        len = format_text(line, level, when, (struct str){message, n_message});
    if (len >= (int)sizeof(line))
        len = (int)sizeof(line) - 1;
    log_sink_put((struct str){line, (size_t)len}, level >= LOG_ERROR ? LOG_NOW : LOG_LATER);
}

void
log_write(enum log_level level, const char *fmt, ...)
{
    char raw[MESSAGE_BYTES];
    uint64_t n_dropped = log_sink_take_dropped();
    va_list args;

    if (n_dropped) {
        (void)snprintf(raw, sizeof(raw), "log was not read, lines were dropped: n=%" PRIu64,
                       n_dropped);
        put_line(LOG_WARNING, raw);
    }
    va_start(args, fmt);
    (void)vsnprintf(raw, sizeof(raw), fmt, args);
    va_end(args);
    put_line(level, raw);
}
