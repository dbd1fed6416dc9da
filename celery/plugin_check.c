/* What a plug-in's tables must be like.  They come from a compiler, not from an enemy: the checks
 * find what a person gets wrong. */

#include "celery/plugin.h"

#include <inttypes.h>

#define NAME_BYTES_MAX ((size_t)128)
#define ARGS_BYTES_MAX ((size_t)1 << 20)
#define PARAMS_MAX     ((size_t)100)

int
plugin_check_abi(const struct trawl_plugin *plugin, struct error *err)
{
    static const struct trawl_plugin ours = {
        .plugin_bytes = (uint32_t)sizeof(struct trawl_plugin),
        .task_bytes = (uint32_t)sizeof(struct celery_task),
        .param_bytes = (uint32_t)sizeof(struct celery_param),
        .error_bytes = (uint32_t)sizeof(struct error),
    };

    if (plugin->abi_version != TRAWL_ABI_VERSION)
        return error_set(err, ERR_CONFIG,
                         "it has ABI version %" PRIu32 ", trawl " TRAWL_VERSION
                         " needs %d: compile it again with this trawl's headers",
                         plugin->abi_version, TRAWL_ABI_VERSION);
    if (plugin->plugin_bytes != ours.plugin_bytes || plugin->task_bytes != ours.task_bytes ||
        plugin->param_bytes != ours.param_bytes || plugin->error_bytes != ours.error_bytes)
        return error_set(err, ERR_CONFIG,
                         "its records have %" PRIu32 ", %" PRIu32 ", %" PRIu32 ", %" PRIu32
                         " bytes, trawl's have %" PRIu32 ", %" PRIu32 ", %" PRIu32 ", %" PRIu32
                         ": compile it again with this trawl's headers",
                         plugin->plugin_bytes, plugin->task_bytes, plugin->param_bytes,
                         plugin->error_bytes, ours.plugin_bytes, ours.task_bytes, ours.param_bytes,
                         ours.error_bytes);
    if (!plugin->name || !*plugin->name || !plugin->modules)
        return error_set(err, ERR_CONFIG, "its descriptor has no name or no tasks");
    return 0;
}

/* [a-z_][a-z0-9_]* */
static bool
is_word(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!(c == '_' || (c >= 'a' && c <= 'z') || (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return text.len > 0;
}

static bool
is_task_name(struct str name)
{
    size_t n_words = 0;
    struct str word;

    if (name.len > NAME_BYTES_MAX || str_ends_with(name, STR(".")))
        return false;
    while (str_split(&name, '.', &word)) {
        if (!is_word(word))
            return false;
        n_words++;
    }
    return n_words >= 2;
}

static size_t
value_bytes(enum celery_param_type type)
{
    if (type == CELERY_PARAM_INT)
        return sizeof(int64_t);
    return type == CELERY_PARAM_BOOL ? sizeof(bool) : sizeof(struct str);
}

static int
check_param(const struct celery_task *task, const struct celery_param *param, struct error *err)
{
    bool has_bounds = param->min != 0 || param->max != 0;
    size_t end;

    if ((unsigned)param->type > CELERY_PARAM_JSON)
        return error_set(err, ERR_CONFIG, "task '%s': parameter '%s' has the unknown type %d",
                         task->name, param->name, (int)param->type);
    if (!is_word(str_from_cstr(param->name)))
        return error_set(err, ERR_CONFIG,
                         "task '%s': a parameter's name is a word of a-z, 0-9 and _, not '%.64s'",
                         task->name, param->name);
    if (__builtin_add_overflow(param->offset, value_bytes(param->type), &end) ||
        end > task->args_bytes)
        return error_set(err, ERR_CONFIG,
                         "task '%s': parameter '%s' lies outside of its struct (offset %zu of %zu)",
                         task->name, param->name, param->offset, task->args_bytes);
    if (param->type == CELERY_PARAM_INT && has_bounds &&
        (param->min > param->max || param->fallback < param->min || param->fallback > param->max))
        return error_set(err, ERR_CONFIG,
                         "task '%s': the default %" PRId64 " of '%s' is not from %" PRId64
                         " to %" PRId64,
                         task->name, param->fallback, param->name, param->min, param->max);
    return 0;
}

int
plugin_check_task(const struct celery_task *task, struct error *err)
{
    size_t n_params = 0;

    if (!is_task_name(str_from_cstr(task->name)))
        return error_set(err, ERR_CONFIG,
                         "'%.64s' is no name of a task: it is module.task, of a-z, 0-9 and _",
                         task->name);
    if (!task->run || !task->params || !task->help)
        return error_set(err, ERR_CONFIG, "task '%s' has no %s", task->name,
                         !task->run      ? "function"
                         : !task->params ? "table of parameters"
                                         : "help, one line about what it does");
    if (task->args_bytes == 0 || task->args_bytes > ARGS_BYTES_MAX)
        return error_set(err, ERR_CONFIG, "task '%s' has a struct of %zu bytes for its arguments",
                         task->name, task->args_bytes);
    for (const struct celery_param *param = task->params; param->name; param++) {
        int rc = check_param(task, param, err);

        if (rc < 0)
            return rc;
        for (const struct celery_param *other = task->params; other < param; other++) {
            if (str_equal(str_from_cstr(other->name), str_from_cstr(param->name)))
                return error_set(err, ERR_CONFIG, "task '%s' has two parameters '%s'", task->name,
                                 param->name);
        }
        if (++n_params > PARAMS_MAX)
            return error_set(err, ERR_CONFIG, "task '%s' has more than %zu parameters", task->name,
                             PARAMS_MAX);
    }
    return 0;
}
