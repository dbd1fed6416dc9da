/* Rows are sorted by host and URL, so that equal URLs and the URLs of one host stand together. */

#include "lib/services/validation/link_pass.h"

#include <stdlib.h>

#include "lib/repositories/link_host_repository.h"
#include "lib/repositories/link_repository.h"

#define HOUR_US    (INT64_C(3600) * US_PER_S)
#define LEASE_US   HOUR_US
#define PASS_BYTES ((size_t)256 << 20)

static int
no_memory(size_t n, struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for a pass over %zu links", n);
}

/* Rows by host, then URL; those with nothing to ask for first. */
static int
compare_items(const void *a, const void *b)
{
    const struct link_item *left = a;
    const struct link_item *right = b;
    int order = str_compare(left->target.origin, right->target.origin);

    if (order == 0)
        order = str_compare(left->target.url, right->target.url);
    if (order == 0)
        order = (left->target.site > right->target.site) - (left->target.site < right->target.site);
    return order;
}

static bool
is_same_probe(const struct link_target *a, const struct link_target *b)
{
    return a->site == b->site && str_equal(a->url, b->url);
}

static bool
is_in_doubt(const struct link *link)
{
    return link->status.state == LINK_SUSPECT || link->status.state == LINK_UNREACHABLE ||
           link->status.state == LINK_GONE;
}

/* Those not in doubt go first: the one that a host in outage is tried by is one of them. */
static void
line_up(struct link_pass_host *host)
{
    struct link_probe_plan *sound = NULL;
    struct link_probe_plan *doubtful = NULL;
    struct link_probe_plan **sound_end = &sound;

    for (struct link_probe_plan *probe = host->first, *next; probe; probe = next) {
        next = probe->next;
        probe->next = NULL;
        if (probe->is_in_doubt) {
            probe->next = doubtful;
            doubtful = probe;
        } else {
            *sound_end = probe;
            sound_end = &probe->next;
        }
    }
    *sound_end = doubtful;
    host->first = host->next = sound;
}

/* The items as probes and hosts, in their order. */
static void
group(struct link_pass *pass, struct link_probe_plan *probes)
{
    struct link_probe_plan *probe = NULL;
    struct link_pass_host *host = NULL;

    for (size_t i = 0; i < pass->n_items; i++) {
        struct link_item *item = &pass->items[i];

        if (item->target.refusal)
            continue;
        if (!host || !str_equal(host->record.origin, item->target.origin)) {
            host = &pass->hosts[pass->n_hosts++];
            link_host_init(&host->record, item->target.origin);
            probe = NULL;
        }
        if (!probe || !is_same_probe(&probe->target, &item->target)) {
            probe = probes++;
            *probe = (struct link_probe_plan){
                .target = item->target, .host = host, .next = host->first, .is_in_doubt = true};
            host->first = probe;
        }
        if (!is_in_doubt(item->link))
            probe->is_in_doubt = false;
        item->probe = probe;
    }
    for (size_t i = 0; i < pass->n_hosts; i++)
        line_up(&pass->hosts[i]);
}

static int
plan(struct link_pass *pass, const struct link_checker *checker, const struct link_list *lists,
     size_t n_lists, struct error *err)
{
    struct link_probe_plan *probes;
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < n_lists; i++)
        n += lists[i].n_items;
    pass->items = arena_calloc(&pass->arena, n, sizeof(*pass->items));
    pass->hosts = arena_calloc(&pass->arena, n, sizeof(*pass->hosts));
    probes = arena_calloc(&pass->arena, n, sizeof(*probes));
    if (!pass->items || !pass->hosts || !probes)
        return no_memory(n, err);
    for (size_t i = 0; i < n_lists; i++) {
        for (size_t j = 0; rc == 0 && j < lists[i].n_items; j++) {
            struct link_item *item = &pass->items[pass->n_items++];

            item->link = &lists[i].items[j];
            rc = link_target_make(&checker->sites, item->link, &pass->arena, &item->target, err);
        }
    }
    if (rc < 0)
        return rc;
    qsort(pass->items, pass->n_items, sizeof(*pass->items), compare_items);
    group(pass, probes);
    for (size_t i = 0; rc == 0 && i < pass->n_hosts; i++)
        rc = link_host_repo_load(checker->database, &pass->hosts[i].record, err);
    return rc;
}

/* Half of the batch is for rows whose time has come, however many are stale; what one kind leaves
 * is the other's. */
static int
claim_rows(struct link_pass *pass, const struct link_checker *checker, int64_t batch_size,
           int64_t stale_after_hours, const struct lease *lease, int64_t now_us,
           struct link_list lists[3], struct error *err)
{
    struct database *database = checker->database;
    int64_t n_left = batch_size;
    int rc = link_repo_claim_due(database, (batch_size + 1) / 2, lease, now_us, &pass->arena,
                                 &lists[0], err);

    n_left -= (int64_t)lists[0].n_items;
    if (rc == 0)
        rc = link_repo_claim_stale(database, n_left, now_us - stale_after_hours * HOUR_US, lease,
                                   now_us, &pass->arena, &lists[1], err);
    n_left -= (int64_t)lists[1].n_items;
    if (rc == 0 && n_left > 0)
        rc = link_repo_claim_due(database, n_left, lease, now_us, &pass->arena, &lists[2], err);
    return rc;
}

int
link_pass_claim(struct link_pass *pass, const struct link_checker *checker, int64_t batch_size,
                int64_t stale_after_hours, struct str worker_id, struct error *err)
{
    int64_t now_us = clock_now_us(checker->clock);
    const struct lease lease = {worker_id, now_us + LEASE_US};
    struct link_list lists[3] = {{0}};
    int rc;

    *pass = (struct link_pass){.arena = ARENA_INIT(PASS_BYTES)};
    rc = database_begin(checker->database, err);
    if (rc < 0)
        return rc;
    rc = claim_rows(pass, checker, batch_size, stale_after_hours, &lease, now_us, lists, err);
    if (rc == 0)
        rc = plan(pass, checker, lists, COUNT_OF(lists), err);
    if (rc == 0)
        return database_commit(checker->database, err);
    database_rollback(checker->database);
    return rc;
}

void
link_pass_fini(struct link_pass *pass)
{
    arena_fini(&pass->arena);
}
