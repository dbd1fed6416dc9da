/* Rules by name, and the small languages of their values. */

#include "celery/limits/rules.h"

#include "base/clock.h"
#include "base/number.h"

#define MAX_SPAN_S 31536000.0 /* a year */

const struct limit_rule *
limit_rules_find(const struct limit_rule_list *rules, struct str name)
{
    for (size_t i = 0; i < rules->n_items; i++)
        if (str_equal(rules->items[i].name, name))
            return &rules->items[i];
    return NULL;
}

static bool
find_unit(struct str text, double *out)
{
    static const struct {
        struct str name;
        double seconds;
    } rows[] = {
        {STR_INIT("s"), 1}, {STR_INIT("m"), 60}, {STR_INIT("h"), 3600}, {STR_INIT("d"), 86400}};

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_equal(rows[i].name, text)) {
            *out = rows[i].seconds;
            return true;
        }
    return false;
}

int
limit_parse_rate(struct str text, int64_t *interval_us, struct error *err)
{
    struct str number = str_trim(text);
    size_t slash = str_find_char(number, '/');
    double seconds = 1;
    double rate = 0;
    double span;
    bool is_ok =
        slash == number.len || find_unit(str_slice(number, slash + 1, number.len), &seconds);

    is_ok = is_ok && number_parse_f64(str_slice(number, 0, slash), &rate, NULL) == 0 && rate > 0;
    span = is_ok ? seconds / rate * (double)US_PER_S : 0;
    if (!is_ok || span < 1 || span > MAX_SPAN_S * (double)US_PER_S)
        return error_set(err, ERR_INVALID,
                         "rate '%.*s' is not a number per time, as in 10/s, 100/m, 5/h or 1/d",
                         STR_ARG(str_slice(text, 0, 40)));
    *interval_us = (int64_t)(span + 0.5);
    return 0;
}

static bool
is_name(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c != '_' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(c >= '0' && c <= '9'))
            return false;
    }
    return text.len > 0;
}

int
limit_parse_key(struct str text, enum limit_key_form *form, struct str *argument, struct error *err)
{
    static const struct str host = STR_INIT("host(");
    struct str name = str_trim(text);
    bool is_host = str_starts_with(name, host) && name.ptr[name.len - 1] == ')';

    if (is_host)
        name = str_trim(str_slice(name, host.len, name.len - 1));
    if (!is_name(name))
        return error_set(err, ERR_INVALID,
                         "key '%.*s' is neither the name of an argument nor host(NAME)",
                         STR_ARG(str_slice(text, 0, 40)));
    *form = is_host ? LIMIT_KEY_HOST : LIMIT_KEY_VALUE;
    *argument = name;
    return 0;
}

int
limit_parse_unique(struct str text, enum broker_lock_span *span, int64_t *span_us,
                   struct error *err)
{
    static const struct {
        struct str name;
        enum broker_lock_span span;
    } words[] = {{STR_INIT("queued"), BROKER_LOCK_QUEUED},
                 {STR_INIT("running"), BROKER_LOCK_ENDED},
                 {STR_INIT("no"), BROKER_LOCK_NONE},
                 {STR_INIT("false"), BROKER_LOCK_NONE}};
    struct str word = str_trim(text);
    double factor = 1;
    double seconds;

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_equal(words[i].name, word)) {
            *span = words[i].span;
            *span_us = 0;
            return 0;
        }
    if (word.len > 1 && find_unit(str_slice(word, word.len - 1, word.len), &factor))
        word = str_slice(word, 0, word.len - 1);
    if (number_parse_f64(word, &seconds, NULL) < 0 || !(seconds * factor >= 0.001) ||
        seconds * factor > MAX_SPAN_S)
        return error_set(err, ERR_INVALID,
                         "unique '%.*s' is not queued, running, no or a time, as in 30s, 10m, 2h",
                         STR_ARG(str_slice(text, 0, 40)));
    *span = BROKER_LOCK_TIMED;
    *span_us = (int64_t)(seconds * factor * (double)US_PER_S);
    return 0;
}
