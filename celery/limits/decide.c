/* Which gates and which lock; nothing here knows a broker.
 *
 * The order of the gates is the order in which they are passed: rates before places, so that nobody
 * waits for a rate with a place in hand; the narrow one first, so that a key's backlog uses up
 * nothing of its task and its queue. */

#include "celery/limits/decide.h"

#include "base/digest.h"
#include "base/json_scan.h"
#include "celery/limits/canonical.h"

#define ARGUMENTS_BYTES ((size_t)64 << 20)
#define ARGUMENTS_DEPTH ((size_t)512)
#define CANONICAL_BYTES ((size_t)16 << 20)
#define KEY_TEXT_BYTES  ((size_t)160) /* of names and values in a key; longer ones are digested */
#define URL_BYTES       ((size_t)2048)

/* What holds for one message, from all three sources. */
struct terms {
    struct limit_rule task; /* rule, or the task's own */
    const struct limit_rule *queue;
    const struct limit_rule *key_rule;
    struct str key;    /* absent: none */
    struct str custom; /* of the lock; absent: none */
};

static bool
is_header(const struct json_slice *member)
{
    return str_starts_with(member->name, STR("trawl_"));
}

bool
limit_has_any(const struct limit_rules *rules, struct str headers)
{
    if (rules && rules->tasks.n_items + rules->queues.n_items + rules->keys.n_items > 0)
        return true;
    return headers.ptr && str_find(headers, STR("\"trawl_")) < headers.len;
}

bool
limit_task_has_any(const struct celery_task *task)
{
    return task && (task->rate || task->key || task->unique || task->max_running > 0);
}

/* A text or a number as text; absent for what is neither. */
static struct str
read_scalar(struct str value, struct arena *arena)
{
    struct json parsed;

    if (!value.ptr || json_parse(value, NULL, arena, &parsed, NULL) < 0)
        return STR_NULL;
    if (parsed.type == JSON_STRING || parsed.type == JSON_NUMBER)
        return parsed.text;
    if (parsed.type == JSON_BOOL && !parsed.boolean)
        return STR("no");
    return STR_NULL;
}

static struct str
find_member(struct str object, struct str name)
{
    struct json_cursor members = json_cursor_open(object);
    struct json_slice member;

    while (object.ptr && json_cursor_next(&members, &member))
        if (json_slice_is_named(&member, name))
            return member.value;
    return STR_NULL;
}

static struct str
find_item(struct str array, size_t idx)
{
    struct json_cursor items = json_cursor_open(array);
    struct json_slice item;

    while (array.ptr && json_cursor_next(&items, &item))
        if (idx-- == 0)
            return item.value;
    return STR_NULL;
}

/* By name, or by its place where the task's parameters are known. */
static struct str
find_argument(const struct limit_subject *subject, struct str name)
{
    struct str value = find_member(subject->kwargs, name);

    if (value.ptr || !subject->task)
        return value;
    for (size_t i = 0; subject->task->params && subject->task->params[i].name; i++)
        if (str_equal(str_from_cstr(subject->task->params[i].name), name))
            return find_item(subject->args, i);
    return STR_NULL;
}

/* "https://user@Example.org:8443/a?b" -> "example.org"; a text without a scheme is a host. */
static struct str
host_of(struct str url, struct arena *arena)
{
    size_t at = str_find(url, STR("://"));
    struct str host = at < url.len ? str_slice(url, at + 3, url.len) : url;
    char *lower;

    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] == '/' || host.ptr[i] == '?' || host.ptr[i] == '#')
            host = str_slice(host, 0, i);
    at = str_find_last(host, STR("@"));
    if (at < host.len)
        host = str_slice(host, at + 1, host.len);
    at = str_find_last(host, STR(":"));
    if (at < host.len && str_find_char(str_slice(host, at, host.len), ']') == host.len - at)
        host = str_slice(host, 0, at);
    lower = host.len > 0 && host.len < URL_BYTES ? arena_calloc(arena, host.len, 1) : NULL;
    if (!lower)
        return STR_NULL;
    for (size_t i = 0; i < host.len; i++)
        lower[i] =
            host.ptr[i] >= 'A' && host.ptr[i] <= 'Z' ? (char)(host.ptr[i] + 32) : host.ptr[i];
    return (struct str){lower, host.len};
}

static int
read_task_terms(const struct celery_task *task, struct limit_rule *out, struct error *err)
{
    int rc = 0;

    out->burst = 1;
    if (!task)
        return 0;
    out->most = task->max_running;
    if (task->rate)
        rc = limit_parse_rate(str_from_cstr(task->rate), &out->interval_us, err);
    if (rc == 0 && task->key)
        rc = limit_parse_key(str_from_cstr(task->key), &out->key_form, &out->key_argument, err);
    if (rc == 0 && task->unique)
        rc = limit_parse_unique(str_from_cstr(task->unique), &out->unique, &out->unique_us, err);
    return rc;
}

static void
read_key(const struct limit_subject *subject, struct arena *arena, struct terms *out)
{
    struct str value;

    if (out->key.ptr || out->task.key_form == LIMIT_KEY_NONE)
        return;
    value = read_scalar(find_argument(subject, out->task.key_argument), arena);
    if (value.ptr && out->task.key_form == LIMIT_KEY_HOST)
        value = host_of(value, arena);
    if (value.len > 0)
        out->key = value;
}

static void
read_headers(const struct limit_subject *subject, struct arena *arena, struct terms *out)
{
    struct json_cursor members = json_cursor_open(subject->headers);
    struct json_slice member;

    while (subject->headers.ptr && json_cursor_next(&members, &member)) {
        struct str text;

        if (!is_header(&member))
            continue;
        text = read_scalar(member.value, arena);
        if (text.len == 0)
            continue;
        if (json_slice_is_named(&member, STR(LIMIT_HEADER_UNIQUE)))
            error_ignore(limit_parse_unique(text, &out->task.unique, &out->task.unique_us, NULL));
        else if (json_slice_is_named(&member, STR(LIMIT_HEADER_UNIQUE_KEY)))
            out->custom = text;
        else if (json_slice_is_named(&member, STR(LIMIT_HEADER_KEY)))
            out->key = text;
    }
}

static int
read_terms(const struct limit_rules *rules, const struct limit_subject *subject,
           struct arena *arena, struct terms *out, struct error *err)
{
    const struct limit_rule *rule =
        rules ? limit_rules_find(&rules->tasks, subject->task_name) : NULL;
    int rc = 0;

    *out = (struct terms){.key = STR_NULL, .custom = STR_NULL};
    if (rule)
        out->task = *rule;
    else
        rc = read_task_terms(subject->task, &out->task, err);
    if (rc < 0)
        return rc;
    read_headers(subject, arena, out);
    read_key(subject, arena, out);
    if (!rules)
        return 0;
    out->queue = limit_rules_find(&rules->queues, subject->queue);
    if (out->key.ptr)
        out->key_rule = limit_rules_find(&rules->keys, out->key);
    if (out->key.ptr && !out->key_rule)
        out->key_rule = limit_rules_find(&rules->keys, STR(LIMIT_ANY_KEY));
    return 0;
}

/* "rate key example.org", with the digest of what is too long. */
static int
make_key(const char *what, struct str value, struct arena *arena, struct str *out,
         struct error *err)
{
    char digest[SHA256_TEXT_BYTES];
    const char *text;

    if (value.len > KEY_TEXT_BYTES) {
        int rc = digest_sha256_text(value, digest, err);

        if (rc < 0)
            return rc;
        value = str_from_cstr(digest);
    }
    text = arena_printf(arena, "%s %.*s", what, STR_ARG(value));
    if (!text)
        return error_set(err, ERR_NOMEM, "no memory for the key of a limit");
    *out = str_from_cstr(text);
    return 0;
}

static int
add_gate(struct limit_decision *out, const char *what, struct str value, int64_t interval_us,
         int64_t n, struct arena *arena, struct error *err)
{
    struct broker_gate *gate = &out->gates[out->n_gates];
    int rc = make_key(what, value, arena, &gate->key, err);

    if (rc < 0)
        return rc;
    gate->interval_us = interval_us;
    gate->n = n;
    out->n_gates++;
    return 0;
}

static int
add_gates(const struct terms *terms, const struct limit_subject *subject, struct arena *arena,
          struct limit_decision *out, struct error *err)
{
    const struct {
        const char *rate;
        const char *places;
        const struct limit_rule *rule;
        struct str value;
    } rows[] = {
        {"rate key", "max key", terms->key_rule, terms->key},
        {"rate task", "max task", &terms->task, subject->task_name},
        {"rate queue", "max queue", terms->queue, subject->queue},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(rows); i++)
        if (rows[i].rule && rows[i].rule->interval_us > 0)
            rc = add_gate(out, rows[i].rate, rows[i].value, rows[i].rule->interval_us,
                          rows[i].rule->burst, arena, err);
    for (size_t i = 0; rc == 0 && i < COUNT_OF(rows); i++)
        if (rows[i].rule && rows[i].rule->most > 0)
            rc = add_gate(out, rows[i].places, rows[i].value, 0, rows[i].rule->most, arena, err);
    return rc;
}

static int
write_arguments(struct str text, struct str fallback, struct arena *arena, struct buf *out,
                struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN, ARGUMENTS_DEPTH};
    struct json value;
    int rc = json_parse(text.ptr ? text : fallback, &limits, arena, &value, err);

    return rc < 0 ? rc : limit_write_canonical(&value, arena, out, err);
}

int
limit_make_lock_key(const struct limit_subject *subject, enum limit_scope scope, struct str custom,
                    struct arena *arena, struct str *out, struct error *err)
{
    CLEANUP(arena_fini) struct arena scratch = ARENA_INIT(ARGUMENTS_BYTES);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(CANONICAL_BYTES);
    char digest[SHA256_TEXT_BYTES];
    int rc = 0;

    if (custom.len > 0)
        return make_key("unique", custom, arena, out, err);
    if (scope == LIMIT_BY_NAME)
        return make_key("unique task", subject->task_name, arena, out, err);
    buf_append(&text, subject->task_name);
    buf_append(&text, STR(" "));
    rc = write_arguments(subject->args, STR("[]"), &scratch, &text, err);
    if (rc == 0)
        rc = write_arguments(subject->kwargs, STR("{}"), &scratch, &text, err);
    if (rc == 0)
        rc = buf_status(&text, err);
    if (rc == 0)
        rc = digest_sha256_text(buf_str(&text), digest, err);
    return rc < 0 ? rc : make_key("unique call", str_from_cstr(digest), arena, out, err);
}

int
limit_decide(const struct limit_rules *rules, const struct limit_subject *subject,
             struct arena *arena, struct limit_decision *out, struct error *err)
{
    struct limit_decision decision = {.n_gates = 0};
    struct terms terms;
    int rc = read_terms(rules, subject, arena, &terms, err);

    if (rc == 0)
        rc = add_gates(&terms, subject, arena, &decision, err);
    if (rc == 0 && terms.task.unique != BROKER_LOCK_NONE) {
        decision.lock =
            (struct broker_lock){.span = terms.task.unique, .span_us = terms.task.unique_us};
        rc = limit_make_lock_key(subject, terms.task.unique_by, terms.custom, arena,
                                 &decision.lock.key, err);
    }
    if (rc == 0)
        *out = decision;
    return rc;
}
