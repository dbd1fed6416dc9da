/* The Redis result backend: Celery's own keys, for whoever speaks Celery.  docs/results.md has the
 * picture.
 *
 * Opening connects to nobody: a server that is away is the matter of the first call, which fails,
 * and of a later one, which finds it back.  This file opens and closes; redis_store.c writes,
 * redis_read.c and redis_watch.c read. */

#include <stdlib.h>
#include <sys/random.h>

#include "celery/backend/redis_internal.h"

#define ADDRESS_BYTES ((size_t)256 << 10)
#define CONNECT_US                                                                                 \
    (1500 * US_PER_MS) /* a command shall know within 2 s that there is no server                  \
                        */
#define REPLY_US    (1500 * US_PER_MS)
#define LISTEN_US   (5 * US_PER_S) /* between a subscriber's PINGs */
#define MAX_PENDING ((size_t)512 << 20)
#define MAX_REPLY   ((size_t)512 << 20)

static void
redis_close_backend(struct backend *backend)
{
    struct redis_backend *self = redis_backend_from(backend);

    self->commands.on_drop = NULL;
    self->listener.on_drop = NULL;
    redis_line_close(&self->commands);
    redis_line_close(&self->listener);
    redis_watch_fini(self);
    free(self->late);
    arena_fini(&self->scratch);
    arena_fini(&self->arena);
    free(self);
}

static void
close_selfp(struct redis_backend **self)
{
    if (*self)
        redis_close_backend(&(*self)->base);
}

static void
redis_abandon(struct backend *backend)
{
    struct redis_backend *self = redis_backend_from(backend);

    redis_line_abandon(&self->commands);
    redis_line_abandon(&self->listener);
}

/* As Celery from 5.5 on: "p" and "p_" are the same, "p:" stays. */
static int
read_prefix(struct redis_backend *self, struct error *err)
{
    struct str prefix;
    const char *text;
    int rc =
        redis_address_option(&self->address, STR("global_keyprefix"), &self->arena, &prefix, err);

    if (rc < 0 || prefix.len == 0)
        return rc;
    text = memchr(":_-.", prefix.ptr[prefix.len - 1], 4)
               ? prefix.ptr
               : arena_printf(&self->arena, "%.*s_", STR_ARG(prefix));
    if (!text)
        return error_set(err, ERR_NOMEM, "no memory for a result backend");
    self->prefix = str_from_cstr(text);
    return 0;
}

static void
init_lines(struct redis_backend *self)
{
    self->commands = (struct redis_line){
        .address = &self->address,
        .options = {.client_name = STR("trawl-results"),
                    .connect_us = CONNECT_US,
                    .reply_us = REPLY_US,
                    .max_reply_bytes = MAX_REPLY,
                    .max_pending_bytes = MAX_PENDING},
        .first_script = redis_store_script,
        .on_late = redis_store_on_late,
        .on_drop = redis_store_on_drop,
        .context = self,
    };
    self->listener = self->commands;
    self->listener.options.client_name = STR("trawl-results-listener");
    self->listener.options.idle_us = LISTEN_US;
    self->listener.first_script = NULL;
    self->listener.on_late = NULL;
    self->listener.on_message = redis_watch_on_message;
    self->listener.on_drop = redis_watch_on_drop;
}

static int
redis_open_backend(struct str url, const struct backend_options *options, struct backend **out,
                   struct error *err)
{
    CLEANUP(close_selfp) struct redis_backend *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a result backend");
    self->base.ops = &backend_redis;
    self->options = *options;
    self->arena = (struct arena)ARENA_INIT(ADDRESS_BYTES);
    self->scratch = (struct arena)ARENA_INIT(BACKEND_MAX_ENCODED_BYTES);
    init_lines(self);
    if (getrandom(&self->version, sizeof(self->version), 0) != sizeof(self->version))
        return error_set_errno(err, "cannot get random bytes");
    rc = redis_address_parse(url, &self->arena, &self->address, err);
    if (rc == 0)
        rc = read_prefix(self, err);
    if (rc == 0)
        rc = redis_script_init(&self->script, redis_store_script, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot open the result backend");
    *out = &TAKE(self)->base;
    return 0;
}

/* Redis does it. */
static int
redis_clean(struct backend *backend, size_t limit, size_t *n_removed, struct error *err)
{
    (void)backend;
    (void)limit;
    (void)err;
    *n_removed = 0;
    return 0;
}

int64_t
redis_backend_until(const struct redis_backend *self)
{
    int64_t until_us;

    if (__builtin_add_overflow(clock_mono_us(&clock_system), self->options.max_block_us, &until_us))
        return INT64_MAX;
    return until_us;
}

struct str
redis_backend_key(struct redis_backend *self, struct str kind, struct str id, bool *ok)
{
    size_t n_bytes = self->prefix.len + kind.len + id.len;
    char *text = arena_alloc_aligned(&self->scratch, n_bytes + 1, 1);
    char *end = text;
    const struct str parts[] = {self->prefix, kind, id};

    if (!text) {
        *ok = false;
        return STR_NULL;
    }
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (parts[i].len > 0)
            (void)memcpy(end, parts[i].ptr, parts[i].len);
        end += parts[i].len;
    }
    return (struct str){text, n_bytes};
}

const struct backend_ops backend_redis = {
    .name = "redis",
    .open = redis_open_backend,
    .close = redis_close_backend,
    .abandon = redis_abandon,
    .store = redis_store_records,
    .get = redis_read_get,
    .watch = redis_watch_set,
    .get_wait = redis_watch_get_wait,
    .take_changes = redis_watch_take,
    .forget = redis_read_forget,
    .clean = redis_clean,
    .chord_begin = redis_chord_begin,
    .chord_count = redis_chord_count,
    .chord_end = redis_chord_end,
};
