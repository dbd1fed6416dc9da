/* Which ids are revoked, page by page. */

#include "celery/broker/redis_internal.h"
#include "celery/broker/redis_scripts.h"

#define PAGE_BYTES ((size_t)8 << 20)

/* Where the next page begins; the server's words are gone by then. */
struct page_cursor {
    char text[24];
    size_t len;
};

static int
take_page(const struct redis_value *reply, size_t limit, struct page_cursor *cursor,
          struct arena *arena, struct str_list *found, struct str *items, struct error *err)
{
    bool ok = true;

    if (reply->n_items == 0 || reply->items[0].text.len > sizeof(cursor->text))
        return error_set(err, ERR_IO, "the broker's list of revoked ids cannot be read");
    cursor->len = reply->items[0].text.len;
    (void)memcpy(cursor->text, reply->items[0].text.ptr, cursor->len);
    for (size_t i = 1; i < reply->n_items && found->n_items < limit; i++)
        items[found->n_items++] = arena_dup(arena, reply->items[i].text, &ok);
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for revoked ids");
}

int
redis_admin_list_revoked(struct broker *broker, struct str prefix, size_t limit,
                         struct arena *arena, struct str_list *out, struct error *err)
{
    struct redis_broker *self = redis_broker_from(broker);
    struct str *items = arena_calloc(arena, limit ? limit : 1, sizeof(*items));
    struct str_list found = {items, 0};
    struct page_cursor cursor = {"0", 1};
    int rc = items ? 0 : error_set(err, ERR_NOMEM, "no memory for %zu ids", limit);
    bool is_last = false;

    while (rc == 0 && !is_last && found.n_items < limit) {
        CLEANUP(arena_fini) struct arena page = ARENA_INIT(PAGE_BYTES);
        struct words words = {.arena = &page};
        const struct redis_value *reply;

        redis_admin_begin(self, &words, redis_text_revoked);
        words_add_i64(&words, clock_now_us(self->options.clock));
        words_add(&words, (struct str){cursor.text, cursor.len});
        words_add(&words, prefix);
        rc = redis_admin_call(self, &words, self->options.max_command_us, &reply, err);
        if (rc == 0)
            rc = take_page(reply, limit, &cursor, arena, &found, items, err);
        is_last = cursor.len == 1 && cursor.text[0] == '0';
    }
    if (rc == 0)
        *out = found;
    return rc;
}
