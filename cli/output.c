/* How values look to a person, and the one way to stdout. */

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/cli.h"

int
cli_print(const struct buf *text, struct error *err)
{
    int rc = buf_status(text, err);

    if (rc < 0)
        return rc;
    if (fwrite(buf_cstr(text), 1, text->len, stdout) != text->len || fputc('\n', stdout) == EOF ||
        fflush(stdout) == EOF)
        return error_set_errno(err, "cannot write to standard output");
    return 0;
}

const char *
cli_bold(const struct cli *cli)
{
    return cli->has_color ? "\033[1m" : "";
}

const char *
cli_dim(const struct cli *cli)
{
    return cli->has_color ? "\033[2m" : "";
}

const char *
cli_reset(const struct cli *cli)
{
    return cli->has_color ? "\033[0m" : "";
}

const char *
cli_format_count(int64_t value, char text[32])
{
    char digits[24];
    size_t n_digits;
    size_t n = 0;

    if (value == INT64_MIN) {
        (void)snprintf(text, 32, "-");
        return text;
    }
    (void)snprintf(digits, sizeof(digits), "%" PRId64, value < 0 ? -value : value);
    n_digits = strlen(digits);
    if (value < 0)
        text[n++] = '-';
    for (size_t i = 0; i < n_digits; i++) {
        if (i > 0 && (n_digits - i) % 3 == 0)
            text[n++] = ',';
        text[n++] = digits[i];
    }
    text[n] = '\0';
    return text;
}

const char *
cli_format_bytes(int64_t value, char text[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double amount = (double)value;
    size_t unit = 0;

    if (value == INT64_MIN) {
        (void)snprintf(text, 32, "-");
        return text;
    }
    while (amount >= 1000 && unit + 1 < COUNT_OF(units)) {
        amount /= 1000;
        unit++;
    }
    (void)snprintf(text, 32, unit && amount < 100 ? "%.1f %s" : "%.0f %s", amount, units[unit]);
    return text;
}

const char *
cli_format_age(int64_t time_us, int64_t now_us, char text[32])
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{31557600, "year"}, {2629800, "month"}, {86400, "day"},
                 {3600, "hour"},     {60, "minute"},     {1, "second"}};
    int64_t age_s = (now_us - time_us) / US_PER_S;

    if (time_us == INT64_MIN) {
        (void)snprintf(text, 32, "-");
        return text;
    }
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        int64_t n = age_s / units[i].seconds;

        if (n > 0) {
            (void)snprintf(text, 32, "%" PRId64 " %s%s ago", n, units[i].name, n > 1 ? "s" : "");
            return text;
        }
    }
    (void)snprintf(text, 32, "now");
    return text;
}

const char *
cli_format_span(int64_t span_us, char text[32])
{
    int64_t seconds = (span_us + US_PER_S / 2) / US_PER_S;

    if (span_us < 10 * US_PER_S)
        (void)snprintf(text, 32, "%.1f s", (double)span_us / (double)US_PER_S);
    else if (seconds < 60)
        (void)snprintf(text, 32, "%" PRId64 " s", seconds);
    else if (seconds < 3600)
        (void)snprintf(text, 32, "%" PRId64 ":%02" PRId64, seconds / 60, seconds % 60);
    else
        (void)snprintf(text, 32, "%" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600,
                       seconds / 60 % 60, seconds % 60);
    return text;
}
