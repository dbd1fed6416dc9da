/* Field parsers by hand: each is a few lines over one scanner, and none may trust its text.
 *
 * Most fields are lists of items with parameters, `item;name=value;name="quoted, text", item`.
 * scan_part cuts the next part and stops at a separator that stands outside quotes. */

#include "lib/core/http_headers.h"

#include "base/clock.h"
#include "base/timestamp.h"

#define RETRY_AFTER_MAX_S (INT64_C(1) << 31)
#define NUMBER_MAX_DIGITS 12 /* of a limit: 30,000 years of seconds */

/* Cut *rest at the first of `separators` outside quotes and return what stood before; *found is the
 * separator, or NUL at the end. */
static struct str
scan_part(struct str *rest, struct str separators, char *found)
{
    bool is_quoted = false;
    size_t i = 0;
    struct str part;

    for (; i < rest->len; i++) {
        char c = rest->ptr[i];

        if (is_quoted && c == '\\')
            i++;
        else if (c == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && str_find_char(separators, c) < separators.len)
            break;
    }
    if (i > rest->len)
        i = rest->len;
    part = str_slice(*rest, 0, i);
    *found = i < rest->len ? rest->ptr[i] : '\0';
    *rest = str_slice(*rest, i + 1, rest->len);
    return part;
}

static struct str
strip_quotes(struct str text)
{
    text = str_trim(text);
    if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
        return str_slice(text, 1, text.len - 1);
    return text;
}

/* `name = "value"` into its halves; false when there is no equals sign outside quotes. */
static bool
split_param(struct str part, struct str *name, struct str *value)
{
    char found;
    struct str rest = part;

    *name = str_trim(scan_part(&rest, STR("="), &found));
    *value = strip_quotes(rest);
    return found == '=';
}

/* All digits, at most max_digits of them. */
static bool
parse_digits(struct str text, size_t max_digits, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > max_digits || max_digits > 19)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = value;
    return true;
}

static bool
parse_limit_number(struct str text, int64_t *out)
{
    uint64_t value;

    if (!parse_digits(text, NUMBER_MAX_DIGITS, &value))
        return false;
    *out = (int64_t)value;
    return true;
}

/* Is one of the words in text, which are separated by white space, the wanted one? */
static bool
has_word(struct str text, struct str wanted)
{
    struct str word;

    while (str_split(&text, ' ', &word)) {
        if (str_equal_ignore_case(str_trim(word), wanted))
            return true;
    }
    return false;
}

/* The parameters of one link, up to the comma that ends it: does its (first) rel hold the word? */
static bool
link_has_rel(struct str *rest, struct str rel)
{
    bool has_rel = false;
    bool is_match = false;
    char found = ';';

    while (found == ';') {
        struct str name, value;

        if (!split_param(scan_part(rest, STR(";,"), &found), &name, &value))
            continue;
        if (str_equal_ignore_case(name, STR("rel")) && !has_rel) {
            has_rel = true;
            is_match = has_word(value, rel);
        }
    }
    return is_match;
}

struct str
http_link_find(struct str value, struct str rel)
{
    struct str rest = value;

    while (rest.len > 0) {
        size_t open = str_find_char(rest, '<');
        size_t close;
        struct str uri;

        rest = str_slice(rest, open + 1, rest.len);
        close = str_find_char(rest, '>');
        if (close == rest.len)
            return STR_NULL;
        uri = str_trim(str_slice(rest, 0, close));
        rest = str_slice(rest, close + 1, rest.len);
        if (link_has_rel(&rest, rel))
            return uri;
    }
    return STR_NULL;
}

/* One item of a limit or policy: the last bare name, and two numbers that must both be there. */
static bool
parse_limit_item(struct str *rest, struct str first_name, struct str second_name,
                 struct str *bucket, int64_t *first, int64_t *second)
{
    bool has_first = false;
    bool has_second = false;
    char found = ';';

    *bucket = STR_NULL;
    while (found == ';') {
        struct str part = scan_part(rest, STR(";,"), &found);
        struct str name, value;

        if (!split_param(part, &name, &value)) {
            if (name.len > 0)
                *bucket = strip_quotes(name);
        } else if (str_equal_ignore_case(name, first_name)) {
            has_first = parse_limit_number(value, first);
        } else if (str_equal_ignore_case(name, second_name)) {
            has_second = parse_limit_number(value, second);
        }
    }
    return has_first && has_second;
}

bool
http_rate_limit_parse(struct str value, struct http_rate_limit *out)
{
    struct http_rate_limit least = {0};
    bool has_any = false;

    while (value.len > 0) {
        struct http_rate_limit item = {0};

        if (!parse_limit_item(&value, STR("r"), STR("t"), &item.bucket, &item.remaining,
                              &item.reset_s))
            continue;
        if (!has_any || item.remaining < least.remaining)
            least = item;
        has_any = true;
    }
    if (has_any)
        *out = least;
    return has_any;
}

bool
http_rate_policy_parse(struct str value, struct http_rate_policy *out)
{
    while (value.len > 0) {
        struct http_rate_policy item = {0};

        if (!parse_limit_item(&value, STR("q"), STR("w"), &item.bucket, &item.quota,
                              &item.window_s))
            continue;
        *out = item;
        return true;
    }
    return false;
}

static bool
is_all_digits(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return text.len > 0;
}

bool
http_retry_after_parse(struct str value, int64_t now_us, int64_t *out_ms)
{
    struct str text = str_trim(value);
    int64_t wait_s = RETRY_AFTER_MAX_S;
    int64_t date_us, wait_us;

    if (is_all_digits(text)) {
        if (!parse_limit_number(text, &wait_s) || wait_s > RETRY_AFTER_MAX_S)
            wait_s = RETRY_AFTER_MAX_S;
        *out_ms = wait_s * 1000;
        return true;
    }
    if (timestamp_parse_http(text, &date_us, NULL) < 0 ||
        __builtin_sub_overflow(date_us, now_us, &wait_us))
        return false;
    if (wait_us < 0)
        wait_us = 0;
    if (wait_us > RETRY_AFTER_MAX_S * US_PER_S)
        wait_us = RETRY_AFTER_MAX_S * US_PER_S;
    *out_ms = (wait_us + US_PER_MS - 1) / US_PER_MS;
    return true;
}

bool
http_content_range_parse(struct str value, struct http_content_range *out)
{
    struct http_content_range range = {0};
    struct str text = str_trim(value);
    struct str first, span;

    if (text.len < 6 || !str_equal_ignore_case(str_slice(text, 0, 5), STR("bytes")) ||
        (text.ptr[5] != ' ' && text.ptr[5] != '='))
        return false;
    text = str_trim(str_slice(text, 6, text.len));
    if (!str_split(&text, '/', &span))
        return false;
    text = str_trim(text);
    range.has_total = parse_digits(text, 18, &range.total);
    if (!range.has_total && !str_equal(text, STR("*")))
        return false;
    span = str_trim(span);
    if (!str_equal(span, STR("*"))) {
        range.has_range =
            str_split(&span, '-', &first) && parse_digits(str_trim(first), 18, &range.first) &&
            parse_digits(str_trim(span), 18, &range.last) && range.first <= range.last &&
            (!range.has_total || range.last < range.total);
        if (!range.has_range)
            return false;
    }
    *out = range;
    return range.has_range || range.has_total;
}

/* Source: RFC 4648 section 4. */
static int
base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* 16 bytes are 22 digits and "==". */
static bool
decode_md5(struct str text, unsigned char out[16])
{
    unsigned char bytes[18] = {0};

    if (text.len != 24 || text.ptr[22] != '=' || text.ptr[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        int digit = base64_value(text.ptr[i]);
        size_t bit = i * 6;
        unsigned shifted;

        if (digit < 0)
            return false;
        shifted = (unsigned)digit << (10 - bit % 8);
        bytes[bit / 8] |= (unsigned char)(shifted >> 8);
        bytes[bit / 8 + 1] |= (unsigned char)(shifted & 0xFF);
    }
    (void)memcpy(out, bytes, 16);
    return true;
}

bool
http_goog_md5_parse(struct str value, unsigned char out[16])
{
    struct str part, name;

    while (str_split(&value, ',', &part)) {
        part = str_trim(part);
        if (str_split(&part, '=', &name) && str_equal_ignore_case(name, STR("md5")))
            return decode_md5(part, out);
    }
    return false;
}
