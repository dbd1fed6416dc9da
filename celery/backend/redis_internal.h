#pragma once

/* What the files of the Redis result backend share; nobody else includes it, except its own tests.
 *
 *     celery-task-meta-<id>   the document, as Celery has it; its channel has the same name
 *     trawl-task-note-<id>    "<version> <length> <run> <expiry> <status>"
 *
 * The note says what Celery's document does not; both expire together.  It counts only beside the
 * document that it was written with, which its length and status tell: a worker of Celery's
 * replaces the document alone.  The version is new with every store. */

#include "celery/backend/chord.h"
#include "celery/backend/redis_line.h"
#include "celery/backend/watch_list.h"

#define REDIS_DOCUMENT_PREFIX STR("celery-task-meta-")
#define REDIS_GROUP_PREFIX    STR("celery-taskset-meta-")
#define REDIS_NOTE_PREFIX     STR("trawl-task-note-")
#define REDIS_RUN_DIGITS      19 /* so that texts compare as the numbers do */
#define REDIS_NEVER           "9999999999999999999"
#define REDIS_CHUNK           ((size_t)256) /* of records in one question */

/* A record of a store that was not answered in time. */
struct late_record {
    unsigned char digest[20];
    signed char outcome; /* enum backend_outcome, or -1: not known */
};

struct redis_backend {
    struct backend base;
    struct backend_options options; /* with the defaults filled in */
    struct arena arena;             /* of the address */
    struct redis_address address;
    struct str prefix; /* global_keyprefix, with its separator */
    struct redis_script script;
    struct redis_line commands;
    struct arena scratch; /* of the call at hand */
    uint64_t version;     /* of the last record; random at first */

    struct late_record *late; /* [n_late], ours */
    size_t n_late;
    uint64_t late_number; /* of the reply that tells their outcomes; 0: it has come */
    size_t late_first;    /* the reply is about the records from here on */

    struct redis_line listener;
    struct watch_list watched; /* mark: the version that was told last */
    size_t *news;              /* [n_watched], a ring of indexes into watched */
    bool *has_news;            /* [n_watched]: it is in the ring */
    size_t news_first;
    size_t n_news;
    bool is_subscribed;    /* the listener hears of all that is watched */
    bool was_subscribed;   /* since these are watched */
    int64_t look_at_us;    /* monotonic: listen by then; 0: at once */
    int64_t lost_since_us; /* monotonic; 0: all is well */
};

static inline struct redis_backend *
redis_backend_from(struct backend *backend)
{
    return (struct redis_backend *)backend;
}

/* The moment when this call must be back. */
int64_t redis_backend_until(const struct redis_backend *self);

/* Prefix, kind and id in scratch; STR_NULL and *ok = false without memory. */
struct str redis_backend_key(struct redis_backend *self, struct str kind, struct str id, bool *ok);

/* redis_store.c */
extern const char redis_store_script[];
int redis_store_records(struct backend *backend, const struct backend_record *records,
                        size_t n_records, enum backend_outcome *outcomes, struct error *err);
void redis_store_on_late(void *context, uint64_t number, const struct redis_value *reply);
void redis_store_on_drop(void *context);

/* redis_read.c: what one look at a record's keys has found. */
struct redis_found {
    struct backend_record record; /* in the arena */
    int64_t version;
};

/* Look at up to REDIS_CHUNK ids; on_found is told of those that are there, and may stop the rest
 * by its error. */
typedef int (*redis_found_fn)(void *context, size_t id_idx, const struct redis_found *found,
                              struct error *err);
MUST_CHECK int redis_read_ids(struct redis_backend *self, const struct str *ids, size_t n_ids,
                              int64_t until_us, struct arena *arena, redis_found_fn on_found,
                              void *context, struct error *err);
int redis_read_get(struct backend *backend, const struct str *ids, size_t n_ids,
                   struct arena *arena, struct backend_record_list *out, struct error *err);
int redis_read_forget(struct backend *backend, const struct str *ids, size_t n_ids,
                      int64_t *n_forgotten, struct error *err);

/* redis_chord.c */
int redis_chord_begin(struct backend *backend, struct str group_id, int64_t size, struct str saved,
                      struct error *err);
int redis_chord_count(struct backend *backend, const struct backend_chord_part *parts,
                      size_t n_parts, struct arena *arena, struct backend_chord_count *counts,
                      struct error *err);
int redis_chord_end(struct backend *backend, struct str group_id, struct error *err);

/* redis_watch.c */
int redis_watch_set(struct backend *backend, const struct str *ids, size_t n_ids,
                    struct error *err);
void redis_watch_get_wait(const struct backend *backend, struct backend_wait *out);
int redis_watch_take(struct backend *backend, struct arena *arena, struct backend_record_list *out,
                     struct error *err);
void redis_watch_on_message(void *context, const struct redis_value *message);
void redis_watch_on_drop(void *context);
void redis_watch_fini(struct redis_backend *self);
