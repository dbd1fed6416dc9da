/* Options are made from the task's table of parameters, and their words become JSON by it. */

#include "cli/task_options.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/json_scan.h"
#include "base/json_writer.h"
#include "celery/params.h"

static void
describe(const struct celery_param *param, char *text, size_t text_bytes)
{
    const char *help = param->help ? param->help : "";

    switch (param->type) {
    case CELERY_PARAM_INT:
        (void)snprintf(text, text_bytes, "%s (%" PRId64 ")", help, param->fallback);
        break;
    case CELERY_PARAM_BOOL:
        (void)snprintf(text, text_bytes, "%s (%s)", help, param->fallback ? "true" : "false");
        break;
    case CELERY_PARAM_JSON:
        (void)snprintf(text, text_bytes, "%s (null)", help);
        break;
    case CELERY_PARAM_STR:
        (void)snprintf(text, text_bytes, "%s (%s)", help,
                       param->fallback_text ? param->fallback_text : "none");
        break;
    }
}

void
cli_task_options_make(const struct celery_task *task, struct cli_task_options *out)
{
    static const char *const words[] = {
        [CELERY_PARAM_INT] = "N",
        [CELERY_PARAM_BOOL] = NULL,
        [CELERY_PARAM_STR] = "TEXT",
        [CELERY_PARAM_JSON] = "JSON",
    };

    *out = (struct cli_task_options){0};
    for (const struct celery_param *param = task->params;
         param->name && out->n_params < CLI_TASK_PARAMS_MAX; param++) {
        size_t i = out->n_params++;
        bool is_flag = param->type == CELERY_PARAM_BOOL;

        (void)snprintf(out->names[i], sizeof(out->names[i]), "%s", param->name);
        for (char *c = out->names[i]; *c; c++)
            *c = *c == '_' ? '-' : *c;
        describe(param, out->help[i], sizeof(out->help[i]));
        out->options[i] = (struct cli_option){
            .name = out->names[i],
            .argument = words[param->type],
            .kind = is_flag ? CLI_FLAG : CLI_TEXT,
            .target = is_flag ? (void *)&out->flags[i] : (void *)&out->words[i],
            .help = out->help[i],
        };
    }
}

/* Repeated members stay: the table refuses them, with the name. */
static int
copy_members(struct json_writer *json, struct str kwargs, struct error *err)
{
    struct json_cursor members;
    struct json_slice member;
    struct str object;
    int rc = json_scan(kwargs, NULL, &object, err);

    if (rc < 0)
        return error_wrap(err, rc, "named arguments are not JSON");
    if (json_slice_type(object) != JSON_OBJECT)
        return error_set(err, ERR_ARGS, "named arguments must be a JSON object, got %s",
                         json_type_name(json_slice_type(object)));
    members = json_cursor_open(object);
    while (json_cursor_next(&members, &member)) {
        json_raw_name(json, member.name);
        json_raw(json, member.value);
    }
    return 0;
}

static int
write_option(struct json_writer *json, const struct celery_param *param, struct str word,
             struct error *err)
{
    CLEANUP(buf_fini) struct buf value = BUF_INIT(65536);
    int rc = celery_param_write_json(param, word, &value, err);

    if (rc < 0)
        return rc;
    json_name(json, str_from_cstr(param->name));
    json_raw(json, buf_str(&value));
    return 0;
}

int
cli_task_options_write(const struct celery_task *task, const struct cli_task_options *options,
                       struct str kwargs, struct buf *out, struct error *err)
{
    struct json_writer json = JSON_WRITER_INIT(out);
    int rc = 0;

    json_begin_object(&json);
    if (kwargs.ptr)
        rc = copy_members(&json, kwargs, err);
    for (size_t i = 0; rc == 0 && task && i < options->n_params; i++) {
        if (options->flags[i] || options->words[i].ptr)
            rc = write_option(&json, &task->params[i],
                              options->flags[i] ? STR("true") : options->words[i], err);
    }
    json_end_object(&json);
    return rc < 0 ? cli_refuse_usage(err) : buf_status(out, err);
}

int
cli_task_check_arguments(const struct celery_task *task, struct str args, struct str kwargs,
                         struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)16 << 20);
    struct json args_value;
    struct json kwargs_value;
    void *bound;
    int rc = json_parse(kwargs, NULL, &arena, &kwargs_value, err);

    if (rc == 0 && args.ptr) {
        rc = json_parse(args, NULL, &arena, &args_value, err);
        if (rc < 0)
            rc = error_wrap(err, rc, "positional arguments are not JSON");
    }
    if (rc == 0)
        rc = celery_params_bind(task, args.ptr ? &args_value : NULL, &kwargs_value, &arena, &bound,
                                err);
    return rc < 0 ? cli_refuse_usage(err) : 0;
}

int
cli_refuse_usage(struct error *err)
{
    if (err)
        err->code = ERR_ARGS;
    return -ERR_ARGS;
}
