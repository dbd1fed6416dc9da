/* Chord counters on Redis: Celery's keys, one script per report, so that counting and becoming the
 * owner are one step.  KEYS: <g>.j, .t, .s, .c, .d and the saved group.
 *
 * .c is the claim of Celery 5.7: a Python worker that finds it leaves the callback to us, and
 * "done" there keeps late duplicates from starting the chord anew.  The scripts are short and sent
 * whole: a chord's end is rare beside a task's. */

#include <stdio.h>

#include "base/buf.h"
#include "celery/backend/redis_internal.h"

#define CHORD_KEYS ((size_t)6)
#define MAX_WORDS  ((size_t)16)
#define NEVER      "0"

/* An answer that was not waited for is asked for anew: a patience shorter than what the server
 * needs for the members of a large chord would ask for ever. */
#define PATIENCE_US (200 * US_PER_MS)

/* ARGV: size, seconds to live (0: for ever), saved group or nothing. */
static const char begin_script[] = "if redis.call('EXISTS', KEYS[4]) == 1 then return 0 end\n"
                                   "local function put(key, value)\n"
                                   "  if ARGV[2] == '0' then redis.call('SET', key, value)\n"
                                   "  else redis.call('SETEX', key, ARGV[2], value) end\n"
                                   "  redis.call('PUBLISH', key, value)\n"
                                   "end\n"
                                   "if ARGV[3] ~= '' then put(KEYS[6], ARGV[3]) end\n"
                                   "put(KEYS[3], ARGV[1])\n"
                                   "return 1\n";

/* ARGV: task, member, score, seconds, how the member of this task begins.  An earlier report of the
 * same task is replaced.  Gives {0}, or {1, members, saved group}. */
static const char count_script[] =
    "local claim = redis.call('GET', KEYS[4])\n"
    "if claim == 'done' then return {0} end\n"
    "local is_list = redis.call('TYPE', KEYS[1]).ok == 'list'\n"
    "local old = is_list and redis.call('LRANGE', KEYS[1], 0, -1)\n"
    "    or redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[3], ARGV[3])\n"
    "local is_there = false\n"
    "for _, member in ipairs(old) do\n"
    "  if member == ARGV[2] then is_there = true\n"
    "  elseif string.sub(member, 1, #ARGV[5]) == ARGV[5] then\n"
    "    redis.call(is_list and 'LREM' or 'ZREM', KEYS[1], unpack(is_list and {0, member}"
    " or {member}))\n"
    "  end\n"
    "end\n"
    "if not is_there then\n"
    "  if is_list then redis.call('RPUSH', KEYS[1], ARGV[2])\n"
    "  else redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2]) end\n"
    "end\n"
    "redis.call('SADD', KEYS[5], ARGV[1] .. ':' .. ARGV[3])\n"
    "if ARGV[4] ~= '0' then\n"
    "  for i = 1, 5 do if i ~= 4 then redis.call('EXPIRE', KEYS[i], ARGV[4]) end end\n"
    "end\n"
    "local n = redis.call(is_list and 'LLEN' or 'ZCARD', KEYS[1])\n"
    "local size = tonumber(redis.call('GET', KEYS[3]) or '')\n"
    "if not size or n < size + tonumber(redis.call('GET', KEYS[2]) or '0') then return {0} end\n"
    "local own = 'trawl:' .. ARGV[1]\n"
    "if claim and claim ~= own then return {0} end\n"
    "if ARGV[4] == '0' then redis.call('SET', KEYS[4], own)\n"
    "else redis.call('SETEX', KEYS[4], ARGV[4], own) end\n"
    "return {1, redis.call(is_list and 'LRANGE' or 'ZRANGE', KEYS[1], 0, -1),\n"
    "    redis.call('GET', KEYS[6])}\n";

/* ARGV: seconds. */
static const char end_script[] = "redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[5])\n"
                                 "if ARGV[1] == '0' then redis.call('SET', KEYS[4], 'done')\n"
                                 "else redis.call('SETEX', KEYS[4], ARGV[1], 'done') end\n"
                                 "return 1\n";

struct chord_question {
    struct redis_backend *self;
    const struct backend_chord_part *parts;
    size_t n_parts;
    const char *script;
    struct str args[3]; /* of scripts that are not about a part */
    size_t n_args;
    struct arena *arena;
    struct backend_chord_count *counts; /* NULL: only whether it went well counts */
};

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for the count of a chord");
}

static void
format_ttl(const struct redis_backend *self, char text[32])
{
    long long seconds = (long long)(self->options.ttl_us / US_PER_S);

    if (self->options.ttl_us == TIME_UNKNOWN)
        (void)snprintf(text, 32, NEVER);
    else
        (void)snprintf(text, 32, "%lld", seconds > 0 ? seconds : 1);
}

static size_t
add_keys(struct redis_backend *self, struct str group_id, struct str *words, bool *ok)
{
    static const struct str ends[CHORD_KEYS] = {STR_INIT(".j"), STR_INIT(".t"), STR_INIT(".s"),
                                                STR_INIT(".c"), STR_INIT(".d"), STR_INIT("")};

    for (size_t i = 0; i < CHORD_KEYS; i++) {
        char *id = arena_printf(&self->scratch, "%.*s%.*s", STR_ARG(group_id), STR_ARG(ends[i]));

        *ok = *ok && id;
        words[i] = redis_backend_key(self, REDIS_GROUP_PREFIX, str_from_cstr(id), ok);
    }
    return CHORD_KEYS;
}

static int
say_part(struct chord_question *question, const struct backend_chord_part *part, struct error *err)
{
    struct redis_backend *self = question->self;
    struct str words[MAX_WORDS] = {STR("EVAL"), str_from_cstr(question->script), STR("6")};
    char ttl[32];
    char score[32] = "+inf";
    size_t n = 3;
    bool ok = true;

    format_ttl(self, ttl);
    n += add_keys(self, part->group_id, words + n, &ok);
    if (part->index >= 0)
        (void)snprintf(score, sizeof(score), "%lld", (long long)part->index);
    if (question->counts) {
        struct str head = str_slice(part->member, 0, str_find(part->member, STR("\", \"")) + 1);

        words[n++] = part->task_id;
        words[n++] = part->member;
        words[n++] = str_from_cstr(score);
        words[n++] = str_from_cstr(ttl);
        words[n++] = head;
    } else {
        for (size_t i = 0; i < question->n_args; i++)
            words[n++] = question->args[i];
    }
    return ok ? redis_line_say(&self->commands, words, n, 1, err) : no_memory(err);
}

static int
say_parts(void *context, struct error *err)
{
    struct chord_question *question = context;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < question->n_parts; i++)
        rc = say_part(question, &question->parts[i], err);
    return rc;
}

static int
read_due(struct chord_question *question, const struct redis_value *reply,
         struct backend_chord_count *out, struct error *err)
{
    const struct redis_value *members = &reply->items[1];
    struct str *parts = arena_calloc(question->arena, members->n_items, sizeof(*parts));
    bool ok = parts != NULL;

    for (size_t i = 0; ok && i < members->n_items; i++)
        parts[i] = arena_dup(question->arena, members->items[i].text, &ok);
    if (ok && reply->n_items > 2 && reply->items[2].kind == REDIS_BULK)
        out->saved = arena_dup(question->arena, reply->items[2].text, &ok);
    if (!ok)
        return no_memory(err);
    out->is_due = true;
    out->parts = parts;
    out->n_parts = members->n_items;
    return 0;
}

static int
hear_part(void *context, size_t reply_idx, const struct redis_value *reply, struct error *err)
{
    struct chord_question *question = context;
    int rc = redis_check(reply, err);

    if (rc < 0 || !question->counts)
        return rc;
    question->counts[reply_idx] = (struct backend_chord_count){0};
    if (reply->kind != REDIS_ARRAY || reply->n_items < 1)
        return error_set(err, ERR_IO, "the Redis server's answer to a count is no list");
    if (reply->items[0].integer == 0)
        return 0;
    if (reply->n_items < 2 || reply->items[1].kind != REDIS_ARRAY)
        return error_set(err, ERR_IO, "the Redis server does not tell a chord's members");
    return read_due(question, reply, &question->counts[reply_idx], err);
}

static int
ask(struct chord_question *question, struct error *err)
{
    const struct redis_question asked = {say_parts, hear_part, question};
    int64_t patient_us = clock_mono_us(&clock_system) + PATIENCE_US;
    int64_t until_us = redis_backend_until(question->self);

    arena_reset(&question->self->scratch);
    return redis_line_ask(&question->self->commands, &asked,
                          until_us > patient_us ? until_us : patient_us, err);
}

int
redis_chord_begin(struct backend *backend, struct str group_id, int64_t size, struct str saved,
                  struct error *err)
{
    struct redis_backend *self = redis_backend_from(backend);
    struct backend_chord_part part = {.group_id = group_id};
    char ttl[32], text[32];
    struct chord_question question = {
        .self = self, .parts = &part, .n_parts = 1, .script = begin_script, .n_args = 3};
    int rc;

    format_ttl(self, ttl);
    (void)snprintf(text, sizeof(text), "%lld", (long long)size);
    question.args[0] = str_from_cstr(text);
    question.args[1] = str_from_cstr(ttl);
    question.args[2] = saved.ptr ? saved : STR("");
    rc = ask(&question, err);
    return rc < 0 ? error_wrap(err, rc, "cannot store the size of a chord") : 0;
}

int
redis_chord_count(struct backend *backend, const struct backend_chord_part *parts, size_t n_parts,
                  struct arena *arena, struct backend_chord_count *counts, struct error *err)
{
    struct chord_question question = {.self = redis_backend_from(backend),
                                      .parts = parts,
                                      .n_parts = n_parts,
                                      .script = count_script,
                                      .arena = arena,
                                      .counts = counts};
    int rc = ask(&question, err);

    return rc < 0 ? error_wrap(err, rc, "cannot count %zu parts of chords", n_parts) : 0;
}

int
redis_chord_end(struct backend *backend, struct str group_id, struct error *err)
{
    struct redis_backend *self = redis_backend_from(backend);
    struct backend_chord_part part = {.group_id = group_id};
    char ttl[32];
    struct chord_question question = {
        .self = self, .parts = &part, .n_parts = 1, .script = end_script, .n_args = 1};
    int rc;

    format_ttl(self, ttl);
    question.args[0] = str_from_cstr(ttl);
    rc = ask(&question, err);
    return rc < 0 ? error_wrap(err, rc, "cannot end a chord") : 0;
}
