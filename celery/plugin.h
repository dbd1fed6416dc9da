#pragma once

/* Plug-ins: shared objects that bring tasks of their own (trawl/plugin.h is their side).
 *
 * Loaded by the parent before it forks: names, help and schedules are known to it, and children
 * inherit the code.  Nothing here trusts what a table says until it was looked at. */

#include <trawl/error.h>
#include <trawl/plugin.h>
#include <trawl/str.h>

#include "celery/registry.h"

#define PLUGINS_MAX      ((size_t)64)
#define PLUGIN_TASKS_MAX ((size_t)1000) /* of one plug-in */

struct plugin_set;

/* Load them, in this order.
 *
 * base   the program's own tasks; borrowed for the set's life
 * paths  [n_paths], absolute, NUL-terminated
 * out    the caller's, for plugin_set_free
 *
 * A set with one bad plug-in is none.  Not thread-safe.
 * Errors: ERR_CONFIG, with the file, what was found, what is needed and the way out: no such file,
 * writable by everybody, not a shared object, a name that the program does not export, no
 * descriptor, another ABI version, a thread started while loading, a task whose name is taken,
 * removed or not of the form module.task, a parameter table that is none; ERR_NOMEM. */
MUST_CHECK int plugin_set_load(const struct celery_registry *base, const struct str *paths,
                               size_t n_paths, struct plugin_set **out, struct error *err);

/* Unloads: no task of theirs may run any more.  NULL is fine. */
void plugin_set_free(struct plugin_set *set);

/* The program's tasks and theirs; lives as long as the set. */
const struct celery_registry *plugin_set_registry(const struct plugin_set *set);

/* Is this descriptor one that this program can use?  Pure.  Errors: ERR_CONFIG. */
MUST_CHECK int plugin_check_abi(const struct trawl_plugin *plugin, struct error *err);

/* The name and table of one task.  Pure.  Errors: ERR_CONFIG. */
MUST_CHECK int plugin_check_task(const struct celery_task *task, struct error *err);
