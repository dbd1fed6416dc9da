#pragma once

/* What makes a shared object a plug-in: one symbol that names its tasks.
 *
 *     static const struct celery_task *const modules[] = {zenodo_tasks, NULL};
 *     TRAWL_PLUGIN("zenodo", "1.0", modules);
 *
 * The program loads it (`include:` in trawl.yaml) before it reads anything else of the file: its
 * version and the sizes below say whether the two agree on what the other headers declare.  Not
 * linked against anything of ours: the names of the other headers are the program's own.
 *
 * Laws for a plug-in, which is loaded by the worker's parent and inherited by its children:
 * - loading it (constructors) starts no thread, forks nothing, opens nothing that a child must not
 *   share, and does not block;
 * - a task takes its connections from trawl/source.h, or opens its own when it first runs;
 * - a crash ends one child and is that task's failure, never the worker's. */

#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>
#include <trawl/task.h>

/* Raised whenever a plug-in that was compiled before would no longer be right.  What only adds a
 * function does not raise it; what adds a field at the end of a record with `bytes` neither. */
#define TRAWL_ABI_VERSION 1

struct trawl_plugin {
    uint32_t abi_version;  /* stays first, for ever */
    uint32_t plugin_bytes; /* sizes of the records, as the plug-in was compiled with them */
    uint32_t task_bytes;
    uint32_t param_bytes;
    uint32_t error_bytes;
    uint32_t reserved;                        /* 0 */
    const char *name;                         /* "zenodo" */
    const char *version;                      /* of the plug-in, for people: "1.0" */
    const struct celery_task *const *modules; /* lists of tasks, ended by NULL */
};

/* Define it, once per shared object, at file scope. */
#define TRAWL_PLUGIN(plugin_name, plugin_version, plugin_modules)                                  \
    extern const struct trawl_plugin trawl_plugin;                                                 \
    TRAWL_API const struct trawl_plugin trawl_plugin = {                                           \
        .abi_version = TRAWL_ABI_VERSION,                                                          \
        .plugin_bytes = (uint32_t)sizeof(struct trawl_plugin),                                     \
        .task_bytes = (uint32_t)sizeof(struct celery_task),                                        \
        .param_bytes = (uint32_t)sizeof(struct celery_param),                                      \
        .error_bytes = (uint32_t)sizeof(struct error),                                             \
        .name = (plugin_name),                                                                     \
        .version = (plugin_version),                                                               \
        .modules = (plugin_modules),                                                               \
    }
