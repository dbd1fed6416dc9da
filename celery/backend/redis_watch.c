/* Telling what has changed.
 *
 * One connection subscribes to the channels of all watched ids; a message says that there is news,
 * and the other connection gets it: the newest record, with its note, however many messages there
 * were.  Once subscribed, again after every loss, all ids are news.  Each look begins with a PING
 * behind the messages: so what was stored before the look is told by it, as on any other backend.
 *
 * A server that goes away is waited for: only when it stays away a failure is told. */

#include <stdlib.h>

#include "celery/backend/redis_internal.h"

#define LOOK_US     (5 * US_PER_S) /* a PING in between finds a connection that is dead */
#define AGAIN_US    (100 * US_PER_MS)
#define MAX_LOST_US (10 * US_PER_S)
#define CHANNELS    ((size_t)512) /* of one SUBSCRIBE */

/* What one call has found. */
struct changes {
    struct redis_backend *self;
    struct arena *arena;
    struct backend_record *items;
    size_t n_items;
    size_t cap;
    size_t n_looked; /* of the chunk at hand */
    size_t news[REDIS_CHUNK];
};

static void
add_news(struct redis_backend *self, size_t watched_idx)
{
    size_t n_watched = self->watched.n_items;

    if (self->has_news[watched_idx])
        return;
    self->has_news[watched_idx] = true;
    self->news[(self->news_first + self->n_news++) % n_watched] = watched_idx;
}

static void
drop_news(struct redis_backend *self, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        self->has_news[self->news[self->news_first]] = false;
        self->news_first = (self->news_first + 1) % self->watched.n_items;
    }
    self->n_news -= n;
}

void
redis_watch_fini(struct redis_backend *self)
{
    watch_list_fini(&self->watched);
    free(self->news);
    free(self->has_news);
    self->news = NULL;
    self->has_news = NULL;
    self->news_first = 0;
    self->n_news = 0;
}

int
redis_watch_set(struct backend *backend, const struct str *ids, size_t n_ids, struct error *err)
{
    struct redis_backend *self = redis_backend_from(backend);
    struct watch_list watched;
    size_t *news;
    bool *has_news;
    int rc = watch_list_create(ids, n_ids, &watched, err);

    if (rc < 0)
        return rc;
    news = calloc(n_ids + 1, sizeof(*news));
    has_news = calloc(n_ids + 1, sizeof(*has_news));
    if (!news || !has_news) {
        watch_list_fini(&watched);
        free(news);
        free(has_news);
        return error_set(err, ERR_NOMEM, "no memory to watch %zu task ids", n_ids);
    }
    redis_watch_fini(self);
    redis_line_close(&self->listener);
    self->watched = watched;
    self->news = news;
    self->has_news = has_news;
    self->is_subscribed = false;
    self->was_subscribed = false;
    self->lost_since_us = 0;
    self->look_at_us = 0;
    return 0;
}

void
redis_watch_get_wait(const struct backend *backend, struct backend_wait *out)
{
    const struct redis_backend *self = (const struct redis_backend *)backend;
    struct redis_wait wait = {.fd = -1, .deadline_us = INT64_MAX};

    if (self->watched.n_items > 0 && self->listener.redis)
        redis_get_wait(self->listener.redis, &wait);
    *out = (struct backend_wait){
        .fd = wait.fd, .events = wait.events, .deadline_us = wait.deadline_us};
    if (self->watched.n_items > 0 && self->look_at_us < out->deadline_us)
        out->deadline_us = self->look_at_us;
}

/* message, channel, document */
void
redis_watch_on_message(void *context, const struct redis_value *message)
{
    struct redis_backend *self = context;
    struct str channel = message->items[1].text;
    size_t n_before = self->prefix.len + REDIS_DOCUMENT_PREFIX.len;
    struct watched *watched =
        watch_list_find(&self->watched, str_slice(channel, n_before, channel.len));

    if (watched)
        add_news(self, (size_t)(watched - self->watched.items));
}

void
redis_watch_on_drop(void *context)
{
    struct redis_backend *self = context;

    self->is_subscribed = false;
}

static int
say_subscribe(struct redis_backend *self, struct error *err)
{
    struct str words[1 + CHANNELS] = {STR("SUBSCRIBE")};

    for (size_t i = 0; i < self->watched.n_items;) {
        size_t n = 0;
        bool ok = true;
        int rc;

        while (n < CHANNELS && i < self->watched.n_items)
            words[++n] =
                redis_backend_key(self, REDIS_DOCUMENT_PREFIX, self->watched.items[i++].id, &ok);
        if (!ok)
            return error_set(err, ERR_NOMEM, "no memory to watch %zu task ids",
                             self->watched.n_items);
        rc = redis_line_say(&self->listener, words, 1 + n, n, err);
        if (rc < 0)
            return rc;
        arena_reset(&self->scratch);
    }
    return 0;
}

static int
say_listen(void *context, struct error *err)
{
    struct redis_backend *self = context;

    arena_reset(&self->scratch);
    if (!self->is_subscribed)
        return say_subscribe(self, err);
    return redis_line_say(&self->listener, &STR("PING"), 1, 1, err);
}

static int
hear_listen(void *context, size_t reply_idx, const struct redis_value *reply, struct error *err)
{
    struct redis_backend *self = context;
    int rc = redis_check(reply, err);

    if (rc < 0 || self->is_subscribed || reply_idx + 1 < self->watched.n_items)
        return rc;
    self->is_subscribed = true;
    self->was_subscribed = true;
    for (size_t i = 0; i < self->watched.n_items; i++)
        add_news(self, i);
    return 0;
}

static int
add_change(void *context, size_t id_idx, const struct redis_found *found, struct error *err)
{
    struct changes *changes = context;
    struct watched *watched = &changes->self->watched.items[changes->news[id_idx]];

    changes->n_looked = id_idx + 1;
    if (watched->mark == found->version)
        return 0;
    /* The list is made when there is something to tell: who waits for long calls often. */
    if (!changes->items)
        changes->items = arena_calloc(changes->arena, changes->cap, sizeof(*changes->items));
    if (!changes->items) {
        changes->n_looked = id_idx;
        return error_set(err, ERR_NOMEM, "no room for %zu changes", changes->cap);
    }
    changes->items[changes->n_items++] = found->record;
    watched->mark = found->version;
    return 0;
}

/* Look at what is news, as far as there is room. */
static int
look(struct changes *changes, int64_t until_us, struct error *err)
{
    struct redis_backend *self = changes->self;
    int rc = 0;

    while (rc == 0 && self->n_news > 0 && changes->n_items < changes->cap) {
        size_t room = changes->cap - changes->n_items;
        size_t n = self->n_news < room ? self->n_news : room;
        struct str ids[REDIS_CHUNK];

        n = n < REDIS_CHUNK ? n : REDIS_CHUNK;
        for (size_t i = 0; i < n; i++) {
            changes->news[i] = self->news[(self->news_first + i) % self->watched.n_items];
            ids[i] = self->watched.items[changes->news[i]].id;
        }
        changes->n_looked = 0;
        rc = redis_read_ids(self, ids, n, until_us, changes->arena, add_change, changes, err);
        drop_news(self, rc == 0 ? n : changes->n_looked);
    }
    return rc;
}

/* Is this failure one that passes, as far as can be said now? */
static bool
may_pass(struct redis_backend *self, int rc, int64_t now_us)
{
    if (rc == -ERR_BUSY)
        return true;
    if (!self->was_subscribed || (rc != -ERR_NETWORK && rc != -ERR_TIMEOUT))
        return false;
    if (self->lost_since_us == 0)
        self->lost_since_us = now_us;
    return now_us - self->lost_since_us < MAX_LOST_US;
}

int
redis_watch_take(struct backend *backend, struct arena *arena, struct backend_record_list *out,
                 struct error *err)
{
    struct redis_backend *self = redis_backend_from(backend);
    size_t n_watched = self->watched.n_items;
    const struct redis_question question = {say_listen, hear_listen, self};
    struct changes changes = {.self = self, .arena = arena};
    int64_t until_us = redis_backend_until(self);
    int64_t now_us;
    int rc = 0;

    changes.cap = n_watched < BACKEND_MAX_CHANGES ? n_watched : BACKEND_MAX_CHANGES;
    if (n_watched > 0)
        rc = redis_line_ask(&self->listener, &question, until_us, err);
    if (rc == 0)
        rc = look(&changes, until_us, err);
    now_us = clock_mono_us(&clock_system);
    if (rc == 0) {
        self->lost_since_us = 0;
        self->look_at_us = self->n_news > 0 ? 0 : now_us + LOOK_US;
    } else {
        self->look_at_us = rc == -ERR_NOMEM ? 0 : now_us + AGAIN_US;
        if (changes.n_items > 0 || may_pass(self, rc, now_us))
            rc = 0;
    }
    if (rc == -ERR_TIMEOUT) { /* of the server; who waits for news takes that for "none yet" */
        if (err)
            err->code = ERR_NETWORK;
        rc = -ERR_NETWORK;
    }
    if (rc < 0)
        return rc;
    *out = (struct backend_record_list){changes.items, changes.n_items};
    return 0;
}
