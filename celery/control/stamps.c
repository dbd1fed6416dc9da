/* Source: Celery 5.7, worker/request.py (Request.revoked). */

#include "celery/control/stamps.h"

#include "base/buf.h"
#include "base/json_writer.h"

#define STAMPS_BYTES ((size_t)4 << 20)

/* Empty: a value that no stamp is compared with. */
static struct str
write_key(struct str header, const struct json *value, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    buf_clear(out);
    if (value->type != JSON_STRING && value->type != JSON_NUMBER && value->type != JSON_BOOL)
        return STR("");
    json_begin_array(&json);
    json_str(&json, header);
    json_value(&json, value);
    json_end_array(&json);
    return buf_status(out, NULL) < 0 ? STR("") : buf_str(out);
}

static size_t
count_values(const struct json *value)
{
    return value->type == JSON_ARRAY ? value->array.n_items : 1;
}

static const struct json *
value_at(const struct json *value, size_t idx)
{
    return value->type == JSON_ARRAY ? &value->array.items[idx] : value;
}

static int
add_key(struct str header, const struct json *value, struct arena *arena, struct str *out,
        struct error *err)
{
    CLEANUP(buf_fini) struct buf key = BUF_INIT(STAMPS_MAX_KEY_BYTES + 1);
    struct str text = write_key(header, value, &key);
    bool ok = true;

    if (text.len == 0 || text.len > STAMPS_MAX_KEY_BYTES)
        return error_set(err, ERR_INVALID,
                         "a stamp of '%.*s' must be a text or a number, with its header at most "
                         "%zu bytes",
                         STR_ARG(str_slice(header, 0, 64)), STAMPS_MAX_KEY_BYTES - 6);
    *out = arena_dup(arena, text, &ok);
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for a stamp");
}

int
stamps_list_keys(const struct json *headers, size_t max_keys, struct arena *arena, struct str **out,
                 size_t *n_out, struct error *err)
{
    size_t n_keys = 0;
    size_t n = 0;
    struct str *keys;

    if (headers->type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "stamps are an object, got %s",
                         json_type_name(headers->type));
    for (size_t i = 0; i < headers->object.n_members; i++)
        n_keys += count_values(&headers->object.members[i].value);
    if (n_keys > max_keys)
        return error_set(err, ERR_INVALID, "%zu stamps at a time, allowed are %zu", n_keys,
                         max_keys);
    keys = arena_calloc(arena, n_keys ? n_keys : 1, sizeof(*keys));
    if (!keys)
        return error_set(err, ERR_NOMEM, "no memory for %zu stamps", n_keys);
    for (size_t i = 0; i < headers->object.n_members; i++) {
        const struct json_member *member = &headers->object.members[i];

        for (size_t k = 0; k < count_values(&member->value); k++) {
            int rc = add_key(member->name, value_at(&member->value, k), arena, &keys[n++], err);

            if (rc < 0)
                return rc;
        }
    }
    *out = keys;
    *n_out = n;
    return 0;
}

bool
stamps_are_revoked(const struct revoked *revoked, struct str stamps)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(STAMPS_BYTES);
    CLEANUP(buf_fini) struct buf key = BUF_INIT(STAMPS_MAX_KEY_BYTES + 1);
    struct json value;

    if (revoked->n_ids == 0 || !stamps.len || json_parse(stamps, NULL, &arena, &value, NULL) < 0 ||
        value.type != JSON_OBJECT)
        return false;
    for (size_t i = 0; i < value.object.n_members; i++) {
        const struct json_member *member = &value.object.members[i];

        for (size_t k = 0; k < count_values(&member->value); k++) {
            if (revoked_has(revoked, write_key(member->name, value_at(&member->value, k), &key)))
                return true;
        }
    }
    return false;
}
