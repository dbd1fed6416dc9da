/* Formats a line on the stack and writes it at once. */

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/timestamp.h"

#define LINE_BYTES    ((size_t)4096)
#define MESSAGE_BYTES ((size_t)1536) /* every byte may become six ("\u001f") */

static struct {
    int fd;
    enum log_level level;
    enum log_format format;
    char task_name[64];
    char task_id[64];
} sink = {.fd = STDERR_FILENO, .level = LOG_INFO, .format = LOG_TEXT};

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
    sink.fd = fd;
    sink.level = level;
    sink.format = format;
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
    (void)snprintf(sink.task_name, sizeof(sink.task_name), "%.*s", STR_ARG(task_name));
    (void)snprintf(sink.task_id, sizeof(sink.task_id), "%.*s", STR_ARG(task_id));
}

bool
log_is_enabled(enum log_level level)
{
    return level >= sink.level;
}

static bool
is_token_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '+' || c == '/' || c == '=';
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
        size_t secret = secret_length(text, at, &visible);

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
    char name[sizeof(sink.task_name) * 2];

    escape_json(message, escaped, sizeof(escaped));
    escape_json(sink.task_name, name, sizeof(name));
    if (!sink.task_name[0])
        return snprintf(line, LINE_BYTES,
                        "{\"time\":\"%s\",\"level\":\"%s\",\"pid\":%d,\"message\":\"%s\"}\n", when,
                        levels[level].name, (int)getpid(), escaped);
    return snprintf(
        line, LINE_BYTES,
        "{\"time\":\"%s\",\"level\":\"%s\",\"pid\":%d,\"task\":\"%s\",\"task_id\":\"%s\","
        "\"message\":\"%s\"}\n",
        when, levels[level].name, (int)getpid(), name, sink.task_id, escaped);
}

void
log_write(enum log_level level, const char *fmt, ...)
{
    char raw[MESSAGE_BYTES];
    char message[MESSAGE_BYTES];
    char line[LINE_BYTES];
    char when[TIMESTAMP_TEXT_BYTES];
    va_list args;
    int len;

    va_start(args, fmt);
    (void)vsnprintf(raw, sizeof(raw), fmt, args);
    va_end(args);
    (void)log_sanitize(str_from_cstr(raw), message, sizeof(message));
    (void)timestamp_format(clock_now_us(&clock_system), when);
    if (sink.format == LOG_JSON)
        len = format_json(line, level, when, message);
    else if (sink.task_name[0])
        len = snprintf(line, sizeof(line), "%s %s %s[%.8s] %s\n", when, levels[level].label,
                       sink.task_name, sink.task_id, message);
    else
        len = snprintf(line, sizeof(line), "%s %s %s\n", when, levels[level].label, message);
    if (len >= (int)sizeof(line))
        len = (int)sizeof(line) - 1;
    if (write(sink.fd, line, (size_t)len) < 0)
        return; /* a log that cannot be written must not stop the work it tells about */
}
