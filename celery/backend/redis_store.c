/* Storing: one script, one round trip, for all records of a call.
 *
 * The script is one step for everybody else, so "SUCCESS is final" has no gap between looking and
 * writing (Celery's own has one), and a batch is there wholly or not at all.  Its rule is
 * result_may_replace; its ranks come from the table that C has.
 *
 * A call that may not wait any longer leaves its question where it is, and remembers a digest of
 * each record; when it is called again, as ERR_BUSY says, what was answered meanwhile need not be
 * sent again.  So results get through to a server that is farther away than max_block_us. */

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/digest.h"
#include "celery/backend/redis_internal.h"

#define WORDS_PER_RECORD ((size_t)7)
#define MAX_RECORDS      ((size_t)100000) /* Redis takes a million words */

#define C_RANK(state, name, rank, ready, exception, stored)   [state] = (rank),
#define LUA_RANK(state, name, rank, ready, exception, stored) name "=" #rank ","

/* KEYS: document and note of each record.  ARGV: the time, then of each record its document, note,
 * rank, run and seconds to live (0: for ever).  Gives 0 (stored) or 1 (kept) for each. */
/* clang-format off */
const char redis_store_script[] =
    "local rank = {" RESULT_STATES(LUA_RANK) "}\n"
    "local unknown = '0000000000000000000'\n"
    "local function standing(key, note_key)\n"
    "  local head = redis.pcall('GETRANGE', key, 0, 511)\n"
    "  if type(head) ~= 'string' or head == '' then return nil end\n"
    "  local status = string.match(head, '^%s*{%s*\"status\"%s*:%s*\"([%w_]*)\"')\n"
    "  local note = redis.pcall('GET', note_key)\n"
    "  if type(note) == 'string' then\n"
    "    local len, run, till, name = string.match(note, '^%x+ (%d+) (%d+) (%d+) (.*)$')\n"
    "    if len and tonumber(len) == redis.call('STRLEN', key)\n"
    "        and (not status or status == name) then\n"
    "      if till <= ARGV[1] then return nil end\n"
    "      return name, run\n"
    "    end\n"
    "  end\n"
    "  if not status then\n"
    "    local ok, value = pcall(cjson.decode, redis.call('GET', key))\n"
    "    status = ok and type(value) == 'table' and value.status\n"
    "    if type(status) ~= 'string' then status = '' end\n"
    "  end\n"
    "  return status, unknown\n"
    "end\n"
    "local function may_replace(old, old_run, new_rank, run)\n"
    "  if old == 'SUCCESS' then return false end\n"
    "  if new_rank == rank.SUCCESS then return true end\n"
    "  if old_run ~= unknown and run ~= unknown and old_run ~= run then\n"
    "    return run > old_run\n"
    "  end\n"
    "  return new_rank >= (rank[old] or rank.PROGRESS)\n"
    "end\n"
    "local out = {}\n"
    "for i = 1, #KEYS / 2 do\n"
    "  local key, note_key, a = KEYS[2 * i - 1], KEYS[2 * i], 5 * i - 3\n"
    "  local document, note, new_rank = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])\n"
    "  local run, seconds = ARGV[a + 3], ARGV[a + 4]\n"
    "  local old, old_run = standing(key, note_key)\n"
    "  if old and not may_replace(old, old_run, new_rank, run) then\n"
    "    out[i] = 1\n"
    "  else\n"
    "    if seconds == '0' then\n"
    "      redis.call('SET', key, document)\n"
    "      redis.call('SET', note_key, note)\n"
    "    else\n"
    "      redis.call('SET', key, document, 'EX', seconds)\n"
    "      redis.call('SET', note_key, note, 'EX', seconds)\n"
    "    end\n"
    "    redis.call('PUBLISH', key, document)\n"
    "    out[i] = 0\n"
    "  end\n"
    "end\n"
    "return out\n";
/* clang-format on */

static const int ranks[] = {RESULT_STATES(C_RANK)};

/* The call at hand. */
struct storing {
    struct redis_backend *self;
    const struct backend_record *records;
    size_t n_records;
    size_t *sent; /* [n_sent] indexes of the records that are in the question */
    size_t n_sent;
    signed char *outcomes; /* [n_records], -1: not known */
    bool is_said;
};

static int
no_memory(size_t n_records, struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory to store %zu results", n_records);
}

static int
find_digest(const struct backend_record *record, unsigned char digest[20], struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(SIZE_MAX / 4);
    int rc;

    buf_printf(&text, "%zu %zu %lld %lld ", record->task_id.len, record->status.len,
               (long long)record->run, (long long)record->expires_us);
    buf_append(&text, record->task_id);
    buf_append(&text, record->status);
    buf_append(&text, record->document);
    rc = buf_status(&text, err);
    return rc < 0 ? rc : digest_sha1(buf_str(&text), digest, err);
}

/* What is known of the records from the calls before. */
static int
recall(struct storing *storing, struct error *err)
{
    struct redis_backend *self = storing->self;

    for (size_t i = 0; self->n_late > 0 && i < storing->n_records; i++) {
        unsigned char digest[20];
        int rc = find_digest(&storing->records[i], digest, err);

        if (rc < 0)
            return rc;
        for (size_t k = 0; k < self->n_late && storing->outcomes[i] < 0; k++)
            if (memcmp(self->late[k].digest, digest, sizeof(digest)) == 0)
                storing->outcomes[i] = self->late[k].outcome;
    }
    return 0;
}

/* Remember what is known, and what was asked and is not answered: the latter comes last. */
static int
remember(struct storing *storing, struct error *err)
{
    struct redis_backend *self = storing->self;
    struct late_record *late = calloc(storing->n_records, sizeof(*late));
    size_t n = 0;

    if (!late)
        return no_memory(storing->n_records, err);
    for (size_t i = 0; i < storing->n_records; i++) {
        if (storing->outcomes[i] < 0)
            continue;
        late[n].outcome = storing->outcomes[i];
        if (find_digest(&storing->records[i], late[n++].digest, err) < 0) {
            free(late);
            return -ERR_NOMEM;
        }
    }
    free(self->late);
    self->late = late;
    self->n_late = n;
    self->late_first = n;
    self->late_number = storing->is_said ? self->commands.n_said : 0;
    for (size_t i = 0; storing->is_said && i < storing->n_sent; i++) {
        late[self->n_late].outcome = -1;
        if (find_digest(&storing->records[storing->sent[i]], late[self->n_late].digest, err) < 0)
            return -ERR_NOMEM;
        self->n_late++;
    }
    return 0;
}

static void
forget_late(struct redis_backend *self)
{
    free(self->late);
    self->late = NULL;
    self->n_late = 0;
    self->late_number = 0;
}

void
redis_store_on_late(void *context, uint64_t number, const struct redis_value *reply)
{
    struct redis_backend *self = context;

    if (number != self->late_number)
        return;
    self->late_number = 0;
    if (reply->kind != REDIS_ARRAY || reply->n_items != self->n_late - self->late_first) {
        self->n_late = self->late_first; /* an error: they will be sent again */
        return;
    }
    for (size_t i = 0; i < reply->n_items; i++)
        self->late[self->late_first + i].outcome =
            reply->items[i].integer ? BACKEND_KEPT : BACKEND_STORED;
}

void
redis_store_on_drop(void *context)
{
    struct redis_backend *self = context;

    if (self->late_number != 0)
        self->n_late = self->late_first;
    self->late_number = 0;
}

static int64_t
expiry_of(const struct redis_backend *self, const struct backend_record *record, int64_t now_us)
{
    int64_t expires_us;

    if (record->expires_us != 0)
        return record->expires_us;
    if (self->options.ttl_us == TIME_UNKNOWN ||
        __builtin_add_overflow(now_us, self->options.ttl_us, &expires_us))
        return TIME_UNKNOWN;
    return expires_us;
}

/* Whole seconds, as SETEX has them; never too short. */
static int64_t
seconds_until(int64_t expires_us, int64_t now_us)
{
    int64_t span_us;

    if (__builtin_sub_overflow(expires_us, now_us, &span_us) || span_us < US_PER_S)
        return 1;
    return span_us / US_PER_S + (span_us % US_PER_S > 0);
}

/* An arena's formatted text; *ok turns false without memory. */
#define FORMAT(self, ok, ...) format_text(arena_printf(&(self)->scratch, __VA_ARGS__), (ok))

static struct str
format_text(const char *text, bool *ok)
{
    *ok = *ok && text;
    return str_from_cstr(text);
}

/* The five arguments of one record. */
static void
fill_arguments(struct redis_backend *self, const struct backend_record *record, int64_t now_us,
               struct str out[5], bool *ok)
{
    int64_t expires_us = expiry_of(self, record, now_us);
    long long run = record->run > 0 ? record->run : 0;
    bool is_for_ever = expires_us == TIME_UNKNOWN;
    char till[32] = REDIS_NEVER;

    if (!is_for_ever)
        (void)snprintf(till, sizeof(till), "%0*lld", REDIS_RUN_DIGITS,
                       (long long)(expires_us > 0 ? expires_us : 0));
    if (++self->version == 0)
        self->version = 1;
    out[0] = record->document;
    out[1] = FORMAT(self, ok, "%llx %zu %0*lld %s %.*s", (unsigned long long)self->version,
                    record->document.len, REDIS_RUN_DIGITS, run, till, STR_ARG(record->status));
    out[2] = FORMAT(self, ok, "%d", ranks[result_state_of(record->status)]);
    out[3] = FORMAT(self, ok, "%0*lld", REDIS_RUN_DIGITS, run);
    out[4] = is_for_ever ? STR("0")
                         : FORMAT(self, ok, "%lld", (long long)seconds_until(expires_us, now_us));
}

static int
say_store(void *context, struct error *err)
{
    struct storing *storing = context;
    struct redis_backend *self = storing->self;
    int64_t now_us = clock_now_us(self->options.clock);
    size_t n_words = 3;
    struct str *words;
    bool ok = true;
    int rc = recall(storing, err);

    if (rc < 0)
        return rc;
    storing->is_said = false;
    storing->n_sent = 0;
    for (size_t i = 0; i < storing->n_records; i++)
        if (storing->outcomes[i] < 0)
            storing->sent[storing->n_sent++] = i;
    if (storing->n_sent == 0)
        return 0;
    words = arena_calloc(&self->scratch, 4 + storing->n_sent * WORDS_PER_RECORD, sizeof(*words));
    if (!words)
        return no_memory(storing->n_records, err);
    words[0] = STR("EVALSHA");
    words[1] = str_from_cstr(self->script.sha1);
    words[2] = FORMAT(self, &ok, "%zu", storing->n_sent * 2);
    for (size_t i = 0; i < storing->n_sent; i++) {
        struct str id = storing->records[storing->sent[i]].task_id;

        words[n_words++] = redis_backend_key(self, REDIS_DOCUMENT_PREFIX, id, &ok);
        words[n_words++] = redis_backend_key(self, REDIS_NOTE_PREFIX, id, &ok);
    }
    words[n_words++] = FORMAT(self, &ok, "%0*lld", REDIS_RUN_DIGITS, (long long)now_us);
    for (size_t i = 0; i < storing->n_sent; i++, n_words += 5)
        fill_arguments(self, &storing->records[storing->sent[i]], now_us, &words[n_words], &ok);
    if (!ok)
        return no_memory(storing->n_records, err);
    rc = redis_line_say(&self->commands, words, n_words, 1, err);
    storing->is_said = rc == 0;
    return rc;
}

static int
hear_store(void *context, size_t reply_idx, const struct redis_value *reply, struct error *err)
{
    struct storing *storing = context;
    int rc = redis_check(reply, err);

    (void)reply_idx;
    storing->is_said = false; /* it is answered */
    if (rc < 0)
        return rc;
    if (reply->kind != REDIS_ARRAY || reply->n_items != storing->n_sent)
        return error_set(err, ERR_IO, "the Redis server answers about %zu results, not %zu",
                         reply->n_items, storing->n_sent);
    for (size_t i = 0; i < storing->n_sent; i++) {
        if (reply->items[i].kind != REDIS_INTEGER)
            return error_set(err, ERR_IO, "the Redis server's answer to a store is no number");
        storing->outcomes[storing->sent[i]] =
            reply->items[i].integer ? BACKEND_KEPT : BACKEND_STORED;
    }
    return 0;
}

static int
store(struct storing *storing, enum backend_outcome *outcomes, struct error *err)
{
    struct redis_backend *self = storing->self;
    struct redis_question question = {say_store, hear_store, storing};
    int rc;

    arena_reset(&self->scratch);
    storing->sent = arena_calloc(&self->scratch, storing->n_records, sizeof(*storing->sent));
    storing->outcomes = arena_alloc(&self->scratch, storing->n_records);
    if (!storing->sent || !storing->outcomes)
        return no_memory(storing->n_records, err);
    (void)memset(storing->outcomes, -1, storing->n_records);
    rc = redis_line_ask(&self->commands, &question, redis_backend_until(self), err);
    if (rc == -ERR_BUSY && storing->is_said && remember(storing, err) < 0)
        forget_late(self); /* then all of it is sent again: no harm */
    if (rc < 0)
        return error_wrap(err, rc, "cannot store %zu results", storing->n_records);
    forget_late(self);
    for (size_t i = 0; outcomes && i < storing->n_records; i++)
        outcomes[i] = (enum backend_outcome)storing->outcomes[i];
    return 0;
}

int
redis_store_records(struct backend *backend, const struct backend_record *records, size_t n_records,
                    enum backend_outcome *outcomes, struct error *err)
{
    struct redis_backend *self = redis_backend_from(backend);
    struct storing storing = {.self = self, .records = records, .n_records = n_records};
    int rc = 0;

    if (n_records > MAX_RECORDS)
        return error_set(err, ERR_TOO_LARGE, "%zu results in one store, allowed are %zu", n_records,
                         MAX_RECORDS);
    for (size_t i = 0; rc == 0 && i < n_records; i++)
        rc = backend_check_record(&records[i], self->options.max_document_bytes, err);
    if (rc < 0 || n_records == 0)
        return rc;
    return store(&storing, outcomes, err);
}
