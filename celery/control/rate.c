/* Source: Celery 5.7, utils/time.py (rate); kombu, utils/limits.py (TokenBucket). */

#include "celery/control/rate.h"

#include "base/clock.h"
#include "base/number.h"
#include "celery/codec_repr.h"

#define RATE_MAX   1e9               /* a second */
#define DUE_MAX_US (30 * US_PER_DAY) /* a rate so low that nobody waits for it */
#define FULL       (1.0 - 1e-9)      /* what rounding leaves of a whole token */

static int
refuse_number(struct str text, struct error *err)
{
    CLEANUP(buf_fini) struct buf repr = BUF_INIT(1024);

    celery_repr_append_text(&repr, text);
    return error_set(err, ERR_INVALID, "could not convert string to float: %s", buf_cstr(&repr));
}

/* Seconds of a unit; 0: there is none of that name. */
static double
unit_seconds(struct str unit)
{
    if (unit.len == 0 || str_equal(unit, STR("s")))
        return 1;
    if (str_equal(unit, STR("m")))
        return 60;
    return str_equal(unit, STR("h")) ? 3600 : 0;
}

int
control_rate_parse(struct str text, double *per_s, const char **exception, struct error *err)
{
    size_t slash = str_find_char(text, '/');
    struct str number = str_trim(str_slice(text, 0, slash));
    struct str unit = slash < text.len ? str_slice(text, slash + 1, text.len) : STR("");
    double seconds = unit_seconds(unit);
    double amount;

    if (text.len == 0) {
        *per_s = 0;
        return 0;
    }
    if (text.len >= CONTROL_RATE_BYTES)
        return error_set(err, ERR_INVALID, "a rate limit has %zu bytes, allowed are %zu", text.len,
                         CONTROL_RATE_BYTES - 1);
    if (seconds == 0) {
        *exception = "KeyError";
        return error_set(err, ERR_INVALID, "%.*s", STR_ARG(unit));
    }
    if (number_parse_f64(number, &amount, NULL) < 0)
        return refuse_number(number, err);
    if (!(amount >= 0 && amount <= RATE_MAX))
        return error_set(err, ERR_INVALID, "a rate limit must be 0 to 1e9, got %.*s",
                         STR_ARG(number));
    *per_s = amount / seconds;
    return 0;
}

struct control_rate
control_rate_of(double per_s, int64_t now_us)
{
    return (struct control_rate){.per_s = per_s, .n_tokens = 1, .filled_us = now_us};
}

/* At most so many. */
static double
tokens_at(const struct control_rate *self, int64_t now_us, double most)
{
    double n = self->n_tokens;

    if (now_us > self->filled_us)
        n += (double)(now_us - self->filled_us) * self->per_s / (double)US_PER_S;
    return n < most ? n : most;
}

static bool
take(struct control_rate *self, int64_t now_us, double most)
{
    double n = tokens_at(self, now_us, most);

    if (self->per_s == 0)
        return true;
    if (n < FULL)
        return false;
    self->n_tokens = n > 1 ? n - 1 : 0;
    self->filled_us = now_us;
    return true;
}

bool
control_rate_take(struct control_rate *self, int64_t now_us)
{
    return take(self, now_us, 1);
}

bool
control_rate_take_late(struct control_rate *self, int64_t now_us)
{
    return take(self, now_us, 3);
}

int64_t
control_rate_due_us(const struct control_rate *self, int64_t now_us)
{
    double n = tokens_at(self, now_us, 1);
    double wait_us;

    if (self->per_s == 0 || n >= FULL)
        return now_us;
    wait_us = (1 - n) / self->per_s * (double)US_PER_S;
    return now_us + (wait_us < (double)DUE_MAX_US ? (int64_t)wait_us + 1 : DUE_MAX_US);
}
