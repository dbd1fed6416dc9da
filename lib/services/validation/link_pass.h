#pragma once

/* The plan of one pass: which rows, which URLs, which hosts.
 *
 * Internal to lib/services/validation. */

#include "base/arena.h"
#include "lib/services/validation/link_brakes.h"
#include "lib/services/validation/link_checker.h"

/* A distinct URL. */
struct link_probe_plan {
    struct link_target target;
    struct link_pass_host *host;
    struct link_probe_plan *next; /* of the same host */
    bool is_in_doubt;             /* every row that leads here was in doubt before */
    bool was_asked;
    struct link_probe_result result; /* where it was asked */
};

struct link_pass_host {
    struct link_host record;
    struct link_tally tally;
    struct link_probe_plan *first; /* its URLs, those not in doubt before the others */
    struct link_probe_plan *next;  /* the one to be asked for */
    int n_silent;                  /* probes without an answer, one after the other */
    bool is_blocked;               /* no more in this pass */
    bool is_changed;               /* its record is to be stored */
    bool is_out;                   /* in outage, by the judgement after the pass */
};

/* A row and the URL that decides on it; probe is NULL where there is nothing to ask for. */
struct link_item {
    const struct link *link;
    struct link_target target;
    struct link_probe_plan *probe;
};

struct link_pass {
    struct arena arena; /* everything below */
    struct link_item *items;
    size_t n_items;
    struct link_pass_host *hosts;
    size_t n_hosts;
};

/* Lease the rows of a pass and plan it.  Fills what link_pass_fini frees, also on failure. */
MUST_CHECK int link_pass_claim(struct link_pass *pass, const struct link_checker *checker,
                               int64_t batch_size, int64_t stale_after_hours, struct str worker_id,
                               struct error *err);
void link_pass_fini(struct link_pass *pass);
