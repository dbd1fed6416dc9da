/* Loading: dlopen, the descriptor, then each task.  The only user of dlfcn.h. */

#include "celery/plugin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct loaded {
    void *handle;
    const struct trawl_plugin *plugin;
};

struct plugin_set {
    struct loaded loaded[PLUGINS_MAX];
    size_t n_loaded;
    const struct celery_task **modules; /* the base's, then theirs, then NULL */
    size_t n_modules;
    struct celery_registry registry;
};

/* How many threads this process has; 0 = not known. */
static size_t
count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    size_t n = 0;

    if (!dir)
        return 0;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        n += entry->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

/* What everybody can change must not become part of this program. */
static int
check_file(const char *path, struct error *err)
{
    struct stat info;

    if (stat(path, &info) < 0)
        return error_set(err, ERR_CONFIG, "%s",
                         errno == ENOENT ? "there is no such file" : "it cannot be looked at");
    if (!S_ISREG(info.st_mode))
        return error_set(err, ERR_CONFIG, "it is not a file");
    if (info.st_mode & S_IWOTH)
        return error_set(err, ERR_CONFIG, "everybody may change it: chmod o-w it");
    return 0;
}

static int
open_object(const char *path, void **out, struct error *err)
{
    size_t n_threads = count_threads();
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *why = handle ? "" : dlerror(); /* NOLINT: one thread */

    if (!handle && why && str_find(str_from_cstr(why), STR("undefined symbol")) < strlen(why))
        return error_set(
            err, ERR_CONFIG,
            "%s: a plug-in may use what trawl's installed headers declare, and what it "
            "is linked with",
            why);
    if (!handle)
        return error_set(err, ERR_CONFIG, "it is no shared object that can be loaded: %s",
                         why ? why : "no reason given");
    if (count_threads() > n_threads) /* it stays loaded: the thread runs its code */
        return error_set(err, ERR_CONFIG,
                         "it starts a thread while it is loaded, which a worker that forks cannot "
                         "have: start it in the task");
    *out = handle;
    return 0;
}

static int
find_descriptor(void *handle, const struct trawl_plugin **out, struct error *err)
{
    const struct trawl_plugin *plugin = dlsym(handle, "trawl_plugin");

    if (!plugin)
        return error_set(err, ERR_CONFIG,
                         "it has no symbol 'trawl_plugin', so it is no plug-in: TRAWL_PLUGIN() of "
                         "<trawl/plugin.h> makes one");
    *out = plugin;
    return plugin_check_abi(plugin, err);
}

/* Whose it is already, or was once. */
static int
check_name(const struct plugin_set *self, const struct celery_task *task, struct error *err)
{
    const struct celery_removed_task *removed = self->registry.removed;
    const struct celery_task *other;

    for (; removed && removed->name; removed++) {
        if (str_equal(str_from_cstr(removed->name), str_from_cstr(task->name)))
            return error_set(err, ERR_CONFIG,
                             "task '%s' has the name of one that was removed (now '%s'): name it "
                             "otherwise",
                             task->name, removed->successor);
    }
    if (celery_registry_find(&self->registry, str_from_cstr(task->name), &other, NULL) == 0)
        return error_set(err, ERR_CONFIG,
                         "task '%s' exists already ('%s'): name it otherwise, or load it once",
                         task->name, other->help);
    return 0;
}

/* Its tasks must differ from all that are known, and from each other. */
static int
add_module(struct plugin_set *self, const struct celery_task *module, size_t *n_tasks,
           struct error *err)
{
    const struct celery_task **modules;
    int rc;

    for (const struct celery_task *task = module; task->name; task++) {
        if (++*n_tasks > PLUGIN_TASKS_MAX)
            return error_set(err, ERR_CONFIG, "it has more than %zu tasks", PLUGIN_TASKS_MAX);
        rc = plugin_check_task(task, err);
        if (rc == 0)
            rc = check_name(self, task, err);
        if (rc < 0)
            return rc;
        for (const struct celery_task *other = module; other < task; other++) {
            if (str_equal(str_from_cstr(other->name), str_from_cstr(task->name)))
                return error_set(err, ERR_CONFIG, "task '%s' is in its list twice", task->name);
        }
    }
    modules = reallocarray(self->modules, self->n_modules + 2, sizeof(struct celery_task *));
    if (!modules)
        return error_set(err, ERR_NOMEM, "no memory for a list of tasks");
    modules[self->n_modules++] = module;
    modules[self->n_modules] = NULL;
    self->modules = modules;
    self->registry.modules = modules;
    return 0;
}

static int
load_one(struct plugin_set *self, struct str path, struct error *err)
{
    struct loaded *loaded = &self->loaded[self->n_loaded];
    size_t n_tasks = 0;
    int rc = check_file(path.ptr, err);

    if (rc == 0)
        rc = open_object(path.ptr, &loaded->handle, err);
    if (rc < 0)
        return rc;
    self->n_loaded++; /* to be closed, come what may */
    rc = find_descriptor(loaded->handle, &loaded->plugin, err);
    for (size_t i = 0; rc == 0 && loaded->plugin->modules[i]; i++)
        rc = add_module(self, loaded->plugin->modules[i], &n_tasks, err);
    if (rc == 0 && n_tasks == 0)
        rc = error_set(err, ERR_CONFIG, "it has no tasks");
    return rc;
}

static int
take_base(struct plugin_set *self, const struct celery_registry *base, struct error *err)
{
    size_t n = 0;

    while (base->modules[n])
        n++;
    self->modules = reallocarray(NULL, n + 1, sizeof(struct celery_task *));
    if (!self->modules)
        return error_set(err, ERR_NOMEM, "no memory for a list of tasks");
    for (size_t i = 0; i <= n; i++)
        self->modules[i] = base->modules[i];
    self->n_modules = n;
    self->registry = (struct celery_registry){self->modules, base->removed};
    return 0;
}

int
plugin_set_load(const struct celery_registry *base, const struct str *paths, size_t n_paths,
                struct plugin_set **out, struct error *err)
{
    struct plugin_set *self = calloc(1, sizeof(*self));
    int rc = 0;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for plug-ins");
    if (n_paths > PLUGINS_MAX)
        rc = error_set(err, ERR_CONFIG, "include names %zu plug-ins, at most %zu can be loaded",
                       n_paths, PLUGINS_MAX);
    if (rc == 0)
        rc = take_base(self, base, err);
    for (size_t i = 0; rc == 0 && i < n_paths; i++) {
        rc = load_one(self, paths[i], err);
        if (rc < 0)
            rc = error_wrap(err, rc, "plug-in '%s'", paths[i].ptr);
    }
    if (rc < 0) {
        plugin_set_free(self);
        return rc;
    }
    *out = self;
    return 0;
}

void
plugin_set_free(struct plugin_set *set)
{
    if (!set)
        return;
    while (set->n_loaded > 0)
        (void)dlclose(set->loaded[--set->n_loaded].handle);
    free(set->modules);
    free(set);
}

const struct celery_registry *
plugin_set_registry(const struct plugin_set *set)
{
    return &set->registry;
}
