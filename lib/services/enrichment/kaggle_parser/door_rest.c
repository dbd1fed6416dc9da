/* REST v1: GET {base}/datasets/list?sortBy=updated&page=1 and GET
 * {base}/datasets/view/{owner}/{slug}. No path ends with a slash: "list/" has been seen to answer
 * an empty list. */

#include <inttypes.h>

#include "lib/core/http_headers.h"
#include "lib/services/enrichment/kaggle_parser/door.h"
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
ask_list(struct str base_url, const struct kaggle_list_query *query, struct arena *arena,
         struct http_request *out, struct error *err)
{
    bool ok = true;
    struct str search = http_url_encode(arena, query->search, STR(""), &ok);

    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for a request to Kaggle");
    return set_url(arena_printf(arena, "%.*s/datasets/list?sortBy=%s&page=%" PRId64 "%s%.*s",
                                STR_ARG(base_url), kaggle_sort_name(query->sort), query->page,
                                search.len ? "&search=" : "", STR_ARG(search)),
                   out, err);
}

static int
ask_one(struct str base_url, const char *what, struct str ref, struct arena *arena,
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
    return set_url(
        arena_printf(arena, "%.*s/datasets/%s/%.*s", STR_ARG(base_url), what, STR_ARG(path)), out,
        err);
}

static int
ask_view(struct str base_url, struct str ref, struct arena *arena, struct http_request *out,
         struct error *err)
{
    return ask_one(base_url, "view", ref, arena, out, err);
}

static int
ask_metadata(struct str base_url, struct str ref, struct arena *arena, struct http_request *out,
             struct error *err)
{
    return ask_one(base_url, "metadata", ref, arena, out, err);
}

const struct kaggle_door_ops kaggle_door_rest = {
    .ask_list = ask_list,
    .ask_view = ask_view,
    .ask_metadata = ask_metadata,
};
