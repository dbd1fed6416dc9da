/* Civil dates to microseconds and back.  Parsers read fixed digit runs from a cursor: no locale, no
 * strptime, no allocation. */

#include "base/timestamp.h"

#include <stdio.h>

#include "base/clock.h"

int64_t
timestamp_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

struct civil {
    int64_t year;
    unsigned month;
    unsigned day;
    unsigned hour;
    unsigned minute;
    unsigned second;
    int64_t fraction_us;
    int64_t offset_s; /* east of UTC */
};

/* n_digits decimal digits from the front of *rest. */
static bool
take_digits(struct str *rest, size_t n_digits, unsigned *out)
{
    unsigned value = 0;

    if (rest->len < n_digits)
        return false;
    for (size_t i = 0; i < n_digits; i++) {
        char c = rest->ptr[i];

        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (unsigned)(c - '0');
    }
    *rest = str_slice(*rest, n_digits, rest->len);
    *out = value;
    return true;
}

static bool
take_char(struct str *rest, char wanted)
{
    if (rest->len == 0 || rest->ptr[0] != wanted)
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    return true;
}

/* ":"-separated time of day. */
static bool
take_time(struct str *rest, struct civil *civil)
{
    return take_digits(rest, 2, &civil->hour) && take_char(rest, ':') &&
           take_digits(rest, 2, &civil->minute) && take_char(rest, ':') &&
           take_digits(rest, 2, &civil->second);
}

static bool
take_fraction(struct str *rest, struct civil *civil)
{
    int64_t unit_us = US_PER_S / 10;
    unsigned digit;

    if (!take_char(rest, '.'))
        return true;
    for (unsigned n = 0; n < 9 && take_digits(rest, 1, &digit); n++) {
        civil->fraction_us += digit * unit_us;
        unit_us /= 10;
    }
    return true;
}

static bool
take_zone(struct str *rest, struct civil *civil)
{
    int64_t sign = 1;
    unsigned hours;
    unsigned minutes = 0;

    if (rest->len == 0 || take_char(rest, 'Z'))
        return true;
    if (take_char(rest, '-'))
        sign = -1;
    else if (!take_char(rest, '+'))
        return false;
    if (!take_digits(rest, 2, &hours))
        return false;
    (void)take_char(rest, ':');
    if (rest->len && !take_digits(rest, 2, &minutes))
        return false;
    civil->offset_s = sign * (int64_t)(hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

static unsigned
days_of_month(int64_t year, unsigned month)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* Ranges checked; a leap second counts as the second after. */
static bool
to_microseconds(const struct civil *civil, int64_t *out_us)
{
    int64_t seconds;

    if (civil->month < 1 || civil->month > 12 || civil->day < 1 ||
        civil->day > days_of_month(civil->year, civil->month) || civil->hour > 23 ||
        civil->minute > 59 || civil->second > 60)
        return false;
    seconds = timestamp_days_from_civil(civil->year, civil->month, civil->day) * 86400 +
              (int64_t)(civil->hour * 3600 + civil->minute * 60 + civil->second) - civil->offset_s;
    *out_us = seconds * US_PER_S + civil->fraction_us;
    return true;
}

static bool
parse_iso(struct str rest, int64_t *out_us)
{
    struct civil civil = {0};
    unsigned year;

    if (!take_digits(&rest, 4, &year) || !take_char(&rest, '-') ||
        !take_digits(&rest, 2, &civil.month) || !take_char(&rest, '-') ||
        !take_digits(&rest, 2, &civil.day))
        return false;
    civil.year = year;
    if (rest.len) {
        if (!take_char(&rest, 'T') && !take_char(&rest, ' '))
            return false;
        if (!take_time(&rest, &civil) || !take_fraction(&rest, &civil) || !take_zone(&rest, &civil))
            return false;
    }
    return rest.len == 0 && to_microseconds(&civil, out_us);
}

static bool
parse_month_first(struct str rest, int64_t *out_us)
{
    struct civil civil = {0};
    unsigned year;

    if (!take_digits(&rest, 2, &civil.month) || !take_char(&rest, '/') ||
        !take_digits(&rest, 2, &civil.day) || !take_char(&rest, '/') ||
        !take_digits(&rest, 4, &year))
        return false;
    civil.year = year;
    if (rest.len && (!take_char(&rest, ' ') || !take_time(&rest, &civil)))
        return false;
    return rest.len == 0 && to_microseconds(&civil, out_us);
}

int
timestamp_parse_iso(struct str text, int64_t *out_us, struct error *err)
{
    if (!parse_iso(str_trim(text), out_us))
        return error_set(err, ERR_INVALID, "'%.*s' is not a date as YYYY-MM-DD[THH:MM:SS[Z]]",
                         STR_ARG(str_slice(text, 0, 64)));
    return 0;
}

int
timestamp_parse_us(struct str text, int64_t *out_us, struct error *err)
{
    if (!parse_month_first(str_trim(text), out_us))
        return error_set(err, ERR_INVALID, "'%.*s' is not a date as MM/DD/YYYY [HH:MM:SS]",
                         STR_ARG(str_slice(text, 0, 64)));
    return 0;
}

int
timestamp_parse(struct str text, int64_t *out_us, struct error *err)
{
    struct str trimmed = str_trim(text);

    if (trimmed.len > 2 && trimmed.ptr[2] == '/')
        return timestamp_parse_us(trimmed, out_us, err);
    return timestamp_parse_iso(trimmed, out_us, err);
}

static bool
parse_http(struct str rest, int64_t *out_us)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct civil civil = {0};
    unsigned year;
    size_t comma = str_find(rest, STR(", "));
    size_t month_at;

    if (comma == rest.len)
        return false;
    rest = str_slice(rest, comma + 2, rest.len);
    if (!take_digits(&rest, 2, &civil.day) || !take_char(&rest, ' ') || rest.len < 3)
        return false;
    month_at = str_find(STR(months), str_slice(rest, 0, 3));
    if (month_at % 3 != 0 || month_at >= sizeof(months) - 1)
        return false;
    civil.month = (unsigned)(month_at / 3 + 1);
    rest = str_slice(rest, 3, rest.len);
    if (!take_char(&rest, ' ') || !take_digits(&rest, 4, &year) || !take_char(&rest, ' ') ||
        !take_time(&rest, &civil))
        return false;
    civil.year = year;
    return str_equal(rest, STR(" GMT")) && to_microseconds(&civil, out_us);
}

int
timestamp_parse_http(struct str text, int64_t *out_us, struct error *err)
{
    if (!parse_http(str_trim(text), out_us))
        return error_set(err, ERR_INVALID, "'%.*s' is not an HTTP date",
                         STR_ARG(str_slice(text, 0, 64)));
    return 0;
}

/* Source: Hinnant, as above, civil_from_days. */
void
timestamp_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_of_year = (5 * day_of_year + 2) / 153;

    *day = (unsigned)(day_of_year - (153 * month_of_year + 2) / 5 + 1);
    *month = (unsigned)(month_of_year < 10 ? month_of_year + 3 : month_of_year - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

const char *
timestamp_format(int64_t time_us, char text[TIMESTAMP_TEXT_BYTES])
{
    static const int64_t first_us = INT64_C(-62167219200) * US_PER_S; /* 0000-01-01 */
    static const int64_t last_us = INT64_C(253402300799) * US_PER_S;  /* 9999-12-31T23:59:59 */
    struct civil civil = {0};
    int64_t days;
    int64_t rest_us;
    unsigned ms;
    unsigned seconds;
    int len;

    time_us = time_us < first_us ? first_us : time_us > last_us ? last_us : time_us;
    days = time_us / US_PER_DAY - (time_us % US_PER_DAY < 0);
    rest_us = time_us - days * US_PER_DAY;
    timestamp_civil_from_days(days, &civil.year, &civil.month, &civil.day);
    seconds = (unsigned)(rest_us / US_PER_S);
    ms = (unsigned)(rest_us % US_PER_S / US_PER_MS) % 1000;
    len = snprintf(text, TIMESTAMP_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u",
                   (unsigned)civil.year % 10000, civil.month % 100, civil.day % 100,
                   seconds / 3600 % 100, seconds / 60 % 60, seconds % 60);
    if (ms)
        (void)snprintf(text + len, TIMESTAMP_TEXT_BYTES - (size_t)len, ".%03uZ", ms);
    else
        (void)snprintf(text + len, TIMESTAMP_TEXT_BYTES - (size_t)len, "Z");
    return text;
}
