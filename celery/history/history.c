/* The implementation by the URL's scheme; the rest goes straight to it. */

#include "celery/history/history.h"

static int
find_ops(struct str url, const struct history_ops **out, struct error *err)
{
    static const struct history_ops *const all[] = {&history_sqlite};
    size_t at = str_find(url, STR("://"));

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (at < url.len && !str_equal(str_slice(url, 0, at), str_from_cstr(all[i]->scheme)))
            continue;
        *out = all[i];
        return 0;
    }
    return error_set(err, ERR_CONFIG,
                     "history_url has the unknown scheme '%.*s': use sqlite:///path",
                     STR_ARG(str_slice(url, 0, at < 32 ? at : 32)));
}

int
history_check_url(struct str url, struct error *err)
{
    const struct history_ops *ops;

    return find_ops(url, &ops, err);
}

int
history_open(struct str url, enum history_access access, struct history **out, struct error *err)
{
    const struct history_ops *ops;
    int rc = find_ops(url, &ops, err);

    return rc < 0 ? rc : ops->open(url, access, out, err);
}

void
history_close(struct history *history)
{
    if (history)
        history->ops->close(history);
}

void
history_closep(struct history **history)
{
    history_close(*history);
}

int
history_put(struct history *history, const struct history_record *records, size_t n_records,
            struct error *err)
{
    return history->ops->put(history, records, n_records, err);
}

int
history_clean(struct history *history, const struct history_limits *limits, size_t *n_removed,
              struct error *err)
{
    return history->ops->clean(history, limits, n_removed, err);
}

int
history_list(struct history *history, const struct history_filter *filter, struct arena *arena,
             struct history_list *out, struct error *err)
{
    return history->ops->list(history, filter, arena, out, err);
}

int
history_find(struct history *history, struct str id, struct arena *arena, struct str *out,
             struct error *err)
{
    return history->ops->find(history, id, arena, out, err);
}

int
history_get(struct history *history, struct str id, struct arena *arena, struct history_task *out,
            struct error *err)
{
    return history->ops->get(history, id, arena, out, err);
}

int
history_note_retry(struct history *history, struct str id, struct str retry_of, int64_t at_us,
                   struct error *err)
{
    return history->ops->note_retry(history, id, retry_of, at_us, err);
}
