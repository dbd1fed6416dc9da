/* The ladder from suspect to gone.  Its figures keep live rows marked gone below one in a thousand
 * where hosts fail a few times a year for hours to days; one strike would mark one in a hundred. */

#include "lib/services/validation/link_strikes.h"

#include <trawl/attributes.h>

#define HOUR_US (INT64_C(3600) * INT64_C(1000000))
#define DAY_US  (24 * HOUR_US)

#define GONE_STRIKES        3
#define GONE_SPAN_US        (72 * HOUR_US)
#define GONE_STRONG_STRIKES 2
#define GONE_STRONG_SPAN_US (24 * HOUR_US)
#define LOST_STRIKES        3
#define LOST_SPAN_US        (72 * HOUR_US)
#define LOST_GONE_STRIKES   8
#define LOST_GONE_SPAN_US   (30 * DAY_US)

/* Waits after the first, second ... strike; the last one stays. */
static const int64_t gone_waits_us[] = {6 * HOUR_US, 24 * HOUR_US};
static const int64_t lost_waits_us[] = {6 * HOUR_US, 24 * HOUR_US, 48 * HOUR_US};

/* How long after the verdict a row is tried again. */
static const int64_t revisits_us[] = {7 * DAY_US, 30 * DAY_US, 90 * DAY_US};

static int64_t
wait_after(const int64_t *waits_us, size_t n_waits, int64_t n_strikes)
{
    size_t i = n_strikes < 1 ? 0 : (size_t)n_strikes - 1;

    return waits_us[i < n_waits ? i : n_waits - 1];
}

/* The first revisit that is still to come; LINK_NEVER after the last. */
static int64_t
next_revisit(int64_t gone_at_us, int64_t now_us)
{
    for (size_t i = 0; i < COUNT_OF(revisits_us); i++) {
        if (now_us < gone_at_us + revisits_us[i])
            return gone_at_us + revisits_us[i];
    }
    return LINK_NEVER;
}

static bool
has_span(int64_t since_us, int64_t now_us, int64_t span_us)
{
    return since_us != LINK_NEVER && now_us - since_us >= span_us;
}

static void
note_first(int64_t *since_us, int64_t now_us)
{
    if (*since_us == LINK_NEVER)
        *since_us = now_us;
}

static void
add_strike(struct link_strikes *strikes, const struct link_finding *finding, int64_t now_us)
{
    if (finding->class == LINK_CLASS_LOST) {
        strikes->n_lost += finding->weight;
        note_first(&strikes->lost_since_us, now_us);
        return;
    }
    strikes->n_gone += finding->weight;
    note_first(&strikes->gone_since_us, now_us);
    if (finding->is_strong) {
        strikes->n_gone_strong++;
        note_first(&strikes->gone_strong_since_us, now_us);
    }
}

static bool
is_gone(const struct link_strikes *strikes, int64_t now_us)
{
    return (strikes->n_gone >= GONE_STRIKES &&
            has_span(strikes->gone_since_us, now_us, GONE_SPAN_US)) ||
           (strikes->n_gone_strong >= GONE_STRONG_STRIKES &&
            has_span(strikes->gone_strong_since_us, now_us, GONE_STRONG_SPAN_US)) ||
           (strikes->n_lost >= LOST_GONE_STRIKES &&
            has_span(strikes->lost_since_us, now_us, LOST_GONE_SPAN_US));
}

/* A strike against a row that is not gone. */
static void
strike(struct link_status *status, const struct link_finding *finding, int64_t now_us,
       enum link_brake brake)
{
    struct link_strikes *strikes = &status->strikes;
    bool is_lost = finding->class == LINK_CLASS_LOST;

    add_strike(strikes, finding, now_us);
    status->next_at_us =
        now_us + (is_lost ? wait_after(lost_waits_us, COUNT_OF(lost_waits_us), strikes->n_lost)
                          : wait_after(gone_waits_us, COUNT_OF(gone_waits_us), strikes->n_gone));
    status->state = LINK_SUSPECT;
    if (strikes->n_lost >= LOST_STRIKES && has_span(strikes->lost_since_us, now_us, LOST_SPAN_US))
        status->state = LINK_UNREACHABLE;
    if (!is_gone(strikes, now_us))
        return;
    if (brake == LINK_BRAKE_GONE) {
        status->state = LINK_SUSPECT;
        return;
    }
    status->state = LINK_GONE;
    status->gone_at_us = now_us;
    status->next_at_us = next_revisit(now_us, now_us);
}

/* Strikes of a row that is in no doubt are of the past: a source has listed it again since. */
static struct link_status
forget_past(const struct link_status *before)
{
    struct link_status status;

    if (before->state == LINK_SUSPECT || before->state == LINK_UNREACHABLE ||
        before->state == LINK_GONE)
        return *before;
    link_status_init(&status);
    status.state = before->state;
    return status;
}

struct link_status
link_strikes_apply(const struct link_status *before, const struct link_finding *finding,
                   int64_t now_us, enum link_brake brake)
{
    struct link_status after = forget_past(before);
    bool was_gone = after.state == LINK_GONE;

    if (before->last_checked_at_us != LINK_NEVER && now_us < before->last_checked_at_us)
        now_us = before->last_checked_at_us;
    if (finding->class == LINK_CLASS_ALIVE || (!was_gone && finding->weight == 0)) {
        link_status_init(&after);
        after.state = finding->class == LINK_CLASS_ALIVE        ? LINK_ALIVE
                      : finding->class == LINK_CLASS_RESTRICTED ? LINK_RESTRICTED
                                                                : LINK_UNCHECKED;
    } else if (was_gone) {
        if (after.gone_at_us == LINK_NEVER)
            after.gone_at_us = now_us;
        after.next_at_us = next_revisit(after.gone_at_us, now_us);
    } else {
        strike(&after, finding, now_us, brake);
    }
    after.last_checked_at_us = now_us;
    return after;
}
