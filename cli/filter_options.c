/* Words of a person to the repository's filter. */

#include "cli/filter_options.h"

#include "base/clock.h"
#include "base/number.h"
#include "base/timestamp.h"

void
filter_options_list(struct filter_options *values, struct cli_option *out)
{
    const struct cli_option options[N_FILTER_OPTIONS + 1] = {
        CLI_OPTION_TEXT("source", "NAME", &values->source, "only this source"),
        CLI_OPTION_TEXT("license", "ID", &values->license, "only this license, e.g. cc-by-4.0"),
        CLI_OPTION_TEXT("format", "NAME", &values->format, "only this file format, e.g. csv"),
        CLI_OPTION_TEXT("tag", "NAME", &values->tag, "only with this tag"),
        CLI_OPTION_TEXT("min-size", "SIZE", &values->min_size, "at least so large, e.g. 10MB"),
        CLI_OPTION_TEXT("max-size", "SIZE", &values->max_size, "at most so large"),
        CLI_OPTION_TEXT("updated-since", "DATE", &values->updated_since,
                        "changed since a date, or in the last 30d"),
        CLI_OPTION_FLAG("with-inactive", &values->with_inactive, "datasets that are gone too"),
        CLI_OPTIONS_END,
    };

    (void)memcpy(out, options, sizeof(options));
}

/* "1.5GB": decimal units, an optional blank before them. */
static int
read_size(const char *option, struct str text, int64_t *out, struct error *err)
{
    static const struct {
        struct str unit;
        double factor;
    } units[] = {{STR_INIT("kb"), 1e3},
                 {STR_INIT("mb"), 1e6},
                 {STR_INIT("gb"), 1e9},
                 {STR_INIT("tb"), 1e12},
                 {STR_INIT("b"), 1}};
    struct str amount = str_trim(text);
    double factor = 1;
    double value;

    if (!text.ptr)
        return 0;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        struct str tail =
            str_slice(amount, amount.len > units[i].unit.len ? amount.len - units[i].unit.len : 0,
                      amount.len);

        if (str_equal_ignore_case(tail, units[i].unit)) {
            amount = str_trim(str_slice(amount, 0, amount.len - tail.len));
            factor = units[i].factor;
            break;
        }
    }
    if (number_parse_f64(amount, &value, NULL) < 0 || value < 0 || value * factor > 9e18)
        return error_set(err, ERR_ARGS, "--%s must be a size like 500MB or 1.5GB, got '%.*s'",
                         option, STR_ARG(str_slice(text, 0, 64)));
    *out = (int64_t)(value * factor);
    return 0;
}

static int
read_since(struct str text, int64_t *out, struct error *err)
{
    int64_t days;

    if (!text.ptr)
        return 0;
    if (str_ends_with(text, STR("d")) &&
        number_parse_i64(str_slice(text, 0, text.len - 1), &days, NULL) == 0 && days >= 0 &&
        days < 100000) {
        *out = clock_now_us(&clock_system) - days * US_PER_DAY;
        return 0;
    }
    if (timestamp_parse_iso(text, out, NULL) < 0)
        return error_set(err, ERR_ARGS,
                         "--updated-since must be a date like 2024-05-01 or days like 30d, got "
                         "'%.*s'",
                         STR_ARG(str_slice(text, 0, 64)));
    return 0;
}

int
filter_options_read(const struct filter_options *values, struct dataset_filter *out,
                    struct error *err)
{
    struct dataset_filter filter = {
        .source_name = values->source,
        .license = values->license,
        .file_format = values->format,
        .tag = values->tag,
        .min_size_bytes = DATASET_UNKNOWN,
        .max_size_bytes = DATASET_UNKNOWN,
        .updated_since_us = DATASET_UNKNOWN,
        .with_inactive = values->with_inactive,
    };
    int rc = read_size("min-size", values->min_size, &filter.min_size_bytes, err);

    if (rc == 0)
        rc = read_size("max-size", values->max_size, &filter.max_size_bytes, err);
    if (rc == 0)
        rc = read_since(values->updated_since, &filter.updated_since_us, err);
    if (rc == 0)
        *out = filter;
    return rc;
}
