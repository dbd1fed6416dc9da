/* Threads take chunks of rows.  Each keeps a heap of the k greatest lower bounds it has met, and
 * the rows whose upper bound reached the least of them at that time; the best such least bound is
 * shared, since it holds for all rows. */

#include "encoder/vector_search.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/parallel.h"
#include "encoder/vector_ops.h"

#define CHUNK_GROUPS   ((size_t)32)
#define CANDIDATES_MIN ((size_t)4096)
#define FETCH_AHEAD    ((size_t)4) /* candidates whose vectors are asked for ahead of time */

struct candidate {
    float upper;
    uint32_t part_idx;
    size_t row;
};

struct scanner {
    float *lowers; /* [k], a heap, the least at its root */
    size_t n_lowers;
    struct candidate *items;
    size_t n_items;
    size_t n_room;
    size_t n_scanned;
};

struct search {
    const struct vector_part *parts;
    size_t n_parts;
    const struct vector_query *query;
    const struct vector_ops *ops;
    size_t k;
    struct scanner *scanners; /* [n_scanners] */
    size_t n_scanners;
    atomic_size_t next_chunk;
    _Atomic float threshold; /* rows whose upper bound is below it are not in the answer */
    atomic_bool has_failed;  /* no memory */
};

static void
offer_lower(struct scanner *self, size_t k, float value)
{
    float *heap = self->lowers;
    size_t at = 0;

    if (self->n_lowers < k) {
        at = self->n_lowers++;
        for (; at > 0 && value < heap[(at - 1) / 2]; at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = value;
        return;
    }
    if (!(value > heap[0]))
        return;
    for (size_t child = 1; child < k; child = 2 * at + 1) {
        if (child + 1 < k && heap[child + 1] < heap[child])
            child++;
        if (!(heap[child] < value))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

/* Drop what has fallen behind since; double the room where that does not free half of it. */
static bool
make_room(struct scanner *self, float threshold)
{
    size_t n = 0;
    struct candidate *items;

    for (size_t i = 0; i < self->n_items; i++) {
        if (self->items[i].upper >= threshold)
            self->items[n++] = self->items[i];
    }
    self->n_items = n;
    if (n < self->n_room / 2)
        return true;
    n = self->n_room ? 2 * self->n_room : CANDIDATES_MIN;
    items = reallocarray(self->items, n, sizeof(*items));
    if (!items)
        return false;
    self->items = items;
    self->n_room = n;
    return true;
}

/* Take the best threshold that is known, ours included. */
static float
share_threshold(struct search *search, const struct scanner *self)
{
    float shared = atomic_load_explicit(&search->threshold, memory_order_relaxed);

    if (self->n_lowers < search->k)
        return shared;
    while (self->lowers[0] > shared &&
           !atomic_compare_exchange_weak(&search->threshold, &shared, self->lowers[0]))
        continue;
    return self->lowers[0] > shared ? self->lowers[0] : shared;
}

static uint64_t
rows_of_group(const struct vector_part *part, size_t first)
{
    size_t n = part->n_rows - first < VECTOR_GROUP ? part->n_rows - first : VECTOR_GROUP;
    uint64_t all = n < VECTOR_GROUP ? (UINT64_C(1) << n) - 1 : UINT64_MAX;

    return part->allowed ? part->allowed[first / VECTOR_GROUP] & all : all;
}

static bool
scan_group(struct search *search, struct scanner *self, size_t part_idx, size_t first, float slack)
{
    const struct vector_part *part = &search->parts[part_idx];
    const struct code_group group = {
        .codes = part->codes + first * vector_code_bytes(search->query->dim),
        .scales = part->scales + first,
        .errors = part->errors + first,
        .n_rows = part->n_rows - first < VECTOR_GROUP ? part->n_rows - first : VECTOR_GROUP,
        .rows = rows_of_group(part, first),
    };
    float scores[VECTOR_GROUP];
    float reaches[VECTOR_GROUP];
    float threshold = share_threshold(search, self);
    uint64_t reached =
        search->ops->score_codes(&group, search->query, slack, threshold, scores, reaches);

    self->n_scanned += (size_t)__builtin_popcountll(group.rows);
    for (; reached; reached &= reached - 1) {
        size_t i = (size_t)__builtin_ctzll(reached);

        if (self->n_items == self->n_room && !make_room(self, share_threshold(search, self)))
            return false;
        self->items[self->n_items++] =
            (struct candidate){scores[i] + reaches[i], (uint32_t)part_idx, first + i};
        offer_lower(self, search->k, scores[i] - reaches[i]);
    }
    return true;
}

static size_t
chunks_of(const struct vector_part *part)
{
    size_t chunk_rows = CHUNK_GROUPS * VECTOR_GROUP;

    return (part->n_rows + chunk_rows - 1) / chunk_rows;
}

static void
scan_chunks(void *context, size_t worker)
{
    struct search *search = context;
    struct scanner *self = &search->scanners[worker];
    size_t part_idx = 0;
    size_t before = 0; /* chunks of the parts before part_idx */

    for (;;) {
        size_t chunk = atomic_fetch_add_explicit(&search->next_chunk, 1, memory_order_relaxed);
        const struct vector_part *part;
        float slack;

        while (part_idx < search->n_parts &&
               chunk - before >= chunks_of(&search->parts[part_idx])) {
            before += chunks_of(&search->parts[part_idx]);
            part_idx++;
        }
        if (part_idx == search->n_parts || atomic_load(&search->has_failed))
            return;
        part = &search->parts[part_idx];
        slack = vector_query_slack(search->query, part->max_norm);
        for (size_t i = 0; i < CHUNK_GROUPS; i++) {
            size_t first = ((chunk - before) * CHUNK_GROUPS + i) * VECTOR_GROUP;

            if (first >= part->n_rows)
                break;
            if (rows_of_group(part, first) && !scan_group(search, self, part_idx, first, slack)) {
                atomic_store(&search->has_failed, true);
                return;
            }
        }
    }
}

/* The k-th greatest lower bound of all: the scanners' heaps hold whatever can be it. */
static float
final_threshold(struct search *search)
{
    struct scanner *all = &search->scanners[0];

    for (size_t i = 1; i < search->n_scanners; i++) {
        for (size_t n = 0; n < search->scanners[i].n_lowers; n++)
            offer_lower(all, search->k, search->scanners[i].lowers[n]);
    }
    return share_threshold(search, all);
}

static int
compare_uppers(const void *a, const void *b)
{
    float x = ((const struct candidate *)a)->upper;
    float y = ((const struct candidate *)b)->upper;

    return (x < y) - (x > y);
}

/* All scanners' candidates that still count, best upper bound first, with the first scanner. */
static int
gather(struct search *search, struct error *err)
{
    float threshold = final_threshold(search);
    struct scanner *all = &search->scanners[0];

    for (size_t i = 0; i < search->n_scanners; i++) {
        const struct scanner *one = &search->scanners[i];
        size_t n_old = i == 0 ? 0 : all->n_items;
        size_t n_items = one->n_items;

        all->n_items = n_old;
        for (size_t n = 0; n < n_items; n++) {
            struct candidate item = one->items[n];

            if (item.upper < threshold)
                continue;
            if (all->n_items == all->n_room && !make_room(all, threshold))
                return error_set(err, ERR_NOMEM, "no memory for %zu candidates", all->n_items);
            all->items[all->n_items++] = item;
        }
    }
    if (all->n_items > 1)
        qsort(all->items, all->n_items, sizeof(*all->items), compare_uppers);
    return 0;
}

/* a belongs behind b in the answer. */
static bool
is_behind(struct vector_found a, struct vector_found b)
{
    return a.score < b.score || (!(b.score < a.score) && a.id > b.id);
}

/* found is a heap of n_found, what belongs last at its root. */
static void
offer_found(struct vector_found *heap, size_t *n_found, size_t k, struct vector_found hit)
{
    size_t at = 0;

    if (*n_found < k) {
        at = (*n_found)++;
        for (; at > 0 && is_behind(hit, heap[(at - 1) / 2]); at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = hit;
        return;
    }
    if (!is_behind(heap[0], hit))
        return;
    for (size_t child = 1; child < k; child = 2 * at + 1) {
        if (child + 1 < k && is_behind(heap[child + 1], heap[child]))
            child++;
        if (!is_behind(heap[child], hit))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = hit;
}

static int
compare_found(const void *a, const void *b)
{
    const struct vector_found *x = a;
    const struct vector_found *y = b;

    return is_behind(*x, *y) ? 1 : -1; /* no two have one id */
}

static const float *
vector_of(const struct search *search, const struct candidate *item)
{
    return search->parts[item->part_idx].vectors + item->row * search->query->dim;
}

static int
rescore(const struct search *search, struct vector_found *found, size_t *n_found, size_t *n_scored,
        struct error *err)
{
    const struct scanner *all = &search->scanners[0];
    size_t dim = search->query->dim;
    size_t n = 0;
    size_t i;

    for (i = 0; i < all->n_items; i++) {
        const struct candidate *item = &all->items[i];
        const struct vector_part *part = &search->parts[item->part_idx];
        struct vector_found hit = {.id = part->ids[item->row]};

        if (n == search->k && item->upper < found[0].score)
            break;
        if (i + FETCH_AHEAD < all->n_items) {
            const char *next = (const char *)vector_of(search, item + FETCH_AHEAD);

            for (size_t at = 0; at < dim * sizeof(float); at += 64)
                __builtin_prefetch(next + at);
        }
        if (part->checks && part->checks[item->row] !=
                                vector_checksum(vector_of(search, item), dim * sizeof(float)))
            return error_set(err, ERR_CORRUPT, "the vector of row %" PRId64 " has been damaged",
                             hit.id);
        search->ops->dot(vector_of(search, item), search->query->exact, 1, dim, &hit.score);
        offer_found(found, &n, search->k, hit);
    }
    if (n > 1)
        qsort(found, n, sizeof(*found), compare_found);
    *n_found = n;
    *n_scored = i;
    return 0;
}

/* Rows that take part can be less than k; no more than that are ever held. */
static int
run(struct search *search, struct vector_found *found, size_t *n_found,
    struct vector_search_counts *counts, struct error *err)
{
    int rc;

    for (size_t i = 0; i < search->n_scanners; i++) {
        search->scanners[i].lowers = reallocarray(NULL, search->k, sizeof(float));
        if (!search->scanners[i].lowers)
            return error_set(err, ERR_NOMEM, "no memory for the best %zu rows", search->k);
    }
    atomic_store(&search->threshold, -INFINITY);
    parallel_run(search->n_scanners, scan_chunks, search);
    if (atomic_load(&search->has_failed))
        return error_set(err, ERR_NOMEM, "no memory for the candidates of a search");
    for (size_t i = 0; i < search->n_scanners; i++)
        counts->n_scanned += search->scanners[i].n_scanned;
    rc = gather(search, err);
    return rc < 0 ? rc : rescore(search, found, n_found, &counts->n_rescored, err);
}

int
vector_search_top(const struct vector_part *parts, size_t n_parts, size_t dim, const float *query,
                  size_t k, size_t n_threads, struct vector_found *found, size_t *n_found,
                  struct vector_search_counts *counts, struct error *err)
{
    CLEANUP(vector_query_freep) struct vector_query *coded = NULL;
    struct vector_search_counts done = {0};
    struct scanner scanners[PARALLEL_THREADS_MAX] = {0};
    struct search search = {
        .parts = parts,
        .n_parts = n_parts,
        .ops = vector_ops_get(),
        .k = k,
        .scanners = scanners,
        .n_scanners = n_threads,
    };
    size_t n = 0;
    int rc = vector_query_create(query, dim, &coded, err);

    assert(n_threads >= 1 && n_threads <= PARALLEL_THREADS_MAX);
    search.query = coded;
    if (rc == 0 && k > 0)
        rc = run(&search, found, &n, &done, err);
    for (size_t i = 0; i < n_threads; i++) {
        free(scanners[i].lowers);
        free(scanners[i].items);
    }
    if (rc < 0)
        return rc;
    *n_found = n;
    if (counts)
        *counts = done;
    return 0;
}
