/* REST v1: GET {origin}/api/v1/datasets/list?sortBy=updated&page=1 and GET {origin}/api/v1/datasets/view/{owner}/{slug}.
 * No path ends with a slash: "list/" has been seen to answer an empty list. */

#include "lib/services/enrichment/kaggle_parser/door.h"

#include <inttypes.h>

#include "lib/core/http_headers.h"
#include "lib/services/enrichment/kaggle_parser/ref.h"

static int
set_url(char *url, struct http_request *out, struct error *err)
{
    if (!url)
        return error_set(err, ERR_NOMEM, "no memory for a request to Kaggle");
    out->method = HTTP_GET;
    out->url = str_from_cstr(url);
    return 0;
}

static int
ask_list(struct str origin, const struct kaggle_list_query *query, struct arena *arena,
         struct http_request *out, struct error *err)
{
    bool ok = true;
    struct str search = http_url_encode(arena, query->search, STR(""), &ok);

    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for a request to Kaggle");
    return set_url(arena_printf(arena, "%.*s/api/v1/datasets/list?sortBy=%s&page=%" PRId64 "%s%.*s",
                                STR_ARG(origin), kaggle_sort_name(query->sort), query->page,
                                search.len ? "&search=" : "", STR_ARG(search)),
                   out, err);
}

static int
ask_one(struct str origin, const char *what, struct str ref, struct arena *arena,
        struct http_request *out, struct error *err)
{
    struct kaggle_ref parts;
    struct str path;
    bool ok = true;
    int rc;

    rc = kaggle_ref_parse(ref, &parts, err);
    if (rc < 0)
        return rc;
    path = http_url_encode(arena, parts.text, STR("/"), &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for a request to Kaggle");
    return set_url(arena_printf(arena, "%.*s/api/v1/datasets/%s/%.*s", STR_ARG(origin), what,
                                STR_ARG(path)),
                   out, err);
}

static int
ask_view(struct str origin, struct str ref, struct arena *arena, struct http_request *out,
         struct error *err)
{
    return ask_one(origin, "view", ref, arena, out, err);
}

static int
ask_metadata(struct str origin, struct str ref, struct arena *arena, struct http_request *out,
             struct error *err)
{
    return ask_one(origin, "metadata", ref, arena, out, err);
}

const struct kaggle_door_ops kaggle_door_rest = {
    .ask_list = ask_list,
    .ask_view = ask_view,
    .ask_metadata = ask_metadata,
};
