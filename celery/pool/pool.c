/* The implementations by name, and the doors to them. */

#include "celery/pool/pool.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct {
    struct str name;
    const struct pool_ops *ops;
} pools[] = {
    {STR_INIT("prefork"), &pool_prefork},
    {STR_INIT("thread"), &pool_thread},
    {STR_INIT("threads"), &pool_thread}, /* Celery's word */
    {STR_INIT("solo"), &pool_solo},
};

int
pool_create(struct str name, const struct pool_options *options, struct pool **out,
            struct error *err)
{
    if (options->child_prefetch > POOL_MAX_PREFETCH)
        return error_set(err, ERR_CONFIG, "child prefetch must be at most %d, got %u",
                         POOL_MAX_PREFETCH, options->child_prefetch);
    if (options->terminate_grace_ms < 0 || options->terminate_grace_ms > POOL_MAX_SPAN_MS)
        return error_set(err, ERR_CONFIG,
                         "the grace of a terminate must be 0 to %" PRId64 " ms, got %" PRId64,
                         POOL_MAX_SPAN_MS, options->terminate_grace_ms);
    for (size_t i = 0; i < COUNT_OF(pools); i++) {
        if (str_equal(name, pools[i].name))
            return pools[i].ops->create(options, out, err);
    }
    return error_set(err, ERR_CONFIG, "pool '%.*s' is unknown (known: prefork, thread, solo)",
                     STR_ARG(name));
}

void
pool_free(struct pool *pool)
{
    if (pool)
        pool->ops->free(pool);
}

void
pool_freep(struct pool **pool)
{
    pool_free(*pool);
}

static int
check_n_children(size_t n_children, struct error *err)
{
    if (n_children < 1 || n_children > POOL_MAX_CHILDREN)
        return error_set(err, ERR_INVALID, "a pool has 1 to %d children, got %zu",
                         POOL_MAX_CHILDREN, n_children);
    return 0;
}

int
pool_start(struct pool *pool, size_t n_children, struct error *err)
{
    int rc = check_n_children(n_children, err);

    return rc < 0 ? rc : pool->ops->start(pool, n_children, err);
}

size_t
pool_n_free(const struct pool *pool)
{
    return pool->ops->n_free(pool);
}

int
pool_submit(struct pool *pool, const struct pool_request *request, struct error *err)
{
    const int64_t limits_ms[] = {request->soft_limit_ms, request->hard_limit_ms};

    for (size_t i = 0; i < COUNT_OF(limits_ms); i++) {
        if (limits_ms[i] < 0 || limits_ms[i] > POOL_MAX_SPAN_MS)
            return error_set(err, ERR_INVALID,
                             "a time limit must be 0 to %" PRId64 " ms, got %" PRId64,
                             POOL_MAX_SPAN_MS, limits_ms[i]);
    }
    return pool->ops->submit(pool, request, err);
}

int
pool_terminate(struct pool *pool, uint64_t id, struct error *err)
{
    return pool->ops->terminate(pool, id, err);
}

int
pool_kill(struct pool *pool, uint64_t id, struct error *err)
{
    return pool->ops->kill ? pool->ops->kill(pool, id, err) : pool_terminate(pool, id, err);
}

int
pool_restart(struct pool *pool, struct error *err)
{
    if (!pool->ops->restart)
        return error_set(err, ERR_UNSUPPORTED, "the %s pool has no processes to restart",
                         pool->ops->name);
    return pool->ops->restart(pool, err);
}

int
pool_resize(struct pool *pool, size_t n_children, struct error *err)
{
    int rc = check_n_children(n_children, err);

    return rc < 0 ? rc : pool->ops->resize(pool, n_children, err);
}

void
pool_recall(struct pool *pool)
{
    if (pool->ops->recall)
        pool->ops->recall(pool);
}

void
pool_drain(struct pool *pool)
{
    pool->ops->drain(pool);
}

void
pool_stop(struct pool *pool)
{
    pool->ops->stop(pool);
}

size_t
pool_stats(const struct pool *pool, struct pool_child_stats *out, size_t n_out)
{
    return pool->ops->stats(pool, out, n_out);
}

bool
pool_is_busy(const struct pool *pool)
{
    size_t n = pool_stats(pool, NULL, 0);
    struct pool_child_stats *children = calloc(n + 1, sizeof(*children));
    bool is_busy = !children;

    n = children ? pool_stats(pool, children, n) : 0;
    for (size_t i = 0; i < n; i++)
        is_busy |= children[i].is_busy;
    free(children);
    return is_busy;
}
