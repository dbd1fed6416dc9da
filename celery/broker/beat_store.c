/* The implementations by their URL. */

#include "celery/broker/beat_store.h"

static const struct {
    struct str prefix;
    const struct beat_store_ops *ops;
} schemes[] = {
    {STR_INIT("redis:"), &beat_store_redis},        {STR_INIT("rediss:"), &beat_store_redis},
    {STR_INIT("redis+socket:"), &beat_store_redis}, {STR_INIT("sentinel:"), &beat_store_redis},
    {STR_INIT("sqlite:"), &beat_store_sqlite},      {STR_INIT("unix:"), &beat_store_redis},
};

int
beat_store_open(struct str url, const struct beat_store_options *options, struct beat_store **out,
                struct error *err)
{
    size_t colon = str_find(url, STR("://"));

    if (options->owner.len == 0 || options->owner.len >= BEAT_OWNER_BYTES)
        return error_set(err, ERR_INVALID, "beat's name has %zu bytes, allowed are 1 to %d",
                         options->owner.len, BEAT_OWNER_BYTES - 1);
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (str_starts_with(url, schemes[i].prefix))
            return schemes[i].ops->open(url, options, out, err);
    if (colon < url.len)
        return error_set(
            err, ERR_CONFIG,
            "broker URL scheme '%.*s' is not supported by beat: use sqlite:/// or redis://",
            STR_ARG(str_slice(url, 0, colon < 32 ? colon : 32)));
    return beat_store_sqlite.open(url, options, out, err);
}

void
beat_store_close(struct beat_store *store)
{
    if (store)
        store->ops->close(store);
}

void
beat_store_closep(struct beat_store **store)
{
    beat_store_close(*store);
}
