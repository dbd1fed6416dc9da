/* First what many failures together say, then each row by itself.
 *
 * A row without a verdict is put off: to the end of its host's pause or the next canary, or, where
 * it was just not reached, back into the line where it stood. */

#include "lib/services/validation/link_verdicts.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "lib/repositories/enrichment_log_repository.h"
#include "lib/repositories/link_host_repository.h"
#include "lib/repositories/link_repository.h"
#include "lib/services/validation/link_strikes.h"

#define ROWS_PER_COMMIT ((size_t)200)
#define DAY_US          (INT64_C(86400) * US_PER_S)
#define NETWORK_WAIT_US (INT64_C(1800) * US_PER_S)
#define JITTER_US       (INT64_C(60) * US_PER_S)
#define REASON_BYTES    200

struct source_brake {
    struct str source_name;
    int64_t n_active;
    int64_t n_gone; /* within a day, with those of this pass */
    bool is_on;
};

struct verdicts {
    const struct link_checker *checker;
    struct link_pass *pass;
    const struct run_context *ctx;
    struct link_counts *counts;
    int64_t now_us;
    bool is_network_down;
    struct source_brake *sources;
    size_t n_sources;
};

static const struct link_finding *
finding_of(const struct link_item *item, struct link_finding *refused)
{
    if (item->probe)
        return &item->probe->result.finding;
    *refused = (struct link_finding){.class = LINK_CLASS_REFUSED, .reason = item->target.refusal};
    return refused;
}

/* Why a row gets no verdict, however it was answered; NULL where it gets one. */
static const char *
why_withheld(const struct verdicts *self, const struct link_item *item)
{
    const struct link_probe_plan *probe = item->probe;

    if (!probe)
        return NULL;
    if (!probe->was_asked)
        return "not asked";
    if (probe->result.finding.class == LINK_CLASS_PARKED ||
        probe->result.finding.class == LINK_CLASS_OURS)
        return probe->result.finding.reason;
    if (probe->result.finding.weight == 0)
        return NULL;
    if (self->is_network_down)
        return "most hosts are silent: our own network may be down";
    return probe->host->is_out ? "its host is in outage" : NULL;
}

/* When a row without a verdict is tried again. */
static int64_t
put_off_until(const struct verdicts *self, const struct link_item *item)
{
    const struct link_pass_host *host = item->probe->host;
    int64_t jitter_us = item->link->row_id * INT64_C(7919) % JITTER_US;

    if (host->record.parked_until_us != LINK_NEVER && host->record.parked_until_us > self->now_us)
        return host->record.parked_until_us + jitter_us;
    if (host->is_out)
        return host->record.canary_at_us;
    if (self->is_network_down && item->probe->was_asked)
        return self->now_us + NETWORK_WAIT_US;
    return LINK_NEVER;
}

static int
judge_host(struct verdicts *self, struct link_pass_host *host, struct error *err)
{
    bool is_new = false;

    if (!self->is_network_down || host->tally.has_success) {
        host->is_out =
            link_host_judge(&host->record, &host->tally, self->now_us, &is_new) == LINK_HOST_OUTAGE;
        host->is_changed = host->is_changed || host->tally.n_probes > 0;
    }
    if (is_new)
        log_warning("host in outage, its links get no strikes: host=%.*s failed=%" PRId64
                    " of=%" PRId64,
                    STR_ARG(host->record.origin), host->tally.n_first_failed, host->tally.n_first);
    if (!host->is_changed)
        return 0;
    return link_host_repo_save(self->checker->database, &host->record, self->now_us, err);
}

static int
judge_hosts(struct verdicts *self, struct error *err)
{
    struct link_pass *pass = self->pass;
    struct link_tally *tallies = arena_calloc(&pass->arena, pass->n_hosts, sizeof(*tallies));
    int rc;

    if (!tallies)
        return error_set(err, ERR_NOMEM, "no memory to judge %zu hosts", pass->n_hosts);
    for (size_t i = 0; i < pass->n_hosts; i++)
        tallies[i] = pass->hosts[i].tally;
    rc = database_begin(self->checker->database, err);
    if (rc < 0)
        return rc;
    self->is_network_down = link_network_is_down(tallies, pass->n_hosts);
    if (self->is_network_down)
        log_warning("most hosts are silent, no verdicts on what failed: hosts=%zu", pass->n_hosts);
    for (size_t i = 0; rc == 0 && i < pass->n_hosts; i++)
        rc = judge_host(self, &pass->hosts[i], err);
    if (rc == 0)
        return database_commit(self->checker->database, err);
    database_rollback(self->checker->database);
    return rc;
}

static int
find_source(struct verdicts *self, struct str name, struct source_brake **out, struct error *err)
{
    struct source_brake *source;

    for (size_t i = 0; i < self->n_sources; i++) {
        if (str_equal(self->sources[i].source_name, name)) {
            *out = &self->sources[i];
            return 0;
        }
    }
    source = &self->sources[self->n_sources++];
    source->source_name = name;
    *out = source;
    return link_repo_count(self->checker->database, name, self->now_us - DAY_US, &source->n_active,
                           &source->n_gone, err);
}

/* Would the row be hidden, were it not for the brake? */
static bool
would_vanish(const struct verdicts *self, const struct link_item *item)
{
    struct link_finding refused;
    const struct link_finding *finding = finding_of(item, &refused);

    return item->link->status.state != LINK_GONE && !why_withheld(self, item) &&
           link_strikes_apply(&item->link->status, finding, self->now_us, LINK_BRAKE_NONE).state ==
               LINK_GONE;
}

/* Too many at once are more likely a mistake than the truth: none of a source's then. */
static int
set_brakes(struct verdicts *self, struct error *err)
{
    struct link_pass *pass = self->pass;

    self->sources = arena_calloc(&pass->arena, pass->n_items, sizeof(*self->sources));
    if (!self->sources)
        return error_set(err, ERR_NOMEM, "no memory to judge %zu links", pass->n_items);
    for (size_t i = 0; i < pass->n_items; i++) {
        struct source_brake *source;
        int rc = find_source(self, pass->items[i].link->source_name, &source, err);

        if (rc < 0)
            return rc;
        source->n_gone += would_vanish(self, &pass->items[i]);
    }
    for (size_t i = 0; i < self->n_sources; i++) {
        struct source_brake *source = &self->sources[i];

        source->is_on = source->n_gone > link_gone_allowance(source->n_active);
        if (source->is_on)
            log_warning("more rows of a source would be gone than 1 %%, they stay suspect:"
                        " source=%.*s gone=%" PRId64 " active=%" PRId64,
                        STR_ARG(source->source_name), source->n_gone, source->n_active);
    }
    return 0;
}

static int
append_log(const struct verdicts *self, const struct link_item *item,
           enum enrichment_outcome outcome, int64_t n_strikes, const char *message,
           struct error *err)
{
    static const char *const types[] = {
        [LINK_CLASS_GONE] = "LookupError",     [LINK_CLASS_LOST] = "ConnectionError",
        [LINK_CLASS_REFUSED] = "ValueError",   [LINK_CLASS_PARKED] = "RateLimited",
        [LINK_CLASS_OURS] = "PermissionError",
    };
    struct link_finding refused;
    enum link_class class = finding_of(item, &refused)->class;
    const struct enrichment_log entry = {
        .row_id = item->link->row_id,
        .stage = STAGE_LINK,
        .outcome = outcome,
        .attempt = n_strikes,
        .error_type = class < COUNT_OF(types) ? str_from_cstr(types[class]) : STR_NULL,
        .error_message = str_from_cstr(message),
        .duration_ms = item->probe ? item->probe->result.duration_ms : 0,
        .worker_id = self->ctx->worker_id,
        .task_id = self->ctx->task_id,
        .at_us = self->now_us,
    };

    return enrichment_log_repo_append(self->checker->database, &entry, err);
}

/* "404 not found: suspect, strike 1". */
static void
describe(const struct link_item *item, const struct link_status *after, bool is_held,
         char out[REASON_BYTES])
{
    struct link_finding refused;
    const struct link_finding *finding = finding_of(item, &refused);
    int status = item->probe ? item->probe->result.status : 0;
    char code[16] = "";
    char strikes[80] = "";

    if (status)
        (void)snprintf(code, sizeof(code), "%d ", status);
    if (finding->weight > 0)
        (void)snprintf(strikes, sizeof(strikes), ", strikes: gone %" PRId64 ", lost %" PRId64,
                       after->strikes.n_gone, after->strikes.n_lost);
    (void)snprintf(out, REASON_BYTES, "%s%s: %s%s%s", code, finding->reason,
                   link_state_name(after->state), strikes,
                   is_held ? ", held back: too many of its source at once" : "");
}

/* A name that has passed to another row leads to that one: the answer was not about this row. */
static int
keep_hidden(const struct verdicts *self, const struct link_item *item, struct link_status *after,
            struct error *err)
{
    bool is_taken = false;
    int rc = link_repo_is_name_taken(self->checker->database, item->link->row_id, &is_taken, err);

    if (rc == 0 && is_taken) {
        after->state = LINK_GONE;
        after->gone_at_us = item->link->status.gone_at_us;
    }
    return rc;
}

static int
save_verdict(struct verdicts *self, const struct link_item *item, struct link_counts *counts,
             struct error *err)
{
    const struct link *link = item->link;
    struct link_finding refused;
    const struct link_finding *finding = finding_of(item, &refused);
    struct source_brake *source;
    struct link_status after;
    char message[REASON_BYTES];
    bool is_held;
    int rc = find_source(self, link->source_name, &source, err);

    if (rc < 0)
        return rc;
    is_held = source->is_on && would_vanish(self, item);
    after = link_strikes_apply(&link->status, finding, self->now_us,
                               is_held ? LINK_BRAKE_GONE : LINK_BRAKE_NONE);
    if (link->status.state == LINK_GONE && after.state != LINK_GONE)
        rc = keep_hidden(self, item, &after, err);
    if (rc == 0)
        rc = link_repo_save(self->checker->database, link->row_id, self->ctx->worker_id,
                            link->status.state, &after, self->now_us, err);
    if (rc < 0)
        return rc;
    describe(item, &after, is_held, message);
    counts->n_checked++;
    counts->n_broken += finding->weight > 0;
    counts->n_deactivated += after.state == LINK_GONE && link->status.state != LINK_GONE;
    return append_log(self, item,
                      finding->weight > 0                    ? OUTCOME_FAILED
                      : finding->class == LINK_CLASS_REFUSED ? OUTCOME_SKIPPED
                                                             : OUTCOME_SUCCESS,
                      after.strikes.n_gone + after.strikes.n_lost, message, err);
}

/* The end of a lease without a verdict; only what was asked leaves an entry. */
static int
put_off(const struct verdicts *self, const struct link_item *item, const char *why,
        struct link_counts *counts, struct error *err)
{
    int rc = link_repo_put_off(self->checker->database, item->link->row_id, self->ctx->worker_id,
                               put_off_until(self, item), err);

    if (rc < 0)
        return rc;
    counts->n_errors++;
    if (!item->probe->was_asked)
        return 0;
    return append_log(self, item,
                      item->probe->result.finding.class == LINK_CLASS_PARKED ? OUTCOME_RATE_LIMITED
                                                                             : OUTCOME_SKIPPED,
                      0, why, err);
}

static int
store_one(struct verdicts *self, const struct link_item *item, struct link_counts *counts,
          struct error *err)
{
    const char *why = why_withheld(self, item);
    struct error lost = {0};
    int rc =
        why ? put_off(self, item, why, counts, &lost) : save_verdict(self, item, counts, &lost);

    if (rc == -ERR_NOT_FOUND) {
        log_warning("verdict on a link dropped, the row changed meanwhile: dataset=%.*s",
                    STR_ARG(item->link->external_id));
        counts->n_errors++;
        return 0;
    }
    if (rc < 0 && err)
        *err = lost;
    return rc;
}

/* One transaction's worth of rows. */
static int
store_rows(struct verdicts *self, size_t from, size_t to, struct error *err)
{
    struct link_counts counts = *self->counts;
    int rc = database_begin(self->checker->database, err);

    if (rc < 0)
        return rc;
    for (size_t i = from; rc == 0 && i < to; i++)
        rc = store_one(self, &self->pass->items[i], &counts, err);
    if (rc < 0) {
        database_rollback(self->checker->database);
        return rc;
    }
    rc = database_commit(self->checker->database, err);
    if (rc == 0)
        *self->counts = counts;
    return rc;
}

int
link_verdicts_store(const struct link_checker *checker, struct link_pass *pass,
                    const struct run_context *ctx, struct link_counts *counts, struct error *err)
{
    struct verdicts self = {
        .checker = checker,
        .pass = pass,
        .ctx = ctx,
        .counts = counts,
        .now_us = clock_now_us(checker->clock),
    };
    int rc = judge_hosts(&self, err);

    if (rc == 0)
        rc = set_brakes(&self, err);
    for (size_t i = 0; rc == 0 && i < pass->n_items; i += ROWS_PER_COMMIT) {
        size_t end = i + ROWS_PER_COMMIT;

        rc = store_rows(&self, i, end < pass->n_items ? end : pass->n_items, err);
    }
    return rc;
}
