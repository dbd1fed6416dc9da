/* Crontab text to bit sets: a table of the five fields, and one parser for all. */

#include "celery/crontab.h"

#include <inttypes.h>

#include "base/number.h"

#define NAME_LETTERS_MIN 3
#define SHOWN_BYTES      64

struct field {
    const char *name;
    unsigned min;
    unsigned max;
    const char *const *words; /* of min, min + 1, ...; NULL = numbers only */
    const char *allowed;
};

static const char *const week_days[] = {"sunday",   "monday", "tuesday", "wednesday",
                                        "thursday", "friday", "saturday"};

static const char *const month_names[] = {"january",   "february", "march",    "april",
                                          "may",       "june",     "july",     "august",
                                          "september", "october",  "november", "december"};

static const struct field minute_field = {"minute", 0, 59, NULL, "0 to 59"};
static const struct field hour_field = {"hour", 0, 23, NULL, "0 to 23"};
static const struct field day_of_week_field = {"day_of_week", 0, 6, week_days,
                                               "0 (Sunday) to 6 or sun to sat"};
static const struct field day_of_month_field = {"day_of_month", 1, 31, NULL, "1 to 31"};
static const struct field month_field = {"month_of_year", 1, 12, month_names,
                                         "1 to 12 or jan to dec"};

static int
refuse(const struct field *field, struct str part, const char *why, struct error *err)
{
    return error_set(err, ERR_INVALID,
                     "crontab %s '%.*s' %s (allowed: %s, as *, a, a-b, */n, a-b/n or a comma list "
                     "of these)",
                     field->name, STR_ARG(str_slice(part, 0, SHOWN_BYTES)), why, field->allowed);
}

/* "tue", "tues" and "TUESDAY" are the beginning of a word that is long enough. */
static bool
find_word(const struct field *field, struct str text, unsigned *out)
{
    if (!field->words || text.len < NAME_LETTERS_MIN)
        return false;
    for (unsigned value = field->min; value <= field->max; value++) {
        struct str word = str_from_cstr(field->words[value - field->min]);

        if (text.len <= word.len && str_equal_ignore_case(text, str_slice(word, 0, text.len))) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool
is_digits(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return text.len > 0;
}

static int
parse_value(const struct field *field, struct str part, struct str text, unsigned *out,
            struct error *err)
{
    int64_t number;

    if (find_word(field, text, out))
        return 0;
    if (text.len == 0)
        return refuse(field, part, "lacks a value", err);
    if (!is_digits(text))
        return refuse(field, part, field->words ? "is no number and no name" : "is no number", err);
    if (number_parse_i64(text, &number, NULL) < 0 || number < field->min || number > field->max) {
        if (field == &day_of_week_field && str_equal(text, STR("7")))
            return refuse(field, part, "is out of range: Sunday is 0", err);
        return refuse(field, part, "is out of range", err);
    }
    *out = (unsigned)number;
    return 0;
}

/* A step beyond the range is fine: it leaves the first value. */
static int
parse_step(const struct field *field, struct str part, struct str text, unsigned *out,
           struct error *err)
{
    int64_t step;

    if (!is_digits(text))
        return refuse(field, part, "needs a number after the '/'", err);
    if (number_parse_i64(text, &step, NULL) < 0 || step > 1000)
        step = 1000;
    if (step == 0)
        return refuse(field, part, "has a step of 0, which never ends", err);
    *out = (unsigned)step;
    return 0;
}

/* The range of a part: *, a or a-b. */
static int
parse_range(const struct field *field, struct str part, struct str text, unsigned *first,
            unsigned *last, struct error *err)
{
    size_t dash = str_find_char(text, '-');
    int rc;

    *first = field->min;
    *last = field->max;
    if (str_equal(text, STR("*")))
        return 0;
    rc = parse_value(field, part, str_slice(text, 0, dash), first, err);
    *last = *first;
    if (rc == 0 && dash < text.len)
        rc = parse_value(field, part, str_slice(text, dash + 1, text.len), last, err);
    return rc;
}

static int
parse_part(const struct field *field, struct str part, uint64_t *values, struct error *err)
{
    size_t slash = str_find_char(part, '/');
    struct str range = str_slice(part, 0, slash);
    unsigned n_all = field->max - field->min + 1;
    unsigned step = 1;
    unsigned first;
    unsigned last;
    unsigned n_range;
    int rc;

    if (part.len == 0)
        return refuse(field, part, "has an empty place", err);
    rc = parse_range(field, part, range, &first, &last, err);
    if (rc < 0)
        return rc;
    if (slash < part.len) {
        if (!str_equal(range, STR("*")) && str_find_char(range, '-') == range.len)
            return refuse(field, part, "has a step but no range: write a-b/n", err);
        rc = parse_step(field, part, str_slice(part, slash + 1, part.len), &step, err);
        if (rc < 0)
            return rc;
    }
    n_range = (last >= first ? last - first : last + n_all - first) + 1;
    for (unsigned i = 0; i < n_range; i += step)
        *values |= UINT64_C(1) << (field->min + (first - field->min + i) % n_all);
    return 0;
}

static int
parse_field(const struct field *field, struct str text, uint64_t *out, struct error *err)
{
    uint64_t values = 0;
    struct str part;
    int rc = 0;

    if (!text.ptr)
        text = STR("*");
    if (text.len == 0 || text.len > CELERY_CRONTAB_FIELD_BYTES)
        return refuse(field, text, text.len ? "is too long" : "is empty: write *", err);
    if (text.ptr[text.len - 1] == ',')
        return refuse(field, text, "has an empty place", err);
    while (rc == 0 && str_split(&text, ',', &part))
        rc = parse_part(field, part, &values, err);
    if (rc == 0)
        *out = values;
    return rc;
}

/* In 400 years every date falls on every weekday; so only a day that its months lack never comes.
 */
static bool
can_fire(const struct celery_crontab *crontab)
{
    static const unsigned days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    for (unsigned month = 1; month <= 12; month++) {
        uint64_t days_bits = (UINT64_C(1) << (days[month] + 1)) - 1;

        if (crontab->month >> month & 1 && crontab->day_of_month & days_bits)
            return true;
    }
    return false;
}

int
celery_crontab_parse_fields(const struct celery_crontab_fields *fields, struct celery_crontab *out,
                            struct error *err)
{
    struct celery_crontab crontab = {0};
    const struct {
        const struct field *field;
        struct str text;
        uint64_t *values;
    } rows[] = {
        {&minute_field, fields->minute, &crontab.minute},
        {&hour_field, fields->hour, &crontab.hour},
        {&day_of_month_field, fields->day_of_month, &crontab.day_of_month},
        {&month_field, fields->month_of_year, &crontab.month},
        {&day_of_week_field, fields->day_of_week, &crontab.day_of_week},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int rc = parse_field(rows[i].field, rows[i].text, rows[i].values, err);

        if (rc < 0)
            return rc;
    }
    if (!can_fire(&crontab))
        return error_set(err, ERR_INVALID,
                         "crontab can never fire: no month in month_of_year '%.*s' has a day in "
                         "day_of_month '%.*s'",
                         STR_ARG(str_slice(fields->month_of_year, 0, SHOWN_BYTES)),
                         STR_ARG(str_slice(fields->day_of_month, 0, SHOWN_BYTES)));
    *out = crontab;
    return 0;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int
celery_crontab_parse(struct str line, struct celery_crontab *out, struct error *err)
{
    struct celery_crontab_fields fields;
    struct str *const order[] = {&fields.minute, &fields.hour, &fields.day_of_month,
                                 &fields.month_of_year, &fields.day_of_week};
    size_t n_fields = 0;
    size_t at = 0;

    while (at < line.len) {
        size_t start = at;

        while (at < line.len && !is_blank(line.ptr[at]))
            at++;
        if (at > start) {
            if (n_fields < COUNT_OF(order))
                *order[n_fields] = str_slice(line, start, at);
            n_fields++;
        } else {
            at++;
        }
    }
    if (n_fields != COUNT_OF(order))
        return error_set(err, ERR_INVALID,
                         "crontab '%.*s' has %zu fields, wanted 5: minute hour day_of_month "
                         "month_of_year day_of_week",
                         STR_ARG(str_slice(line, 0, SHOWN_BYTES)), n_fields);
    return celery_crontab_parse_fields(&fields, out, err);
}
