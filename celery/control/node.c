/* What a node learns from others. */

#include "celery/control/node.h"

static size_t
count_ids(const struct json *revoked)
{
    if (revoked->type == JSON_OBJECT)
        return revoked->object.n_members;
    return revoked->type == JSON_ARRAY ? revoked->array.n_items : 0;
}

static struct str
id_at(const struct json *revoked, size_t idx)
{
    if (revoked->type == JSON_OBJECT)
        return revoked->object.members[idx].name;
    return revoked->array.items[idx].type == JSON_STRING ? revoked->array.items[idx].text
                                                         : STR_NULL;
}

int
control_learn_revoked(struct control_node *node, const struct json *revoked, struct arena *arena,
                      struct error *err)
{
    size_t n_told = count_ids(revoked);
    size_t n_most = n_told < CONTROL_MAX_IDS ? n_told : CONTROL_MAX_IDS;
    struct str *ids = arena_calloc(arena, n_most ? n_most : 1, sizeof(*ids));
    size_t n = 0;

    if (!ids)
        return error_set(err, ERR_NOMEM, "no memory for %zu revoked ids", n_most);
    for (size_t i = 0; i < n_told && n < n_most; i++) {
        struct str id = id_at(revoked, i);
        int rc;

        if (id.len == 0 || id.len > CONTROL_MAX_ID_BYTES || revoked_has(&node->revoked, id))
            continue;
        rc = revoked_insert(&node->revoked, id, err);
        if (rc < 0)
            return rc;
        ids[n++] = id;
    }
    return n > 0 ? node->ops->learn_revoked(node->context, ids, n, err) : 0;
}
