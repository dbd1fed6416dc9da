/* The hosts take turns, one URL each, so that the pause between two requests to one host is used
 * for the others. */

#include "lib/services/validation/link_checker.h"

#include "base/log.h"
#include "lib/repositories/link_repository.h"
#include "lib/services/validation/link_pass.h"
#include "lib/services/validation/link_verdicts.h"

#define HOUR_US       (INT64_C(3600) * US_PER_S)
#define PASS_US       (INT64_C(40 * 60) * US_PER_S) /* well within the lease */
#define PARK_US       HOUR_US                       /* of a host that does not say how long */
#define HEAD_LIES     2
#define GET_FIRST_US  (30 * 24 * HOUR_US)
#define SILENT_PROBES 10 /* without an answer, in a row: the rest of the host need not be tried */
#define SCRATCH_BYTES ((size_t)4 << 20)

struct round {
    const struct link_checker *checker;
    const struct run_context *ctx;
    struct link_pass pass;
    struct arena scratch; /* one answer's */
    int64_t deadline_us;  /* monotonic */
    size_t n_probes;
    size_t n_asked;
    bool is_token_refused;
};

/* Count what came of a probe. */
static void
tally(struct link_pass_host *host, const struct link_probe_plan *probe)
{
    const struct link_probe_result *result = &probe->result;
    bool has_failed = result->finding.weight > 0;

    host->tally.n_probes++;
    host->tally.n_answers += result->status != 0 || !has_failed;
    host->tally.has_success = host->tally.has_success ||
                              result->finding.class == LINK_CLASS_ALIVE ||
                              result->finding.class == LINK_CLASS_RESTRICTED;
    if (!probe->is_in_doubt) {
        host->tally.n_first++;
        host->tally.n_first_failed += has_failed;
    }
}

/* What a probe teaches about its host. */
static void
learn(struct round *self, struct link_pass_host *host, const struct link_probe_result *result)
{
    int64_t now_us = clock_now_us(self->checker->clock);
    bool is_silent = result->status == 0 && result->finding.weight > 0;

    host->n_silent = is_silent ? host->n_silent + 1 : 0;
    if (host->n_silent == SILENT_PROBES)
        host->is_blocked = true;
    if (result->has_head_lied) {
        host->is_changed = true;
        if (++host->record.n_head_lies >= HEAD_LIES) {
            host->record.n_head_lies = 0;
            host->record.get_first_until_us = now_us + GET_FIRST_US;
        }
    }
    if (result->finding.class == LINK_CLASS_PARKED) {
        host->record.parked_until_us =
            now_us + (result->retry_after_ms > 0 ? result->retry_after_ms * US_PER_MS : PARK_US);
        host->is_blocked = host->is_changed = true;
    }
    if (result->finding.class == LINK_CLASS_OURS) {
        self->is_token_refused = host->is_blocked = true;
    }
}

/* Ask for the next URL of a host. */
static int
ask_next(struct round *self, struct link_pass_host *host, struct error *err)
{
    const struct link_checker *checker = self->checker;
    struct link_probe_plan *probe = host->next;
    bool is_get_first = host->record.get_first_until_us != LINK_NEVER &&
                        host->record.get_first_until_us > clock_now_us(checker->clock);
    int rc = link_probe(&checker->transport, &probe->target, is_get_first, checker->clock,
                        &self->scratch, &probe->result, err);

    if (rc < 0)
        return rc;
    probe->was_asked = true;
    host->next = probe->next;
    tally(host, probe);
    learn(self, host, &probe->result);
    /* The canary of a host in outage: the others wait for what it says. */
    if (host->record.outage_since_us != LINK_NEVER && !host->tally.has_success)
        host->is_blocked = true;
    self->n_asked++;
    progress_report(self->ctx->progress, (int64_t)self->n_asked, (int64_t)self->n_probes);
    return 0;
}

/* Who must not be asked at all, and how much there is to do. */
static void
prepare(struct round *self)
{
    int64_t now_us = clock_now_us(self->checker->clock);

    for (size_t i = 0; i < self->pass.n_hosts; i++) {
        struct link_pass_host *host = &self->pass.hosts[i];
        const struct link_host *record = &host->record;

        host->is_blocked =
            (record->parked_until_us != LINK_NEVER && record->parked_until_us > now_us) ||
            (record->outage_since_us != LINK_NEVER && !link_host_is_canary_due(record, now_us));
        for (const struct link_probe_plan *probe = host->first; probe; probe = probe->next)
            self->n_probes++;
    }
}

/* Every host that has something left, once.  *is_over when none has. */
static int
ask_round(struct round *self, bool *is_over, struct error *err)
{
    *is_over = true;
    for (size_t i = 0; i < self->pass.n_hosts; i++) {
        struct link_pass_host *host = &self->pass.hosts[i];
        int rc;

        if (host->is_blocked || !host->next)
            continue;
        if (progress_is_cancelled(self->ctx->progress))
            return error_set(err, ERR_CANCELLED, "cancelled after %zu of %zu links", self->n_asked,
                             self->n_probes);
        if (clock_mono_us(self->checker->clock) >= self->deadline_us) {
            log_warning("no time left in this run, the other links wait: asked=%zu of=%zu",
                        self->n_asked, self->n_probes);
            *is_over = true;
            return 0;
        }
        rc = ask_next(self, host, err);
        if (rc < 0)
            return rc;
        *is_over = false;
    }
    return 0;
}

/* The leases end by themselves where even that fails. */
static void
give_back(struct round *self)
{
    struct database *database = self->checker->database;
    struct error why;
    int rc = database_begin(database, &why);

    if (rc == 0)
        rc = link_repo_release(database, self->ctx->worker_id, NULL, &why);
    if (rc == 0)
        rc = database_commit(database, &why);
    if (rc < 0) {
        log_warning("claimed links not given back, their leases will run out: reason=%s",
                    why.message);
        if (database_in_transaction(database))
            database_rollback(database);
    }
}

/* Ask, then judge: also what a run that ends early has found. */
static int
run_pass(struct round *self, struct link_counts *counts, struct error *err)
{
    struct error why = {0};
    bool is_over = false;
    int rc = 0;
    int stored;

    prepare(self);
    while (rc == 0 && !is_over)
        rc = ask_round(self, &is_over, &why);
    stored =
        link_verdicts_store(self->checker, &self->pass, self->ctx, counts, rc < 0 ? NULL : err);
    if (stored < 0)
        give_back(self);
    if (rc < 0 && err)
        *err = why;
    if (rc == 0)
        rc = stored;
    if (rc == 0 && self->is_token_refused)
        rc = error_set(err, ERR_AUTH,
                       "the Hub refuses the token: replace HF_TOKEN, or unset it; its datasets were"
                       " not checked");
    return rc;
}

int
link_checker_run(const struct link_checker *self, int64_t batch_size, int64_t stale_after_hours,
                 const struct run_context *ctx, struct link_counts *out, struct error *err)
{
    struct round round = {
        .checker = self,
        .ctx = ctx,
        .scratch = ARENA_INIT(SCRATCH_BYTES),
        .deadline_us = clock_mono_us(self->clock) + PASS_US,
    };
    struct link_counts counts = {0};
    int rc = link_pass_claim(&round.pass, self, batch_size, stale_after_hours, ctx->worker_id, err);

    if (rc == 0)
        rc = run_pass(&round, &counts, err);
    arena_fini(&round.scratch);
    link_pass_fini(&round.pass);
    *out = counts;
    return rc;
}
