/* RPC: POST {base}/datasets.DatasetApiService/{Method} with a JSON body; unset fields are left out,
 * enums go by name. */

#include "base/json_writer.h"
#include "lib/services/enrichment/kaggle_parser/door.h"
#include "lib/services/enrichment/kaggle_parser/ref.h"

#define BODY_BYTES ((size_t)65536)

static const char *const sort_names[] = {
#define KAGGLE_SORT_RPC(name, rest, rpc) rpc,
    KAGGLE_SORTS(KAGGLE_SORT_RPC)
#undef KAGGLE_SORT_RPC
};

/* Copy the body into the arena and name the method. */
static int
set_call(struct str base_url, const char *method, const struct buf *body, struct arena *arena,
         struct http_request *out, struct error *err)
{
    bool ok = true;
    char *url;
    int rc;

    rc = buf_status(body, err);
    if (rc < 0)
        return rc;
    url = arena_printf(arena, "%.*s/datasets.DatasetApiService/%s", STR_ARG(base_url), method);
    out->body = arena_dup(arena, buf_str(body), &ok);
    if (!url || !ok)
        return error_set(err, ERR_NOMEM, "no memory for a request to Kaggle");
    out->method = HTTP_POST;
    out->url = str_from_cstr(url);
    out->content_type = STR("application/json");
    return 0;
}

static int
ask_list(struct str base_url, const struct kaggle_list_query *query, struct arena *arena,
         struct http_request *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf body = BUF_INIT(BODY_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&body);

    json_begin_object(&json);
    json_member_str(&json, STR("sortBy"), str_from_cstr(sort_names[query->sort]));
    json_member_i64(&json, STR("page"), query->page);
    if (query->search.len)
        json_member_str(&json, STR("search"), query->search);
    json_end_object(&json);
    return set_call(base_url, "ListDatasets", &body, arena, out, err);
}

static int
ask_one(struct str base_url, const char *method, struct str ref, struct arena *arena,
        struct http_request *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf body = BUF_INIT(BODY_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&body);
    struct kaggle_ref parts;
    int rc;

    rc = kaggle_ref_parse(ref, &parts, err);
    if (rc < 0)
        return rc;
    json_begin_object(&json);
    json_member_str(&json, STR("ownerSlug"), parts.owner);
    json_member_str(&json, STR("datasetSlug"), parts.slug);
    json_end_object(&json);
    return set_call(base_url, method, &body, arena, out, err);
}

static int
ask_view(struct str base_url, struct str ref, struct arena *arena, struct http_request *out,
         struct error *err)
{
    return ask_one(base_url, "GetDataset", ref, arena, out, err);
}

static int
ask_metadata(struct str base_url, struct str ref, struct arena *arena, struct http_request *out,
             struct error *err)
{
    return ask_one(base_url, "GetDatasetMetadata", ref, arena, out, err);
}

const struct kaggle_door_ops kaggle_door_rpc = {
    .ask_list = ask_list,
    .ask_view = ask_view,
    .ask_metadata = ask_metadata,
};
