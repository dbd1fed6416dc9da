/* The suite of all result backends on SQLite. */

#include "tests/unit/celery/backend/backend_suite.h"

#include "tests/unit/celery/backend/sqlite_place.h"

int
main(void)
{
    static const struct backend_factory factory = {.create = sqlite_place_create,
                                                   .destroy = sqlite_place_destroy};

    return backend_suite_run(&factory);
}
