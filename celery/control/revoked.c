/* Chains in a fixed number of buckets, and one list in the order of arrival.  The seed is random,
 * so that nobody can choose ids that fall into one chain. */

#include "celery/control/revoked.h"

#include <stdlib.h>
#include <sys/random.h>

#define N_BUCKETS ((size_t)16384)

struct revoked_id {
    struct revoked_id *next_in_bucket;
    struct revoked_id *newer;
    size_t n_bytes;
    char bytes[];
};

void
revoked_fini(struct revoked *self)
{
    struct revoked_id *next;

    for (struct revoked_id *id = self->oldest; id; id = next) {
        next = id->newer;
        free(id);
    }
    free((void *)self->buckets);
    *self = (struct revoked)REVOKED_INIT;
}

/* Source: Fowler, Noll, Vo, FNV-1a, 64 bits; its basis replaced by the seed. */
static size_t
bucket_of(const struct revoked *self, struct str id)
{
    uint64_t hash = self->seed;

    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (unsigned char)id.ptr[i]) * UINT64_C(1099511628211);
    return (size_t)(hash ^ hash >> 32) % N_BUCKETS;
}

static struct str
text_of(const struct revoked_id *id)
{
    return (struct str){id->bytes, id->n_bytes};
}

static struct revoked_id *
find(const struct revoked *self, size_t bucket, struct str id)
{
    struct revoked_id *found = self->buckets[bucket];

    while (found && !str_equal(text_of(found), id))
        found = found->next_in_bucket;
    return found;
}

static void
forget_oldest(struct revoked *self)
{
    struct revoked_id *oldest = self->oldest;
    struct revoked_id **link = &self->buckets[bucket_of(self, text_of(oldest))];

    while (*link != oldest)
        link = &(*link)->next_in_bucket;
    *link = oldest->next_in_bucket;
    self->oldest = oldest->newer;
    if (!self->oldest)
        self->newest = NULL;
    self->n_ids--;
    free(oldest);
}

void
revoked_drop_oldest(struct revoked *self, size_t n)
{
    for (size_t i = 0; i < n && self->oldest; i++)
        forget_oldest(self);
}

static int
make_buckets(struct revoked *self, struct error *err)
{
    if (self->buckets)
        return 0;
    if (getrandom(&self->seed, sizeof(self->seed), 0) != (ssize_t)sizeof(self->seed))
        self->seed = (uint64_t)(uintptr_t)self;
    self->buckets = calloc(N_BUCKETS, sizeof(struct revoked_id *));
    return self->buckets ? 0 : error_set(err, ERR_NOMEM, "no memory for revoked tasks");
}

int
revoked_insert(struct revoked *self, struct str id, struct error *err)
{
    struct revoked_id *added;
    size_t bucket;
    int rc = make_buckets(self, err);

    if (rc < 0)
        return rc;
    bucket = bucket_of(self, id);
    if (find(self, bucket, id))
        return 0;
    added = malloc(sizeof(*added) + id.len);
    if (!added)
        return error_set(err, ERR_NOMEM, "no memory for a revoked task");
    if (self->n_ids == REVOKED_MAX)
        forget_oldest(self);
    *added = (struct revoked_id){.next_in_bucket = self->buckets[bucket], .n_bytes = id.len};
    if (id.len)
        (void)memcpy(added->bytes, id.ptr, id.len);
    self->buckets[bucket] = added;
    if (self->newest)
        self->newest->newer = added;
    else
        self->oldest = added;
    self->newest = added;
    self->n_ids++;
    return 0;
}

bool
revoked_has(const struct revoked *self, struct str id)
{
    return self->n_ids > 0 && find(self, bucket_of(self, id), id) != NULL;
}

bool
revoked_next(const struct revoked *self, const struct revoked_id **position, struct str *id)
{
    *position = *position ? (*position)->newer : self->oldest;
    if (!*position)
        return false;
    *id = text_of(*position);
    return true;
}
