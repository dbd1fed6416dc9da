#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

static int
find_functions(const struct library *library, void *handle, struct error *err)
{
    for (size_t i = 0; i < library->n_functions; i++) {
        const struct library_function *function = &library->functions[i];
        void *address = dlsym(handle, function->name);

        if (!address)
            return error_set(err, ERR_UNSUPPORTED,
                             "%s has no function %s: is the package %s whole?", library->soname,
                             function->name, library->package);
        (void)memcpy((char *)library->table + function->offset, &address, sizeof(address));
    }
    return 0;
}

static int
load_locked(struct library *library, struct error *err)
{
    void *handle;
    int rc;

    if (library->is_loaded)
        return 0;
    handle = dlopen(library->soname, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return error_set(err, ERR_UNSUPPORTED, "cannot load %s: %s; the package %s brings it",
                         library->soname, dlerror(), library->package);
    rc = find_functions(library, handle, err);
    if (rc < 0)
        (void)dlclose(handle);
    library->is_loaded = rc == 0;
    return rc;
}

int
library_load(struct library *library, struct error *err)
{
    int rc;

    (void)pthread_mutex_lock(&library->mutex);
    rc = load_locked(library, err);
    (void)pthread_mutex_unlock(&library->mutex);
    return rc;
}
