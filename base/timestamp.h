#pragma once

/* Dates as text: the forms that the sources use, in and out.  UTC, microseconds.  Pure. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

/* Longest text that timestamp_format writes, with its NUL. */
#define TIMESTAMP_TEXT_BYTES 32

/* Days since 1970-01-01 of a proleptic Gregorian date, any year.
 * Source: Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil. */
int64_t timestamp_days_from_civil(int64_t year, unsigned month, unsigned day);

/* The way back: month 1 to 12, day 1 to 31. */
void timestamp_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day);

/* "2024-11-25T20:07:28.123456Z", "2024-11-25 20:07:28", "2024-11-25", with 0 to 9 fraction digits,
 * a zone as "Z", "+02:00" or nothing (UTC).  Errors: ERR_INVALID, naming the text. */
MUST_CHECK int timestamp_parse_iso(struct str text, int64_t *out_us, struct error *err);

/* "11/25/2024" or "11/25/2024 20:07:28", month first, as Meta Kaggle writes them. */
MUST_CHECK int timestamp_parse_us(struct str text, int64_t *out_us, struct error *err);

/* Either of the two above, chosen by the third byte. */
MUST_CHECK int timestamp_parse(struct str text, int64_t *out_us, struct error *err);

/* An HTTP date: "Sun, 06 Nov 1994 08:49:37 GMT" (the preferred form of RFC 9110 section 5.6.7). */
MUST_CHECK int timestamp_parse_http(struct str text, int64_t *out_us, struct error *err);

/* "2024-11-25T20:07:28Z", or with three fraction digits where there are milliseconds to show.
 * Years 0 to 9999; others are clamped.  Returns text. */
const char *timestamp_format(int64_t time_us, char text[TIMESTAMP_TEXT_BYTES]);
