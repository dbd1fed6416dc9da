/* See worker_call.h. */

#include "celery/worker_call.h"

#include "base/json_scan.h"
#include "base/json_writer.h"

void
celery_worker_call_encode(struct str id, struct str args, struct str kwargs, int64_t retries,
                          struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    json_begin_object(&json);
    json_member_str(&json, STR("id"), id);
    json_name(&json, STR("args"));
    json_raw(&json, args.ptr ? args : STR("[]"));
    json_name(&json, STR("kwargs"));
    json_raw(&json, kwargs.ptr ? kwargs : STR("{}"));
    json_member_i64(&json, STR("retries"), retries);
    json_end_object(&json);
}

int
celery_worker_call_decode(struct str payload, struct arena *arena, struct celery_worker_call *out,
                          struct error *err)
{
    static const struct json_limits limits = {JSON_ALLOW_NAN | JSON_KEEP_SURROGATES,
                                              JSON_SCAN_DEPTH_MAX};
    const struct json *id;
    const struct json *args;
    const struct json *kwargs;
    int64_t retries;
    struct json call;
    int rc = json_parse(payload, &limits, arena, &call, err);

    if (rc < 0)
        return error_wrap(err, rc, "call");
    id = json_get(&call, STR("id"));
    args = json_get(&call, STR("args"));
    kwargs = json_get(&call, STR("kwargs"));
    if (!id || id->type != JSON_STRING || !args || args->type != JSON_ARRAY || !kwargs ||
        kwargs->type != JSON_OBJECT || !json_is_i64(json_get(&call, STR("retries")), &retries))
        return error_set(err, ERR_INVALID, "call must have an id, args, kwargs and retries");
    *out = (struct celery_worker_call){id->text, *args, *kwargs, retries};
    return 0;
}
