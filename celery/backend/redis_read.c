/* Looking at records by their ids, and forgetting them. */

#include "base/number.h"
#include "celery/backend/redis_internal.h"

#define REPLIES_PER_ID ((size_t)2)

/* The call at hand. */
struct looking {
    struct redis_backend *self;
    const struct str *ids;
    size_t n_ids;
    struct arena *arena;
    redis_found_fn on_found;
    void *context;
    struct redis_found found; /* by the first reply of an id, for the second */
    bool is_there;
    bool needs_ttl;
};

static int
no_room(struct str id, size_t n_bytes, struct error *err)
{
    return error_set(err, ERR_NOMEM, "no room for the result of task '%.*s', of %zu bytes",
                     STR_ARG(str_slice(id, 0, 80)), n_bytes);
}

static int
say_looks(void *context, struct error *err)
{
    struct looking *looking = context;
    struct redis_backend *self = looking->self;

    for (size_t i = 0; i < looking->n_ids; i++) {
        bool ok = true;
        struct str key = redis_backend_key(self, REDIS_DOCUMENT_PREFIX, looking->ids[i], &ok);
        const struct str look[] = {
            STR("MGET"), key, redis_backend_key(self, REDIS_NOTE_PREFIX, looking->ids[i], &ok)};
        const struct str ttl[] = {STR("PTTL"), key};
        int rc = ok ? 0 : no_room(looking->ids[i], 0, err);

        if (rc == 0)
            rc = redis_line_say(&self->commands, look, COUNT_OF(look), 1, err);
        if (rc == 0)
            rc = redis_line_say(&self->commands, ttl, COUNT_OF(ttl), 1, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* FNV-1a: tells one document of Celery's from another. */
static int64_t
digest_of(struct str document)
{
    uint64_t digest = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < document.len; i++)
        digest = (digest ^ (unsigned char)document.ptr[i]) * UINT64_C(1099511628211);
    return (int64_t)(digest ? digest : 1);
}

/* The version is hex. */
static bool
parse_version(struct str text, int64_t *out)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t value = 0;

    if (text.len == 0 || text.len > 16)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = memchr(digits, text.ptr[i], 16);

        if (!digit)
            return false;
        value = value * 16 + (uint64_t)(digit - digits);
    }
    *out = (int64_t)value;
    return true;
}

/* The status that a document tells; what is no state document has one that nobody else has. */
static struct str
status_of(struct looking *looking, struct str document)
{
    struct result result;

    if (result_decode(document, &looking->self->scratch, &result, NULL) < 0)
        return STR("UNKNOWN");
    return result.status;
}

/* Fill what a note says.  False: it is not about this document. */
static bool
read_note(struct str note, struct str document, struct redis_found *out)
{
    struct backend_record *record = &out->record;
    struct str words[4];
    int64_t len;

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (!str_split(&note, ' ', &words[i]))
            return false;
    if (!parse_version(words[0], &out->version) || number_parse_i64(words[1], &len, NULL) < 0 ||
        len < 0 || (uint64_t)len != document.len ||
        number_parse_i64(words[2], &record->run, NULL) < 0)
        return false;
    record->expires_us = TIME_UNKNOWN;
    if (!str_equal(words[3], STR(REDIS_NEVER)) &&
        number_parse_i64(words[3], &record->expires_us, NULL) < 0)
        return false;
    record->status = note;
    return true;
}

/* Drop these words from the front, white space before each; false where another stands there. */
static bool
skip_words(struct str *text, const struct str *words, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++) {
        *text = str_trim(*text);
        if (!str_starts_with(*text, words[i]))
            return false;
        *text = str_slice(*text, words[i].len, text->len);
    }
    return true;
}

/* A worker of Celery's writes the document alone: then its status is another than the note's, or
 * its length.  A status that does not stand in front, or has escapes, is not looked at. */
static bool
is_of_celery(struct str note, struct str document)
{
    static const struct str start[] = {STR_INIT("{"), STR_INIT("\"status\""), STR_INIT(":"),
                                       STR_INIT("\"")};
    struct redis_found found;
    struct str status = document;

    if (!note.ptr || !read_note(note, document, &found))
        return true;
    if (!skip_words(&status, start, COUNT_OF(start)))
        return false;
    status = str_slice(status, 0, str_find_char(status, '"'));
    return str_find_char(status, '\\') == status.len && !str_equal(status, found.record.status);
}

/* The documents and the note: a record of the arena, but for the expiry of one of Celery's. */
static int
hear_record(struct looking *looking, struct str id, const struct redis_value *reply,
            struct error *err)
{
    struct redis_found *found = &looking->found;
    struct str document;
    struct str note;
    bool ok = true;

    if (reply->kind != REDIS_ARRAY || reply->n_items != 2)
        return error_set(err, ERR_IO, "the Redis server does not answer MGET with two values");
    document = reply->items[0].text;
    note = reply->items[1].text;
    looking->is_there = reply->items[0].kind == REDIS_BULK && document.len > 0;
    if (!looking->is_there)
        return 0;
    *found = (struct redis_found){.record = {.task_id = id}};
    looking->needs_ttl = is_of_celery(note, document);
    if (looking->needs_ttl) {
        found->version = digest_of(document);
        found->record.status = status_of(looking, document);
    } else {
        (void)read_note(note, document, found);
    }
    if (!looking->needs_ttl && found->record.expires_us != TIME_UNKNOWN &&
        found->record.expires_us <= clock_now_us(looking->self->options.clock)) {
        looking->is_there = false;
        return 0;
    }
    found->record.task_id = arena_dup(looking->arena, id, &ok);
    found->record.status = arena_dup(looking->arena, found->record.status, &ok);
    found->record.document = arena_dup(looking->arena, document, &ok);
    return ok ? 0 : no_room(id, document.len, err);
}

/* In PTTL's milliseconds from now; negative: for ever. */
static int64_t
expiry_in(const struct looking *looking, int64_t left_ms)
{
    int64_t expires_us;

    if (left_ms < 0 || __builtin_mul_overflow(left_ms, US_PER_MS, &expires_us) ||
        __builtin_add_overflow(clock_now_us(looking->self->options.clock), expires_us, &expires_us))
        return TIME_UNKNOWN;
    return expires_us;
}

static int
hear_look(void *context, size_t reply_idx, const struct redis_value *reply, struct error *err)
{
    struct looking *looking = context;
    size_t id_idx = reply_idx / REPLIES_PER_ID;
    int rc = redis_check(reply, err);

    if (rc == 0 && reply_idx % REPLIES_PER_ID == 0)
        return hear_record(looking, looking->ids[id_idx], reply, err);
    if (rc < 0 || !looking->is_there)
        return rc;
    if (looking->needs_ttl)
        looking->found.record.expires_us = expiry_in(looking, reply->integer);
    return looking->on_found(looking->context, id_idx, &looking->found, err);
}

int
redis_read_ids(struct redis_backend *self, const struct str *ids, size_t n_ids, int64_t until_us,
               struct arena *arena, redis_found_fn on_found, void *context, struct error *err)
{
    struct looking looking = {.self = self,
                              .ids = ids,
                              .n_ids = n_ids,
                              .arena = arena,
                              .on_found = on_found,
                              .context = context};
    const struct redis_question question = {say_looks, hear_look, &looking};

    arena_reset(&self->scratch);
    return redis_line_ask(&self->commands, &question, until_us, err);
}

/* The records of one backend_get; where in ids its present chunk starts. */
struct getting {
    struct backend_record *items;
    size_t n_items;
    size_t n_before; /* the chunk */
    size_t last_idx; /* in the chunk, of the last record found */
};

static int
add_record(void *context, size_t id_idx, const struct redis_found *found, struct error *err)
{
    struct getting *getting = context;

    (void)err;
    if (getting->n_items > getting->n_before && id_idx <= getting->last_idx)
        getting->n_items = getting->n_before; /* the chunk is asked for again */
    getting->last_idx = id_idx;
    getting->items[getting->n_items++] = found->record;
    return 0;
}

int
redis_read_get(struct backend *backend, const struct str *ids, size_t n_ids, struct arena *arena,
               struct backend_record_list *out, struct error *err)
{
    struct redis_backend *self = redis_backend_from(backend);
    int64_t until_us = redis_backend_until(self);
    struct getting getting = {.items = arena_calloc(arena, n_ids, sizeof(*getting.items))};

    if (!getting.items)
        return error_set(err, ERR_NOMEM, "no room for the results of %zu tasks", n_ids);
    for (size_t i = 0; i < n_ids; i += REDIS_CHUNK) {
        size_t n = n_ids - i < REDIS_CHUNK ? n_ids - i : REDIS_CHUNK;
        int rc;

        getting.n_before = getting.n_items;
        rc = redis_read_ids(self, ids + i, n, until_us, arena, add_record, &getting, err);
        if (rc < 0)
            return error_wrap(err, rc, "cannot get the results of %zu tasks", n_ids);
    }
    *out = (struct backend_record_list){getting.items, getting.n_items};
    return 0;
}

/* The call at hand. */
struct forgetting {
    struct redis_backend *self;
    const struct str *ids;
    size_t n_ids;
    int64_t n_forgotten;
};

static int
say_forget(void *context, struct error *err)
{
    struct forgetting *forgetting = context;
    struct redis_backend *self = forgetting->self;

    forgetting->n_forgotten = 0;
    for (size_t i = 0; i < forgetting->n_ids; i++) {
        bool ok = true;
        struct str id = forgetting->ids[i];
        const struct str words[] = {STR("DEL"),
                                    redis_backend_key(self, REDIS_DOCUMENT_PREFIX, id, &ok),
                                    redis_backend_key(self, REDIS_NOTE_PREFIX, id, &ok)};
        int rc = ok ? 0 : no_room(id, 0, err);

        if (rc == 0)
            rc = redis_line_say(&self->commands, words, COUNT_OF(words), 1, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* A note alone is none: its document has gone. */
static int
hear_forget(void *context, size_t reply_idx, const struct redis_value *reply, struct error *err)
{
    struct forgetting *forgetting = context;

    (void)reply_idx;
    forgetting->n_forgotten += reply->integer > 0;
    return redis_check(reply, err);
}

int
redis_read_forget(struct backend *backend, const struct str *ids, size_t n_ids,
                  int64_t *n_forgotten, struct error *err)
{
    struct redis_backend *self = redis_backend_from(backend);
    int64_t until_us = redis_backend_until(self);
    int64_t n = 0;

    for (size_t i = 0; i < n_ids; i += REDIS_CHUNK) {
        struct forgetting forgetting = {.self = self,
                                        .ids = ids + i,
                                        .n_ids = n_ids - i < REDIS_CHUNK ? n_ids - i : REDIS_CHUNK};
        const struct redis_question question = {say_forget, hear_forget, &forgetting};
        int rc;

        arena_reset(&self->scratch);
        rc = redis_line_ask(&self->commands, &question, until_us, err);
        if (rc < 0)
            return error_wrap(err, rc, "cannot forget %zu results", n_ids);
        n += forgetting.n_forgotten;
    }
    if (n_forgotten)
        *n_forgotten = n;
    return 0;
}
