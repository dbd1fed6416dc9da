#pragma once

/* The tasks that a program knows, and the names that it once knew. */

#include <trawl/error.h>
#include <trawl/str.h>
#include <trawl/task.h>

struct celery_removed_task {
    const char *name;
    const char *successor;
};

struct celery_registry {
    const struct celery_task *const *modules;  /* lists, ended by NULL */
    const struct celery_removed_task *removed; /* ended by a NULL name; may be NULL */
};

/* -ERR_NOT_FOUND with the nearest name, or with the successor of a removed one. */
MUST_CHECK int celery_registry_find(const struct celery_registry *registry, struct str name,
                                    const struct celery_task **out, struct error *err);
